"""Control-node half of remote sessions: reads requests, decides, signs; hosts are touched by the playbook's own tasks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.errors import PgssiError
from pgssi.remote.model import Remote, load
from pgssi.remote.opening import payloads, targets
from pgssi.remote.request import KEYS, Window, windows
from pgssi.remote.session import closing, granted_line, hosts_ready, key_lines, shown
from pgssi.remote.signing import Authority, personal, relays


class ActionModule(ActionBase):
    """``step``: targets, open, sign, close, keys or list; ``states``: what each host said of itself, by name."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"step", "states", "more", "directory", "authority", "who", "windows"})

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the step; a refusal is a failure with every fault, one by line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        self._given = variables
        remote = load(variables["hostvars"], variables["groups"])
        try:
            return result | {"changed": False, **getattr(self, f"_{self._task.args['step']}")(remote)}
        except PgssiError as error:
            raise AnsibleActionFail(f"{self._refused}\n{error}") from None

    @property
    def lang(self) -> str:
        """``fr``, or ``en`` when the environment of the control node says PGSSI_LANG=en."""
        return "en" if os.environ.get("PGSSI_LANG", "").startswith("en") else "fr"

    @property
    def _refused(self) -> str:
        return "Refused; nothing was opened." if self.lang == "en" else "Refusé ; rien n'a été ouvert."

    def _states(self) -> dict[str, dict[str, Any]]:
        """Return what the hosts answered (registered results of their command); nothing for one that did not."""
        found: dict[str, dict[str, Any]] = {}
        for option in ("states", "more"):
            for name, one in (self._task.args.get(option) or {}).items():
                found[name] = {**found.get(name, {}), **json.loads(one.get("stdout") or "{}")}
        return found

    def _requests(self) -> list[Mapping[str, Any]]:
        """Return the requests: a list ``windows``, or one from the variables of the command line."""
        many = self._given.get("windows")
        if many is None:
            return [{key: self._given[key] for key in KEYS if key in self._given}]
        if not isinstance(many, list) or not many or not all(isinstance(one, Mapping) for one in many):
            raise AnsibleActionFail(f"{self._refused} windows : une liste de demandes {{person, equipment, …}}.")
        return many

    def _targets(self, remote: Remote) -> dict[str, Any]:
        return {"hosts": targets(remote)}

    def _open(self, remote: Remote) -> dict[str, Any]:
        """Decide what opens where; the person's certificates are signed last, once everything is open."""
        states = self._states()
        present = [window for one in remote.bastions for window in (states.get(one.name) or {}).get("windows", ())]
        granted = windows(remote, self._requests(), present, datetime.now(UTC), self.lang)
        found = payloads(remote, granted)
        hosts_ready(states, found, time.time(), self.lang)
        return {
            "openings": self._with_relays(remote, granted, found, states),
            "windows": [window.as_dict() for window in granted],
        }

    def _authority(self) -> Authority:
        path = Path(str(self._task.args["authority"])).expanduser()
        if not path.exists():
            raise AnsibleActionFail(f"{self._refused} {path} : autorité absente ; lancer playbooks/remote_maintenance.yml.")
        return Authority(Path(self._loader.get_real_file(str(path))).read_bytes())

    def _with_relays(
        self, remote: Remote, granted: tuple[Window, ...], found: dict[str, list[dict[str, Any]]], states: Mapping[str, Any]
    ) -> dict[str, list[dict[str, Any]]]:
        """Add to each bastion's openings the certificate of its own key, and the host keys of managed equipment."""
        with self._authority() as authority:
            for bastion in remote.bastions:
                signed = relays(authority, remote, granted, states[bastion.name]["keys"])
                for opening in found[bastion.name]:
                    equipment = states.get(opening["equipment"]) or {}
                    keys = opening["host_keys"] or [" ".join(key.split()[:2]) for key in equipment.get("host_keys", ())]
                    opening |= {"host_keys": keys, "certificate": signed.get(opening["id"], "")}
        return found

    def _sign(self, remote: Remote) -> dict[str, Any]:
        """Sign for the people, and keep a copy of each certificate to hand over."""
        folder = Path(str(self._task.args["directory"])).expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {access.account: access for access in remote.accesses()}
        lines = []
        with self._authority() as authority:
            for given in self._task.args["windows"]:
                window = Window.of(given, known[given["account"]])
                for number, text in enumerate(personal(authority, window), 1):
                    path = folder / f"{window.id}-{number}-cert.pub"
                    path.write_text(text + "\n", "utf-8")
                    lines.append(granted_line(remote, window, str(path), self.lang))
        return {"lines": lines}

    def _list(self, remote: Remote) -> dict[str, Any]:
        return {"lines": shown(remote, self._states(), self.lang)}

    def _keys(self, remote: Remote) -> dict[str, Any]:
        """Return the bastions' public keys, to be put by hand on equipment that no role manages."""
        return {"lines": key_lines(remote, self._states())}

    def _close(self, remote: Remote) -> dict[str, Any]:
        """Tell what was closed, from what the hosts answered."""
        return closing(remote, self._states(), str(self._task.args.get("who", "")), self.lang)
