"""A copy of the demo inventory that needs nothing of the lab: its own keys and secrets."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path

from pgssi.paths import ROOT

AUTOMATION = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5CplBuQIXlIJTEyCVAv+9FjVb4JY9TqfGuBkO4UMkB automation"
SEALING = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4y3lMCKBs0BCa93QmEXyQvWrd2yqCR1Un2gyn4Qu3M rssi"
PASSPHRASE = "site_backup_passphrase: \"{{ 'a secret of the host ' ~ inventory_hostname }}\""
FIXED = {"pgssi": AUTOMATION, "rssi": SEALING}
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def public_key(name: str) -> str:
    """Return the public key that stands for a name: always the same, and nobody has the other half."""
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00 " + hashlib.sha256(name.encode()).digest()
    return FIXED.get(name, f"ssh-ed25519 {base64.b64encode(blob).decode()} {name}")


def demo_inventory(target: Path) -> Path:
    """Copy inventories/demo to ``target``, with fixed values where the demo reads files of the lab."""
    shutil.copytree(ROOT / "inventories" / "demo", target)
    for file in (target / "group_vars" / "all").glob("*.yml"):
        text = file.read_text("utf-8")
        text = re.sub(r'"\{\{ lookup\([^"]*/([\w-]+)\.pub\'\) \}\}"', lambda found: public_key(found[1]), text)
        text = re.sub(r'(totp_secret:) "\{\{.*?\}\}"', rf"\1 {TOTP}", text, flags=re.DOTALL)
        text = text.replace('"{{ site_equipment.sup1.addresses }}"', "[10.90.5.66/32]")
        text = re.sub(r"site_backup_passphrase:.*?\}\}", PASSPHRASE, text, flags=re.DOTALL)
        file.write_text(text.replace("{{ inventory_dir }}/../../.lab", "/srv/control"), "utf-8")
    return target
