"""The intervention sheet of PSSI 3.1.4.8, as the fields of an evidence record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgssi.destruction.consent import AGREED, APPROVAL, SHEET

Facts = Mapping[str, Any]
MEDIUM = ("serial", "wwn", "model", "revision", "bus", "size", "rotational", "contents", "smart")


def fields(told: Facts, entry: Facts) -> dict[str, Any]:
    """Return the record of a job that has ended, from what the host tells (``pgssi-media sheet``) and its declaration."""
    steps = [{key: value for key, value in step.items() if key not in ("event", "at")} for step in told["done"]]
    last = steps[-1] if steps else {}
    request = told["request"]
    # The host's last word is not enough: what it has read must say so, of the medium that was asked for.
    whole = (last.get("do"), last.get("read"), last.get("residue")) == ("verify", told["medium"].get("size"), 0)
    same = told["medium"]["serial"] == request["serial"] == entry["serial"]
    erased = told["end"]["result"] == "erased" and whole and same and not told["errors"]
    details = {
        "medium": {key: told["medium"].get(key) for key in MEDIUM},
        "host": told["host"],
        "former_owner": entry["former_owner"],
        "new_owner": entry["new_owner"],
        "transfer": str(entry["transfer"]),
        "destination": request["destination"],
        "guidance": request["guidance"],
        "palier": request["palier"],
        "method": [step["do"] for step in told["steps"]],
        "level": ("purge" if told["end"].get("purged") else "clear") if erased else None,
        "steps": steps,
        "passes": sum(step.get("passes", 1) for step in steps if step["do"] in ("overwrite", "nwipe")),
        "verification": {"read": last.get("read", 0), "residue": last.get("residue"), "ok": erased},
        "errors": list(told["errors"])[:200],
        "reason": told["end"].get("reason", "") or ("" if erased else "le support n'a pas été relu en entier"),
        "runs": told["runs"],
        "tools": told["tools"],
        "content": request["content"],
        "approval": request["approval"],
        "job": told["job"],
        "journal_sha256": told["journal_sha256"],
    }
    serial, model = told["medium"]["serial"], told["medium"].get("model") or "support"
    what = f"Effacement de {model} {serial}" if erased else f"Effacement non prouvé de {model} {serial} : aucun certificat"
    return {
        "kind": SHEET,
        "what": what,
        "where": [told["host"]["name"]],
        "who": {"operator": request["operator"], "approver": request["approval"]["by"]},
        "when": {"start": told["began"], "end": told["ended"]},
        "result": "success" if erased else "failure",
        "details": details,
    }


def agreement(entry: Facts, operator: str) -> dict[str, Any]:
    """Return the record by which a second person agrees; it counts once that person has signed it."""
    keys = ("serial", *AGREED)
    return {
        "kind": APPROVAL,
        "what": f"Accord pour détruire les données du support {entry['serial']}",
        "where": [str(entry.get("host") or "hors réseau")],
        "who": {"operator": operator},
        "details": {key: entry[key] for key in keys if key in entry} | {"transfer": str(entry["transfer"])},
    }


def remains(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Return where an inventory still names a medium or a host, as FILE:LINE: TEXT.

    Whoever owns the files removes it: an edit of ours could break what templates and comments mean.
    """
    found = []
    for source in map(Path, sources):
        files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        for path in files:
            try:
                lines = path.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            found += [
                f"{path}:{number}: {line.strip()}"
                for number, line in enumerate(lines, 1)
                if any(_names(line, name) for name in names)
            ]
    return found


def _names(line: str, name: str) -> bool:
    """Return whether a line of an inventory speaks of this host, and not of one whose name begins alike."""
    text = line.split("#", 1)[0]
    start = text.find(name)
    while start >= 0:
        around = text[max(0, start - 1) : start] + text[start + len(name) : start + len(name) + 1]
        if not any(mark.isalnum() or mark in "-_." for mark in around):
            return True
        start = text.find(name, start + 1)
    return False
