"""Runs ssh-audit from an unpacked Debian package: run_ssh_audit.py FOLDER ARGUMENTS…"""

from __future__ import annotations

import runpy
import sys

sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("ssh_audit", run_name="__main__", alter_sys=True)
