"""A host without a network: an `ssh` that runs its command here, and a Python that believes it is root."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pgssi.transport import Channel

SSH = """#!/bin/sh
# Runs the last argument, as sshd's login shell would; refuses hosts whose name says so.
case "$*" in *away*) echo "ssh: connect to host away port 22: No route to host" >&2; exit 255 ;; esac
for last; do :; done
exec /bin/sh -c "$last"
"""
PYTHON = """#!/bin/sh
exec {python} -I -S -c "import os
os.geteuid=lambda:0
$5"
"""
SUDO = """#!/bin/sh
# Understands what the channel calls: sudo -H -S -p PROMPT -u root -- COMMAND…
prompt=$4
if [ "$2" = -n ]; then echo 'sudo: a password is required' >&2; exit 1; fi
for try in 1 2 3; do
    printf '%s' "$prompt" >&2
    IFS= read -r answer || exit 1
    echo "$answer" >> "$ASKED"
    if [ "$answer" = "bon mot" ]; then shift 7; exec "$@"; fi
    echo 'Sorry, try again.' >&2
done
exit 1
"""


def script(path: Path, text: str) -> str:
    """Write an executable file; return its path."""
    path.write_text(text, "utf-8")
    path.chmod(0o755)
    return str(path)


def python(folder: Path) -> str:
    """Return an interpreter for the agent that says uid 0 whoever runs the tests."""
    return script(folder / "python-root", PYTHON.format(python=sys.executable))


def channel(folder: Path, argv: tuple[str, ...] = ("/bin/sh", "-c"), **options: Any) -> Channel:
    """Return a channel to this machine."""
    return Channel(list(argv), become=False, python=python(folder), **{"connect_timeout": 20.0, **options})


def with_sudo(folder: Path, password: str | None) -> tuple[Channel, Path]:
    """Return a channel that must go through a sudo asking for « bon mot », and the file of what it heard."""
    tools, asked = folder / "bin", folder / "asked"
    tools.mkdir()
    script(tools / "sudo", SUDO)
    script(tools / "id", "#!/bin/sh\necho 1000\n")
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "ASKED": str(asked)}
    made = Channel(
        ["/bin/sh", "-c"],
        password=password,
        python=python(folder),
        environment=environment,
        connect_timeout=20.0,
    )
    return made, asked


def inventory(folder: Path, hosts: Mapping[str, Mapping[str, Any]], **variables: Any) -> str:
    """Write an inventory of hosts that this machine plays; return its path."""
    document = {
        "all": {
            "vars": {
                "ansible_ssh_executable": script(folder / "ssh", SSH),
                "ansible_python_interpreter": python(folder),
                "ansible_become": False,
                "site_name": "Essai",
                "site_palier": 2,
                **variables,
            },
            "hosts": {name: dict(values) for name, values in hosts.items()},
        }
    }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return str(path)
