"""Gives ssh a password without a terminal, and without showing it in a command line."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

SCRIPT = "#!/bin/sh\nprintf '%s\\n' \"$PGSSI_ASKPASS\"\n"


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="pgssi-")  # removed when the process ends
    helper = Path(folder.name, "askpass")
    helper.write_text(SCRIPT, "ascii")
    helper.chmod(0o700)
    return folder


def environment(password: str) -> dict[str, str]:
    """Return the environment in which ssh (8.4 or later) answers password prompts with this one."""
    helper = Path(_folder().name, "askpass")
    ours = {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "PGSSI_ASKPASS": password}
    return {**os.environ, **ours}
