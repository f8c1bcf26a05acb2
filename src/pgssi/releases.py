"""Until when the release of a host gets security updates: catalogue/releases.yml."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import yaml

from pgssi.paths import CATALOGUE

AHEAD = 180  # days before the end from which it is announced


@lru_cache(maxsize=1)
def ends() -> dict[str, date]:
    """Return the last day of security updates by release, such as ``debian 12``."""
    found: dict[str, date] = yaml.safe_load((CATALOGUE / "releases.yml").read_text("utf-8"))["releases"]
    return found


def announcement(release: str, today: date) -> str:
    """Return in French what is to be announced about a release; nothing while its end is far."""
    end = ends().get(release)
    if end is None:
        return f"{release} : fin de support inconnue (catalogue/releases.yml)"
    left = (end - today).days
    if left < 0:
        return f"{release} : plus de correctifs depuis le {end.isoformat()}"
    return f"{release} : derniers correctifs le {end.isoformat()}, dans {left} jours" if left < AHEAD else ""
