"""Modules of the kernel that nobody needs here: what is loaded all the same goes. That they stay out is modprobe's own file."""

import subprocess
from pathlib import Path


def gaps(host):
    """Yield the blocked modules that are loaded. One that is in use stays until the restart, and its rule red."""
    if host.container or not Path("/proc/modules").exists():
        return
    lines = (line.split() for line in Path("/proc/modules").read_text("ascii").splitlines())
    loaded = {fields[0] for fields in lines if fields[2] == "0"}
    for name in sorted(loaded & set(host.wanted["modules"])):
        yield f"module {name} : chargé", lambda name=name: unload(name)


def unload(name):
    """Take a module out of the kernel; one that is in use says by whom."""
    done = subprocess.run(["modprobe", "--remove", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{done.stderr.strip()} ; arrêter ce qui l'utilise, ou le nommer dans system_hardening_kept_modules")
