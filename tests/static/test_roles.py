"""The options of the roles are what their specification and their documentation say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.paths import ROLES

NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def load(path: Path) -> Mapping[str, Any]:
    return yaml.safe_load(path.read_text("utf-8")) or {} if path.exists() else {}


def options(role: str) -> Mapping[str, Mapping[str, Any]]:
    specs = load(ROLES / role / "meta" / "argument_specs.yml").get("argument_specs", {})
    return {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}


@pytest.mark.parametrize("role", NAMES)
def test_defaults_are_the_specification(role: str) -> None:
    """Every default of a role is specified with the same value, and every specified default is set."""
    defaults = load(ROLES / role / "defaults" / "main.yml")
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert defaults == specified


@pytest.mark.parametrize("role", NAMES)
def test_options_are_typed_described_and_prefixed(role: str) -> None:
    """Every option has a type and a description, and is `<role>_<noun>` or part of the site model."""
    for name, option in options(role).items():
        assert name.startswith((f"{role}_", "site_")), name
        assert option.get("type"), name
        assert option.get("description"), name


@pytest.mark.parametrize("role", NAMES)
def test_internal_variables_stay_in_vars(role: str) -> None:
    """Variables of vars/ are internal: their names begin with two underscores."""
    for path in sorted((ROLES / role / "vars").glob("**/*.yml")):
        for name in load(path):
            assert name.startswith(f"__{role}_"), f"{path.name}: {name}"


@pytest.mark.parametrize("role", NAMES)
def test_readme_names_only_options_that_exist(role: str) -> None:
    """Each option that a role's README names is specified."""
    text = "".join(path.read_text("utf-8") for path in (ROLES / role).glob("README*.md"))
    named = set(re.findall(rf"(?<![\w/]){role}_[a-z0-9_]+\b", text))
    assert named <= set(options(role)), named - set(options(role))
