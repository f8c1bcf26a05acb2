"""USB devices plugged in from now on refused, where the site asks for it; those that are there stay."""

from pathlib import Path

ROOT = Path("/sys/bus/usb/devices")
# 0: none; 2: only what is built in.
REFUSED = ("0", "2")


def gaps(host):
    """Yield the controllers that take newcomers, and those to give back."""
    if host.container:  # the bus is that of the machine that carries it
        return
    had, closed = host.had("usb"), host.wanted.get("usb")
    hubs = {path.parent.name: path for path in sorted(ROOT.glob("usb*/authorized_default"))}
    for name, path in hubs.items():
        now = path.read_text("ascii").strip()
        if closed and now not in REFUSED:
            yield f"{name} : accepte tout nouveau venu", lambda name=name, path=path, now=now: refuse(host, name, path, now)
        elif not closed and name in had:
            yield f"{name} : rendu", lambda name=name, path=path: give_back(host, name, path)
    if not closed:
        for name in set(had) - set(hubs):  # the controller has gone
            had.pop(name)


def refuse(host, name, path, now):
    """Let a controller take nothing new."""
    host.had("usb").setdefault(name, now)
    path.write_text("0", "ascii")


def give_back(host, name, path):
    """Let a controller take what it took before."""
    path.write_text(host.had("usb").pop(name), "ascii")
