"""Where the toolkit's own files are: the same tree in a clone and in the installed collection."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "catalogue"
ROLES = ROOT / "roles"
PLAYBOOKS = ROOT / "playbooks"
COMPLIANCE = ROOT / "tests" / "compliance"
BREAKS = ROOT / "tests" / "breaks"
