"""How a host is reached: Ansible's own connection settings turned into one ssh command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pgssi.errors import InvalidInput, Problem

# First given wins in ssh: these stand before the site's own arguments. No shared master connection, so that
# the fate of a channel is its own and a new session really is a new one.
OURS = ("-T", "-o", "ControlMaster=no", "-o", "ControlPath=none")
NAMES = re.compile(r"inventory_hostname$|ansible_(host|port|user|password|private_key|ssh)")
DEFAULTS = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")


@dataclass(frozen=True)
class Connection:
    """Where and as whom. kind: ``ssh`` or ``local``; python: interpreter there; timeout: to connect, s."""

    kind: str
    address: str
    user: str | None = None
    port: int | None = None
    key: str | None = None
    arguments: tuple[str, ...] = ()
    executable: str = "ssh"
    become: bool = True
    become_password: str | None = None
    password: str | None = None
    python: str = "python3"
    timeout: int = 10

    def argv(self, user: str | None = None, key: str | None = None, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line that takes a remote command as its last argument.

        user and key replace those of the inventory (a login from outside as somebody else).
        """
        if self.kind == "local":
            return ["/bin/sh", "-c"]
        argv = [self.executable, *OURS, *options]
        argv += ["-o", f"ConnectTimeout={self.timeout}"]
        if self.port:
            argv += ["-p", str(self.port)]
        if user or self.user:
            argv += ["-o", f"User={user or self.user}"]
        identity = key or (None if user else self.key)
        if identity:
            argv += ["-i", identity, "-o", "IdentitiesOnly=yes"]
        return [*argv, *self.arguments, *DEFAULTS, "--", self.address]


def connection_from(host: str, variables: Mapping[str, Any], source: str) -> Connection:
    """Resolve the connection of a host as Ansible's ssh plugin does (variables, environment, ansible.cfg).

    Raises InvalidInput for a connection or become method that is not ssh, local or sudo.
    """
    kind = str(variables.get("ansible_connection", "ssh")).removeprefix("ansible.builtin.")
    if kind not in ("ssh", "smart", "local"):
        raise _unsupported(source, f"ansible_connection ({host})", kind, "Donner ssh ou local.")
    method = str(_setting("DEFAULT_BECOME_METHOD", variables, "ansible_become_method"))
    if method.removeprefix("ansible.builtin.") != "sudo":
        raise _unsupported(source, f"ansible_become_method ({host})", method, "Donner sudo.")
    python = str(variables.get("ansible_python_interpreter", "python3"))
    become: dict[str, Any] = {
        "become": _yes(variables.get("ansible_become", True)),
        "become_password": _become_password(variables),
        "python": python if python.startswith("/") else "python3",
    }
    if kind == "local":
        return Connection("local", host, **become)
    option = _ssh_options(variables)
    arguments: list[str] = []
    for name in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        arguments += shlex.split(option(name) or "")
    if not _yes(option("host_key_checking")):
        arguments += ["-o", "StrictHostKeyChecking=no"]
    port = option("port")
    return Connection(
        "ssh",
        str(option("host") or host),
        user=option("remote_user"),
        port=int(port) if port else None,
        key=option("private_key_file"),
        arguments=tuple(arguments),
        executable=str(option("ssh_executable") or "ssh"),
        password=option("password"),
        timeout=int(option("timeout") or 10),
        **become,
    )


def _ssh_options(variables: Mapping[str, Any]) -> Any:
    from ansible import constants

    _load_ssh_plugin()
    values = {name: variables[name] for name in variables if NAMES.match(name)}

    def option(name: str) -> Any:
        value, origin = constants.config.get_config_value_and_origin(
            name, plugin_type="connection", plugin_name="ssh", variables=values
        )
        # Ansible's default ssh_args only set up a shared master, which is not wanted here.
        return None if name == "ssh_args" and origin == "default" else value

    return option


@lru_cache(maxsize=1)
def _load_ssh_plugin() -> None:
    from ansible.plugins.loader import connection_loader

    connection_loader.get("ssh", class_only=True)  # makes its options known to the configuration


def _become_password(variables: Mapping[str, Any]) -> str | None:
    for name in ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"):
        if variables.get(name):
            return str(variables[name])
    from ansible import constants
    from ansible.cli import CLI

    if constants.BECOME_PASSWORD_FILE:
        return str(CLI.get_password_from_file(constants.BECOME_PASSWORD_FILE))
    return None


def _setting(constant: str, variables: Mapping[str, Any], name: str) -> Any:
    from ansible import constants

    return variables.get(name, getattr(constants, constant))


def _yes(value: object) -> bool:
    return value is True or str(value).lower() in ("1", "true", "yes", "on", "y", "t")


def _unsupported(source: str, key: str, value: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem(source, key, value, "ne permet pas la vérification", remedy)])
