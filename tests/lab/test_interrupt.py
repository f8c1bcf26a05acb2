"""A run killed at any point is repaired by the next one."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

from pgssi.paths import PLAYBOOKS, ROOT

from .support import BIN, INVENTORY, kill_family, play, verify

PALIER = ("-e", "site_palier=2")
KILLS = 3


def test_a_killed_run_is_repaired_by_the_next_one(lab: Any, tmp_path: Path) -> None:
    """On fresh hosts site.yml is killed with SIGKILL at seeded moments; one more run conforms, the next changes nothing."""
    chance = random.Random(20261122)
    lab.reset()
    command = [str(BIN / "ansible-playbook"), "-i", str(INVENTORY), str(PLAYBOOKS / "site.yml"), *PALIER]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    for _ in range(KILLS):
        run = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
        time.sleep(chance.uniform(10, 120))
        kill_family(run)
    play("site", *PALIER).succeeded()
    assert play("site", *PALIER).succeeded().changed() == set()
    play("restore_drill", *PALIER).succeeded()
    play("inventory_record", *PALIER).succeeded()
    results = verify(tmp_path, "--palier", "2", "--no-acting")
    assert [v for v in results["verdicts"] if v["verdict"] == "non_conforme"] == []
