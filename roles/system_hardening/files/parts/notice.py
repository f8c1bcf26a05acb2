"""What the console shows before anybody logs in: the notice that accesses are traced."""

from pathlib import Path

BOOT = False
FILES = (Path("/etc/issue"), Path("/etc/issue.net"))


def gaps(host):
    """Yield the files whose text is not the notice, and those to give back."""
    had, notice = host.had("notice"), host.wanted["notice"].get("notice")
    for path in FILES:
        now = path.read_text("utf-8", "replace") if path.exists() else ""
        if notice is None:
            if str(path) in had:
                yield f"{path} : rendu", lambda path=path: path.write_text(had.pop(str(path)), "utf-8")
        elif now != notice:
            yield f"{path} : sans l'avis", lambda path=path, now=now: tell(had, path, now, notice)


def tell(had, path, now, notice):
    """Write the notice and remember what stood there."""
    had.setdefault(str(path), now)
    if path.is_symlink():
        path.unlink()
    path.write_text(notice, "utf-8")
    path.chmod(0o644)
