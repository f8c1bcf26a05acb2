"""Destroy the data of one medium (PSSI 3.1.4): agree, show, erase, write the sheet. The host decides again by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401
from ansible_collections.pgssi.toolkit.plugins.plugin_utils.evidence_append import append, operator

from pgssi.destruction import consent, physical, sheet
from pgssi.errors import PgssiError
from pgssi.evidence import Journal
from pgssi.evidence.page import page
from pgssi.inventory import plain

PROGRAM = "/usr/local/sbin/pgssi-media"
KEPT = ("inventory_dir", "ansible_ssh_private_key_file")
LOOK = 5.0  # seconds between two looks at the work
REFUSED = 2


class ActionModule(ActionBase):
    """The arguments are those of the module's documentation."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset({"step", "serial", "typed", "operator", "sign_key", "pages", "done"})

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._variables = task_vars or {}
        self._host = str(self._variables["inventory_hostname"])
        resolved = self._variables["hostvars"][self._host]
        self._site = {str(key): plain(resolved[key]) for key in resolved if str(key).startswith("site_") or key in KEPT}
        self._operator = str(self._task.args.get("operator") or operator())
        try:
            self._journal = Journal.of_site(self._site, str(self._site["inventory_dir"]))
            anywhere = self._task.args["step"] == "record"
            entry = consent.declared(self._site, None if anywhere else self._host, str(self._task.args["serial"]))
            return result | getattr(self, f"_{self._task.args['step']}")(entry)
        except PgssiError as error:
            raise AnsibleActionFail(str(error)) from error

    def _approve(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Record the agreement of whoever signs."""
        if self._task.check_mode:
            return {"changed": True, "lines": ["mode d'essai : aucun accord n'est écrit"]}
        record = append(self._journal, self._key(), None, sheet.agreement(entry, self._operator))
        signed = self._journal.verify().approved(record.id)
        state = f"signé par {', '.join(signed)}" if signed else f"à signer : pgssi evidence sign {record.id} --key …"
        return {"changed": True, "record": record.id, "lines": [f"{record.what} : {record.id}, {state}"]}

    def _record(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Record what people have destroyed with their hands."""
        wanted = physical.fields(entry, self._task.args.get("done") or {}, self._operator)
        known = [one.id for one in self._journal.records(kind="physical_destruction") if one.details["serial"] == entry["serial"]]
        if known:
            raise consent.Refused(f"Refusé : {entry['serial']} a déjà sa fiche, {known[-1]}.")
        if self._task.check_mode:
            return {"changed": True, "lines": ["mode d'essai : aucune fiche n'est écrite"]}
        record = append(self._journal, self._key(), self._site.get("ansible_ssh_private_key_file"), wanted)
        return {"changed": True, "record": record.id, "lines": [f"{record.what} - {record.id}", f"Fiche : {self._page(record)}"]}

    def _show(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what would be destroyed and how, or why nothing may be."""
        running = self._running(entry)
        if running:
            medium = running["medium"]
            lines = [f"Destruction déjà commencée : {running['job']}, {', '.join(running['steps'])}"]
        else:
            answer = self._ask("check", self._request(entry, entry["serial"]))
            medium = answer["medium"]
            lines = [f"Méthode : {', '.join(step['do'] for step in answer['steps'])}"]
            lines += [f"Contenu : {one['where']} {one['type']} {one['label']}".rstrip() for one in medium["contents"]]
        shown = f"{medium['path']} : {medium['model']} {medium['serial']} {medium['wwn']}, {medium['size']} octets"
        lines = [shown, *lines, f"Destination : {entry['destination']}, pour {entry['new_owner']}"]
        return {"changed": False, "lines": lines}

    def _erase(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Erase, follow, and write the sheet; what was interrupted goes on."""
        typed = str(self._task.args.get("typed") or "")
        if typed != entry["serial"]:
            raise consent.Refused(f"Refusé : le numéro saisi « {typed} » n'est pas {entry['serial']}. Rien n'a été touché.")
        key = self._key()
        holder = self._journal.holder(key) if key else None
        owner = holder.principal if holder and holder.kind != "automation" else None
        self._operator = consent.proven(self._task.args.get("operator"), operator(), owner)
        if self._task.check_mode:
            return {"changed": True, "lines": ["mode d'essai : rien n'est effacé"]}
        job = self._resumed(entry) or self._ask("request", self._request(entry, typed))["job"]
        self._follow(job)
        told = json.loads(self._call([PROGRAM, "sheet", job])["stdout"])
        wanted = sheet.fields(told, entry)
        record = append(self._journal, self._key(), self._site.get("ansible_ssh_private_key_file"), wanted)
        lines = [f"{record.what} - {record.id}", f"Fiche : {self._page(record)}"]
        if record.result != "success":
            raise consent.Refused(" ; ".join([*lines, wanted["details"]["reason"], "Le détruire physiquement (PSSI 3.1.4.12)."]))
        sources = self._variables.get("ansible_inventory_sources") or ()
        left = sheet.remains(self._leaving(entry), [str(source) for source in sources])
        return {
            "changed": True,
            "record": record.id,
            "lines": [*lines, *(f"À retirer de l'inventaire : {line}" for line in left)],
        }

    def _request(self, entry: Mapping[str, Any], typed: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        records = [record.as_dict() for record in self._journal.records()]
        verification = self._journal.verify()
        if records and not verification.ok:
            raise consent.Refused("Refusé : le journal des preuves est altéré. Lancer « pgssi evidence verify ».")
        approved = {record["id"]: verification.approved(record["id"]) for record in records}
        worth = consent.content(entry, self._site.get("site_backup_plan") or (), records, now)
        people = [(signer.principal, signer.name) for signer in self._journal.signers or ()]
        agreed = consent.approval(entry, records, approved, consent.oneself(self._operator, people), now)
        return consent.request(entry, self._site, typed, self._operator, agreed, worth)

    def _leaving(self, entry: Mapping[str, Any]) -> list[str]:
        """Return what the inventory no longer needs to name: the medium, and the host when none of its media is left to erase."""
        done = {one.details["medium"]["serial"] for one in self._journal.records(kind="data_destruction")
                if one.result == "success" and self._host in (one.details["host"]["name"], *one.where)}  # fmt: skip
        waiting = {one["serial"] for one in self._site.get("site_media") or ()
                   if one.get("host") == self._host and one["state"] == "leaving"}  # fmt: skip
        return [entry["serial"], *([] if waiting - done else [self._host])]

    def _resumed(self, entry: Mapping[str, Any]) -> str | None:
        """Return the job that goes on. One that has written nothing is forgotten: all that it needs is looked at again."""
        running = self._running(entry)
        if running and not running["begun"]:
            self._call([PROGRAM, "cancel", running["job"]])
            return None
        return str(running["job"]) if running else None

    def _running(self, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the job that is open on this medium."""
        states = json.loads(self._call([PROGRAM, "state"])["stdout"])
        mine = [one for one in states if one["medium"]["serial"] == entry["serial"] and one["result"] is None]
        return mine[-1] if mine else None

    def _ask(self, verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
        said = self._call([PROGRAM, verb], json.dumps(request), (0, REFUSED))
        if not said["stdout"].strip():  # it has not come as far as an answer
            raise consent.Refused(f"Refusé, rien n'a été touché : {said['stderr'].strip()[-400:]}")
        answer: dict[str, Any] = json.loads(said["stdout"])
        if answer["refusals"]:
            raise consent.Refused("Refusé, rien n'a été touché : " + " ; ".join(one["text"] for one in answer["refusals"]))
        return answer

    def _follow(self, job: str) -> None:
        """Start the work in a unit of its own, and tell how far it is until it has ended."""
        unit, shown = f"pgssi-media@{job}.service", ""
        self._call(["systemctl", "start", "--no-block", unit])
        while True:
            time.sleep(LOOK)
            state = json.loads(self._call([PROGRAM, "state", job])["stdout"])
            if state["result"]:
                return
            step = min(state["step"] + 1, len(state["steps"]))
            line = f"{job} : étape {step} sur {len(state['steps'])} ({state['steps'][step - 1]}), {state['percent']} %"
            if line != shown:
                Display().display(line)
                shown = line
            if self._call(["systemctl", "is-active", unit], accepted=(0, 3))["stdout"].strip() not in ("active", "activating"):
                again = json.loads(self._call([PROGRAM, "state", job])["stdout"])
                if again["result"]:
                    return
                raise consent.Refused(
                    f"{job} s'est arrêté : {again['reason'] or 'coupure'}. Relancer ce playbook : il reprendra."
                )

    def _call(self, argv: list[str], stdin: str = "", accepted: tuple[int, ...] = (0,)) -> dict[str, Any]:
        arguments = {"argv": argv, "stdin": stdin}
        done: dict[str, Any] = self._execute_module(
            "ansible.legacy.command", module_args=arguments, task_vars=dict(self._variables)
        )
        if done.get("rc") not in accepted:
            said = (done.get("stderr") or done.get("msg") or "").strip()[-400:]
            raise consent.Refused(f"{self._host} : {' '.join(argv[:2])} : {said or done.get('rc')}")
        return done

    def _key(self) -> str | None:
        key = self._task.args.get("sign_key")
        return self._loader.path_dwim(key) if key else None

    def _page(self, record: Any) -> str:
        folder = Path(self._loader.path_dwim(self._task.args.get("pages") or str(self._journal.directory.parent / "pages")))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {signer.principal: signer.name for signer in self._journal.signers or ()}
        target = folder / f"{record.id}.html"
        text = page(record, site_name=str(self._site.get("site_name", "")), verification=self._journal.verify(), names=names)
        target.touch(0o600)
        target.write_text(text, "utf-8")
        return str(target)
