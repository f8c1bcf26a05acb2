"""A run killed at any point is repaired by the next one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from pgssi.paths import PLAYBOOKS, ROOT

from .support import BIN, INVENTORY, play, verify

HOSTS = "dpi1:bkp1:off1"


def test_a_killed_run_is_repaired_by_the_next_one(lab: Any, tmp_path: Path) -> None:
    """site.yml is killed with SIGKILL at seeded moments on fresh hosts; one more run conforms, the next changes nothing."""
    chance = random.Random(20261122)
    lab.reset("dpi1", "bkp1", "off1")
    for _ in range(3):
        run = subprocess.Popen(
            [str(BIN / "ansible-playbook"), "-i", str(INVENTORY), str(PLAYBOOKS / "site.yml"), "--limit", HOSTS,
             "-e", "site_palier=2"],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(5, 30))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    time.sleep(65)  # any rollback that was armed has gone off by itself
    play("site", "--limit", HOSTS, "-e", "site_palier=2").succeeded()
    results = verify(tmp_path, "--limit", HOSTS, "--palier", "2")
    assert [v for v in results["verdicts"] if v["verdict"] in ("non_conforme", "non_verifie")] == []
    assert play("site", "--limit", HOSTS, "-e", "site_palier=2").succeeded().changed() == set()
