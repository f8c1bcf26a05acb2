"""Runs on the host, as root, through `python3 -c`: apt in a world of its own, under the effective options of the host.

Called with one JSON argument, prints one JSON answer. Lists, state, archives and log go to a folder that is thrown away; the
host's own apt.conf files are read after ours and win, which is what makes their options show. Standard library only.
"""

import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

REDIRECTED = """
Dir::Etc::sourcelist "{0}/sources.list"; Dir::Etc::sourceparts "{0}/sources.list.d";
Dir::Etc::preferencesparts "{0}/preferences.d"; Dir::Etc::preferences "{1}";
Dir::State "{0}/state"; Dir::State::lists "{0}/state/lists"; Dir::State::status "{0}/status";
Dir::Cache "{0}/cache"; Dir::Log "{0}/log"; APT::UnattendedUpgrades::LogDir "{0}/log"; Unattended-Upgrade::LogDir "{0}/log";
APT::Sandbox::User "root"; APT::Update::Post-Invoke-Success ""; Acquire::Languages "none";
"""
OPTION = re.compile(r"^deb\s+\[([^]]*)\]")
KEPT = re.compile(r"^(trusted|allow-|check-|valid-until|date-max|inrelease)", re.IGNORECASE)


class World:
    """A private apt. preferences: the host's own files of preferences, or none."""

    def __init__(self, folder, preferences=""):
        self.folder = Path(folder)
        for name in ("sources.list.d", "preferences.d", "state/lists/partial", "cache/archives/partial", "log", "updates"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy("/var/lib/dpkg/status", self.folder / "status")
        if preferences:
            for path in Path("/etc/apt/preferences.d").glob("*"):
                if path.is_file() and path.name != "zz-pgssi-ring.pref":
                    shutil.copy(path, self.folder / "preferences.d")
        (self.folder / "apt.conf").write_text(REDIRECTED.format(folder, preferences or "/dev/null"))

    def run(self, *argv, seconds=120):
        environment = {
            **os.environ,
            "LC_ALL": "C",
            "APT_CONFIG": str(self.folder / "apt.conf"),
            "DEBIAN_FRONTEND": "noninteractive",
        }
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=seconds, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr


def entries():
    """Return the options of every source of the host, each set once: one-line options, and fields of stanzas."""
    found = {"": "la configuration générale"}
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]
    for path in lists:
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
            options = OPTION.match(line.strip())
            kept = [word for word in (options[1].split() if options else ()) if KEPT.match(word)]
            if kept:
                found.setdefault(" ".join(sorted(kept)), f"{path} : {' '.join(kept)}")
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text("utf-8", "replace")):
            if re.search(r"^enabled:\s*(no|false|0)\s*$", stanza, re.IGNORECASE | re.MULTILINE):
                continue
            fields = [line.split(":", 1) for line in stanza.splitlines() if KEPT.match(line) and ":" in line]
            kept = [f"{name.strip().lower()}={value.strip()}" for name, value in fields]
            if kept:
                found.setdefault(" ".join(sorted(kept)), f"{path} : {' '.join(kept)}")
    return found


def attacks(folder, key, repositories):
    """Offer each trial repository through each kind of source of the host; tell which packages apt then knows or fetches."""
    world = World(folder)
    (world.folder / "key.asc").write_text(key)
    for name, files in repositories.items():
        for file, text in files.items():
            (world.folder / "repositories" / name).mkdir(parents=True, exist_ok=True)
            (world.folder / "repositories" / name / file).write_text(text)
    accepted, said = [], ""
    for options, source in entries().items():
        lines = [f"deb [signed-by={folder}/key.asc {options}] file:{folder}/repositories/{name} ./" for name in repositories]
        (world.folder / "sources.list").write_text("\n".join(lines) + "\n")
        for program in ("apt-get", "apt"):
            _, said = world.run(program, "update")
            known = world.run("apt-cache", "pkgnames", "pgssi-essai-")[1].split()
            accepted += [[source, program, name] for name in repositories if f"pgssi-essai-{name}" in known]
            fetched = world.run(program, "-y", "--download-only", "install", "pgssi-essai-package")[0] == 0
            accepted += [[source, program, "fetched-altered"]] if fetched else []
            shutil.rmtree(world.folder / "state/lists")
            (world.folder / "state/lists/partial").mkdir(parents=True)
    # Somebody has already let an unsigned repository in, for once: its packages must still not come by themselves.
    lines = [f"deb [signed-by={folder}/key.asc] file:{folder}/repositories/{name} ./" for name in repositories]
    (world.folder / "sources.list").write_text("\n".join(lines) + "\n")
    for program in ("apt-get", "apt"):
        world.run(program, "--allow-insecure-repositories", "update")
        if world.run(program, "-y", "--download-only", "install", "pgssi-essai-unsigned")[0] == 0:
            accepted.append(["la configuration générale", program, "installed-unsigned"])
    fine = world.run("apt-get", "-y", "--download-only", "install", "pgssi-essai-good")[0] == 0
    return {"accepted": accepted, "sources": len(entries()), "fetched_good": fine, "said": said[-600:]}


