"""Sign the certificate of a RADIUS server or of a device, and the revocations, with the Wi-Fi authority of the control node."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.wifi import authority as wifi


class ActionModule(ActionBase):
    """``name``, ``use``: in the certificate; ``authority``: private key on the control node, made when absent.

    ``revoked``: [[serial, date]], only for RADIUS servers, which then get ``trust.pem``: the authority and its revocations.
    """

    _VALID_ARGS = frozenset({"folder", "group", "name", "use", "authority", "revoked"})
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        key = Path(self._task.args["authority"]).expanduser()
        if not self._task.check_mode:
            wifi.make(key)
        own = wifi.certificate_path(key)
        first = self._module({}, task_vars)
        if first.get("failed") or not own.exists() or not first["public"]:
            return first
        wanted = self._wanted(first["public"], first["present"], key, own.read_text("ascii"))
        if all(first["present"].get(name) == content for name, content in wanted.items()):
            return first
        second = self._module({"files": wanted}, task_vars)
        return second | {"changed": True}

    def _wanted(self, public: str, present: Mapping[str, str], key: Path, trusted: str) -> dict[str, str]:
        """Return the public files as they have to be; what still holds is kept."""
        args = self._task.args
        subject = wifi.Subject(args["name"], args.get("use") or "")
        private = Path(self._loader.get_real_file(str(key))).read_bytes()  # opens it when it is an Ansible Vault file
        certificate = present.get("host.pem", "")
        if not wifi.holds(certificate, public, subject, trusted):
            certificate = wifi.sign(public, subject, private, trusted)
        wanted = {"authority.pem": trusted, "host.pem": certificate}
        if args.get("revoked") is not None:
            revoked = [(int(serial), date.fromisoformat(str(day))) for serial, day in args["revoked"]]
            listed = present.get("trust.pem", "").removeprefix(trusted)
            if not wifi.revokes(listed, revoked, trusted):
                listed = wifi.revocations(revoked, private, trusted)
            wanted["trust.pem"] = trusted + listed
        return wanted

    def _module(self, more: dict[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        given = {name: self._task.args[name] for name in ("folder", "group") if name in self._task.args}
        done: dict[str, Any] = self._execute_module("pgssi.toolkit.wifi_identity", module_args=given | more, task_vars=task_vars)
        return done
