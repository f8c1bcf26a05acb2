"""Everything that can be said against a journal: chain, head, signatures, attachments, anchor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError
from pgssi.evidence._canonical import canonical, sha256
from pgssi.evidence._lines import (
    Finding,
    Line,
    chain_findings,
    head_fault,
    head_findings,
    read_head,
    read_lines,
)
from pgssi.evidence._signing import Signer, is_valid, key_of, public_key_of
from pgssi.evidence._storage import FILES, HEAD, JOURNAL, LOCK, PENDING
from pgssi.evidence._texts import text


@dataclass(frozen=True)
class Anchor:
    """What a journal was at some time, kept elsewhere: count of lines and SHA-256 of the last one."""

    count: int
    last: str

    def __str__(self) -> str:
        return f"{self.count}:{self.last}"

    @classmethod
    def read(cls, value: str | Path) -> Anchor:
        """Read ``COUNT:SHA256``, or a file that holds it, or a copy of a head.json."""
        path = Path(value)
        written = path.read_text("utf-8", "replace").strip() if path.is_file() else str(value).strip()
        match = re.fullmatch(r"(\d+):([0-9a-f]{64})", written)
        if match:
            return cls(int(match[1]), match[2])
        try:
            head = json.loads(written)
        except ValueError:
            head = None
        if head is None or head_fault(head):
            raise PgssiError(text("bad_anchor", anchor=str(value)))
        return cls(head["count"], head["last"])


@dataclass(frozen=True)
class Verification:
    """Findings (something is wrong), notes (worth knowing), and what was looked at.

    records, signatures, files: how many; signed: {record id: principals whose signature was found valid};
    automation: the principals among them that are no person.
    """

    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    records: int
    signatures: int
    files: int
    signed: Mapping[str, tuple[str, ...]]
    automation: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def approved(self, record: str) -> tuple[str, ...]:
        """Return the persons whose valid signature a record bears; automation seals, it does not approve."""
        return tuple(by for by in self.signed.get(record, ()) if by not in self.automation)


def signed_message(value: Mapping[str, Any]) -> bytes:
    """Return the bytes that a signature covers: its own statement, without the place it has in the chain."""
    return canonical({k: v for k, v in value.items() if k not in ("signature", "seq", "previous")})


def verify_journal(
    directory: Path, signers: Sequence[Signer] | None, *, anchor: Anchor | None = None, strict: bool = False
) -> Verification:
    """Read a whole journal and report every fault, with its place.

    signers: who may sign; None checks signatures against their own key only. strict: records to be signed
    and a tail without signature count as faults. Changes nothing.
    """
    lines, tail = read_lines(directory)
    values = [(line, line.value) for line in lines if line.value is not None]
    records = {str(value.get("id")): line for line, value in values if value.get("entry") == "record"}
    wrong, signed = _signatures(values, records, signers)
    attachments = list(_attachments(directory, values))
    findings = [
        *_presence(directory, lines),
        *chain_findings(lines, tail),
        *(head_findings(directory, lines) if lines or (directory / HEAD).exists() else ()),
        *wrong,
        *_seal(directory, values, lines, signers),
        *(found for found in attachments if found.code.startswith("file_")),
        *(_against(anchor, lines) if anchor else ()),
    ]
    notes = [found for found in attachments if not found.code.startswith("file_")]
    notes += _clock(values)
    if anchor is None and lines:
        notes.append(Finding("no_anchor", JOURNAL))
    if signers is None and lines:
        notes.append(Finding("no_signers", JOURNAL))
    automation = frozenset(signer.principal for signer in signers or () if signer.kind == "automation")
    result = Verification(
        findings=(),
        notes=(),
        records=len(records),
        signatures=sum(value.get("entry") == "signature" for _, value in values),
        files=sum(1 for _ in _listed(values)),
        signed=signed,
        automation=automation,
    )
    unsigned = [Finding("unsigned_record", line.place) for name, line in records.items() if not result.approved(name)]
    unsigned += _uncovered(directory, lines)
    (findings if strict else notes).extend(unsigned)
    place = {line.place: line.number for line in lines}
    findings.sort(key=lambda found: place.get(found.place, len(lines) + 1))
    return replace(result, findings=tuple(findings), notes=tuple(notes))


def _presence(directory: Path, lines: Sequence[Line]) -> Iterator[Finding]:
    if not lines:
        yield Finding("journal_missing", JOURNAL)
    if (directory / PENDING).exists():
        yield Finding("interrupted", PENDING)


def _check(value: Mapping[str, Any], place: str, signers: Sequence[Signer] | None) -> tuple[Finding | None, str]:
    """Judge one signed statement; return (finding, "") or (None, principal)."""
    by, key, blob = str(value.get("by")), str(value.get("key")), str(value.get("signature"))
    try:
        found = key_of(blob)
    except ValueError as error:
        return Finding("signature_blob", place, {"detail": str(error)}), ""
    if found != key:
        return Finding("signature_key", place, {"key": key}), ""
    if signers is None:
        signer = Signer(key, public_key_of(blob))  # whose name it claims proves nothing here
    else:
        known = [signer for signer in signers if signer.fingerprint == key]
        if not known:
            return Finding("signature_unknown", place, {"key": key}), ""
        signer = known[0]
        if by not in ("", signer.principal):
            return Finding("signature_by", place, {"key": key, "by": by}), ""
    day = str(value.get("signed"))[:10]
    try:
        in_time = signer.counts_on(date.fromisoformat(day))
    except ValueError:
        in_time = False
    if not in_time:
        return Finding("signature_date", place, {"by": signer.principal, "day": day}), ""
    if not is_valid(signed_message(value), blob, signer):
        return Finding("signature_invalid", place, {"by": signer.principal}), ""
    return None, (by or key) if signers is None else signer.principal


def _signatures(
    values: Sequence[tuple[Line, dict[str, Any]]],
    records: Mapping[str, Line],
    signers: Sequence[Signer] | None,
) -> tuple[list[Finding], dict[str, tuple[str, ...]]]:
    entries = [(line, value) for line, value in values if value.get("entry") == "signature"]
    with ThreadPoolExecutor(max_workers=4) as pool:
        judged = list(pool.map(lambda entry: _check(entry[1], entry[0].place, signers), entries))
    findings: list[Finding] = []
    signed: dict[str, tuple[str, ...]] = {}
    for (line, value), (finding, principal) in zip(entries, judged, strict=True):
        name = str(value.get("record"))
        target = records.get(name)
        if target is None or target.number > line.number or target.digest != value.get("sha256"):
            findings.append(Finding("signature_target", line.place, {"record": name}))
        elif finding:
            findings.append(finding)
        else:
            signed[name] = tuple(dict.fromkeys((*signed.get(name, ()), principal)))
    return findings, signed


def _seal(
    directory: Path,
    values: Sequence[tuple[Line, dict[str, Any]]],
    lines: Sequence[Line],
    signers: Sequence[Signer] | None,
) -> Iterator[Finding]:
    head, _ = read_head(directory)
    if head is None:
        return
    last_signature = max((line.number for line, value in values if value.get("entry") == "signature"), default=0)
    seal = head["signed"]
    if seal is None:
        if last_signature:
            yield Finding("seal_missing", HEAD)
        return
    finding, _ = _check({"schema": head["schema"], **seal}, HEAD, signers)
    if finding:
        yield finding
    count = seal["count"]
    if not 1 <= count <= len(lines) or lines[count - 1].digest != seal["last"]:
        yield Finding("seal_chain", HEAD, {"count": count})
    elif count < last_signature:
        yield Finding("seal_old", HEAD)


def _listed(values: Sequence[tuple[Line, dict[str, Any]]]) -> Iterator[tuple[Line, Mapping[str, Any]]]:
    for line, value in values:
        if value.get("entry") == "record" and isinstance(value.get("files"), list):
            yield from ((line, item) for item in value["files"] if isinstance(item, dict))


def _attachments(directory: Path, values: Sequence[tuple[Line, dict[str, Any]]]) -> Iterator[Finding]:
    names: set[str] = set()
    for line, item in _listed(values):
        digest, name = str(item.get("sha256")), str(item.get("path"))
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            continue  # the schema has already refused this line
        names.add(digest)
        path = directory / FILES / digest
        if not path.is_file():
            yield Finding("file_missing", line.place, {"path": name})
            continue
        data = path.read_bytes()
        if len(data) != item.get("size") or sha256(data) != digest:
            yield Finding("file_changed", line.place, {"path": name})
    for path in sorted((directory / FILES).glob("*")):
        if path.name not in names:
            yield Finding("orphan", f"{FILES}/{path.name}")
    for path in sorted(directory.glob("*")):
        if path.name not in (JOURNAL, HEAD, PENDING, LOCK, FILES):
            yield Finding("stranger", path.name)


def _against(anchor: Anchor, lines: Sequence[Line]) -> Iterator[Finding]:
    if anchor.count > len(lines):
        yield Finding("anchor_short", JOURNAL, {"count": anchor.count, "lines": len(lines)})
    elif anchor.count and lines[anchor.count - 1].digest != anchor.last:
        yield Finding("anchor_other", f"{JOURNAL}:{anchor.count}", {"count": anchor.count})


def _clock(values: Sequence[tuple[Line, dict[str, Any]]]) -> Iterator[Finding]:
    previous = ""
    for line, value in values:
        moment = str(value.get("recorded") or value.get("signed") or "")
        if moment < previous:
            yield Finding("clock", line.place)
        previous = max(previous, moment)


def _uncovered(directory: Path, lines: Sequence[Line]) -> Iterator[Finding]:
    head, _ = read_head(directory)
    covered = (head or {}).get("signed") or {"count": 0}
    if lines and covered["count"] < len(lines):
        yield Finding("unsigned_tail", JOURNAL, {"lines": len(lines) - covered["count"]})
