"""Sign the TLS certificate of a host with the authority of the logs, which never leaves the control node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.remote import authority as logs


class ActionModule(ActionBase):
    """``name``: of the host in its certificate; ``authority``: private key on the control node, made when absent."""

    _VALID_ARGS = frozenset({"name", "authority"})
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        name, key = self._task.args["name"], Path(self._task.args["authority"]).expanduser()
        if not self._task.check_mode:
            logs.make(key)
        own = logs.certificate_path(key)
        trusted = own.read_text("ascii") if own.exists() else ""
        result = self._module({"authority": trusted}, task_vars)
        if result.get("failed") or not trusted or not result["public"]:
            return result
        if not logs.holds(result["certificate"], result["public"], name, trusted):
            private = Path(self._loader.get_real_file(str(key)))  # opens it when it is an Ansible Vault file
            signed = logs.sign(result["public"], name, private.read_bytes(), trusted)
            installed = self._module({"authority": trusted, "certificate": signed}, task_vars)
            return installed | {"changed": True}
        return result

    def _module(self, arguments: dict[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        done: dict[str, Any] = self._execute_module("pgssi.toolkit.log_identity", module_args=arguments, task_vars=task_vars)
        return done