def keys():
    """Return the keys that the host's files name for each address; apt tells them from Debian 13 on only."""
    found = {}
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))):
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
            entry = re.match(r"^\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)", line)
            if entry:
                key = re.search(r"signed-by=(\S+)", entry[1] or "", re.IGNORECASE)
                found.setdefault(entry[2].rstrip("/"), set()).add(key[1] if key else "")
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text("utf-8", "replace")):
            key = re.search(r"^signed-by:[ \t]*(\S*)", stanza, re.IGNORECASE | re.MULTILINE)
            for uri in re.findall(r"^uris:(.*)", stanza, re.IGNORECASE | re.MULTILINE):
                for one in uri.split():
                    found.setdefault(one.rstrip("/"), set()).add(key[1] if key else "")
    return found


def sources(folder):
    """Return what apt itself would read at the next update: address, suite, key; read already or not."""
    environment = {**os.environ, "LC_ALL": "C"}
    asked = ["apt-get", "update", "--print-uris"]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr[-300:])
    named, found = keys(), set()
    for line in re.findall(r"^'(.*)/InRelease'", done.stdout, re.MULTILINE):
        uri, suite = line.split("/dists/", 1) if "/dists/" in line else (line.removesuffix("/."), ".")
        found.update((uri, suite, key) for key in named.get(uri, {""}))
    return sorted(found)


PENDING = r"""
import apt_pkg, json, sys
apt_pkg.init()
cache = apt_pkg.Cache(None)
found = []
for package in cache.packages:
    if package.current_ver:
        for version in package.version_list:
            if apt_pkg.version_compare(version.ver_str, package.current_ver.ver_str) > 0:
                words = ("origin", "label", "archive", "codename", "site")
                places = [{**{w: getattr(i, w) for w in words}, "suite": i.archive} for i, _ in version.file_list]
                found.append([package.get_fullname(True), package.current_ver.ver_str, version.ver_str, places])
print(json.dumps(found))
"""


def pending(folder):
    """Read the host's own sources again, apart, and return every newer version, pinned or held or not, and since when known."""
    world = World(folder)
    shutil.copytree("/var/lib/apt/lists", world.folder / "state/lists", dirs_exist_ok=True)
    for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        if path.is_file():
            shutil.copy(path, world.folder / path.relative_to("/etc/apt"))
    code, said = world.run("apt-get", "--error-on=any", "update", seconds=240)
    stale = []
    for path in (world.folder / "state/lists").glob("*Release"):
        own = Path("/var/lib/apt/lists") / path.name
        days = (time.time() - own.stat().st_mtime) / 86400 if own.exists() else 0
        if not own.exists() or (days > 2 and own.read_bytes() != path.read_bytes()):
            stale.append(path.name)
    status, newer = world.run(sys.executable, "-I", "-c", PENDING)
    if status:
        raise RuntimeError(newer[-400:])
    memory, since = Path("/var/lib/apt/pgssi-seen.json"), {}
    if memory.is_file() and memory.stat().st_uid == 0 and not memory.stat().st_mode & 0o022:
        since = json.loads(memory.read_text("utf-8"))
    return {"updated": code == 0, "said": said[-400:], "stale": stale, "newer": json.loads(newer), "since": since}


