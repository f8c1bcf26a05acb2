"""Services and packages that nobody needs here."""

import os
import subprocess


def shown(units):
    """Return what systemd says of units: {name: {property: value}}, for those that it knows."""
    wanted = "Id,LoadState,ActiveState,UnitFileState"
    said = subprocess.run(["systemctl", "show", "-p", wanted, "--", *units], capture_output=True, text=True, check=False).stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in said.strip().split("\n\n")]
    return {block["Id"]: block for block in blocks if block.get("LoadState") == "loaded"}


def gaps(host):
    """Yield the services that run or start at boot, and the packages that are installed, although nobody needs them."""
    units, packages = host.wanted["stopped"], host.wanted["purged"]
    for name, seen in (shown(units) if units else {}).items():
        if seen["ActiveState"] in ("active", "activating", "reloading") or seen["UnitFileState"] == "enabled":
            yield f"{name} : {seen['ActiveState']}, {seen['UnitFileState']}", lambda name=name: stop(name)
    if packages:
        asked = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages]
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        for line in said.splitlines():
            name, state = line.split()
            if state == "installed":
                yield f"paquet {name} : installé", lambda name=name: purge(name)


def stop(name):
    """Stop a service and take it out of the boot; the package stays."""
    done = subprocess.run(["systemctl", "disable", "--now", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{done.stderr.strip()} ; s'il est nécessaire ici, le nommer dans system_hardening_kept_services")


def purge(name):
    """Remove a package with its settings."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-q", "-y", "purge", name], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise OSError(done.stderr.strip()[-500:])
