"""The evidence journal of a site: append, sign, read. Verification is in ``_verify``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError
from pgssi.evidence import _signing, _storage
from pgssi.evidence._canonical import GENESIS, canonical, now, plain, secrets_in, sha256, utc
from pgssi.evidence._lines import HEAD_SCHEMA, Line, chain_findings, head_findings, read_head, read_lines
from pgssi.evidence._schema import SCHEMA, fault
from pgssi.evidence._signing import Signer, SigningError
from pgssi.evidence._texts import text
from pgssi.evidence._verify import Anchor, Verification, signed_message, verify_journal
from pgssi.habilitations import fingerprint

Attachment = str | Path | tuple[str, bytes]
_INTERRUPTED = ("half_line", "head_less", "head_missing")


@dataclass(frozen=True)
class Signature:
    """One signature of a record. by: login or role; key: fingerprint; signed: UTC. Claimed until verified."""

    by: str
    key: str
    signed: str


@dataclass(frozen=True)
class Record:
    """One piece of evidence. sha256: digest of its journal line; files: {path, sha256, size} each."""

    id: str
    kind: str
    what: str
    where: tuple[str, ...]
    who: Mapping[str, str | None]
    when: Mapping[str, str]
    result: str
    details: Mapping[str, Any]
    files: tuple[Mapping[str, Any], ...]
    recorded: str
    seq: int
    previous: str
    sha256: str
    signatures: tuple[Signature, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it with JSON types only."""
        value: dict[str, Any] = plain(asdict(self))
        return value


def _record(line: Line, signatures: Iterable[Signature] = ()) -> Record:
    value = line.value or {}
    return Record(
        id=value["id"],
        kind=value["kind"],
        what=value["what"],
        where=tuple(value["where"]),
        who=value["who"],
        when=value["when"],
        result=value["result"],
        details=value["details"],
        files=tuple(value["files"]),
        recorded=value["recorded"],
        seq=value["seq"],
        previous=value["previous"],
        sha256=line.digest,
        signatures=tuple(signatures),
    )


