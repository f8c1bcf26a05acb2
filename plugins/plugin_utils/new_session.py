"""A session of the operator that is really new: no shared socket, same variables, root at the end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

CONTAINERS = (
    "podman",
    "docker",
    "docker_api",
    "buildah",
    "chroot",
    "lxc",
    "lxd",
    "incus",
    "nspawn",
    "kubectl",
)
_ASKPASS = """#!/bin/sh
printf '%s\\n' "$PGSSI_SSH_PASSWORD"
"""


class Unsupported(Exception):
    """This connection or way of becoming root cannot be proven; the text names it."""


class NewSession:
    """How the control node comes in anew. Raises Unsupported before anything is touched.

    logs_in: whether a real login is proven (ssh), or only becoming root (local and container connections).
    password: whether a password is used, so that a failed try counts against the account.
    """

    def __init__(self, action: ActionBase, lang: str) -> None:
        self._action = action
        self._lang = lang
        self._connection = action._connection
        name = (getattr(self._connection, "ansible_name", "") or self._connection.transport).rpartition(".")[2]
        if name not in ("ssh", "local", *CONTAINERS):
            raise Unsupported(f"connection {name}")
        self.logs_in = name == "ssh"
        become = self._connection.become
        if become is not None and become.name.rpartition(".")[2] != "sudo":
            raise Unsupported(f"become_method {become.name}")
        self._become = become
        self._become_password = (become.get_option("become_pass") if become is not None else None) or ""
        self._password = (self._connection.get_option("password") if self.logs_in else None) or ""
        self.password = bool(self._password or self._become_password)

    def run(self, command: str, timeout: float) -> tuple[dict[str, Any] | None, str]:
        """Run a guard command as root; return its state, or None and what went wrong (one line)."""
        try:
            code, output, error = self._execute(command, timeout)
        except subprocess.TimeoutExpired:
            return None, self._say(f"pas de réponse en {timeout:.0f} s", f"no answer within {timeout:.0f} s")
        for line in reversed(output.splitlines()):
            if line.startswith("{"):
                state = json.loads(line)
                if state["uid"] == 0:
                    return state, ""
                return None, f"uid {state['uid']}"
        lines = [line.strip() for line in (error or output).splitlines() if line.strip()]
        return None, f"code {code}: {lines[-1]}" if lines else f"code {code}"

    def _say(self, french: str, english: str) -> str:
        return english if self._lang == "en" else french

    def _execute(self, command: str, timeout: float) -> tuple[int, str, str]:
        if not self.logs_in:
            result = self._action._low_level_execute_command(command)
            return result["rc"], result["stdout"], result["stderr"]
        if self._become is not None:
            command = self._become.build_become_command(command, self._connection._shell)
        with tempfile.TemporaryDirectory() as directory:
            environment = dict(os.environ)
            if self._password:
                askpass = Path(directory, "askpass")
                askpass.write_text(_ASKPASS, "ascii")
                askpass.chmod(0o700)
                environment |= {
                    "SSH_ASKPASS": str(askpass),
                    "SSH_ASKPASS_REQUIRE": "force",
                    "PGSSI_SSH_PASSWORD": str(self._password),
                }
            finished = subprocess.run(
                [*self._ssh(timeout), command],
                input=f"{self._become_password}\n",
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        return finished.returncode, finished.stdout, finished.stderr

    def _ssh(self, timeout: float) -> list[str]:
        """Return a login by the connection variables; of each option, ssh keeps the first value."""
        get = self._connection.get_option
        line = [get("ssh_executable"), "-T", "-o", "ControlMaster=no", "-o", "ControlPath=none"]
        line += shlex.split(get("ssh_args") or "")
        if get("host_key_checking") is False:
            line += ["-o", "StrictHostKeyChecking=no"]
        if get("port") is not None:
            line += ["-o", f"Port={get('port')}"]
        if get("private_key_file"):
            line += ["-o", f'IdentityFile="{Path(get("private_key_file")).expanduser()}"']
        if get("remote_user"):
            line += ["-o", f'User="{get("remote_user")}"']
        if self._password:
            line += ["-o", "NumberOfPasswordPrompts=1"]
        else:
            line += ["-o", "BatchMode=yes"]
        line += ["-o", f"ConnectTimeout={max(int(min(timeout, int(get('timeout')))), 1)}"]
        line += shlex.split(get("ssh_common_args") or "") + shlex.split(get("ssh_extra_args") or "")
        return [*line, get("host")]
