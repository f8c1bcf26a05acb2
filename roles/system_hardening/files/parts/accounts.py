"""What a new account and a group's password are like: lines of /etc/login.defs and /etc/adduser.conf, the rest as packaged."""

from pathlib import Path

BOOT = False
DEFS, ADDUSER = Path("/etc/login.defs"), Path("/etc/adduser.conf")
OF_ADDUSER = ("DIR_MODE",)


def place(key):
    """Return the file of a key, and what stands between it and its value."""
    return (ADDUSER, "=") if key in OF_ADDUSER else (DEFS, None)


def names(line, key, between):
    """Tell whether a line sets this key."""
    return line.split(between, 1)[0].strip() == key if between else line.split(None, 1)[:1] == [key]


def effective(lines, key, between=None):
    """Return the value that counts, the last one; empty when there is none."""
    found = [line.split(between, 1) for line in lines if names(line, key, between)]
    return found[-1][1].strip().strip("\"'") if found and len(found[-1]) > 1 else ""


def gaps(host):
    """Yield the lines that differ from what is wanted, and those to give back."""
    had, wanted = host.had("accounts"), host.wanted["accounts"]
    for key, value in wanted.items():
        path, between = place(key)
        if not path.exists():
            continue
        now = effective(path.read_text("utf-8", "replace").splitlines(), key, between)
        if now != value:
            yield (
                f"{path} : {key} {now or 'absent'}, attendu {value}",
                lambda key=key, now=now, value=value: change(had, key, now, value),
            )
    for key in sorted(set(had) - set(wanted)):
        path, _ = place(key)
        if path.exists():
            yield f"{path} : {key} rendu", lambda key=key: write(key, had.pop(key))


def change(had, key, now, value):
    """Set a value and remember what it was."""
    had.setdefault(key, now)
    write(key, value)


def write(key, value):
    """Leave one line of this key, or none for an empty value."""
    path, between = place(key)
    lines = [line for line in path.read_text("utf-8", "replace").splitlines() if not names(line, key, between)]
    lines += [f"{key}{between or ' '}{value}"] if value else []
    new = path.with_name(f"{path.name}.pgssi")
    new.write_text("\n".join(lines) + "\n", "utf-8")
    new.chmod(0o644)
    new.replace(path)
