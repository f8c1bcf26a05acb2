"""One waiver in the inventory drives role, test and report alike; when it is gone the rule is back."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from .support import play, verify

RULE, HOST = "sudo-requires-terminal", "ws1"
PALIER = ("-e", "site_palier=3", "--limit", HOST)


def _verdict(directory: Path, *options: str) -> tuple[str, str]:
    results = verify(directory, *PALIER, "--rule", RULE, *options)
    (verdict,) = results["verdicts"]
    return verdict["verdict"], verdict["raw"]


def test_a_waiver_is_true_on_the_host_and_in_the_report(lab: Any, tmp_path: Path) -> None:
    """Waived: the setting leaves the host and the verdict is a derogation; no longer waived: it is enforced again."""
    waiver = {
        "rule": RULE,
        "scope": [HOST],
        "reason": "automate de pharmacie sans terminal",
        "owner": "dsi",
        "approved": date.today().isoformat(),
        "approved_by": "Nadia Lefèvre",
        "expires": (date.today() + timedelta(days=30)).isoformat(),
    }
    waived = ("-e", json.dumps({"site_waivers": [waiver]}))
    assert _verdict(tmp_path / "before") == ("conforme", "conforme")
    play("site", *PALIER, *waived).succeeded()
    assert _verdict(tmp_path / "waived", *waived) == ("derogation", "non_conforme")
    play("site", *PALIER).succeeded()
    assert _verdict(tmp_path / "after") == ("conforme", "conforme")
