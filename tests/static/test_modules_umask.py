"""Modules run under the umask of whoever becomes root: at palier 3 that is 0077."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgssi.paths import ROOT

MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_that_makes_folders_chooses_its_umask(module: Path) -> None:
    """Folders made on the way to others have no mode of their own: without a umask that is chosen they close to everybody."""
    text = module.read_text("utf-8")
    if re.search(r"parents=True|makedirs\(|module_utils\.guard import|accounts_plan import", text):
        assert "os.umask(0o" in text
