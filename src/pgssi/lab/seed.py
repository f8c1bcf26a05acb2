"""What the hosts hold on their first day: scripts and SQL of lab/seed, by group and by host."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pgssi.lab.model import LabHost
from pgssi.lab.podman import inside
from pgssi.paths import ROOT

# Runs a command as root on a host, with these bytes on its standard input: console(*words, stdin=…).
Console = Callable[..., str]
SEED = ROOT / "lab" / "seed"
ROUTES = """[Unit]
Description=Default routes of this container
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
{commands}
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Steps:
    """The seed files of one host in order, and a digest of them."""

    files: tuple[Path, ...]
    digest: str


def steps(host: LabHost) -> Steps:
    """Return the files of ``seed/all``, of each group of the host, then of the host itself, by name."""
    folders = [SEED / name for name in ("all", *host.groups, host.name)]
    files = tuple(file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    return Steps(files, digest)


def give_routes(host: LabHost, container: str) -> None:
    """Send what is not for its own zone to the gateway, now and after every restart."""
    if not host.routes:
        return
    commands = "\n".join(
        f"ExecStart=/usr/bin/ip -{version} route replace default via {address}"
        for version, address in zip((4, 6), host.routes, strict=True)
    )
    inside(
        container,
        f"cat > /etc/systemd/system/lab-routes.service <<'UNIT'\n{ROUTES.format(commands=commands)}UNIT\n"
        "systemctl --quiet enable --now lab-routes.service\n",
    )


def seed(host: LabHost, console: Console, directory: Path) -> None:
    """Give the host the control node's key, then its first-day content.

    ``*.sh`` runs as root with ``sh -eu``; ``NAME.sql`` runs as postgres in the database ``NAME``; each line
    ``KEY OWNER PATH`` of ``*.keys`` puts one of the lab's keys (``NAME`` or ``NAME.pub``) there.
    """
    public = (directory / "keys" / "pgssi.pub").read_bytes()
    console(
        *("sh", "-euc"),
        "install -d -m 700 -o pgssi -g pgssi ~pgssi/.ssh; cat > ~pgssi/.ssh/authorized_keys;"
        "chmod 600 ~pgssi/.ssh/authorized_keys; chown pgssi:pgssi ~pgssi/.ssh/authorized_keys",
        stdin=public,
    )
    for file in steps(host).files:
        if file.suffix == ".sh":
            console("sh", "-eus", stdin=file.read_bytes())
        elif file.suffix == ".keys":
            for line in file.read_text("utf-8").splitlines():
                _give_key(console, directory / "keys", *line.split())
        elif file.suffix == ".sql":
            console(
                *("runuser", "-u", "postgres", "--", "psql"),
                *("-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", file.stem.split("-", 1)[-1]),
                stdin=file.read_bytes(),
            )


def _give_key(console: Console, keys: Path, name: str, owner: str, path: str) -> None:
    mode = "644" if name.endswith(".pub") else "600"
    console(
        *("sh", "-euc"),
        f"install -o {owner} -g {owner} -m {mode} /dev/stdin {path}",
        stdin=(keys / name).read_bytes(),
    )
