"""A file that root itself may not change: the module ends with its name, the reason and a remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.guard_messages import text


@contextlib.contextmanager
def named(module: AnsibleModule, path: Path) -> Iterator[None]:
    """End the module when the system refuses what is done to this file."""
    try:
        yield
    except OSError as error:
        module.fail_json(msg=text("refused", "en", {"path": path, "number": error.errno or 0}))
