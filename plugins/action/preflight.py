"""Check the site model of the whole inventory on the control node; no host is contacted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.site.load import review_hostvars

display = Display()


class ActionModule(ActionBase):
    """Fail with every problem of the site model, or succeed without having touched anything."""

    _requires_connection = False
    _VALID_ARGS = frozenset()

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        lang = "en" if os.environ.get("PGSSI_LANG", "").startswith("en") else "fr"
        roots = [source for source in context.CLIARGS.get("inventory") or () if Path(source).exists()]
        found = review_hostvars(variables["hostvars"], roots, lang)
        for warning in found.warnings:
            display.warning(str(warning))
        if found.problems:
            count = len(found.problems)
            head = {
                "fr": f"Modèle de site : {count} problème(s) à corriger, aucun hôte n'a été touché.",
                "en": f"Site model: {count} problem(s) to correct, no host was touched.",
            }[lang]
            raise AnsibleActionFail("\n".join([head, *(f"- {problem}" for problem in found.problems)]))
        result["changed"] = False
        return result
