"""The parts of the program that brings a host to the baseline, and what it knows of its host, without any host."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType, SimpleNamespace
from typing import Any

from pgssi.paths import ROLES

PARTS = ROLES / "system_hardening" / "files" / "parts"


def part(name: str) -> ModuleType:
    """Return one part of the program that runs on hosts."""
    loader = SourceFileLoader(f"hardening_{name}", str(PARTS / f"{name}.py"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Host(SimpleNamespace):
    """What the program knows of its host."""

    def __init__(self, **wanted: Any) -> None:
        super().__init__(wanted=wanted, container=False, before={}, undone=[])

    def had(self, name: str) -> Any:
        return self.before.setdefault(name, {})

    def undo(self, *command: str) -> None:
        self.undone.append(command)


def correct(module: ModuleType, host: Host) -> list[str]:
    """Correct every gap; return what was said."""
    said = []
    for what, correction in module.gaps(host):
        correction()
        said.append(what)
    return said
