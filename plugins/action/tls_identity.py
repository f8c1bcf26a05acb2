"""Sign the TLS certificate of a host, and the revocations, with an authority of the site that never leaves the control node."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi import authority as site


class ActionModule(ActionBase):
    """``name``, ``unit``, ``purposes``: in the certificate; ``authority``: private key on the control node, made when absent.

    ``revoked``: [[serial, date]]; the host then gets ``trust.pem``: the authority and its revocations.
    """

    _VALID_ARGS = frozenset({"folder", "group", "name", "unit", "purposes", "authority", "revoked"})
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        key = Path(self._task.args["authority"]).expanduser()
        if not self._task.check_mode:
            site.make(key, f"PGSSI {key.name}")
        own = site.certificate_path(key)
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
        subject = site.Subject(args["name"], tuple(args["purposes"]), args.get("unit") or "")
        private = Path(self._loader.get_real_file(str(key))).read_bytes()  # opens it when it is an Ansible Vault file
        certificate = present.get("host.pem", "")
        if not site.holds(certificate, public, subject, trusted):
            certificate = site.sign(public, subject, private, trusted)
        wanted = {"authority.pem": trusted, "host.pem": certificate}
        if args.get("revoked") is not None:
            revoked = [(int(serial), date.fromisoformat(str(day))) for serial, day in args["revoked"]]
            listed = present.get("trust.pem", "").removeprefix(trusted)
            if not site.revokes(listed, revoked, trusted):
                listed = site.revocations(revoked, private, trusted)
            wanted["trust.pem"] = trusted + listed
        return wanted

    def _module(self, more: dict[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        given = {name: self._task.args[name] for name in ("folder", "group") if name in self._task.args}
        done: dict[str, Any] = self._execute_module("pgssi.toolkit.tls_identity", module_args=given | more, task_vars=task_vars)
        return done
