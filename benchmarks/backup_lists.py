"""How much the list of archives of a borg repository grows, honestly and with one archive left out of it.

python3 backup_lists.py [SEED], on a host that has Debian's borgbackup: these sizes are what pgssi_backup_store.py compares.
Prints, by number of new archives, the growth in bytes of honest lists and of lists that lost one of the others.
"""

import os
import random
import sys
from collections import defaultdict
from datetime import datetime, timedelta

from borg.compress import LZ4
from borg.helpers import msgpack

KEYS = ["acl_access", "acl_default", "acl_extended", "acl_nfs4", "atime", "birthtime", "bsdflags", "chunks", "ctime", "gid"]
KEYS += ["group", "hardlink_master", "mode", "mtime", "part", "path", "rdev", "size", "source", "uid", "user", "xattrs"]
ISO = "%Y-%m-%dT%H:%M:%S.%f"


def size(archives: dict[str, dict[str, object]], now: datetime) -> int:
    """Return the bytes of a list as borg 1.2 and 1.4 compress it."""
    seal = {"type": "HKDF_HMAC_SHA512", "hmac": os.urandom(64), "salt": os.urandom(64)}
    manifest = {"version": 1, "archives": dict(sorted(archives.items())), "timestamp": now.strftime(ISO)}
    manifest |= {"config": {"tam_required": True}, "item_keys": KEYS, "tam": seal}
    return len(LZ4().compress(msgpack.packb(manifest)))


def main() -> None:
    """Grow many repositories by one to four components, from minutes to weeks apart."""
    chance = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    honest, lost = defaultdict(list), defaultdict(list)
    for _ in range(300):
        names = [f"{name}-{chance.choice(('base', 'systeme', 'documents'))}" for name in ("dpi", "gw1", "laboratoire", "ws1")]
        components, archives, before = names[: chance.randint(1, 4)], {}, 0
        now = datetime(2026, 1, 1, 2) + timedelta(seconds=chance.random() * 1e7)
        for _ in range(chance.randint(3, 120)):
            now += timedelta(seconds=chance.choice((20, 60, 3600, 86400, 86400, 604800)) + chance.random() * 100)
            others, new = list(archives), chance.sample(components, chance.choice((0, 1, 1, len(components))))
            for component in new:
                start = now + timedelta(seconds=chance.random() * 30)
                time = (start + timedelta(seconds=chance.random() * 2)).strftime(ISO)
                archives[f"{component}-{start.strftime(ISO)}"] = {"id": os.urandom(32), "time": time}
            after = size(archives, now)
            if others and before:
                honest[len(new)].append(after - before)
                gone = chance.choice(others)
                left = {name: entry for name, entry in archives.items() if name != gone}
                lost[len(new)].append(size(left, now) - before)
            before = after
    for number in sorted(honest):
        grown, shrunk = sorted(honest[number]), sorted(lost[number])
        median, most = shrunk[len(shrunk) // 2], shrunk[len(shrunk) * 99 // 100]
        line = f"{number} new: {len(grown)} lists, honest {grown[0]} to {grown[-1]}; one lost: median {median}, 99 % below {most}"
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
