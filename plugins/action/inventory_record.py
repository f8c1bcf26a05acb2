"""Compare what was read on the hosts with the record before, and record it; the logic is pgssi.asset_record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401
from ansible_collections.pgssi.toolkit.plugins.plugin_utils.evidence_append import SITE, answer, append, operator

from pgssi.asset_record import FILE, details, whole
from pgssi.errors import PgssiError
from pgssi.evidence import Journal
from pgssi.inventory import plain


class ActionModule(ActionBase):
    """One record for all the hosts that were read; check mode tells the differences and writes nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec={"seen": {"type": "dict", "required": True}})
        variables = task_vars or {}
        seen = {name: plain(one["asset"]) for name, one in arguments["seen"].items() if "asset" in one}
        if not seen:
            raise AnsibleActionFail("Aucun hôte n'a pu être lu : il n'y a rien à relever.")
        resolved = variables["hostvars"][min(seen)]
        site = {name: resolved[name] for name in SITE if name in resolved}
        expected = sorted(variables["groups"]["all"])
        try:
            journal = Journal.of_site(site, str(resolved["inventory_dir"]))
            before = self._before(journal)
            found = details(seen, before, expected, date.today())
            told = {**result, "differences": found["differences"], "msg": self._told(found)}
            if self._task.check_mode:
                return {**told, "changed": True}
            kept = {name: one for name, one in (before or {}).items() if name in found["missing"]}
            record = append(
                journal,
                None,
                resolved.get("ansible_ssh_private_key_file"),
                {
                    "kind": "asset_inventory",
                    "what": f"Inventaire : {len(seen)} hôte(s), {len(found['differences'])} écart(s) avec le relevé d'avant",
                    "where": sorted(seen),
                    "who": {"operator": operator()},
                    "result": "partial" if found["missing"] else "success",
                    "details": found,
                    "files": [(FILE, whole({**kept, **seen}))],
                },
            )
        except PgssiError as error:
            raise AnsibleActionFail(str(error)) from error
        return {**told, **answer(journal, record)}

    @staticmethod
    def _before(journal: Journal) -> dict[str, Any] | None:
        if not journal.directory.is_dir():
            return None
        records = journal.records("asset_inventory")
        if not records:
            return None
        kept = next(one for one in records[-1].files if one["path"] == FILE)
        found: dict[str, Any] = json.loads(journal.attachment(kept["sha256"]).read_text("utf-8"))
        return found

    @staticmethod
    def _told(found: Mapping[str, Any]) -> list[str]:
        words = {
            "added": "ajouté",
            "removed": "retiré",
            "changed": "changé",
            "host_new": "nouvel hôte",
            "host_gone": "hôte parti",
        }
        lines = [
            f"{one['host']} : {words[one['code']]} {one['item']} {one['old']} → {one['new']}".replace("  ", " ")
            for one in found["differences"]
        ]
        lines += [f"non relevé : {name}" for name in found["missing"]] + list(found["announcements"])
        first = [] if found["compared"] else ["premier relevé : rien à comparer"]
        return first + lines or ["aucun écart avec le relevé d'avant"]
