"""Windows and attempts as the bastions told them, read from their lines on the log server."""

import json
import re
from datetime import UTC, datetime

# "server's time  sender's time  host  program[pid] message": see rsyslog-server.conf.j2.
LINE = re.compile(r"(\S+) (\S+) (\S+) (pgssi-remote(?:-gate)?)(?:\[\d+\])?:? (.*)")
WORD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
ENDS = ("closed", "ended")


def moment(text):
    """Read an ISO 8601 moment, in UTC when it does not say."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def stamp(text):
    """Return a moment to the second, ISO 8601 in UTC."""
    return moment(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def words(text):
    """Return the key=value words of a message; values in quotes are JSON."""
    found = {}
    for key, value in WORD.findall(text):
        try:
            found[key] = str(json.loads(value)) if value.startswith('"') else value
        except ValueError:
            found[key] = value
    return found


def decisions(lines):
    """Yield one dictionary per decision of a bastion: ``at`` and ``bastion`` beside its own words."""
    for line in lines:
        if (match := LINE.fullmatch(line.rstrip("\n"))) is None:
            continue
        found = words(match[5])
        if "decision" not in found:
            continue
        try:
            yield {**found, "at": stamp(match[1]), "bastion": match[3]}
        except ValueError:
            continue


def windows(all_decisions):
    """Return {window: facts}: who, on what, why, when, what was refused while it was open, by order of opening."""
    ordered = sorted(all_decisions, key=lambda one: one["at"])
    found = {}
    for one in ordered:
        if one["decision"] == "opened" and one.get("window"):
            known = found.setdefault(
                one["window"], {"window": one["window"], "closed": "", "reason": "", "refused": [], "bastions": []}
            )
            known |= {key: one.get(key, "") for key in ("person", "account", "target", "purpose", "approver", "until")}
            known["opened"] = known.get("opened") or one["at"]
            known["bastions"].append(one["bastion"])
        elif one["decision"] in ENDS and one.get("window") in found:
            known = found[one["window"]]
            known["closed"], known["reason"] = known["closed"] or one["at"], known["reason"] or one.get("reason", "")
    for one in ordered:
        if one["decision"] == "refused":
            for known in found.values():
                if concerns(one, known):
                    known["refused"].append({key: one.get(key, "") for key in ("at", "reason", "source", "account", "target")})
    return found


def concerns(refusal, known):
    """Return whether an attempt is of this window: its own, or of its person or account while it was open."""
    if refusal.get("window"):
        return refusal["window"] == known["window"]
    same = refusal.get("account") == known["account"] or (
        refusal.get("person") not in ("", "-", None) and refusal.get("person") == known["person"]
    )
    return same and known["opened"] <= refusal["at"] <= (known["closed"] or "9999")
