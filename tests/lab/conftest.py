"""The lab that the end-to-end tests share, and the order in which their story is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab
from pgssi.paths import ROOT

from .media_station import MACHINES, Station
from .support import INVENTORY

# Virtual machines go before the hospital, which then has the memory to itself.
# Each file starts from the state in which the one before leaves the lab; bare hosts come first. The matrix is proven on
# the way, at palier 2, and suppliers work there.
ORDER = (
    "test_data_destruction::*",
    "test_destruction_*::*",
    "test_wifi::*",
    "test_wifi_breaks::*",
    "test_baseline::*",
    "test_walk::*",
    "test_segmentation::*",
    "test_remote_maintenance::*",
    "test_segmentation::*no_longer_holds*",
    "test_walk::*[[]3]",
    "test_remote_maintenance::*[[]3]",
    "test_breaks::*",
    "test_backup_attacks::*",
    "test_waiver::*",
    "test_lowering::*",
    "test_access_review::*",
    "test_collection::*",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-release", action="store_true", help="Do each break on one host of each Debian release.")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The demo hospital on its first day; it is taken down at the end."""
    hospital = Lab.load([str(INVENTORY)])
    hospital.reset()
    shutil.rmtree(ROOT / "var" / "demo" / "evidence", ignore_errors=True)
    yield hospital
    hospital.down()


@pytest.fixture(scope="module")
def station(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """The machine that the module names in HOST (media1 without) on its first day, with the destruction role."""
    machines = Lab.load([str(INVENTORY), str(MACHINES)])
    name = getattr(request.module, "HOST", "media1")
    machines.reset(name)
    ready = Station(machines, name, tmp_path_factory.mktemp("journal") / "evidence")
    try:
        ready.install().succeeded()
        yield ready
    finally:
        machines.remove(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no lab comes first, then ORDER, then the other files of this folder."""

    def rank(item: pytest.Item) -> int:
        if Path(item.path).parent != Path(__file__).parent:
            return -1
        name = f"{Path(item.path).stem}::{item.name}"
        return max((place for place, pattern in enumerate(ORDER) if fnmatchcase(name, pattern)), default=len(ORDER))

    items.sort(key=rank)
