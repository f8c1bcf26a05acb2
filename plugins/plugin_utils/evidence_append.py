"""What the evidence actions share: whose journal, who acts, which key signs or seals."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.utils.display import Display
from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.evidence import Journal, Record, SigningError

# What a record of the site needs to know of it.
SITE = (
    "site_evidence_dir",
    "site_people",
    "site_contacts",
    "site_automation",
    "site_sealing_recipients",
    "site_evidence_signers",
)


def operator() -> str:
    """Return the login of the person on the control node, sudo seen through."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def append(journal: Journal, sign_key: str | None, connection_key: object, fields: Mapping[str, Any]) -> Record:
    """Append and return a record, signed by ``sign_key``; without one, sealed by the automation's own key.

    connection_key: ``ansible_ssh_private_key_file`` of the host. A seal makes a rewritten journal show and
    approves nothing. A key that cannot sign costs a warning, not the record: it can be signed later.
    """
    key = sign_key
    if not key and connection_key and journal.seals(Path(str(connection_key)).expanduser()):
        key = str(Path(str(connection_key)).expanduser())
    try:
        return journal.append(**fields, sign_key=key)
    except SigningError as error:
        if sign_key:
            Display().warning(f"{error} La preuve est écrite sans signature, à signer.")
        return journal.append(**fields)


def answer(journal: Journal, record: Record) -> dict[str, Any]:
    """Return what both actions say of the record they wrote."""
    return {
        "changed": True,
        "record": {"id": record.id, "seq": record.seq, "sha256": record.sha256},
        "signed": [signature.by for signature in record.signatures],
        "anchor": str(journal.anchor()),
        "directory": str(journal.directory),
    }