class Journal:
    """The journal in one directory.

    directory: made at the first append. signers: who may sign (``signers_of(site)``); None when the site
    model is not at hand: then any key may sign and verification cannot tell whose it is.
    interactive: whether ssh-keygen may ask for a passphrase.
    """

    def __init__(self, directory: Path | str, signers: Sequence[Signer] | None = None, *, interactive: bool = False) -> None:
        """Name the journal; nothing is read or written yet."""
        self.directory = Path(directory)
        self.signers = None if signers is None else tuple(signers)
        self.interactive = interactive

    @classmethod
    def of_site(cls, site: Mapping[str, Any], inventory_dir: Path | str, *, interactive: bool = False) -> Journal:
        """Open the journal of a site: ``site_evidence_dir``, relative to the directory of the inventory."""
        if not site.get("site_evidence_dir"):
            raise PgssiError(text("no_directory"))
        directory = (Path(inventory_dir) / str(site["site_evidence_dir"])).resolve()
        return cls(directory, _signing.signers_of(site), interactive=interactive)

    def append(
        self,
        *,
        kind: str,
        what: str,
        where: Iterable[str],
        who: Mapping[str, str | None],
        when: Mapping[str, Any] | None = None,
        result: str = "success",
        details: Mapping[str, Any] | None = None,
        files: Iterable[Attachment] = (),
        sign_key: Path | str | None = None,
    ) -> Record:
        """Add a record, durably, and return it.

        when: {start, end} as datetimes or ISO 8601 (UTC when no offset is given); default now.
        files: paths, or (name, bytes); kept by digest. sign_key: private key, or public key of ssh-agent.
        Raises PgssiError, and writes nothing, for a record against the schema, a secret in it, an unreadable
        file, a key that cannot sign or is nobody's, or a journal that is damaged.
        """
        moments = when or {}
        start = moments.get("start") or now()
        body = _plain_body(
            {
                "kind": kind,
                "what": what,
                "where": list(where),
                "who": dict(who),
                "when": {"start": _moment(start), "end": _moment(moments.get("end") or start)},
                "result": result,
                "details": details or {},
            }
        )
        attachments = [_read(item) for item in files]
        return self._commit(lambda lines: self._record_lines(lines, body, attachments, sign_key), sign_key)

    def seals(self, key: Path | str | None) -> bool:
        """Return whether this is a key of the site's automation, able to seal records on its own."""
        try:
            owner, _ = self._identity(Path(key)) if key else (None, "")
        except SigningError:
            return False
        return owner is not None and owner.kind == "automation"

    def holder(self, key: Path | str) -> Signer | None:
        """Return whose key it is, once it has signed something: a public half is no proof. Raises SigningError."""
        self._sign({"schema": "pgssi-holder/1"}, Path(key))
        return self._identity(Path(key))[0]

    def sign(self, reference: str, key: Path | str) -> Record:
        """Add a signature to a record, and return the record with all its signatures.

        reference: id, or sequence number. The signature covers the record and the whole chain before it.
        """

        def build(lines: list[Line]) -> list[bytes]:
            target = _find(lines, reference)
            return [self._signature_line(target, len(lines) + 1, _previous(lines), key)]

        return self._commit(build, key, reference)

    def records(self, kind: str | None = None, *, damaged: bool = False) -> tuple[Record, ...]:
        """Return the records, oldest first.

        Raises PgssiError when the journal is damaged; with ``damaged`` it returns what can still be read.
        """
        with self._lock(exclusive=False):
            lines, tail = read_lines(self.directory)
        if damaged:
            lines = [line for line in lines if line.value and fault(line.value) is None]
        else:
            self._refuse_damage(lines, tail)
        return tuple(record for record in _records(lines) if kind in (None, record.kind))

    def get(self, reference: str, *, damaged: bool = False) -> Record:
        """Return one record by id or sequence number; ``damaged`` as in ``records``."""
        for record in self.records(damaged=damaged):
            if reference in (record.id, str(record.seq)):
                return record
        raise PgssiError(text("no_record", ref=reference))

    def attachment(self, digest: str) -> Path:
        """Return where an attachment is kept."""
        return self.directory / _storage.FILES / digest

    def verify(self, *, anchor: Anchor | None = None, strict: bool = False) -> Verification:
        """Check everything; see ``verify_journal``."""
        with self._lock(exclusive=False):
            return verify_journal(self.directory, self.signers, anchor=anchor, strict=strict)

    def anchor(self) -> Anchor:
        """Return what to keep elsewhere so that a rewritten journal is recognised later."""
        with self._lock(exclusive=False):
            lines = self._sound_lines()
        return Anchor(len(lines), _previous(lines))

    def repair(self) -> Record | None:
        """Finish an interrupted write; set aside an incomplete last line, and record that it was.

        Returns the record of what was set aside, or None. Raises PgssiError when anything else is wrong.
        """
        with self._lock(exclusive=True):
            _storage.recover(self.directory)
            lines, tail = read_lines(self.directory)
            if not tail:
                self._sound_lines()
                return None
            self._refuse_damage(lines, b"")
            _storage.write_whole(self.directory / _storage.JOURNAL, b"".join(line.raw + b"\n" for line in lines))
        return self.append(
            kind="journal_repair",
            what="Ligne incomplète mise de côté",
            where=(),
            who={"operator": "pgssi evidence repair"},
            result="partial",
            details={
                "bytes": len(tail),
                "sha256": sha256(tail),
                "start": tail[:2000].decode("utf-8", "replace"),
            },
        )

    # How a line comes to be

    def _commit(self, build: Callable[[list[Line]], list[bytes]], key: Path | str | None, reference: str = "") -> Record:
        if key:
            self._identity(Path(key))  # before anything exists on disk
        with self._lock(exclusive=True):
            _storage.recover(self.directory)
            lines = self._sound_lines()
            new = build(lines)
            head, _ = read_head(self.directory)
            count, last = len(lines) + len(new), sha256(new[-1])
            signed = self._seal(count, last, key) if key else (head or {}).get("signed")
            _storage.commit(self.directory, new, {"schema": HEAD_SCHEMA, "count": count, "last": last, "signed": signed})
            whole, _ = read_lines(self.directory)
        return _find_record(whole, reference or str(len(lines) + 1))

    def _record_lines(
        self,
        lines: list[Line],
        body: dict[str, Any],
        attachments: list[tuple[str, bytes]],
        key: Path | str | None,
    ) -> list[bytes]:
        seq, recorded = len(lines) + 1, now()
        value = {
            **body,
            "schema": SCHEMA,
            "entry": "record",
            "id": f"{recorded[:10].replace('-', '')}-{body['kind']}-{seq}",
            "recorded": recorded,
            "seq": seq,
            "previous": _previous(lines),
            "files": [{"path": n, "sha256": sha256(d), "size": len(d)} for n, d in attachments],
        }
        _refuse_invalid(value)
        raw = canonical(value)
        new = [raw]
        if key:
            line = Line(seq, raw, sha256(raw), value)
            new.append(self._signature_line(line, seq + 1, line.digest, key))
        for name, data in attachments:
            _storage.store(self.directory, name, data)
        return new

    def _signature_line(self, target: Line, seq: int, previous: str, key: Path | str) -> bytes:
        record = (target.value or {})["id"]
        value = {"schema": SCHEMA, "entry": "signature", "record": record, "sha256": target.digest}
        signed = self._sign(value, Path(key))
        return canonical({**signed, "seq": seq, "previous": previous})

    def _seal(self, count: int, last: str, key: Path | str) -> dict[str, Any]:
        signed = self._sign({"schema": HEAD_SCHEMA, "count": count, "last": last}, Path(key))
        return {name: item for name, item in signed.items() if name != "schema"}

    def _sign(self, value: dict[str, Any], key: Path) -> dict[str, Any]:
        owner, identity = self._identity(key)
        value = {**value, "by": owner.principal if owner else "", "key": identity, "signed": now()}
        return {**value, "signature": _signing.sign(signed_message(value), key, interactive=self.interactive)}

    def _identity(self, key: Path) -> tuple[Signer | None, str]:
        """Return whose key it is (None without a site model) and its fingerprint; refuse nobody's."""
        identity = fingerprint(_signing.public_half(key, interactive=self.interactive))
        owner = next((s for s in self.signers or () if s.fingerprint == identity), None)
        if self.signers is not None and (owner is None or not owner.counts_on(date.fromisoformat(now()[:10]))):
            raise SigningError(text("unknown_signer", key=identity))
        return owner, identity

    # What is there

    @contextmanager
    def _lock(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the journal; a full disk or a forbidden directory is told in a sentence."""
        try:
            if exclusive:
                _storage.prepare(self.directory)
            with _storage.locked(self.directory, exclusive=exclusive):
                yield
        except OSError as error:
            detail = error.strerror or str(error)
            raise PgssiError(text("no_access", dir=str(self.directory), detail=detail)) from error

    def _sound_lines(self) -> list[Line]:
        lines, tail = read_lines(self.directory)
        self._refuse_damage(lines, tail)
        return lines

    def _refuse_damage(self, lines: list[Line], tail: bytes) -> None:
        found = [*chain_findings(lines, tail)]
        if lines or (self.directory / _storage.HEAD).exists():
            found += head_findings(self.directory, lines)
        if (self.directory / _storage.PENDING).exists():  # readers may meet a write that a kill interrupted
            found = [finding for finding in found if finding.code not in _INTERRUPTED]
        if found:
            raise PgssiError(text("damaged", dir=str(self.directory), detail=str(found[0])))


def _previous(lines: Sequence[Line]) -> str:
    return lines[-1].digest if lines else GENESIS


def _records(lines: Sequence[Line]) -> Iterable[Record]:
    signatures: dict[str, list[Signature]] = {}
    for line in lines:
        value = line.value or {}
        if value.get("entry") == "signature":
            signature = Signature(value["by"], value["key"], value["signed"])
            signatures.setdefault(value["record"], []).append(signature)
    for line in lines:
        if (line.value or {}).get("entry") == "record":
            yield _record(line, signatures.get((line.value or {})["id"], ()))


def _find_record(lines: Sequence[Line], reference: str) -> Record:
    return next(r for r in _records(lines) if reference in (r.id, str(r.seq)))


def _find(lines: Sequence[Line], reference: str) -> Line:
    for line in lines:
        value = line.value or {}
        if value.get("entry") == "record" and reference in (value["id"], str(value["seq"])):
            return line
    raise PgssiError(text("no_record", ref=reference))


def _moment(value: object) -> str:
    try:
        return utc(value)
    except ValueError as error:
        raise PgssiError(text("invalid", path="when", detail=str(error))) from error


def _plain_body(body: dict[str, Any]) -> dict[str, Any]:
    try:
        value: dict[str, Any] = plain(body)
        canonical(value)
    except (TypeError, ValueError) as error:
        raise PgssiError(text("invalid", path="details", detail=str(error))) from error
    for path in secrets_in(value):
        raise PgssiError(text("secret_key", path=path))
    if value["when"]["end"] < value["when"]["start"]:
        raise PgssiError(text("invalid", path="when.end", detail="before when.start"))
    return value


def _refuse_invalid(value: dict[str, Any]) -> None:
    wrong = fault(value)
    if wrong:
        raise PgssiError(text("invalid", path=wrong[0], detail=wrong[1]))


def _read(item: Attachment) -> tuple[str, bytes]:
    if isinstance(item, tuple):
        return item
    try:
        return Path(item).name, Path(item).read_bytes()
    except OSError as error:
        raise PgssiError(text("unreadable_file", path=str(item), detail=error.strerror or str(error))) from error
