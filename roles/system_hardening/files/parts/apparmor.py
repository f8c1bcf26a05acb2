"""AppArmor: its profiles are loaded, each refuses instead of only noting, and the services of these roles run under theirs."""

import os
import re
import subprocess
from pathlib import Path

LOADED = Path("/sys/kernel/security/apparmor/profiles")
POLICY = Path("/sys/kernel/security/apparmor/policy/profiles")
FOLDER = Path("/etc/apparmor.d")
PROCESSES = Path("/proc")


def gaps(host):
    """Yield AppArmor when it does not work, and the profiles that only note."""
    wanted = host.wanted["apparmor"]
    if host.container or not wanted:
        return
    if not Path("/usr/sbin/apparmor_parser").exists() and not Path("/sbin/apparmor_parser").exists():
        yield "apparmor : absent", install
        if not Path("/usr/sbin/apparmor_parser").exists():
            return
    if not LOADED.exists():
        yield "AppArmor : inactif dans le noyau", inactive
        return
    state = subprocess.run(["systemctl", "is-active", "apparmor.service"], capture_output=True, text=True, check=False)
    enabled = subprocess.run(["systemctl", "is-enabled", "apparmor.service"], capture_output=True, text=True, check=False)
    if state.returncode or enabled.returncode:
        yield f"apparmor.service : {state.stdout.strip()}, {enabled.stdout.strip()}", start
    if wanted.get("enforced"):
        kept = set(wanted["kept"])
        for line in LOADED.read_text("utf-8").splitlines():
            name, mode = line.rsplit(" ", 1)
            if mode == "(complain)" and name not in kept and "//" not in name:
                yield f"profil {name} : complain", lambda name=name: enforce(name)
        for unit in wanted["own"]:
            if loose(unit):
                yield f"{unit} : tourne sans son profil", lambda unit=unit: restart(unit)


def install():
    """Install what loads the profiles; nothing of it lives in a container."""
    command = ["apt-get", "-q", "-y", "--no-install-recommends", "install", "apparmor"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise OSError(done.stderr.strip()[-500:])


def inactive():
    """Say what only a restart can change."""
    raise OSError("retirer apparmor=0 ou security= de la ligne de démarrage du noyau, puis redémarrer")


def start():
    """Enable and start the service that loads the profiles."""
    for words in (["unmask", "apparmor.service"], ["enable", "apparmor.service"], ["restart", "apparmor.service"]):
        done = subprocess.run(["systemctl", "--quiet", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())


def enforce(name):
    """Load the profile again from its own file, to refuse; a link or a flag that makes it only note goes."""
    for path in sorted(path for path in FOLDER.iterdir() if path.is_file()):
        text = path.read_text("utf-8", "replace")
        if name not in text and name not in path.name:
            continue
        (FOLDER / "force-complain" / path.name).unlink(missing_ok=True)
        plain = re.sub(r"(flags\s*=\s*\([^)]*?)\bcomplain\b,?\s*", r"\1", text)
        plain = re.sub(r"\s*flags\s*=\s*\(\s*\)", "", plain)
        if plain != text:
            path.write_text(plain, "utf-8")
        done = subprocess.run(
            ["apparmor_parser", "--replace", "--skip-cache", str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(done.stderr.strip())
        return
    raise OSError("aucun fichier de /etc/apparmor.d ne le définit ; le nommer dans system_hardening_kept_profiles")


def loose(unit):
    """Tell whether a service was started before its profile: the kernel confines a program when it starts."""
    asked = ["systemctl", "show", "--property=MainPID", "--value", unit]
    process = PROCESSES / subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    try:
        program, label = str((process / "exe").readlink()), (process / "attr/apparmor/current").read_text("utf-8").strip()
    except OSError:
        return False  # it does not run, which is not this part's business
    enforced = (folder for folder in POLICY.glob("*") if (folder / "mode").read_text("utf-8").strip() == "enforce")
    return label == "unconfined" and any((folder / "attach").read_text("utf-8").strip() == program for folder in enforced)


def restart(unit):
    """Start a service of these roles again; those of others wait for whoever runs them, and the verdict names them."""
    done = subprocess.run(["systemctl", "restart", unit], capture_output=True, text=True, check=False)
    if done.returncode or loose(unit):
        raise OSError(done.stderr.strip() or "le redémarrer ne suffit pas")
