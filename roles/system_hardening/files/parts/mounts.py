"""Options of the mounts for temporary files: a folder that is no mount of its own becomes one, over itself."""

import subprocess
from pathlib import Path

# Options of one mount, apart from those of its file system.
OWN = ("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime")


def options(path):
    """Return the options of the mount that lies on a path; None when there is none."""
    found = None
    for line in Path("/proc/1/mountinfo").read_text("utf-8").splitlines():
        fields = line.split()
        if fields[4] == path:  # the last one lies on top
            found = fields[5].split(",")
    return found


def gaps(host):
    """Yield the mounts that lack options, and those to give back."""
    if host.container:  # they are the business of whoever made it
        return
    had, wanted = host.had("mounts"), host.wanted["mounts"]
    for path, asked in wanted.items():
        now = options(path)
        missing = [option for option in asked if option not in (now or [])]
        if missing and Path(path).is_dir():
            yield f"{path} : sans {','.join(missing)}", lambda path=path, now=now, asked=asked: restrict(host, path, now, asked)
    for path in sorted(set(had) - set(wanted)):
        yield f"{path} : rendu", lambda path=path: give_back(host, path)


def mount(*words):
    """Run mount; what it refuses is an error."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def restrict(host, path, now, asked):
    """Add options to a mount, without a moment in which its files are not there."""
    host.had("mounts").setdefault(path, now)
    if now is None:
        mount("--bind", path, path)
    kept = [option for option in now or options(path) if option in OWN and option not in asked]
    mount("-o", ",".join(["remount", "bind", *kept, *asked]), path)


def give_back(host, path):
    """Set the options of a mount to what they were, or take away the one that was made."""
    before = host.had("mounts").pop(path)
    if options(path) is None:
        return
    if before is None:
        subprocess.run(["umount", "--lazy", path], check=False)
    else:
        mount("-o", ",".join(["remount", "bind", *(option for option in before if option in OWN)]), path)
