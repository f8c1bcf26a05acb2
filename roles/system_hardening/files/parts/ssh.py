"""SSH servers: the settings that sshd itself resolves, and what each one that listens offers on the wire."""

import contextlib
import os
import re
import socket
import struct
import subprocess
import time
from pathlib import Path

GUARDED = True  # the way in depends on it
BOOT = False  # sshd reads its files by itself
CONFIG, DROPIN = Path("/etc/ssh/sshd_config"), Path("/etc/ssh/sshd_config.d/01-pgssi-hardening.conf")
FIRST = Path("/etc/ssh/sshd_config.d/00-pgssi-access.conf")  # access_rights wants its own to come first
PACKAGED = Path("/usr/share/openssh/sshd_config")
ASIDE = Path("/var/lib/pgssi/set-aside")
# Servers of other roles, which include our file.
OTHERS = {
    "pgssi-backup-sshd.service": "/etc/pgssi/backup/sshd_config",
    "pgssi-remote-sshd.service": "/etc/pgssi/remote/sshd_config",
}
SERVERS = {"ssh.service": str(CONFIG), **OTHERS}
OFFERS = ("kexalgorithms", "hostkeyalgorithms", "", "ciphers", "", "macs")  # lists of SSH_MSG_KEXINIT, RFC 4253, 7.1
MARKERS = ("ext-info-s", "kex-strict-s-v00@openssh.com")  # not algorithms
LOOSENING = r"^\s*(ExecStart|Environment|EnvironmentFile|RootDirectory|BindPaths)\s*="


