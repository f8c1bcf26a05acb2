"""Confinement of exposed services: what systemd applies in the end, and whether the running process has it."""

import contextlib
import datetime
import re
import subprocess
from pathlib import Path

BOOT = False  # services start with it
FOLDER, NAME = Path("/etc/systemd/system"), "zz-pgssi-hardening.conf"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def systemctl(*words):
    """Return what systemctl prints."""
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False).stdout


def care(hours, now):
    """Tell whether patients are cared for at that time: services are left running."""
    for period in hours:
        starts, ends = (datetime.time.fromisoformat(str(period[key])) for key in ("starts", "ends"))
        late = starts <= ends
        within = starts <= now.time() < ends if late else (now.time() >= starts or now.time() < ends)
        # After midnight, the night still belongs to the day on which it began.
        day = DAYS[(now - datetime.timedelta(days=not late and now.time() < ends)).weekday()]
        if within and day in period.get("days", DAYS):
            return True
    return False


def instances(unit):
    """Return the services of a unit file that run."""
    listed = systemctl("list-units", "--plain", "--no-legend", "--state=active", unit.replace("@.", "@*."))
    return [line.split()[0] for line in listed.splitlines()]


def shown(service, properties):
    """Return properties of a service as systemd applies them, drop-ins counted in."""
    said = systemctl("show", "-p", ",".join(properties), "--", service)
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def unconfined(host, service, wanted):
    """Tell whether the process of a service runs without what its unit asks for."""
    pid = shown(service, ["MainPID"]).get("MainPID", "0")
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        mounts = Path(f"/proc/{pid}/mountinfo").read_text("utf-8")
    except OSError:
        return False
    facts = dict(re.findall(r"^(\w+):\s+(\S+)", status, re.MULTILINE))
    if "NoNewPrivileges" in wanted and facts.get("NoNewPrivs") != "1":
        return True
    return "ProtectSystem" in wanted and not host.container and not re.search(r"^\S+ \S+ \S+ \S+ /usr ro", mounts, re.MULTILINE)


def gaps(host):
    """Yield the drop-ins to write, those to take away, what undoes ours, and the services to start again."""
    asked = host.wanted["confinement"]
    units = {unit: left for unit, left in asked["units"].items() if systemctl("list-unit-files", "--no-legend", unit).strip()}
    for path in sorted(FOLDER.glob(f"*/{NAME}")):
        if path.parent.name.removesuffix(".d") not in units:
            yield f"{path} : de trop", lambda path=path: drop(path)
    for unit, left in units.items():
        wanted = {key: value for key, value in asked["properties"].items() if key not in left}
        path, lines = FOLDER / f"{unit}.d" / NAME, "".join(f"{key}={value}\n" for key, value in wanted.items())
        content = f"# Managed by pgssi: see system_hardening.\n[Service]\n{lines}"
        if not path.is_file() or path.read_text("utf-8") != content:
            yield f"{path} : différent", lambda path=path, content=content: write(path, content)
        for service in instances(unit):
            yield from undone(service, wanted, path)
            quiet = asked["restarts"] == "always" or not care(asked["care_hours"], datetime.datetime.now())
            quiet = quiet and asked["restarts"] != "never"
            if quiet and unconfined(host, service, wanted):
                yield f"{service} : tourne sans son confinement", lambda service=service: start_again(service)


def undone(service, wanted, ours):
    """Yield the files that take a property back after ours; each is kept, under a name that systemd does not read."""
    seen = shown(service, [*wanted, "DropInPaths"])
    wrong = {key for key, value in wanted.items() if seen.get(key) != value}
    for name in seen.get("DropInPaths", "").split():
        path = Path(name)
        if path.name <= ours.name or not path.exists():
            continue
        assigned = set(re.findall(r"^\s*(\w+)\s*=", path.read_text("utf-8"), re.MULTILINE))
        if assigned & wrong:
            yield f"{path} : défait le confinement de {service}", lambda path=path: aside(path)


def write(path, content):
    """Write a drop-in."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.parent.chmod(0o755)
    path.write_text(content, "utf-8")
    path.chmod(0o644)
    systemctl("daemon-reload")


def drop(path):
    """Take a drop-in away; the service is without it from its next start on."""
    path.unlink()
    with contextlib.suppress(OSError):  # somebody else's files are there too
        path.parent.rmdir()
    systemctl("daemon-reload")


def aside(path):
    """Keep a file that systemd must not read."""
    path.rename(path.with_name(f"{path.name}.pgssi-off"))
    systemctl("daemon-reload")


def start_again(service):
    """Restart a service; one that does not come back is an error."""
    done = subprocess.run(["systemctl", "restart", service], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{done.stderr.strip()} ; ce qu'il lui faut se nomme dans system_hardening_confined_services")
