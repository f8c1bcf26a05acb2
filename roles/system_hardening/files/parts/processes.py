"""Processes of others hidden from ordinary accounts (hidepid), where the site asks for it."""

import grp
import re
import subprocess
from pathlib import Path

MOUNTS = Path("/proc/1/mountinfo")


def state():
    """Return (hidepid, gid) of the mount on /proc, as numbers."""
    lines = [line for line in MOUNTS.read_text("utf-8").splitlines() if line.split()[4] == "/proc"]
    options = lines[-1].split(" - ")[1].split()[2] if lines else ""
    hidden = re.search(r"\bhidepid=(\w+)", options)
    group = re.search(r"\bgid=(\d+)", options)
    words = {"off": 0, "noaccess": 1, "invisible": 2, "ptraceable": 4}
    number = words.get(hidden[1], hidden[1]) if hidden else 0
    return int(number), int(group[1]) if group else 0


def gaps(host):
    """Yield what is to be hidden, and what is to be shown again."""
    had, wanted = host.had("processes"), host.wanted.get("hidden")
    if host.container:  # its /proc is the business of whoever made it
        return
    now = state()
    if wanted:
        asked = (2, number(wanted))
        # A kernel that only shows what may be traced (4) hides more.
        if now[0] not in (2, 4) or now[1] != asked[1]:
            yield f"/proc : hidepid={now[0]}, gid={now[1]}", lambda: hide(host, now, asked)
    elif "proc" in had:
        yield "/proc : rendu", lambda: show(host)


def number(name):
    """Return the number of the group that goes on seeing everything."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


def hide(host, now, asked):
    """Hide processes from accounts that are not in the group."""
    if asked[1] < 0:
        raise OSError("le groupe de system_hardening_process_watchers n'existe pas ici : le créer, ou en nommer un autre")
    host.had("processes").setdefault("proc", list(now))
    remount(*asked)


def show(host):
    """Mount /proc as it was."""
    remount(*host.had("processes").pop("proc"))


def remount(hidden, group):
    """Mount /proc again; what mount refuses is an error."""
    command = ["mount", "-o", f"remount,hidepid={hidden},gid={group}", "/proc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
