"""Runs on the host, as root, through `python3 -c`: what needs a terminal or PAM itself. Standard library only.

Called with one JSON argument, prints one JSON answer. Only throw-away accounts are ever named here.
"""

import ctypes
import ctypes.util
import json
import os
import pty
import pwd
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path


def become(login):
    """Turn this process into an ordinary session of the login."""
    entry = pwd.getpwnam(login)
    os.initgroups(login, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.chdir("/")
    path = "/usr/local/bin:/usr/bin:/bin"
    return {"LC_ALL": "C", "PATH": path, "HOME": entry.pw_dir, "LOGNAME": login, "USER": login}


def talk(login, argv, answers, seconds=20):
    """Run argv as login on a terminal, answer its prompts in order; return (exit status or None, what it printed)."""
    child, terminal = pty.fork()
    if child == 0:
        environment = become(login)
        os.execvpe(argv[0], argv, environment)
    seen, asked, end = "", 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            read = os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:
            break
        if not read:
            break
        seen += read
        prompts = len(re.findall(r"(?i)password: ?", seen))
        while asked < prompts:
            if asked >= len(answers):  # it asks again: what was given is refused
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(terminal)
                return None, seen
            time.sleep(0.05)
            os.write(terminal, answers[asked].encode() + b"\n")
            asked += 1
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen


def shadow(login):
    """Return the hash of the login."""
    lines = Path("/etc/shadow").read_text("utf-8", "replace").splitlines()
    return next(line.split(":")[1] for line in lines if line.startswith(login + ":"))


def cheap_hash(password):
    """Return a hash that takes little to compare: the account lives a minute, and a hundred comparisons follow."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), f"$5$rounds=1000${os.urandom(6).hex()}".encode()).decode()


def as_setuid(login, task):
    """Run task() in a process that a user's setuid program is: effective root, real user the login; return its JSON."""
    entry = pwd.getpwnam(login)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresgid(entry.pw_gid, 0, 0)
        os.setresuid(entry.pw_uid, 0, 0)
        os.write(writer, json.dumps(task()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return json.loads(answer or "null")


def change(login, current, new):
    """Change a password as its holder does; tell whether it was taken."""
    before = shadow(login)
    _, seen = talk(login, ["passwd"], [current, new, new])
    return {"accepted": shadow(login) != before, "said": seen[-600:], "hash": shadow(login).split("$")[1:2]}


class Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]


CONVERSATION = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(Message)), ctypes.POINTER(ctypes.POINTER(Response)), ctypes.c_void_p
)
DELAY = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class Conversation(ctypes.Structure):
    _fields_ = [("function", CONVERSATION), ("data", ctypes.c_void_p)]


def pam(service, login, steps, reply):
    """Take steps of PAM (``pam_authenticate``…) at a service, without its delay after a failure; return the last code.

    reply: called with each prompt, gives the answer. Stops at the first step that is refused.
    """
    library = ctypes.CDLL(ctypes.util.find_library("pam") or "libpam.so.0")
    libc = ctypes.CDLL(None)
    libc.calloc.restype, libc.calloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
    libc.strdup.restype, libc.strdup.argtypes = ctypes.c_void_p, [ctypes.c_char_p]

    def answer(count, messages, responses, _data):
        block = libc.calloc(count, ctypes.sizeof(Response))
        responses[0] = ctypes.cast(block, ctypes.POINTER(Response))
        for index in range(count):
            prompt = messages[index].contents.text or b""
            responses[0][index].text = libc.strdup(reply(prompt.decode("utf-8", "replace")).encode())
        return 0

    talker, hush = CONVERSATION(answer), DELAY(lambda *_: None)
    handle, code = ctypes.c_void_p(), 0
    conversation = Conversation(talker, None)
    library.pam_start(service.encode(), login.encode(), ctypes.byref(conversation), ctypes.byref(handle))
    library.pam_set_item(handle, 10, ctypes.cast(hush, ctypes.c_void_p))  # PAM_FAIL_DELAY
    library.pam_set_item(handle, 3, ctypes.c_char_p(b"tty"))  # PAM_TTY
    for step in steps:
        code = getattr(library, step)(handle, 0)
        if code:
            break
    library.pam_end(handle, code)
    return code


def authenticate(service, login, passwords):
    """Try passwords one after the other at a PAM service; return the codes."""
    steps = ("pam_authenticate", "pam_acct_mgmt")
    return [pam(service, login, steps, lambda _, password=password: password) for password in passwords]


def session(service, login):
    """Open and close a session, as the service does after the login; return the code."""
    return pam(service, login, ("pam_open_session", "pam_close_session"), lambda _: "")


def umasks(login, names):
    """Return the umask with which PAM opens a session at each of these services, as far as they are on the host."""
    found = {}
    for name in names:
        if not any(Path(folder, name).is_file() for folder in ("/etc/pam.d", "/usr/lib/pam.d")):
            continue
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # the umask, and the session, go with this process
            os.umask(0o022)
            code = pam(name, login, ("pam_open_session",), lambda _: "")
            os.write(writer, json.dumps([code, os.umask(0)]).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            code, mask = json.loads(stream.read() or b"[1, 0]")
        os.waitpid(child, 0)
        if code == 0:
            found[name] = mask
    return found


def services(login, password, wrong, weak, names):
    """Try a throw-away account at each PAM service as its holder could; return what each lets through.

    right, wrong: the code of the password and of another one; locked: of the right one after three wrong ones;
    expired: once the account has expired; weak: whether a change to a weak password was taken.
    """
    subprocess.run(["usermod", "--password", cheap_hash(password), login], check=True)
    kept = shadow(login)

    def unlocked(given, name):
        """Return the code of a password at a service, whatever was tried before."""
        subprocess.run(["faillock", "--user", login, "--reset"], capture_output=True, check=False)
        return code(given, name)

    def code(given, name):
        return as_setuid(login, lambda: authenticate(name, login, [given])[0])

    found = {
        name: {
            "right": unlocked(password, name),
            "wrong": [code(wrong, name) for _ in range(3)],
            "locked": code(password, name),
        }
        for name in names
    }
    subprocess.run(["usermod", "--expiredate", "1970-01-02", login], check=True)
    for name in names:
        found[name]["expired"] = unlocked(password, name)
    subprocess.run(["usermod", "--expiredate", "", login], check=True)
    subprocess.run(["faillock", "--user", login, "--reset"], capture_output=True, check=False)
    for name in names:

        def change_to_weak(name=name):
            return pam(name, login, ("pam_chauthtok",), lambda prompt: password if "urrent" in prompt else weak)

        as_setuid(login, change_to_weak)
        found[name]["weak"] = shadow(login) != kept
        if found[name]["weak"]:
            subprocess.run(["usermod", "--password", kept, login], check=True)
    return found


TASKS = {
    "change": change,
    "authenticate": authenticate,
    "session": session,
    "umasks": umasks,
    "services": services,
    "talk": lambda login, argv, answers: dict(zip(("status", "said"), talk(login, argv, answers), strict=True)),
}


def main():
    """Do what the argument says."""
    asked = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(TASKS[asked.pop("task")](**asked)) + "\n")


if __name__ == "__main__":
    main()
