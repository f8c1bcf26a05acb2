"""What a backup server can know about a borg repository without holding its key.

Read-only and keyless: the transaction counter, the ids that the index still holds, and every DELETE that
a client has sent. In append-only mode borg hides what a client deletes, it never frees it; here it shows.
Source: borg 1.x "Internals", repository format (segments: magic, then crc32, size, tag, key).
"""

import json
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

CONFIG = Path("/etc/pgssi/backup/store.json")
MAGIC = b"BORG_SEG"
HEADER = struct.Struct("<IIB")
PUT, DELETE, COMMIT = 0, 1, 2
MANIFEST = bytes(32)
# Least size of a manifest: without any archive (522 seen), and of each archive that it names; between two manifests of
# one client, what an archive adds, less what compression wins at times. Under lz4 one archive adds 47 to 93 bytes in 10,865
# honest lists, and 99 of 100 lists that lost another one grow by less than 17 (benchmarks/backup_lists.py, borg 1.4); with
# three or more at once many losses stay below the slack. Under zstd the two could not be told apart.
LIST_BYTES, ARCHIVE_BYTES = 350, 32
ADDED_BYTES, SLACK_BYTES = 54, 30
# An arrival may be this far ahead of this host's clock (seconds); beyond, one of the two is wrong.
AHEAD = 120
FIELDS = ("component", "status", "verification", "received", "transaction")
# First byte of every object: how it was encrypted (borg 1.x key types).
ENCRYPTION = {
    0x00: "keyfile",
    0x02: "none",
    0x03: "repokey",
    0x04: "keyfile-blake2",
    0x05: "repokey-blake2",
    0x06: "authenticated-blake2",
    0x07: "authenticated",
}


def read_config():
    """Return what the role wrote about this host: store, verbs, clients and their components."""
    return json.loads(CONFIG.read_text("utf-8"))


