"""What the answers of a service prove that is to speak TLS or SSH (PSSI 5.3.1.3); speaks.py of the tests collects them.

An answer holds ``encrypted`` (tls or ssh), ``listens``, ``version`` (of the session, or of SSH) and ``clear`` (to clear text:
refused, mute, upgrade, or what it looks like); for TLS also ``old`` (versions before 1.2 that it takes), ``error`` and ``mute``
(what it did not answer in time: a busy host proves nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLEAR = {"refused": "refusé", "mute": "aucune réponse", "upgrade": "passe sous TLS à la demande"}


def fault(seen: Mapping[str, Any]) -> str:
    """Return what is wrong with what a service said, or nothing."""
    if seen["encrypted"] == "ssh":
        if seen["version"] not in ("", "2.0"):
            return f"SSH {seen['version']} au lieu de 2.0"
        return "" if seen["version"] or not seen["clear"] else f"répond sans SSH ({seen['clear']})"
    if seen["clear"] not in ("refused", "mute", "upgrade"):
        return f"répond en clair ({seen['clear']})"
    if seen["old"]:
        return f"accepte {', '.join(seen['old'])}" + ("" if seen["version"] else " et n'a pas TLS 1.2")
    refused = not (seen["version"] or seen["mute"] or seen["clear"] == "upgrade" or nameless(seen))
    return f"aucune session TLS 1.2 ou plus ne s'ouvre ({seen['error']})" if refused else ""


def nameless(seen: Mapping[str, Any]) -> bool:
    """Return whether a server wants the name that it is called by, which the model does not say."""
    return "UNRECOGNIZED_NAME" in seen.get("error", "")


def doubt(seen: Mapping[str, Any]) -> str:
    """Return why what was seen proves nothing, or nothing."""
    if not seen["listens"]:
        return "rien n'y écoute"
    if seen["encrypted"] == "ssh":
        return "" if seen["version"] else "accepte la connexion et se tait"
    if seen["clear"] == "upgrade":
        return "commence en clair et passe ensuite sous TLS : cet essai ne sait pas ce qu'il laisse faire avant"
    if nameless(seen):
        return "veut le nom sous lequel on l'appelle"
    return f"n'a pas répondu à temps ({', '.join(dict.fromkeys(seen['mute']))})" if seen["mute"] else ""


def told(seen: Mapping[str, Any]) -> str:
    """Return what a service said, in words."""
    if seen["encrypted"] == "ssh":
        return f"SSH {seen['version']}" if seen["version"] else "pas de version de SSH"
    old = f", et {', '.join(seen['old'])}" if seen["old"] else "" if seen["mute"] else ", rien d'antérieur à TLS 1.2"
    return f"{seen['version'] or 'pas de session TLS'}{old} ; en clair : {CLEAR.get(seen['clear'], seen['clear'])}"
