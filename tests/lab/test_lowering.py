"""A site that asks for less than before is not locked out by what it no longer asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgssi.lab.podman import podman

from .support import play, verify

HOSTS = ("bastion1", "dpi1")  # one of each Debian release
LIMIT = ("--limit", ":".join(HOSTS))


def _sudo_is_for_everybody(lab: Any) -> set[bool]:
    """Return whether an account outside every group of ours may start sudo, which then asks for rights it does not have."""
    tried = "setpriv --reuid=nobody --regid=nogroup --clear-groups test -x /usr/bin/sudo && echo yes || echo no"
    return {podman("exec", lab.model.container(host), "sh", "-c", tried).strip() == "yes" for host in HOSTS}


def test_sudo_is_given_back_when_the_palier_is_lowered(lab: Any, tmp_path: Path) -> None:
    """From palier 3 to 2 and back: sudo opens to others and closes again, each in one run, and the run after changes nothing."""
    assert _sudo_is_for_everybody(lab) == {False}
    for palier in (2, 3):
        target = ("-e", f"site_palier={palier}", *LIMIT)
        play("site", *target).succeeded()
        assert _sudo_is_for_everybody(lab) == {palier == 2}
        assert play("site", *target).succeeded().changed() == set()
        results = verify(tmp_path / str(palier), "--palier", str(palier), *LIMIT, "--no-acting")
        assert [v for v in results["verdicts"] if v["verdict"] == "non_conforme"] == []