def stand_ins():
    """Return two small installed packages that nothing depends on by exact version: unattended-upgrade reads the real status."""
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version} ${Architecture}\\n"]
    lines = subprocess.run([*asked, "hostname", "grep", "gzip", "sed"], capture_output=True, text=True).stdout.splitlines()
    found = [line.split()[1:] for line in lines if line.startswith("installed ")]
    return dict(zip(("neuf", "ancien"), found, strict=False))


def security_world(folder, codename):
    """Make a world with two newer security updates, one published today and one two months ago, of packages without content."""
    world = World(folder, preferences="/etc/apt/preferences")
    for (name, (package, version, arch)), days in zip(stand_ins().items(), (0, 60), strict=True):
        repository, tree = world.folder / name, world.folder / f"{name}.deb"
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {package}\nVersion: {version}+pgssi1\nArchitecture: {arch}\n"
        control += "Maintainer: x <x@invalid>\nDescription: essai\n"
        (tree / "DEBIAN/control").write_text(control)
        repository.mkdir()
        subprocess.run(["dpkg-deb", "--build", str(tree), str(repository / "a.deb")], check=True, capture_output=True)
        archive = (repository / "a.deb").read_bytes()
        packages = f"{control}Filename: ./a.deb\nSize: {len(archive)}\nSHA256: {sha256(archive).hexdigest()}\n"
        (repository / "Packages").write_text(packages)
        (repository / "Release").write_text(
            f"Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: {codename}-security\n"
            f"Date: {formatdate(time.time() - days * 86400, usegmt=True).replace('GMT', 'UTC')}\n"
            f"SHA256:\n {sha256(packages.encode()).hexdigest()} {len(packages)} Packages\n"
        )
        with (world.folder / "sources.list").open("a") as sources_list:
            sources_list.write(f"deb [trusted=yes] file:{repository} ./\n")
    return world


def upgrade(folder, codename, before):
    """Run what precedes the upgrade of the host, then a dry run of the upgrade; return which of the two it would install."""
    if not shutil.which("unattended-upgrade"):
        return {"installed": False, "taken": [], "said": ""}
    world = security_world(folder, codename)
    steps = [world.run("apt-get", "update")]
    steps += [world.run(*argv) for argv in before]
    code, said = world.run("unattended-upgrade", "--dry-run", "--verbose", seconds=240)
    line = re.search(r"Packages that will be upgraded: (.*)", said)
    taken = [name for name, one in stand_ins().items() if line and one[0] in line[1].split()]
    failed = [text for status, text in steps if status]
    return {"installed": True, "taken": taken, "code": code, "failed": failed, "said": said[-600:]}


def outdated(folder, unit):
    """Run a program from a file that then disappears, have the host report, and return what it alerted meanwhile."""
    file = Path("/usr/local/lib") / f"pgssi-essai-{os.getpid()}.so"
    file.parent.mkdir(exist_ok=True)
    shutil.copy(sys.executable, file)
    child = os.fork()
    if child == 0:
        with file.open("rb") as stream:
            kept = mmap.mmap(stream.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
        file.unlink()
        Path("/proc/self/comm").write_text("pgssi-essai")
        time.sleep(120)
        kept.close()
        os._exit(0)
    try:
        while file.exists():
            time.sleep(0.05)
        since = int(time.time())
        started = subprocess.run(["systemctl", "start", "--", unit], capture_output=True, text=True)
        asked, alerts = ["journalctl", "--quiet", "-t", "pgssi-alert", "--since", f"@{since}", "-o", "cat"], ""
        for _ in range(10):  # the journal takes a moment to show a line
            alerts = subprocess.run(asked, capture_output=True, text=True).stdout
            if f"pgssi-essai {child}" in alerts:
                break
            time.sleep(0.3)
        return {"pid": child, "rc": started.returncode, "error": started.stderr[-200:], "alerts": alerts}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        file.unlink(missing_ok=True)


TASKS = {"attacks": attacks, "sources": sources, "pending": pending, "upgrade": upgrade, "outdated": outdated}

asked = json.loads(sys.argv[1])
task = TASKS[asked.pop("task")]
with tempfile.TemporaryDirectory(prefix="pgssi-apt-") as folder:
    Path(folder).chmod(0o755)
    sys.stdout.write(json.dumps(task(folder, **asked)))
