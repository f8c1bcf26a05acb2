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
    lines = Path("/etc/shadow").read_text("utf-8").splitlines()
    return next(line.split(":")[1] for line in lines if line.startswith(login + ":"))


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


def authenticate(service, login, passwords):
    """Try passwords one after the other at a PAM service, without its delay after a failure; return the codes."""
    pam = ctypes.CDLL(ctypes.util.find_library("pam") or "libpam.so.0")
    libc = ctypes.CDLL(None)
    libc.calloc.restype, libc.calloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
    libc.strdup.restype, libc.strdup.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    codes = []
    for password in passwords:

        def answer(count, _messages, responses, _data, password=password):
            block = libc.calloc(count, ctypes.sizeof(Response))
            responses[0] = ctypes.cast(block, ctypes.POINTER(Response))
            for index in range(count):
                responses[0][index].text = libc.strdup(password.encode())
            return 0

        talker, hush = CONVERSATION(answer), DELAY(lambda *_: None)
        handle = ctypes.c_void_p()
        conversation = Conversation(talker, None)
        pam.pam_start(service.encode(), login.encode(), ctypes.byref(conversation), ctypes.byref(handle))
        pam.pam_set_item(handle, 10, ctypes.cast(hush, ctypes.c_void_p))  # PAM_FAIL_DELAY
        code = pam.pam_authenticate(handle, 0)
        codes.append(code or pam.pam_acct_mgmt(handle, 0))
        pam.pam_end(handle, code)
    return codes


TASKS = {
    "change": change,
    "authenticate": authenticate,
    "talk": lambda login, argv, answers: dict(zip(("status", "said"), talk(login, argv, answers), strict=True)),
}


def main():
    """Do what the argument says."""
    asked = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(TASKS[asked.pop("task")](**asked)) + "\n")


if __name__ == "__main__":
    main()
