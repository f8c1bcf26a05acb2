"""The programs that erase: how they are run. None of their exit codes is a proof; the counters and the reading back are."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STALLED = 900.0
LOOK = 2.0
DAY = 86400.0
PASSWORD = "pgssi"  # of an ATA security erase, which needs one and forgets it when it ends
COMMANDS = {
    "nvme-sanitize-block": [["nvme", "sanitize", "--sanact=2", "{}"]],
    "nvme-sanitize-crypto": [["nvme", "sanitize", "--sanact=4", "{}"]],
    "nvme-format": [["nvme", "format", "--ses=1", "--force", "{}"]],
    "nvme-format-crypto": [["nvme", "format", "--ses=2", "--force", "{}"]],
    "ata-sanitize-block": [["hdparm", "--yes-i-know-what-i-am-doing", "--sanitize-block-erase", "{}"]],
    "ata-sanitize-crypto": [["hdparm", "--yes-i-know-what-i-am-doing", "--sanitize-crypto-scramble", "{}"]],
    "ata-security-erase": [
        ["hdparm", "--user-master", "u", "--security-set-pass", PASSWORD, "{}"],
        ["hdparm", "--user-master", "u", "--security-erase", PASSWORD, "{}"],
    ],
    "ata-security-erase-enhanced": [
        ["hdparm", "--user-master", "u", "--security-set-pass", PASSWORD, "{}"],
        ["hdparm", "--user-master", "u", "--security-erase-enhanced", PASSWORD, "{}"],
    ],
    "scsi-sanitize-block": [["sg_sanitize", "--block", "--quick", "--wait", "{}"]],
    "scsi-sanitize-crypto": [["sg_sanitize", "--crypto", "--quick", "--wait", "{}"]],
    "scsi-sanitize-overwrite": [["sg_sanitize", "--overwrite", "--zero", "--quick", "--wait", "{}"]],
}
# What a device that works on by itself answers, and what it answers until it has ended.
WAITING = {
    "nvme-sanitize": (["nvme", "sanitize-log", "{}"], "in progress"),
    "ata-sanitize": (["hdparm", "--sanitize-status", "{}"], "in process"),
}


def nwipe(
    path: str, method: str, log: Path, counted: Callable[[], dict[str, int]], progress: Callable[[int], None]
) -> dict[str, Any]:
    """Run nwipe to its end and return what it and the kernel say: {rc, said, log}.

    It exits 0 after an option that it does not know, without wiping: the caller compares the kernel's counters.
    """
    log.unlink(missing_ok=True)
    command = [
        "nwipe",
        "--autonuke",
        "--nogui",
        "--nowait",
        f"--method={method}",
        "--verify=last",
        "--noblank",
        f"--logfile={log}",
        path,
    ]
    began = counted().get("written", 0)
    last, moved, told = 0, time.monotonic(), time.monotonic()
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Newer ones leave a report where they run.
    with subprocess.Popen(command, cwd=log.parent, preexec_fn=_dies_with_us, **silent) as child:
        while child.poll() is None:
            time.sleep(LOOK)
            written = counted().get("written", 0) - began
            if written != last:
                last, moved = written, time.monotonic()
            if time.monotonic() - told > 10:
                told = time.monotonic()
                progress(written)
            if time.monotonic() - moved > STALLED:
                child.kill()
    said = log.read_text("utf-8", "replace") if log.exists() else ""
    lines = [
        line.split("] ", 1)[-1][:160]
        for line in said.splitlines()
        if re.search(r"error|Verified|Erased|bytes written|FAIL", line)
    ]
    return {"rc": child.returncode, "said": lines[-12:]}


def firmware(name: str, path: str) -> dict[str, Any]:
    """Run the device's own erase command and wait until the device says that it has ended: {rc, said}."""
    rc, said = 0, ""
    for command in COMMANDS[name]:
        rc, said = _run([part.format(path) for part in command])
        if rc:
            return {"rc": rc, "said": said}
    for start, (command, working) in WAITING.items():
        while name.startswith(start) and working in _run([part.format(path) for part in command])[1].lower():
            time.sleep(LOOK)
    return {"rc": rc, "said": said}


def discard(path: str) -> dict[str, Any]:
    """Tell flash memory that nothing on it is needed any more, spare blocks included: {rc, said}."""
    rc, said = _run(["blkdiscard", "--force", path])
    return {"rc": rc, "said": said}


def _run(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DAY, check=False, preexec_fn=_dies_with_us
        )
    except OSError as error:
        return 127, str(error)
    except subprocess.TimeoutExpired:
        return 124, "sans fin"
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace").strip()[-400:]


def _dies_with_us() -> None:
    """Have the kernel kill this child when its parent dies: a job that is run again must find nobody at work."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
