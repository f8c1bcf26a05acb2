"""Runs on the host, as root, through ``python3 -c``: asks for erasures one after the other and tells what came of each.

A line of standard input is {request, then, path}: run (the work follows at once), leave (the job stays open), race (two
processes ask, then two work), mount (somebody mounts it in between), pull (the disk is pulled out in between).
With {job} alone, an open job goes on. A line of output is {codes, job, result}: refusals, and the exit code of the work.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

PROGRAM = "/usr/local/sbin/pgssi-media"


def loaded():
    """Return the program as a module: a thousand starts of Python would take longer than what is tried."""
    loader = importlib.machinery.SourceFileLoader("pgssi_media_program", PROGRAM)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def said(work, *words):
    """Return the exit code and the output of a function that prints."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        code = work(*words)
    return code, shown.getvalue()


def asked(media, request):
    """Return (refusals, job) of a request."""
    answer = json.loads(said(media.ask, request, True)[1])
    return [one["code"] for one in answer["refusals"]], answer.get("job")


def raced(request):
    """Ask twice at once, then work twice at once: one job, which one process does."""
    text = json.dumps(request)
    pairs = [subprocess.Popen([PROGRAM, "request"], stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    for process in pairs:
        process.stdin.write(text)
        process.stdin.close()
    answers = [process.stdout.read() for process in pairs]
    assert {process.wait() for process in pairs} <= {0, 2, 4}, answers
    jobs = [job for answer in answers if answer and (job := json.loads(answer).get("job"))]
    assert len(jobs) == 1, answers
    workers = [subprocess.Popen([PROGRAM, "run", jobs[0]], stdout=-1, stderr=-1) for _ in range(2)]
    codes = sorted(worker.wait() for worker in workers)
    assert codes[0] == 0 and codes[1] in (0, 4), codes
    return {"codes": [], "job": jobs[0], "result": 0}


def done(media, line):
    """Do one line."""
    if "job" in line:
        return {"codes": [], "job": line["job"], "result": said(media.run, line["job"])[0]}
    if line["then"] == "race":
        return raced(line["request"])
    codes, job = asked(media, line["request"])
    if not job or line["then"] == "leave":
        return {"codes": codes, "job": job, "result": None}
    path = line["path"]
    if line["then"] == "pull":
        Path(f"/sys/block/{Path(path).name}/device/delete").write_text("1")
    if line["then"] == "mount":
        subprocess.run(["mkfs.ext4", "-qF", "-E", "nodiscard", path], check=True)
        subprocess.run(["mount", path, "/mnt"], check=True)
    result = said(media.run, job)[0]
    if line["then"] == "mount":
        subprocess.run(["umount", "/mnt"], check=True)
    return {"codes": codes, "job": job, "result": result}


media = loaded()
for raw in sys.stdin:
    sys.stdout.write(f"{json.dumps(done(media, json.loads(raw)))}\n")
