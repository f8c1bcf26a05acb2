"""The lab that the end-to-end tests share, and the order in which their story is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab
from pgssi.paths import ROOT

from .support import INVENTORY

# Each file starts from the state in which the one before leaves the lab; bare hosts come first.
ORDER = ("test_walk", "test_breaks", "test_backup_attacks", "test_waiver", "test_access_review", "test_collection")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The demo hospital on its first day; it is taken down at the end."""
    hospital = Lab.load([str(INVENTORY)])
    hospital.reset()
    shutil.rmtree(ROOT / "var" / "demo" / "evidence", ignore_errors=True)
    yield hospital
    hospital.down()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no lab comes first, then ORDER, then the other files of this folder."""

    def rank(item: pytest.Item) -> int:
        if Path(item.path).parent != Path(__file__).parent:
            return -1
        name = Path(item.path).stem
        return ORDER.index(name) if name in ORDER else len(ORDER)

    items.sort(key=rank)
