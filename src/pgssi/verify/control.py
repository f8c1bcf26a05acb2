"""What a test does on the control node: real logins from outside, as somebody else."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgssi.inventory import Inventory
from pgssi.transport.askpass import environment as answering
from pgssi.transport.channel import DROPPED, PATIENCE
from pgssi.verify import NotVerified

# What ssh says when it could not even ask for a login.
NOT_ASKED = (
    DROPPED,
    "Connection timed out",
    "Connection refused",
    "No route to host",
    "Network is unreachable",
    "Could not resolve",
    "Host key verification failed",
    "Bad owner or permissions",
)


@dataclass(frozen=True)
class Outcome:
    """Exit status and decoded outputs of a command of the control node."""

    rc: int
    stdout: str
    stderr: str


class Control:
    """Runs commands on the control node; ``host`` is the host that the test is about."""

    def __init__(self, inventory: Inventory, host: str) -> None:
        """Take the inventory, for the addresses, and the name of the host."""
        self._inventory = inventory
        self._host = host

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a command without terminal; NotVerified when it cannot start or outlives its timeout (s)."""
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                timeout=timeout,
                env=dict(environment) if environment is not None else {**os.environ, "LC_ALL": "C"},
                start_new_session=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise NotVerified(f"commande absente du poste de contrôle : {argv[0]}") from error
        except subprocess.TimeoutExpired as error:
            raise NotVerified(f"pas de réponse en {timeout:g} s : {argv[0]}") from error
        text = (
            done.stdout.decode("utf-8", "backslashreplace"),
            done.stderr.decode("utf-8", "backslashreplace"),
        )
        return Outcome(done.returncode, *text)

    def ssh_argv(self, user: str, key: str | None = None, host: str | None = None) -> list[str]:
        """Return the ssh command line of a new session as this user; append one remote command."""
        connection = self._inventory.hosts[host or self._host].connection
        return connection.argv(user=user, key=key, options=("-o", "IdentityAgent=none"))

    def ssh(
        self,
        user: str,
        command: str = "true",
        *,
        password: str | None = None,
        key: str | None = None,
        host: str | None = None,
        timeout: float = 30.0,
        stdin: bytes = b"",
    ) -> Outcome:
        """Open a new SSH session as this user, by password (one try) or by key; rc 255: login refused.

        Raises NotVerified when no login was even tried: a host that is away, or that turns this address away,
        must not be taken for one that refuses the user.
        """
        argv = self.ssh_argv(user, key, host)
        if password is None:
            auth = ["-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey"]
            environment = None
        else:
            auth = [
                "-o",
                "PreferredAuthentications=password,keyboard-interactive",
                "-o",
                "PubkeyAuthentication=no",
            ]
            auth += ["-o", "NumberOfPasswordPrompts=1"]
            environment = {**answering(password), "LC_ALL": "C"}
        line = [argv[0], *auth, *argv[1:], command]
        for pause in (*PATIENCE, None):
            outcome = self.run(line, timeout=timeout, stdin=stdin, environment=environment)
            if outcome.rc != 255 or not any(sign in outcome.stderr for sign in NOT_ASKED):
                return outcome
            if pause is None or DROPPED not in outcome.stderr:
                break
            time.sleep(pause)
        said = " / ".join(outcome.stderr.split("\n")[:2]).replace("\r", "")
        raise NotVerified(f"aucune connexion SSH possible depuis ce poste : {said}")
