"""requirements.yml names the collections that are used, in versions that the pinned ``ansible`` ships."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from pgssi.paths import ROOT

OURS = {"ansible.builtin", "ansible.legacy", "pgssi.toolkit"}
# A task's module, a lookup, filter or test in a template, a plugin in configuration.
NAME = re.compile(r"(?<![\w./@-])((?:ansible|community|containers)\.[a-z_]+)\.[a-z_]+\b")


def _listed() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "requirements.yml").read_text("utf-8"))["collections"]


def _sources() -> list[Path]:
    folders = ("roles", "playbooks", "molecule", "inventories", "tests/lab")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = [path for path in found if path.suffix in {".yml", ".yaml", ".j2", ".py"}]
    return [*texts, ROOT / "ansible.cfg"]


def test_requirements_name_the_collections_that_are_used() -> None:
    """No collection is used without being named, none is named without being used."""
    used = {name for path in _sources() for name in NAME.findall(path.read_text("utf-8"))} - OURS
    assert used == {collection["name"] for collection in _listed()}


@pytest.mark.parametrize("collection", _listed(), ids=lambda collection: collection["name"])
def test_the_pinned_ansible_ships_a_version_that_fits(collection: dict[str, Any]) -> None:
    """The version inside the installed ``ansible`` package satisfies what requirements.yml asks for."""
    path = collection["name"].replace(".", "/")
    folder = distribution("ansible").locate_file(f"ansible_collections/{path}")
    manifest = json.loads(Path(str(folder), "MANIFEST.json").read_text("utf-8"))
    assert manifest["collection_info"]["version"] in SpecifierSet(collection["version"])


def test_every_pinned_version_is_exact() -> None:
    """requirements.txt holds exact versions only, and pins what the package and its tools ask for."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()[1:]
    pins = [re.fullmatch(r"([a-z0-9.-]+)==[\w.]+( ; python_version .*)?", line) for line in lines]
    assert all(pins), [line for line, pin in zip(lines, pins, strict=True) if not pin]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    tools = (ROOT / "requirements.in").read_text("utf-8").splitlines()
    asked = [re.split("[>=<]", line)[0] for line in [*project["dependencies"], *tools] if line[0] != "#"]
    assert {name.lower() for name in asked} <= {pin.group(1) for pin in pins if pin}
