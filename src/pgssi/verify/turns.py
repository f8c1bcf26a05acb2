"""Tests of several hosts that must not happen at the same moment: verification looks at the hosts side by side."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def turn(place: str, *, alone: bool) -> Iterator[None]:
    """Hold a file that stands for something shared, with others or alone; it counts on one control node."""
    with Path(place).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def through_gateways(*, closing: bool = False) -> AbstractContextManager[None]:
    """Hold the ways through the gateways: many tests may need them at once, and one that closes a gateway waits for them."""
    return turn(__file__, alone=closing)
