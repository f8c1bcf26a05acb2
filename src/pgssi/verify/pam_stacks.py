"""What the PAM services of a host would let through, from the files that libpam reads. Pure.

Every service is followed line by line as ``pam_authenticate`` and its sisters would, each module that proves
nothing free to answer what suits an intruder: a stack that can succeed so needs no secret. This sees what no trial
with a throw-away account sees, such as a line for one login only. Source: pam.conf(5), Linux-PAM 1.5 and 1.7, whose
parser takes more than the manual says; what the two read apart, or what stands elsewhere, counts as a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SEPARATOR = "\x1e"
FOLDERS = ("/usr/lib/pam.d", "/etc/pam.d")
# Prints every file that libpam may read, for read_services(). A link to /dev/null is a file too; none may hold the separator.
_EACH = f"""printf '%s%s\\n' '{SEPARATOR}' "$f"; tr '\\036' '?' < "$f"; echo"""
_FILES = " ".join(f"{folder}/*" for folder in FOLDERS)
COMMAND = f"""for f in {_FILES}; do [ -f "$f" ] || [ -c "$f" ] || continue; {_EACH}; done; true"""
SECRET = re.compile(
    r"pam_(unix|unix2|sss|ldap|krb5|winbind|radius_auth|tacplus|systemd_home|u2f|yubico|fprintd|pkcs11|p11|oath|duo"
    r"|google_authenticator|ssh_agent_auth)\.so"
)
QUALITY = re.compile(r"pam_(pwquality|cracklib|passwdqc)\.so")
# Arguments by which such a module says yes, or nothing, where it should refuse.
WAVING = re.compile(r"nouserok|enforcing=0|enforce=none")
SILENT = re.compile(r"nullok|unknown_ok|localifdown|ignore_\w+")
UNIX = re.compile(r"pam_unix2?\.so")
# Only from here is a module the one that its name says.
INSTALLED = re.compile(r"((/usr)?/lib(\d*|/[\w-]+-linux-gnu\w*)/security/)?(\$ISA/)?([^/]+)")
# What starts the greeter of a graphical login asks for nothing, and opens nothing but the greeter.
GREETER = re.compile(r"^(gdm|lightdm|sddm|xdm)\S*(launch-environment|greeter|autologin)$")
LEFTOVER = re.compile(r"^[.#]|~$|\.((dpkg|ucf|rpm)[\w-]+|bak\w*|backup|old|orig|save|rej|sw[op]|disabled|[\d_-]+)$")
SIMPLE = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}
BAD = {"default": "bad"}
CODES = (
    "success|open_err|symbol_err|service_err|system_err|buf_err|perm_denied|auth_err|cred_insufficient|authinfo_unavail"
    "|user_unknown|maxtries|new_authtok_reqd|acct_expired|session_err|cred_unavail|cred_expired|cred_err|no_module_data"
    "|conv_err|authtok_err|authtok_recover_err|authtok_lock_busy|authtok_disable_aging|try_again|ignore|abort"
    "|authtok_expired|module_unknown|bad_item|conv_again|incomplete|default"
)
PAIR = re.compile(rf"\s*({CODES})\s*=\s*(ignore|ok|done|bad|die|reset|\d+)", re.ASCII)
KINDS = ("auth", "account", "password", "session")
DEPTH, LONGEST, WIDEST = 16, 1000, 1000  # of includes, as libpam; of a stack and of a line, beyond which nobody follows


@dataclass(frozen=True)
class Line:
    """One line of a stack. control: action by return code; level: how many substacks it stands in.

    form: ``module``; ``substack``, before the lines of one; ``broken``, which libpam lets fail; ``elsewhere``, for
    lines that cannot be followed from here.
    """

    control: Mapping[str, str]
    module: str
    arguments: tuple[str, ...] = ()
    level: int = 0
    form: str = "module"


@dataclass(frozen=True)
class Answer:
    """One way a stack can end. met: the modules that were asked, by name."""

    success: bool
    met: frozenset[str]


def read_services(output: str) -> dict[str, str]:
    """Return the text of each file by its path, and by its name alone where /etc comes before /usr/lib."""
    found = {}
    for part in output.split(SEPARATOR):
        path, _, text = part.partition("\n")
        folder, _, name = path.rpartition("/")
        if folder in FOLDERS:
            found[path] = found[name] = text
    return found


def names(services: Mapping[str, str]) -> list[str]:
    """Return the services that a program may ask for: not the shared parts, nor what editors and dpkg leave."""
    shared = re.compile(r"/|common-")
    return sorted(n for n in services if not (shared.search(n) or LEFTOVER.search(n) or GREETER.match(n)))


def _joined(text: str) -> Iterator[str]:
    """Return the lines of a file as libpam joins them, without comments; empty for one that its versions read apart."""
    whole = ""
    for raw in text.split("\n"):
        line, comment, _ = raw.lstrip(" \t").partition("#")
        # libpam 1.5 cuts the first in two and goes on after the second, 1.7 does neither.
        if len(raw.encode(errors="replace")) > WIDEST or (whole and not line):
            yield ""
        elif not comment and line.rstrip(" \t").endswith("\\"):
            whole += line.rstrip(" \t")[:-1] + " "
            continue
        elif line:
            yield whole + line
        whole = ""


def _words(line: str) -> list[str]:
    """Cut a line as libpam does: at blanks, save between brackets, which fall away."""
    found = re.findall(r"\[((?:\\\]|[^\]])*)\]?|([^ \t]+)", line.strip(" \t"))
    return [plain or bracketed.replace("\\]", "]") for bracketed, plain in found]


def _control(text: str) -> Mapping[str, str] | None:
    """Return the actions that a control field gives, None when versions of libpam read it apart."""
    if text.lower() in SIMPLE:
        return SIMPLE[text.lower()]
    control: dict[str, str] = {}
    while text.strip():
        pair = PAIR.match(text)
        if not pair or not pair[2].strip("0"):
            return BAD
        if pair[2].isdigit() and int(pair[2]) >= 1 << 31:
            return None
        if pair[1] != "default" or "default" not in control:
            control[pair[1]] = pair[2]
        text = text[pair.end() :]
    return BAD | control


def stack(services: Mapping[str, str], service: str, kind: str) -> list[Line]:
    """Return the lines of one kind (auth, account, password, session) of a service, included files in place.

    A kind that the service does not mention is that of ``other``, as for libpam.
    """
    found: list[Line] = []

    def collect(name: str, requested: bool, level: int, depth: int) -> None:
        if len(found) > LONGEST or ("/" in name and name not in services):
            found.append(Line(BAD, name, form="elsewhere", level=level))
        elif depth >= DEPTH or name not in services:
            found.append(Line(BAD, name, form="broken", level=level))
        else:
            for line in _joined(services[name]):
                add(line, requested, level, depth)

    def add(line: str, requested: bool, level: int, depth: int) -> None:
        kind_, control, module, *arguments = [*_words(line), "", "", ""]
        of = kind_.removeprefix("-").lower()
        if not line:
            found.append(Line(BAD, "", form="elsewhere", level=level))
        elif of == "@include":
            collect(control, requested, level, depth + 1)
        elif (of if of in KINDS else kind if requested else "auth") != kind:
            return
        elif control.lower() in ("include", "substack"):
            deeper = control.lower() == "substack"
            if deeper:
                found.append(Line({}, module, form="substack", level=level))
            collect(module, True, level + deeper, depth + 1)
        else:
            actions = _control(control)
            form = "elsewhere" if actions is None else "module" if of in KINDS and module else "broken"
            installed = INSTALLED.fullmatch(module)
            name = installed[5] if installed else module
            found.append(Line(actions or BAD, name, tuple(filter(None, arguments)), level, form))

    if service in services:
        collect(service, False, 0, 0)
    if not found and service != "other":
        return stack(services, "other", kind)
    return found


def _codes(line: Line, refuse: re.Pattern[str], code: str) -> Iterable[str]:
    """Return what this line may answer."""
    refusals = ("default", *(set(line.control) - {"success", "new_authtok_reqd", "ignore", "default"}))
    if line.form == "broken":
        return ("perm_denied",)
    if refuse.fullmatch(line.module) and not any(map(WAVING.fullmatch, line.arguments)):
        if code and (UNIX.fullmatch(line.module) or not SECRET.fullmatch(line.module)):
            return (code,)
        silent = not UNIX.fullmatch(line.module) and any(map(SILENT.fullmatch, line.arguments))
        return (*refusals, "ignore") if silent else refusals
    if line.module in ("pam_deny.so", "pam_rootok.so"):  # nobody asks as root
        return refusals
    if line.module in ("pam_env.so", "pam_faildelay.so"):
        return (*refusals, "ignore")
    if line.module == "pam_permit.so":
        return ("success",)
    return ("success", "default", *line.control)


def _after(lines: list[Line], at: int, count: int | None = None) -> tuple[int, bool]:
    """Return the line that follows after so many are skipped, or all of this level, and whether there were so many.

    A substack is skipped as one; nobody jumps out of one.
    """
    level, at = lines[at].level, at + 1
    while count != 0 and at < len(lines) and lines[at].level >= level:
        at += 1
        while at < len(lines) and lines[at].level > level:
            at += 1
        count = None if count is None else count - 1
    return at, not count


def _asked(line: Line) -> str:
    """Return the name under which a module is met; pam_faillock with the last of the parts that it is given."""
    parts = [a for a in line.arguments if a in ("preauth", "authfail", "authsucc")]
    return f"{line.module}:{parts[-1]}" if line.module == "pam_faillock.so" and parts else line.module


def answers(lines: list[Line], refuse: re.Pattern[str], code: str = "") -> set[Answer]:
    """Return every way the stack can end when the modules that match ``refuse`` do, the others answering anything.

    code: with what they refuse, for those that know every account; without it, each refusal in turn.
    """
    ends: set[Answer] = set()
    # The impression so far (none, good, bad; vain: decided, by a failure), and that at the start of each substack.
    start: tuple[int, str, tuple[str, ...], frozenset[str]] = (0, "none", ("none",), frozenset())
    seen, todo = {start}, [start]
    while todo:
        at, impression, before, met = todo.pop()
        if at >= len(lines):
            ends.add(Answer(impression == "good", met))
            continue
        line = lines[at]
        if line.form == "substack":
            following = [(at + 1, impression, (*before[: line.level + 1], impression), met)]
        else:
            met = met | {_asked(line)}
            moves = [_move(lines, at, impression, before, answer) for answer in _codes(line, refuse, code)]
            following = [(then, after, before, met) for then, after in moves]
        todo += set(following) - seen
        seen.update(following)
    return ends


def _move(lines: list[Line], at: int, impression: str, before: tuple[str, ...], answer: str) -> tuple[int, str]:
    """Return where an answer leads, and with which impression."""
    line = lines[at]
    action = line.control.get(answer, line.control.get("default", "bad"))
    if action.isdigit():
        then, landed = _after(lines, at, int(action))
        return then, impression if landed else "bad"
    if action == "reset":
        impression = before[line.level]
    elif action in ("bad", "die"):
        impression = "bad"
    elif action in ("ok", "done") and impression in ("none", "good"):
        impression = "good" if answer in ("success", "new_authtok_reqd") else "vain"
    decided = action == "die" or (action == "done" and impression != "bad")
    return (_after(lines, at)[0] if decided else at + 1), impression


def _can_succeed(lines: list[Line], refuse: re.Pattern[str], code: str = "") -> bool:
    return any(answer.success for answer in answers(lines, refuse, code))


def gaps(services: Mapping[str, str], service: str) -> list[str]:
    """Return what a service lets through, in French; empty when it keeps every rule."""
    found = []
    auth, account, password = (stack(services, service, kind) for kind in ("auth", "account", "password"))
    for name in sorted({line.module for line in (*auth, *account, *password) if line.form == "elsewhere"}):
        found.append(f"a des lignes qu'on ne peut suivre{f' ({name})' if name else ''}")
    if _can_succeed(auth, SECRET):
        found.append("s'ouvre sans secret")
    elif any(answer.success for answer in answers(auth, re.compile("(?!)"))):
        if _can_succeed(auth, re.compile(r"pam_faillock\.so"), "auth_err"):
            found.append("ouvre un compte verrouillé")
        elif any(
            not answer.success and any(map(SECRET.fullmatch, answer.met)) and "pam_faillock.so:authfail" not in answer.met
            for answer in answers(auth, SECRET)
        ):
            found.append("ne compte pas les échecs")
    if _can_succeed(account, SECRET, "acct_expired"):
        found.append("ouvre un compte expiré")
    if _can_succeed(password, QUALITY):
        found.append("accepte un mot de passe faible")
    return found