def run(*command):
    """Run a command; return what it printed, and whether it succeeded."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout, done.returncode == 0


def keywords():
    """Return what our file sets, in lower case."""
    lines = DROPIN.read_text("utf-8").splitlines() if DROPIN.exists() else ()
    return {line.split()[0].lower() for line in lines if line.strip() and not line.startswith("#")} - {"match", "permitopen"}


def resolved(config):
    """Return what sshd resolves for a login that no Match block of ours names, by keyword in lower case."""
    said, _ = run("/usr/sbin/sshd", "-T", "-f", str(config), "-C", "user=root,host=localhost,addr=127.0.0.1")
    found = {}  # empty when sshd refuses its configuration
    for line in said.splitlines():
        keyword, _, value = line.strip().partition(" ")
        found.setdefault(keyword.lower(), []).extend(value.split())
    return found


def wanted():
    """Return what our file alone says to sshd, by keyword."""
    mine = keywords()
    return {key: values for key, values in (resolved(DROPIN) if mine else {}).items() if key in mine}


def differing(config):
    """Return the keywords whose resolved value is not ours."""
    now = resolved(config)
    return sorted(key for key, values in wanted().items() if set(now.get(key, ())) != set(values))  # our file may be read twice


def mentions(text):
    """Tell whether a configuration sets something that ours sets, or for some connections only."""
    return any(line.split()[0].lower() in (*keywords(), "match") for line in text.splitlines() if line.strip())


def comes_first():
    """Tell whether sshd reads our file before any other that matters: a Match block of some logins would win otherwise."""
    for line in CONFIG.read_text("utf-8", "replace").splitlines():
        keyword, _, value = line.strip().partition(" ")
        if keyword.lower() != "include":
            if mentions(line):
                return False
            continue
        for path in sorted(Path("/").glob(str(CONFIG.parent / value.strip()).lstrip("/"))):
            if path == DROPIN:
                return True
            if path != FIRST and mentions(path.read_text("utf-8", "replace")):
                return False
    return False


def wrong():
    """Return what of our file does not count."""
    if not keywords():
        return []
    return differing(CONFIG) or ([] if comes_first() else ["ordre de lecture"])


def listeners():
    """Return (unit, address, port) of each listening sshd."""
    found = []
    for line in run("ss", "-Htlnp")[0].splitlines():
        words = line.split()
        pids = re.findall(r"pid=(\d+)", line)
        units = set()
        for pid in pids:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/exe").resolve().name == "sshd":
                    units.add(Path(f"/proc/{pid}/cgroup").read_text("ascii").strip().rpartition("/")[2])
        address, _, port = words[3].rpartition(":")
        address = address.strip("[]").partition("%")[0]
        address = {"*": "::1", "::": "::1", "0.0.0.0": "127.0.0.1"}.get(address, address)
        found += [(unit, address, int(port)) for unit in units]
    return found


def offers(address, port):
    """Return the lists of algorithms of a server, by keyword in lower case; empty when it does not answer."""
    try:
        with socket.create_connection((address, port), 5) as link:
            link.sendall(b"SSH-2.0-pgssi\r\n")
            read = b""
            end = time.monotonic() + 10
            while time.monotonic() < end:
                piece = link.recv(8192)
                read += piece
                _, newline, rest = read.partition(b"\n")
                if not piece or (newline and len(rest) > 5 and len(rest) >= 4 + struct.unpack(">I", rest[:4])[0]):
                    break
            body, lists = rest[22:], []
            for _ in OFFERS:
                (size,) = struct.unpack(">I", body[:4])
                lists.append(set(body[4 : 4 + size].decode("ascii").split(",")) - set(MARKERS))
                body = body[4 + size :]
    except (OSError, ValueError, struct.error):
        return {}
    return {keyword: found for keyword, found in zip(OFFERS, lists, strict=True) if keyword}


def loose():
    """Return the units whose process offers what our file does not allow: started otherwise, or not read since."""
    allowed = {key: set(values[0].split(",")) for key, values in wanted().items() if key in OFFERS and values}
    return sorted(
        {unit for unit, *place in listeners() for key, found in offers(*place).items() if key in allowed and found - allowed[key]}
    )


def gaps(host):
    """Yield what sshd resolves otherwise, the servers that offer otherwise, and the private keys that others may read."""
    if not Path("/usr/sbin/sshd").exists():
        return
    if (found := wrong()) or host.had("ssh").get("read", "") != text():
        yield f"sshd : {', '.join(found) or 'fichier à relire'}", lambda: correct(host)
    for unit in loose():
        yield f"{unit} : offre des algorithmes refusés", lambda unit=unit: restart(unit)
    for path in sorted(private_keys()) if host.wanted["ssh"].get("private_keys") else ():
        state = path.stat()
        if state.st_uid or state.st_mode & 0o077:
            yield f"{path} : ouvert à d'autres que root", lambda path=path: close(path)


def private_keys():
    """Return the private keys that some server of the host names."""
    found = set()
    for config in filter(os.path.exists, SERVERS.values()):
        with contextlib.suppress(OSError):
            found.update(path for name in resolved(config).get("hostkey", ()) if (path := Path(name)).exists())
    return found


def close(path):
    """Give a private key back to root alone."""
    os.chown(path, 0, 0)
    path.chmod(0o600)


def text():
    """Return our file, empty when no rule in force needs it."""
    return DROPIN.read_text("utf-8") if DROPIN.exists() else ""


def correct(host):
    """Make our file count, by the mildest way that does, then have every server read it."""
    for way in (lambda: None, include, set_aside, repackage):
        way()
        if not wrong():
            break
    else:
        raise OSError(f"sshd ne suit pas {DROPIN} : {', '.join(wrong())}")
    host.had("ssh")["read"] = text()
    for unit in SERVERS:
        if run("systemctl", "is-active", unit)[1]:
            host.undo("systemctl", "reload", unit)
            run("systemctl", "reload", unit)


def include():
    """Have our file read before any other but that of access_rights."""
    ours = [f"Include {path}" for path in (FIRST, DROPIN) if path.exists()]
    lines = [line for line in CONFIG.read_text("utf-8").splitlines() if line not in ours]
    CONFIG.write_text("\n".join([*ours, *lines]) + "\n", "utf-8")


def keep(path):
    """Put a file among those that were set aside."""
    ASIDE.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.rename(ASIDE / (time.strftime("%Y%m%dT%H%M%S") + str(path).replace("/", "%")))


def set_aside():
    """Set aside the drop-ins of others that hold what still differs: some keywords add up."""
    names = "|".join(differing(CONFIG)) or "match"
    for path in sorted(CONFIG.with_name("sshd_config.d").glob("*.conf")):
        if "pgssi" not in path.name and re.search(rf"^\s*({names})\b", path.read_text("utf-8", "replace"), re.I | re.M):
            keep(path)


def repackage():
    """Put the main file of the package back."""
    if PACKAGED.exists():
        keep(CONFIG)
        CONFIG.write_text(PACKAGED.read_text("utf-8"), "utf-8")
        CONFIG.chmod(0o644)
        include()


def restart(unit):
    """Start a server anew as its package starts it; sessions go on."""
    for path in Path(f"/etc/systemd/system/{unit}.d").glob("*.conf"):
        if re.search(LOOSENING, path.read_text("utf-8", "replace"), re.M):
            keep(path)
    run("systemctl", "daemon-reload")
    if not run("systemctl", "restart", unit)[1]:
        raise OSError("ne redémarre pas")
    if unit in loose():
        raise OSError("offre encore des algorithmes refusés")
