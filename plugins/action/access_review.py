"""Cross what was read on the hosts with the site model, and record it; the logic is pgssi.access_review."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401
from ansible_collections.pgssi.toolkit.plugins.plugin_utils.evidence_append import answer, append, operator

from pgssi.access_review import Observed, review
from pgssi.errors import PgssiError
from pgssi.evidence import Journal
from pgssi.evidence.page import page
from pgssi.inventory import plain

ARGUMENTS = {
    "seen": {"type": "dict", "required": True},
    "reviewer": {"type": "str"},
    "pages": {"type": "path"},
}


class ActionModule(ActionBase):
    """One record for all the hosts that were read; check mode tells the differences and writes nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        variables = task_vars or {}
        hostvars = variables["hostvars"]
        hosts = [self._observed(name, seen, hostvars[name]) for name, seen in sorted(arguments["seen"].items())]
        if not hosts:
            raise AnsibleActionFail("Aucun hôte n'a pu être lu : il n'y a rien à revoir.")
        site = hosts[0].site
        try:
            journal = Journal.of_site(site, str(site["inventory_dir"]))
            previous = [record.as_dict() for record in journal.records("access_review")]
            details = review(hosts, variables["groups"]["all"], date.today(), previous)
            told = {**result, "differences": details["differences"], "sample": details["sample"]}
            open_points = details["differences"] or details["sample"]["hosts"]["missing"]
            if self._task.check_mode:
                return {**told, "changed": True, "msg": "check mode: no record is written"}
            fields = {
                "kind": "access_review",
                "what": f"Revue des habilitations : {len(details['differences'])} écart(s) à décider",
                "where": details["sample"]["hosts"]["observed"],
                "who": {"operator": operator(), "reviewer": arguments["reviewer"]},
                "result": "partial" if open_points else "success",
                "details": details,
            }
            record = append(journal, None, hosts[0].site.get("ansible_ssh_private_key_file"), fields)
            written = page(record, site_name=str(site.get("site_name", "")), verification=journal.verify(), language="fr")
        except PgssiError as error:
            raise AnsibleActionFail(str(error)) from error
        pages = Path(arguments["pages"] or journal.directory.parent / "pages")
        pages.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = pages / f"{record.id}.html"
        target.write_text(written, "utf-8")
        return {
            **told,
            **answer(journal, record),
            "page": str(target),
            "msg": f"{record.what}. Page : {target}. À signer : pgssi evidence sign {record.id} --key …",
        }

    @staticmethod
    def _observed(name: str, seen: Mapping[str, Any], variables: Mapping[str, Any]) -> Observed:
        wanted = ("inventory_dir", "ansible_ssh_private_key_file")
        names = [key for key in variables if str(key).startswith("site_") or key in wanted]
        site = {str(key): plain(variables[key]) for key in names}
        return Observed(name, tuple(plain(variables["group_names"])), site, plain(seen["accounts"]))
