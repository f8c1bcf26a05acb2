"""What a new account and a group's password are like: a few lines of /etc/login.defs, the rest of it as packaged."""

from pathlib import Path

BOOT = False
PATH = Path("/etc/login.defs")


def effective(lines, key):
    """Return the value that counts, the last one; empty when there is none."""
    found = [line.split(None, 1) for line in lines if line.split(None, 1)[:1] == [key]]
    return found[-1][1].strip() if found and len(found[-1]) > 1 else ""


def gaps(host):
    """Yield the lines that differ from what is wanted, and those to give back."""
    if not PATH.exists():
        return
    had, wanted = host.had("accounts"), host.wanted["accounts"]
    lines = PATH.read_text("utf-8", "replace").splitlines()
    for key, value in wanted.items():
        now = effective(lines, key)
        if now != value:
            yield (
                f"{PATH} : {key} {now or 'absent'}, attendu {value}",
                lambda key=key, now=now, value=value: change(had, key, now, value),
            )
    for key in sorted(set(had) - set(wanted)):
        yield f"{PATH} : {key} rendu", lambda key=key: write(key, had.pop(key))


def change(had, key, now, value):
    """Set a value and remember what it was."""
    had.setdefault(key, now)
    write(key, value)


def write(key, value):
    """Leave one line of this key, or none for an empty value."""
    lines = [line for line in PATH.read_text("utf-8", "replace").splitlines() if line.split(None, 1)[:1] != [key]]
    lines += [f"{key} {value}"] if value else []
    new = PATH.with_name("login.defs.pgssi")
    new.write_text("\n".join(lines) + "\n", "utf-8")
    new.chmod(0o644)
    new.replace(PATH)
