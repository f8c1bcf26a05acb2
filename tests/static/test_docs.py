"""The documentation names only files, commands and variables that exist, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pgssi.catalogue import load_catalogue
from pgssi.cli import COMMANDS, GROUPS
from pgssi.paths import ROOT

PAIRS = {
    "prise-en-main": "getting-started",
    "inventaire": "inventory",
    "architecture": "architecture",
    "preuves": "evidence",
    "changement-sur": "safe-change",
    "rapport": "report",
    "guides/droits-acces": "guides/access-rights",
    "guides/sauvegarde": "guides/backup",
    "guides/cloisonnement": "guides/network-segmentation",
    "guides/telemaintenance": "guides/remote-maintenance",
    "guides/wifi": "guides/wifi",
    "guides/destruction": "guides/data-destruction",
    "guides/mises-a-jour": "guides/updates",
    "guides/durcissement": "guides/system-hardening",
    "guides/logiciels-malveillants": "guides/malware-protection",
}
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md")
    for path in ROOT.glob(pattern)
    if path.name not in ("catalogue.md", "CHANGELOG.md")
)
IDS = [str(path.relative_to(ROOT)) for path in PAGES]
TREES = "catalogue|changelogs|docs|inventories|lab|molecule|playbooks|plugins|roles|src|tests"


def code(page: Path) -> list[str]:
    """Return the code spans and the lines of code blocks of a page."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return spans + [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page reaches a file."""
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_named_files_exist(page: Path) -> None:
    """Every path of the repository that a page names exists; `<…>` and `*` stand for anything."""
    for span in code(page):
        for path in re.findall(rf"(?<![\w./-])(?:{TREES})/[\w./<>*-]+", span):
            pattern = re.sub(r"<[^>]*>", "*", path).rstrip("./")
            assert list(ROOT.glob(pattern)), path


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_named_commands_exist(page: Path) -> None:
    """Every `pgssi` sub-command and `make` target that a page names exists."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for span in code(page):
        for name in re.findall(r"(?:^|[\s/])pgssi ([a-z]+)", span):
            assert name in {**GROUPS, **COMMANDS}, span
        for name in re.findall(r"(?:^|\s)make ([a-z-]+)", span):
            assert name in targets, span


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_named_rules_exist(page: Path) -> None:
    """A rule or article that a page names in a command or an example exists."""
    catalogue = load_catalogue()
    for span in code(page):
        for name in re.findall(r"(?:catalogue show|\brule:) ([a-z0-9][a-z0-9.-]+)", span):
            assert name in {**catalogue.rules, **catalogue.requirements}, name


@pytest.mark.parametrize(("french", "english"), PAIRS.items())
def test_pages_exist_in_both_languages(french: str, english: str) -> None:
    """A French page has its English counterpart with as many sections."""
    pages = [ROOT / "docs" / "fr" / f"{french}.md", ROOT / "docs" / "en" / f"{english}.md"]
    counts = [len(re.findall(r"^#+ ", page.read_text("utf-8"), re.MULTILINE)) for page in pages]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("page", ["fr/inventaire", "en/inventory"])
def test_inventory_page_names_every_site_variable(page: str) -> None:
    """The inventory page describes every site_* variable of the demo, and none that nothing reads."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    described = set(re.findall(r"^### `(site_[a-z_]+)`", text, re.MULTILINE))
    demo = {
        name
        for path in ROOT.glob("inventories/demo/group_vars/**/*.yml")
        for name in yaml.safe_load(path.read_text("utf-8")) or {}
        if name.startswith("site_")
    }
    assert demo <= described, demo - described
    code = "".join(
        path.read_text("utf-8")
        for pattern in ("src/**/*.py", "plugins/**/*.py", "roles/**/*.yml", "roles/**/*.j2")
        for path in ROOT.glob(pattern)
    )
    assert all(name in code for name in described - demo), described - demo
