"""Write the intervention reports that are due, from what the log server holds; the logic is pgssi.remote.report."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401
from ansible_collections.pgssi.toolkit.plugins.plugin_utils.evidence_append import append, operator

from pgssi.errors import PgssiError
from pgssi.evidence import Journal
from pgssi.evidence.page import page
from pgssi.remote.recording import RECORDS
from pgssi.remote.report import KIND, due, fields

SITE = ("evidence_dir", "people", "contacts", "automation", "sealing_recipients", "evidence_signers", "suppliers", "equipment")
PATIENCE = 20.0  # seconds for the last words of a closed window to arrive


class ActionModule(ActionBase):
    """Runs on the log server. ``windows``: just closed, waited for; ``sign_key``: the operator's; ``pages``: a directory."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset({"sign_key", "pages", "windows"})
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        resolved = variables["hostvars"][variables["inventory_hostname"]]
        site = {f"site_{name}": resolved[f"site_{name}"] for name in SITE if f"site_{name}" in resolved}
        self._variables = variables
        try:
            journal = Journal.of_site(site, str(resolved["inventory_dir"]))
            records = [record.as_dict() for record in journal.records()]
            windows, strays = self._due(records)
            if not windows and not strays:
                return {**result, "changed": False, "reports": [], "lines": []}
            if self._task.check_mode:
                return {
                    **result,
                    "changed": True,
                    "reports": [],
                    "lines": [],
                    "msg": f"{len(windows) + len(strays)} reports are due",
                }
            reports = []
            for wanted in fields(self._ask(*windows, *strays), windows, strays, site):
                wanted["who"] = {"operator": operator(), **wanted["who"]}
                record = append(journal, self._key(), resolved.get("ansible_ssh_private_key_file"), wanted)
                reports.append({"id": record.id, "what": record.what, "page": self._page(journal, record, resolved)})
        except PgssiError as error:
            raise AnsibleActionFail(str(error)) from error
        lines = [f"{one['what']} - rapport {one['id']}{' : ' + one['page'] if one['page'] else ''}" for one in reports]
        return {**result, "changed": True, "reports": reports, "lines": lines, "directory": str(journal.directory)}

    def _due(self, records: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
        """Return what is due; the end of a window just closed takes a moment to reach the log server."""
        told = {record["details"]["window"]["id"] for record in records if record["kind"] == KIND}
        waited, end = set(self._task.args.get("windows") or ()) - told, time.monotonic() + PATIENCE
        while True:
            windows, strays = due(self._ask(), records, datetime.now(UTC))
            if waited <= set(windows) or self._task.check_mode:
                return windows, strays
            if time.monotonic() > end:
                missing = ", ".join(sorted(waited - set(windows)))
                raise AnsibleActionFail(
                    f"La fin de {missing} n'est pas arrivée au serveur de journaux. L'intervention est fermée ; "
                    "écrire son rapport plus tard avec playbooks/intervention_reports.yml."
                )
            time.sleep(1)

    def _ask(self, *names: str) -> dict[str, Any]:
        arguments = {"argv": [RECORDS, "windows", *names]}
        done = self._execute_module("ansible.legacy.command", module_args=arguments, task_vars=self._variables)
        if done.get("rc") != 0:
            raise AnsibleActionFail(
                "Le serveur de journaux ne donne pas les enregistrements : "
                f"{(done.get('stderr') or done.get('msg') or '').strip()[-300:]}"
            )
        answer: dict[str, Any] = json.loads(done["stdout"])
        return answer

    def _key(self) -> str | None:
        key = self._task.args.get("sign_key")
        return self._loader.path_dwim(key) if key else None

    def _page(self, journal: Journal, record: Any, resolved: Mapping[str, Any]) -> str:
        folder = self._task.args.get("pages")
        if not folder:
            return ""
        target = Path(self._loader.path_dwim(folder)) / f"{record.id}.html"
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {signer.principal: signer.name for signer in journal.signers or ()}
        text = page(record, site_name=str(resolved.get("site_name", "")), verification=journal.verify(), names=names)
        target.touch(0o600)
        target.write_text(text, "utf-8")
        return str(target)
