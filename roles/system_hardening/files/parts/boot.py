"""What GRUB starts the kernel with, and who may change it at the console: counts from the next start on.

A host that another loader starts is told what to give it; nothing there is changed.
"""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

BOOT = False  # the next start's business, not this one's
CONFIG, RUNNING = Path("/boot/grub/grub.cfg"), Path("/proc/cmdline")
DEFAULTS, SCRIPTS = Path("/etc/default/grub.d"), Path("/etc/grub.d")
FORMER = Path("/var/lib/pgssi/set-aside/grub.cfg")
OURS = "zz-pgssi-hardening.cfg"
# Debian's script, whose entries would all ask for the password: ours runs it, and lets those start that a server starts by.
PACKAGED, PASSWORD, ENTRIES = "10_linux", "01_pgssi_password", "10_pgssi_linux"
HASH = re.compile(r"grub\.pbkdf2\.sha512\.\d+\.[0-9A-Fa-f]+\.[0-9A-Fa-f]+")
KERNEL = re.compile(r"^\s*linux(?:16|efi)?\s+(\S+)(.*)$", re.MULTILINE)
DEFAULT = re.compile(r'^\s*set default="(.*)"$', re.MULTILINE)
DEBIAN = re.compile(r"^### BEGIN /etc/grub\.d/10_(?:pgssi_)?linux ###$(.*?)^### END", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^\s*menuentry\s.*?\{$", re.MULTILINE)
CONTENT = """# Written by pgssi-hardening. Words that switch a protection off go; what the site asks for comes last.
set -f
for pgssi_line in GRUB_CMDLINE_LINUX GRUB_CMDLINE_LINUX_DEFAULT; do
    pgssi_kept=
    eval "pgssi_words=\\$$pgssi_line"
    for pgssi_word in $pgssi_words; do
        pgssi_plain=$(printf %s "$pgssi_word" | tr -d '"')
        pgssi_name=${{pgssi_plain%%=*}}
        case $(printf %s "$pgssi_name" | tr - _)${{pgssi_plain#"$pgssi_name"}} in
            {dropped}) ;;
            *) pgssi_kept="${{pgssi_kept:+$pgssi_kept }}$pgssi_word" ;;
        esac
    done
    eval "$pgssi_line=\\$pgssi_kept"
done
set +f
"""
SUPERUSER = """#!/bin/sh
# Written by pgssi-hardening. Whoever changes an entry at the console, or asks GRUB for a command line, gives this password.
cat <<'END'
set superusers="pgssi"
export superusers
password_pbkdf2 pgssi {password}
END
"""
UNRESTRICTED = r"""#!/bin/sh
# Written by pgssi-hardening. Debian's entries: they start without a password, those for repair excepted.
set -e
made=$(sh /etc/grub.d/10_linux)
printf '%s\n' "$made" | sed -E "
    s/^([[:space:]]*submenu .*) \{$/\1 --unrestricted {/
    /-recovery-[^ ]*' \{$/! s/^([[:space:]]*menuentry .*) \{$/\1 --unrestricted {/"
"""


def here(host):
    """Tell whether GRUB starts this host."""
    return not host.container and CONFIG.exists() and shutil.which("update-grub") is not None


def asked(wanted):
    """Return the parameters that the site asks for."""
    return wanted.get("memory", []) + wanted.get("iommu", [])


def files(wanted):
    """Return what our files hold, by path; None: absent."""
    refused, parameters, password = wanted.get("refused", []), asked(wanted), wanted.get("password", "")
    names = [shlex.quote(plain(word).split("=")[0]) for word in parameters]
    dropped = [shlex.quote(plain(word)) for word in refused] + [f"{name}|{name}=*" for name in names]
    content = CONTENT.format(dropped="|".join(dropped)) if dropped else None
    if parameters:
        content += f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {" ".join(parameters)}"\n'
    return {
        DEFAULTS / OURS: content,
        SCRIPTS / PASSWORD: SUPERUSER.format(password=password) if password else None,
        SCRIPTS / ENTRIES: UNRESTRICTED if password else None,
    }


def plain(word):
    """Return a word as the kernel understands it: - and _ are the same in a name, quotes are taken off."""
    name, *value = word.replace('"', "").split("=", 1)
    return "=".join([name.replace("-", "_"), *value])


def kernels(text):
    """Return the kernel and the words of its command line for each entry that Debian's script made."""
    made = "".join(found[1] for found in DEBIAN.finditer(text))
    return [(found[1], [plain(word) for word in found[2].split()]) for found in KERNEL.finditer(made)]


def last(words):
    """Return the last value of each parameter, which is the one that counts."""
    return {word.split("=", 1)[0]: word for word in words}


def lacks(wanted, words):
    """Return what a command line has too much, as ``sans WORD``, and what it lacks."""
    value = last(words)
    found = [f"sans {word}" for word in words if word in wanted.get("refused", [])]
    return found + [word for word in asked(wanted) if value.get(word.split("=", 1)[0]) != word]


def faults(wanted, text):
    """Return what the configuration that GRUB will read lacks."""
    found, password = [word for _, words in kernels(text) for word in lacks(wanted, words)], wanted.get("password", "")
    if password:
        first = text.find("menuentry ")
        head = text[:first]
        if (
            f"password_pbkdf2 pgssi {password}\n" not in head
            or "export superusers" not in head
            or 'superusers="pgssi"' not in head
        ):
            found.append("mot de passe absent")
    elif 'superusers="pgssi"' in text:
        found.append("mot de passe à rendre")
    return list(dict.fromkeys(found))


def waits(text):
    """Tell whether the next start would wait for somebody who gives the password."""
    if "superusers=" not in text:
        return False
    entries = [found[0] for found in ENTRY.finditer(text)]
    # What grub-reboot asks for once comes before what holds.
    name = next((name for name in reversed(DEFAULT.findall(text)) if name != "${next_entry}"), "0")
    if name == "${saved_entry}":
        said = subprocess.run(["grub-editenv", "list"], capture_output=True, text=True, check=False).stdout
        name = dict(line.split("=", 1) for line in said.splitlines() if "=" in line).get("saved_entry", "0") or "0"
    wanted = name.split(">")[-1]
    started = entries[:1] if name == "0" else [entry for entry in entries if f"'{wanted}'" in entry or f'"{wanted}"' in entry]
    return not started or any("--unrestricted" not in entry for entry in started)


def gaps(host):
    """Yield what GRUB's configuration lacks, in the file that it reads as in those from which it is made."""
    if not here(host):
        return
    wanted, text = host.wanted["boot"], CONFIG.read_text("utf-8", "replace")
    wrong, ours = faults(wanted, text), files(wanted)
    if not wrong and not asked(wanted) and not any(path.exists() for path in ours):
        return  # nothing is switched off, nothing asked for: GRUB's configuration, which somebody may have edited, stays
    wrong += [f"{path} : à écrire" for path, lines in ours.items() if content(path) != lines]
    if wanted.get("password") and is_program(SCRIPTS / PACKAGED):
        wrong.append(f"{SCRIPTS / PACKAGED} : à écarter")
    elif not wanted.get("password") and PACKAGED in host.had("boot"):
        wrong.append(f"{SCRIPTS / PACKAGED} : à rendre")
    if wrong:
        yield f"GRUB, au prochain démarrage : {', '.join(wrong)}", lambda: remake(host, wanted)


def notes(host):
    """Yield what the running kernel lacks until the next start, and what another loader has to be given."""
    wanted = host.wanted["boot"]
    if host.container or not RUNNING.exists():
        return
    if now := lacks(wanted, [plain(word) for word in RUNNING.read_text("utf-8", "replace").split()]):
        when = "au prochain démarrage" if here(host) else "à donner au chargeur qui démarre cet hôte, qui n'est pas GRUB"
        yield f"noyau, {when} : {', '.join(now)}"
    if wanted.get("password") and not here(host):
        yield "GRUB ne démarre pas cet hôte : le mot de passe du chargeur est à poser dans celui qui le démarre"


def content(path):
    """Return what a file holds, None when there is none."""
    return path.read_text("utf-8", "replace") if path.exists() else None


def is_program(path):
    """Tell whether update-grub would run a script."""
    return path.exists() and bool(path.stat().st_mode & 0o111)


def remake(host, wanted):
    """Write our files and have GRUB's configuration made again; all goes back when the host would not start by itself."""
    password = wanted.get("password", "")
    if password and not HASH.fullmatch(password):
        raise OSError("system_hardening_boot_password n'est pas une empreinte ; la faire avec grub-mkpasswd-pbkdf2")
    kept = {
        path: (content(path), path.stat().st_mode if path.exists() else 0)
        for path in [*files(wanted), CONFIG, SCRIPTS / PACKAGED]
    }
    had, before = dict(host.had("boot")), kernels(kept[CONFIG][0])
    if not FORMER.exists():  # what somebody wrote there by hand is not lost
        FORMER.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(FORMER, kept[CONFIG][0], 0o600)
    moved = []
    try:
        for path, text in files(wanted).items():
            put(path, text, 0o700 if path.parent == SCRIPTS else 0o644)
        program(host, SCRIPTS / PACKAGED, password)
        update_grub()
        if faults(wanted, content(CONFIG)):
            moved += set_aside()
            update_grub()
        refuse(wanted, before)
    except OSError:
        for path, (text, mode) in kept.items():
            put(path, text, mode & 0o777)
        for path in moved:
            path.with_name(f"{path.name}.pgssi-off").replace(path)
        host.before["boot"] = had
        raise


def refuse(wanted, before):
    """Raise OSError when the configuration is not as wanted, or when the host would not start by itself with it."""
    text = content(CONFIG)
    CONFIG.chmod(0o600)
    if wrong := faults(wanted, text):
        raise OSError(f"la configuration de GRUB n'a pas pu le devenir : {', '.join(wrong)}")
    gone = {kernel for kernel, _ in before if Path(f"/boot/{Path(kernel).name}").exists()} - {
        kernel for kernel, _ in kernels(text)
    }
    if gone:
        raise OSError(f"la nouvelle configuration ne démarrerait plus {', '.join(sorted(gone))} ; l'ancienne reste")
    if wanted.get("password") and waits(text):
        raise OSError(
            "le prochain démarrage attendrait le mot de passe, l'entrée par défaut n'étant pas de Debian ; l'ancienne reste"
        )


def program(host, path, password):
    """Keep Debian's script from being run beside ours, or give it back."""
    had = host.had("boot")
    if password and is_program(path):
        had[path.name] = path.stat().st_mode & 0o777
        path.chmod(0o644)
    elif not password and path.name in had:
        path.chmod(had.pop(path.name))


def put(path, text, mode):
    """Write a file as a whole, or remove it."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}.pgssi")
    new.write_text(text, "utf-8")
    new.chmod(mode)
    new.replace(path)


def set_aside():
    """Set aside the settings of others that are read after ours; return them."""
    later = [path for path in sorted(DEFAULTS.glob("*.cfg")) if path.name > OURS]
    for path in later:
        path.rename(path.with_name(f"{path.name}.pgssi-off"))
    return later


def update_grub():
    """Have GRUB's configuration made again from its settings; it replaces the file only when GRUB can read it."""
    done = subprocess.run(["update-grub"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"update-grub échoue : {done.stderr.strip()[-500:]}")
