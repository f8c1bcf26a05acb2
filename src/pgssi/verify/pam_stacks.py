"""What the PAM services of a host would let through, from the files that libpam reads. Pure.

Every service is followed line by line as ``pam_authenticate`` and its sisters would, each module that proves
nothing free to answer what suits an intruder: a stack that can succeed so needs no secret. This sees what no trial
with a throw-away account sees, such as a line for one login only. Source: pam.conf(5), Linux-PAM 1.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SEPARATOR = "\x1e"
# Prints every file that libpam may read, for read_services().
_EACH = f"printf '%s%s\\n' '{SEPARATOR}' $f; cat $f; echo"
COMMAND = f"for f in /usr/lib/pam.d/* /etc/pam.d/*; do [ -f $f ] || continue; {_EACH}; done; true"
SECRET = re.compile(
    r"pam_(unix|unix2|sss|ldap|krb5|winbind|radius_auth|tacplus|systemd_home|u2f|yubico|fprintd|pkcs11|p11|oath|duo"
    r"|google_authenticator|ssh_agent_auth)\.so"
)
QUALITY = re.compile(r"pam_(pwquality|cracklib|passwdqc)\.so")
# What starts the greeter of a graphical login asks for nothing, and opens nothing but the greeter.
GREETER = re.compile(r"^(gdm|lightdm|sddm|xdm)\S*(launch-environment|greeter|autologin)$")
LEFTOVER = re.compile(r"[.~]")
SIMPLE = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}
KINDS = ("auth", "account", "password", "session")


@dataclass(frozen=True)
class Line:
    """One module of a stack. control: action by return code; end: index after the substack it stands in."""

    control: Mapping[str, str]
    module: str
    arguments: tuple[str, ...]
    end: int


@dataclass(frozen=True)
class Answer:
    """One way a stack can end. met: the modules that were asked, by name."""

    success: bool
    met: frozenset[str]


def read_services(output: str) -> dict[str, str]:
    """Return the text of each service by name, from what COMMAND prints; /etc comes before /usr/lib."""
    found = {}
    for part in output.split(SEPARATOR)[1:]:
        path, _, text = part.partition("\n")
        found[path.rpartition("/")[2]] = text
    return found


def names(services: Mapping[str, str]) -> list[str]:
    """Return the services that a program may ask for: not the shared parts, nor what editors and dpkg leave."""
    return sorted(n for n in services if not n.startswith("common-") and not LEFTOVER.search(n) and not GREETER.match(n))


def _parsed(text: str) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.partition("#")[0].strip()
        include = re.match(r"@include\s+(\S+)", line)
        if include:
            yield "*", "include", include[1], ()
            continue
        parts = re.match(r"-?(\w+)\s+(\[[^\]]*\]|\S+)\s+(\S+)\s*(.*)", line)
        if parts:
            yield parts[1].lower(), parts[2], parts[3], tuple(parts[4].split())


def _control(text: str) -> Mapping[str, str]:
    if text.startswith("["):
        return {k: v.lower() for k, _, v in (pair.partition("=") for pair in text.strip("[] ").split())}
    return SIMPLE.get(text.lower(), {"default": "bad"})  # libpam lets a line that it cannot read fail


def stack(services: Mapping[str, str], service: str, kind: str) -> list[Line]:
    """Return the modules of one kind (auth, account, password, session) of a service, included files in place.

    A kind that the service does not mention is that of ``other``, as for libpam.
    """
    found: list[tuple[Mapping[str, str], str, tuple[str, ...], list[int]]] = []

    def collect(name: str, scope: list[int], depth: int) -> None:
        for of, control, module, arguments in _parsed(services.get(name.rpartition("/")[2], "") if depth < 16 else ""):
            if of not in (kind, "*"):
                continue
            if control in ("include", "substack"):
                inner = scope if control == "include" else [0]
                collect(module, inner, depth + 1)
                if inner is not scope:
                    inner[0] = len(found)
            else:
                found.append((_control(control), module.rpartition("/")[2], arguments, scope))

    top = [0]
    collect(service, top, 0)
    top[0] = len(found)
    if not found and service != "other":
        return stack(services, "other", kind)
    return [Line(control, module, arguments, scope[0]) for control, module, arguments, scope in found]


def _codes(line: Line, refuse: re.Pattern[str], code: str) -> Iterable[str]:
    """Return what this module may answer."""
    if refuse.fullmatch(line.module):
        return (code,)
    if line.module in ("pam_deny.so", "pam_rootok.so"):  # nobody asks as root
        return ("auth_err",)
    if line.module in ("pam_permit.so", "pam_env.so", "pam_faildelay.so"):
        return ("success",)
    return ("success", "default", *line.control)


def answers(lines: list[Line], refuse: re.Pattern[str], code: str = "auth_err") -> set[Answer]:
    """Return every way the stack can end when the modules that match ``refuse`` answer ``code``, the others anything."""
    ends: set[Answer] = set()
    start = (0, "none", frozenset[str]())
    seen, todo = {start}, [start]
    while todo:
        at, impression, met = todo.pop()
        if at >= len(lines):
            ends.add(Answer(impression == "good", met))
            continue
        line = lines[at]
        met = met | {line.module + (f":{line.arguments[0]}" if line.module == "pam_faillock.so" and line.arguments else "")}
        for answer in _codes(line, refuse, code):
            succeeded = answer in ("success", "new_authtok_reqd")
            action = line.control.get(answer, line.control.get("default", "bad"))
            after, jump = impression, at + 1
            if action in ("bad", "die"):
                after = "bad"
            elif action == "reset":
                after = "none"
            elif action != "ignore" and impression == "none":
                after = "good" if succeeded else "bad"
            elif action != "ignore" and impression == "good" and not succeeded:
                after = "bad"
            if action == "die" or (action == "done" and after == "good"):
                jump = line.end
            elif action.isdigit():
                jump = at + 1 + int(action)
            following = (jump, after, met)
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return ends


def _can_succeed(lines: list[Line], refuse: re.Pattern[str], code: str = "auth_err") -> bool:
    return any(answer.success for answer in answers(lines, refuse, code))


def gaps(services: Mapping[str, str], service: str) -> list[str]:
    """Return what a service lets through, in French; empty when it keeps every rule."""
    found = []
    auth = stack(services, service, "auth")
    if _can_succeed(auth, SECRET):
        found.append("s'ouvre sans secret")
    elif any(answer.success for answer in answers(auth, re.compile("(?!)"))):
        if _can_succeed(auth, re.compile(r"pam_faillock\.so")):
            found.append("ouvre un compte verrouillé")
        elif any(
            not answer.success and any(map(SECRET.fullmatch, answer.met)) and "pam_faillock.so:authfail" not in answer.met
            for answer in answers(auth, SECRET)
        ):
            found.append("ne compte pas les échecs")
    if _can_succeed(stack(services, service, "account"), SECRET, "acct_expired"):
        found.append("ouvre un compte expiré")
    if _can_succeed(stack(services, service, "password"), QUALITY, "authtok_err"):
        found.append("accepte un mot de passe faible")
    return found
