"""Waiting for a host of the lab."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from pgssi.errors import PgssiError


def answers(address: str, port: int, seconds: float, look: Callable[[], None] = lambda: None) -> None:
    """Wait until sshd shows its banner to the control node; ``look`` is called between two tries, and may raise.

    QEMU accepts a connection before the machine has a network, and hands over all that were tried once it has: sshd of Debian 13
    (PerSourcePenalties) shuts out who comes fifteen times without a word, so each try takes its time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look()
        try:
            with socket.create_connection((address, port), timeout=2) as connection:
                connection.settimeout(8)
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise PgssiError(f"{address}:{port} : sshd ne répond pas après {seconds:.0f} s.")
