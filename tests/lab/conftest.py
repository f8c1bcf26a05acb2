"""The lab that the end-to-end tests share, and the order in which their story is told."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab
from pgssi.paths import ROOT

from .baseline_site import Server, first_day
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
        ready.hurry()
        yield ready
        if late := ready.complaints("time(d )?out|hung|polled"):
            warnings.warn(f"{name} a attendu ses disques :\n{late}", stacklevel=1)
    finally:
        machines.remove(name)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server as its applications' supplier left it; the tests say which (``on``)."""
    yield from first_day(request.param)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Say when each test ended and how long it took, as it goes: a run that is cut says where the time went."""
    if report.when != "call" or not report.passed:
        return None
    return "passed", ".", f"PASSED at {time.strftime('%H:%M:%S')} after {report.duration:.0f} s"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no lab comes first, then ORDER, then the other files of this folder."""

    def rank(item: pytest.Item) -> int:
        if Path(item.path).parent != Path(__file__).parent:
            return -1
        name = f"{Path(item.path).stem}::{item.name}"
        return max((place for place, pattern in enumerate(ORDER) if fnmatchcase(name, pattern)), default=len(ORDER))

    items.sort(key=rank)
