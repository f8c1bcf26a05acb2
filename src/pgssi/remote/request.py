"""From a request to a window: everything is checked before any host is touched, all faults are told at once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from netaddr import IPNetwork

from pgssi.errors import InvalidInput, Problem
from pgssi.habilitations import as_date
from pgssi.remote.model import Access, Remote
from pgssi.remote.words import problem

KEYS = ("person", "equipment", "purpose", "approver", "start", "duration")
LATE = timedelta(minutes=5)  # a start that far back is a slow typist, not a mistake
PURPOSE = (8, 200)
_DURATION = re.compile(r"(?:(\d{1,3})\s*h)?\s*(?:(\d{1,4})\s*(?:m|min)?)?")


@dataclass(frozen=True)
class Window:
    """One intervention that was granted. start, end: seconds since 1970, UTC."""

    id: str
    access: Access
    purpose: str
    approver: str
    start: int
    end: int

    @classmethod
    def of(cls, raw: Mapping[str, Any], access: Access) -> Window:
        """Read back what ``as_dict`` gave."""
        return cls(raw["id"], access, raw["purpose"], raw["approver"], int(raw["start"]), int(raw["end"]))

    def as_dict(self) -> dict[str, Any]:
        """Return what hosts and reports keep of it."""
        access = self.access
        return {
            "id": self.id,
            "person": access.person.id,
            "name": access.person.name,
            "account": access.account,
            "relay": access.relay,
            "supplier": access.supplier.name,
            "equipment": access.equipment.name,
            "purpose": self.purpose,
            "approver": self.approver,
            "start": self.start,
            "end": self.end,
        }


def windows(
    remote: Remote, requests: Sequence[Mapping[str, Any]], present: Sequence[Mapping[str, Any]], now: datetime, lang: str = "fr"
) -> tuple[Window, ...]:
    """Return the windows that these requests ask for. present: the windows that the bastions hold already.

    Raises InvalidInput with every fault of every request.
    """
    problems: list[Problem] = []
    granted: list[Window] = []
    if not remote.bastions:
        problems.append(problem("no_bastion", "hosts.yml", "bastions", "", lang))
    taken = [dict(one) for one in present]
    for index, raw in enumerate(requests):
        where = f"demande {index + 1}" if lang == "fr" else f"request {index + 1}"
        reader = _Reader(remote, raw, now, where, lang)
        window = reader.window(taken)
        problems += reader.problems
        if window:
            granted.append(window)
            taken.append(window.as_dict())
    if problems:
        raise InvalidInput(problems)
    return tuple(granted)


class _Reader:
    """Reads one request, and keeps every fault of it."""

    def __init__(self, remote: Remote, raw: Mapping[str, Any], now: datetime, where: str, lang: str) -> None:
        self.remote, self.raw, self.now, self.where, self.lang = remote, raw, now, where, lang
        self.problems: list[Problem] = []

    def fault(self, code: str, key: str, value: object, **details: object) -> None:
        shown = value if isinstance(value, int | float | str) else str(value)
        self.problems.append(problem(code, self.where, key, shown, self.lang, **details))

    def window(self, taken: Sequence[Mapping[str, Any]]) -> Window | None:
        for key in self.raw:
            if key not in KEYS:
                self.fault("unknown_key", str(key), self.raw[key], known=", ".join(KEYS))
        for key in ("person", "equipment", "purpose", "approver", "duration"):
            if self.raw.get(key) in (None, ""):
                self.fault("missing", key, "")
        access = self._access()
        start, length = self._start(), self._duration()
        purpose, approver = self._purpose(), self._approver()
        if access and start and length:
            self._contract(access, start + length)
            self._overlap(access, start, start + length, taken)
        if self.problems or not (access and start and length):
            return None
        begin = int(start.timestamp())
        name = f"{start:%Y%m%dT%H%MZ}-{access.account}-{secrets.token_hex(2)}"
        return Window(name, access, purpose, approver, begin, begin + int(length.total_seconds()))

    def _access(self) -> Access | None:
        person, equipment = str(self.raw.get("person") or ""), str(self.raw.get("equipment") or "")
        theirs = [access for access in self.remote.accesses() if access.person.id == person]
        if not person:
            return None
        if not theirs:
            known = sorted({access.person.id for access in self.remote.accesses()})
            self.fault("unknown_person", "person", person, known=", ".join(known) or "-")
            return None
        found = [access for access in theirs if access.equipment.name == equipment]
        if not found:
            if equipment:
                known = sorted(access.equipment.name for access in theirs)
                supplier = theirs[0].supplier.name
                self.fault("unknown_equipment", "equipment", equipment, supplier=supplier, known=", ".join(known))
            return None
        access = found[0]
        if not access.person.keys:
            self.fault("no_keys", "person", person)
        if access.equipment.protocol == "ssh" and not access.equipment.managed and not access.equipment.host_keys:
            self.fault("no_host_keys", "equipment", equipment)
        for bastion in self.remote.bastions:
            for name, other in ((equipment, access.equipment.addresses), (person, access.supplier.addresses)):
                if not list(pairs(bastion.addresses, other)):
                    self.fault("no_address", "equipment" if name == equipment else "person", name, other=bastion.name)
        return access

    def _start(self) -> datetime | None:
        raw = self.raw.get("start")
        if raw in (None, "", "now"):
            return self.now
        try:
            start = raw if isinstance(raw, datetime) else datetime.fromisoformat(str(raw).strip())
        except ValueError:
            self.fault("bad_start", "start", raw)
            return None
        start = start.astimezone(UTC)
        if start < self.now - LATE:
            self.fault("start_past", "start", raw, ago=int((self.now - start).total_seconds() // 60))
        days = int(self.remote.settings["notice_days"])
        if start > self.now + timedelta(days=days):
            self.fault("start_far", "start", raw, days=days)
        return max(start, self.now)

    def _duration(self) -> timedelta | None:
        raw = self.raw.get("duration")
        if raw in (None, ""):
            return None
        found = None if isinstance(raw, bool | float) else _DURATION.fullmatch(str(raw).strip().lower())
        length = timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0)) if found else timedelta()
        bare = str(raw).strip().isdigit()  # 30: minutes or hours? Ask.
        if bare or length < timedelta(minutes=1):
            self.fault("bad_duration", "duration", raw)
            return None
        hours = float(self.remote.settings["longest_hours"])
        if length > timedelta(hours=hours):
            self.fault("too_long", "duration", raw, hours=f"{hours:g}")
        return length

    def _purpose(self) -> str:
        text = str(self.raw.get("purpose") or "").strip()
        low, high = PURPOSE
        if text and not (low <= len(text) <= high and text.isprintable()):
            self.fault("bad_text", "purpose", text[:60], low=low, high=high)
        return text

    def _approver(self) -> str:
        wanted = str(self.raw.get("approver") or "")
        if not wanted:
            return ""
        names = dict(self._approvers())
        foreign = {one.id for supplier in self.remote.suppliers for one in supplier.people}
        foreign_names = {one.name.casefold() for supplier in self.remote.suppliers for one in supplier.people}
        if wanted in foreign or names.get(wanted, "").casefold() in foreign_names:
            self.fault("approver_is_supplier", "approver", wanted)
            return ""
        if wanted not in names:
            self.fault("unknown_approver", "approver", wanted, known=", ".join(sorted(names)) or "-")
            return ""
        chosen = self.remote.settings.get("approvers")
        if chosen and wanted not in chosen:
            self.fault("not_an_approver", "approver", wanted, known=", ".join(chosen))
        return wanted

    def _approvers(self) -> Iterator[tuple[str, str]]:
        today = self.now.date()
        for key, contact in (self.remote.site.get("site_contacts") or {}).items():
            yield str(key), str(contact.get("name", ""))
        for person in self.remote.site.get("site_people") or ():
            starts, leaves = as_date(person.get("starts")), as_date(person.get("leaves"))
            if (starts is None or starts <= today) and (leaves is None or today <= leaves):
                yield str(person["id"]), str(person.get("name", ""))

    def _contract(self, access: Access, end: datetime) -> None:
        until = access.supplier.contract_until
        if end.astimezone().date() > until:
            self.fault("contract_over", "person", access.person.id, until=until.isoformat())

    def _overlap(self, access: Access, start: datetime, end: datetime, taken: Sequence[Mapping[str, Any]]) -> None:
        for other in taken:
            if other["account"] == access.account and other["start"] < end.timestamp() and start.timestamp() < other["end"]:
                details = {"starts": local(other["start"]), "ends": local(other["end"]), "other": other["id"]}
                self.fault("overlap", "equipment", access.equipment.name, **details)
                return


def local(seconds: float) -> str:
    """Return an instant as people of the site write it: date and time of this machine's zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def pairs(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of addresses or networks that speak the same version of IP."""
    for one in left:
        for other in right:
            if IPNetwork(one).version == IPNetwork(other).version:
                yield one, other
