"""Generated sections of docs/benchmarks.md: each script owns one, between two comments."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
HEAD = "# Benchmarks\n\nWritten by the scripts in `benchmarks/`: figures of one run, to be read as ratios.\n"


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Replace the section of this name, or add it at the end."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    page.parent.mkdir(parents=True, exist_ok=True)
    known = page.read_text("utf-8") if page.exists() else HEAD
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    known = pattern.sub(lambda _: section, known) if pattern.search(known) else f"{known.rstrip()}\n\n{section}\n"
    page.write_text(known, "utf-8")


def machine() -> str:
    """Say in one line on what the figures were taken."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.split(",")[0].strip()
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}, {ssh}; "
        f"load average {load:.1f} when the run began"
    )
