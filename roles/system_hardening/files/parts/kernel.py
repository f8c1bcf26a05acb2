"""Parameters of the kernel: those that this host owns, live."""

from pathlib import Path

GUARDED = True
ROOT = Path("/proc/sys")
# Bridges that container and virtual-machine managers make; without forwarding, what they host is cut off.
BRIDGES = ("docker*", "br-*", "cni*", "podman*", "virbr*", "lxcbr*", "lxdbr*", "incusbr*", "nerdctl*")


def owned(host, path):
    """Tell whether a parameter is this host's own: in a container, those of its network that it may write."""
    if not host.container:
        return True
    try:
        with path.open("r+", encoding="ascii"):
            return path.relative_to(ROOT).parts[0] == "net"
    except OSError:
        return False


def read(path):
    """Return a parameter as the number that the kernel applies; None when it does not tell."""
    try:
        return int(path.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def write(path, value):
    """Set a parameter; the kernel refuses what it cannot take back before a restart."""
    path.write_text(f"{value}\n", "ascii")


def hosts_others():
    """Return the bridges of containers or virtual machines that something is plugged in."""
    found = [path for pattern in BRIDGES for path in Path("/sys/class/net").glob(pattern)]
    return sorted(path.name for path in found if any((path / "brif").glob("*")))


def expand(pattern):
    """Return the parameters that a name stands for; a star is all, default and each interface."""
    return sorted(ROOT.glob(pattern.replace(".", "/")))


def gaps(host):
    """Yield the parameters that differ from what is wanted, and those to give back."""
    had, kept = host.had("kernel"), set()
    for item in host.wanted["kernel"]:
        for path in expand(item["key"]):
            if not owned(host, path):
                continue
            kept.add(str(path))
            now, value = read(path), int(item["value"])
            if now == value or (item.get("at_least") and now is not None and now > value):
                continue
            yield (
                f"{path.relative_to(ROOT)} : {now}, attendu {value}",
                lambda path=path, now=now, value=value: change(host, path, now, value),
            )
    for name in sorted(set(had) - kept):
        yield f"{name} : rendu", lambda name=name: give_back(host, name)


def change(host, path, now, value):
    """Set a parameter and remember what it was."""
    if path.name in ("ip_forward", "forwarding") and value == 0 and (bridges := hosts_others()):
        remedy = "déclarer system_hardening_forwards: true pour cet hôte, ou arrêter ce qu'il héberge"
        raise OSError(f"il relaie pour {', '.join(bridges)} ; {remedy}")
    if now is not None:
        host.undo("sh", "-c", f"echo {now} > {path}")
        host.had("kernel").setdefault(str(path), now)
    write(path, value)


def give_back(host, name):
    """Set a parameter to what it was before; one that the kernel keeps, or whose interface is gone, stays as it is."""
    value = host.had("kernel").pop(name)
    path = Path(name)
    if path.exists() and read(path) != value:
        try:
            write(path, value)
        except PermissionError:
            return  # the kernel keeps it until the restart
