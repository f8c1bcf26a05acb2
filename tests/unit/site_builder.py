"""A copy of the demo inventory that needs nothing of the lab: its own keys and secrets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pgssi.paths import ROOT

AUTOMATION = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5CplBuQIXlIJTEyCVAv+9FjVb4JY9TqfGuBkO4UMkB automation"
SEALING = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4y3lMCKBs0BCa93QmEXyQvWrd2yqCR1Un2gyn4Qu3M rssi"
PASSPHRASE = "site_backup_passphrase: \"{{ 'a secret of the host ' ~ inventory_hostname }}\""


def demo_inventory(target: Path) -> Path:
    """Copy inventories/demo to ``target``, with fixed values where the demo reads files of the lab."""
    shutil.copytree(ROOT / "inventories" / "demo", target)
    for file in (target / "group_vars" / "all").glob("*.yml"):
        text = file.read_text("utf-8")
        for name, key in (("pgssi", AUTOMATION), ("rssi", SEALING)):
            text = re.sub(rf'"\{{\{{ lookup\([^"]*{name}\.pub\'\) \}}\}}"', key, text)
        text = re.sub(r"site_backup_passphrase:.*?\}\}", PASSPHRASE, text, flags=re.DOTALL)
        file.write_text(text.replace("{{ inventory_dir }}/../../.lab", "/srv/control"), "utf-8")
    return target
