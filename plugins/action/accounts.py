"""Control-node half of accounts: adds who is connected, proves access in a new session, then confirms."""

from __future__ import annotations

from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils.guarded_action import GuardedAction


class ActionModule(GuardedAction):
    """Run the module of the same name under the guard."""

    def guarded_arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the task's arguments, with the login that this very connection uses."""
        arguments = super().guarded_arguments(task_vars)
        user = self._connection.get_option("remote_user") if self._connection.has_option("remote_user") else None
        return {**arguments, "connected": user or task_vars.get("ansible_user") or "root"}