def records(journal):
    """Return the journal of one client, oldest first; a line cut by a crash, or that is no record, is left out."""
    kept = []
    if not journal.exists():
        return kept
    for line in journal.read_text("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
            datetime.fromisoformat(entry["received"])
        except (ValueError, TypeError, KeyError):
            continue
        if all(name in entry for name in FIELDS):
            kept.append(entry)
    return kept


def transaction(repository):
    """Return the newest committed transaction of a repository, or None."""
    numbers = [int(path.name[6:]) for path in repository.glob("index.*") if path.name[6:].isdigit()]
    return max(numbers, default=None)


def identifier(repository):
    """Return the id of a repository (hex), from its configuration."""
    lines = (repository / "config").read_text("utf-8").splitlines()
    return next(line.split("=")[1].strip() for line in lines if line.startswith("id ="))


def segments(repository):
    """Return [(number, path)] of the data segments, in order."""
    found = (path for folder in (repository / "data").glob("*") if folder.name.isdigit() for path in folder.iterdir())
    return sorted((int(path.name), path) for path in found if path.name.isdigit())


def entries(path):
    """Yield (tag, key, offset, size) of one segment; key is None for a COMMIT. Stops at a torn end."""
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return
        offset = len(MAGIC)
        while len(header := stream.read(HEADER.size)) == HEADER.size:
            _, size, tag = HEADER.unpack(header)
            if size < HEADER.size or tag not in (PUT, DELETE, COMMIT):
                return
            key = stream.read(32) if tag != COMMIT else None
            yield tag, key, offset, size
            offset += size
            stream.seek(offset)


def deletions(repository, after=-1):
    """Return the transactions that deleted or overwrote objects: [{transaction, previous, deletes}].

    A client that only makes archives deletes nothing but the previous manifest. after: last transaction
    already known, so that only new segments are read.
    """
    found, previous, deleted = [], max(after, 0), 0
    for number, path in segments(repository):
        if number <= after:
            continue
        for tag, key, _, _ in entries(path):
            if tag == DELETE and key != MANIFEST:
                deleted += 1
            elif tag == COMMIT:
                if deleted:
                    found.append({"transaction": number, "previous": previous, "deletes": deleted})
                previous, deleted = number, 0
    return found


def present(repository, ids):
    """Return which of the archive ids (hex) the newest index still holds."""
    from borg.hashindex import NSIndex  # the only part of borg that is needed, and only here

    newest = transaction(repository)
    if newest is None:
        return set()
    try:
        index = NSIndex.read(str(repository / f"index.{newest}"))
    except Exception:  # borg raises several of its own; it makes a damaged index anew from the segments, so do we
        index = remaining(repository)
    return {identifier for identifier in ids if bytes.fromhex(identifier) in index}


def remaining(repository):
    """Return the keys that the segments themselves still hold: put, and not deleted since."""
    held = set()
    for _, path in segments(repository):
        for tag, key, _, _ in entries(path):
            if tag == PUT:
                held.add(key)
            elif tag == DELETE:
                held.discard(key)
    return held


def arrived(repository):
    """Return the ids (hex) of all objects that were ever put into the segments that are there."""
    return {key.hex() for _, path in segments(repository) for tag, key, _, _ in entries(path) if tag == PUT}


def newest_manifest(repository):
    """Return the type byte and the size of the newest manifest, (None, 0) without any."""
    for _, path in reversed(segments(repository)):
        found = [(offset, size) for tag, key, offset, size in entries(path) if tag == PUT and key == MANIFEST]
        if found:
            offset, size = found[-1]
            with path.open("rb") as stream:
                stream.seek(offset + HEADER.size + 32)
                return stream.read(1)[0], size
    return None, 0


def shortened(repository, count, journal=(), since=""):
    """Return the last transaction whose list of archives was long enough when a later one is not, else None.

    A patched client can rewrite the list of archives and send no DELETE. The list is sealed, but the 32 random
    bytes by which it names each archive cannot be compressed: a list that is too small has lost some. Its size was
    noted with each record of the journal, so that one archive less shows even when there are few; records older
    than ``since``, the last time that this host itself changed the list, say nothing any more.
    """
    if transaction(repository) is None:
        return None  # nothing there to be shorter: a repository that should be there is "missing", its archives "hidden"
    now = newest_manifest(repository)[1]
    before = (0, 0)  # transaction, size of its list
    for number, size, new in [*_noted(journal, since), (transaction(repository), now, 0)]:
        if before[1] and size + SLACK_BYTES < before[1] + ADDED_BYTES * new:
            return before[0]
        before = (number, size)
    least = LIST_BYTES + ARCHIVE_BYTES * count
    if now >= least:
        return None
    good, size = 0, 0
    for number, path in segments(repository):
        for tag, key, _, length in entries(path):
            if tag == PUT and key == MANIFEST:
                size = length
            elif tag == COMMIT and size >= least:
                good = number
    return good


def _noted(journal, since):
    """Return [(transaction, size of its list of archives, archives new in it)] from the journal."""
    sizes, known = {}, set()
    for entry in journal:
        archive = (entry.get("archive") or {}).get("id")
        fresh = archive is not None and archive not in known
        known.add(archive)
        if entry.get("manifest_bytes") and entry["received"] > since:
            size, new = sizes.get(entry["transaction"], (entry["manifest_bytes"], 0))
            sizes[entry["transaction"]] = (size, new + fresh)
    return [(number, size, new) for number, (size, new) in sorted(sizes.items())]


def encryption(repository):
    """Return how the objects are encrypted, from the type byte of the newest manifest found."""
    kind, _ = newest_manifest(repository)
    return None if kind is None else ENCRYPTION.get(kind, "unknown")


def evaluate(store, client, components, now=None, watched=None, append_only=True):
    """Return the state of one client as this server sees it, by its own clock.

    components: {name: {pdma_hours, …}}. watched: what the last watch kept ({"scanned", "deletions"}).
    append_only: whether clients are held to that mode here.
    """
    now = time.time() if now is None else now
    folder = Path(store) / client
    repository = folder / "borg" / "main"
    journal = records(folder / "journal.jsonl")
    done = [entry for entry in journal if entry["status"] == "success" and (entry.get("archive") or {}).get("id")]
    decided = decisions(folder)
    forgotten = {*decided["forgotten"], *decided["deleting"]}
    expected = {entry["archive"]["id"]: entry["archive"]["name"] for entry in done}
    expected = {key: name for key, name in expected.items() if key not in forgotten}
    there = present(repository, expected)
    current = transaction(repository)
    verified = max((counted(entry, decided["recovered"]) for entry in done if entry["verification"] == "success"), default=None)
    known = watched or {"scanned": -1, "deletions": []}
    closed = max(append_only_transaction(repository) or 0, decided["own"])
    state = {
        "client": client,
        "now": _iso(now),
        "repository": str(repository),
        "missing": bool(expected) and not (repository / "config").exists(),
        "others": {
            path.parent.name: encryption(path.parent)
            for path in sorted((folder / "borg").glob("*/config"))
            if path.parent.name != "main"
        },
        "encryption": encryption(repository),
        "transaction": current,
        "verified_transaction": verified,
        "unverified": current is not None and (verified is None or current > verified),
        "append_only_transaction": closed if current is not None else None,
        "written_freely": append_only and current is not None and current > closed,
        "hidden": sorted(name for key, name in expected.items() if key not in there),
        "deletions": known["deletions"] + deletions(repository, known["scanned"]),
        "shortened_after": shortened(repository, len(there), journal, decided["list_since"]),
        "key_changed": key_changed(folder, repository),
        "components": {},
    }
    for name, wanted in components.items():
        mine = [entry for entry in done if entry["component"] == name and entry["archive"]["id"] in there]
        state["components"][name] = _component(mine, wanted, now)
    return state


def decisions(folder):
    """Return what this server has decided about a repository: {"forgotten": [ids no longer expected here], "deleting":
    [ids that it is removing], "recovered": [[when, transaction that it went back to]], "own": last transaction of its
    own, "list_since": when it last changed the list of archives}."""
    path = folder / "decisions.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {"forgotten": [], "deleting": [], "recovered": [], "own": 0, "list_since": ""} | known


def counted(entry, recovered):
    """Return the transaction of a journal entry, no further than what later recoveries have left of it."""
    left = [to for when, to in recovered if entry["received"] <= when]
    return min([entry["transaction"] or 0, *left])


def append_only_transaction(repository):
    """Return the last transaction that was made in append-only mode, by borg's own record."""
    log = repository / "transactions"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return int(lines[-1].split()[1].rstrip(",")) if lines else None


def key_changed(folder, repository):
    """Return whether the repository's configuration (its sealed key) differs from the first one seen."""
    first, current = folder / "config.first", repository / "config"
    return first.exists() and (not current.exists() or first.read_bytes() != current.read_bytes())


def _component(mine, wanted, now):
    if not mine:
        return {"archive": None, "received": None, "age_hours": None, "late": True, "run": None}
    last = mine[-1]["archive"]["id"]
    newest = next(entry for entry in mine if entry["archive"]["id"] == last)  # its arrival, not a later mention
    age = (now - datetime.fromisoformat(newest["received"]).timestamp()) / 3600
    return {
        "archive": newest["archive"],
        "received": newest["received"],
        "age_hours": round(age, 2),
        "late": not -AHEAD / 3600 <= age <= wanted["pdma_hours"],  # what has not arrived yet has no age
        "verification": newest["verification"],
        "tables": (newest.get("database") or {}).get("tables"),
        "run": newest.get("run"),
    }


def _iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
