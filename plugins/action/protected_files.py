"""Control-node half of protected_files: proves access in a new session, then confirms."""

from __future__ import annotations

from ansible_collections.pgssi.toolkit.plugins.plugin_utils.guarded_action import GuardedAction


class ActionModule(GuardedAction):
    """Run the module of the same name under the guard."""
