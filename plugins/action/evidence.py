"""Append a record to the site's evidence journal, on the control node; the logic is pgssi.evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401
from ansible_collections.pgssi.toolkit.plugins.plugin_utils.evidence_append import SITE, answer, append, operator

from pgssi.errors import PgssiError
from pgssi.evidence import Journal

ARGUMENTS = {
    "kind": {"type": "str", "required": True},
    "what": {"type": "str", "required": True},
    "where": {"type": "list", "elements": "str"},
    "who": {"type": "dict", "default": {}},
    "when": {"type": "dict", "default": {}},
    "result": {"type": "str", "choices": ["success", "failure", "partial"], "default": "success"},
    "details": {"type": "dict", "default": {}},
    "files": {"type": "list", "elements": "raw", "default": []},
    "sign_key": {"type": "path"},
}


class ActionModule(ActionBase):
    """Journal.append with the signers of the site; in check mode nothing is written."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        _, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        resolved = variables["hostvars"][host]
        site = {name: resolved[name] for name in SITE if name in resolved}
        who = {"operator": operator(), **arguments["who"]}
        sign_key = arguments["sign_key"]
        if self._task.check_mode:
            return {**result, "changed": True, "msg": "check mode: no record is written"}
        fields = {
            "kind": arguments["kind"],
            "what": arguments["what"],
            "where": [host] if arguments["where"] is None else arguments["where"],
            "who": who,
            "when": arguments["when"],
            "result": arguments["result"],
            "details": arguments["details"],
            "files": [self._attachment(item) for item in arguments["files"]],
        }
        sign_key = self._loader.path_dwim(arguments["sign_key"]) if arguments["sign_key"] else None
        try:
            journal = Journal.of_site(site, str(resolved["inventory_dir"]))
            record = append(journal, sign_key, resolved.get("ansible_ssh_private_key_file"), fields)
            return {**result, **answer(journal, record)}
        except PgssiError as error:
            raise AnsibleActionFail(str(error)) from error

    def _attachment(self, item: object) -> str | tuple[str, bytes]:
        if isinstance(item, Mapping):
            return str(item["name"]), str(item["content"]).encode("utf-8")
        return str(self._loader.path_dwim(str(item)))
