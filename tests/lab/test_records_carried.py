"""Ten thousand records under way while the log server restarts three times and the link is cut twice: all there, once."""

from __future__ import annotations

import secrets
import time

from pgssi.lab.lifecycle import Lab
from pgssi.lab.podman import inside

from .support import INVENTORY, play

SENDER, SERVER = "dpi1", "log1"
COUNT = 10_000
# 10,000 records in half a minute, so that the outages fall among them.
BURST = """
import socket, time
line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
line.connect("/dev/log")
for number in range({count}):
    line.send(b"<13>{mark}: n=%05d" % number)
    if number % 100 == 99:
        time.sleep(0.3)
"""
CUT = """
nft add table inet essai
nft add chain inet essai in '{ type filter hook input priority -10; }'
nft add chain inet essai out '{ type filter hook output priority -10; }'
nft add rule inet essai in tcp dport 20514 drop
nft add rule inet essai out tcp sport 20514 drop
"""


def numbers(mark: str) -> list[int]:
    """Return the numbers of the records that the log server has kept, in the order in which it kept them."""
    found = inside(
        f"lab-{SERVER}", f"cat /var/log/pgssi/records/{SENDER}/*/*.log | grep -o '{mark}.* n=[0-9]*' | sed 's/.*n=//'; true"
    )
    return [int(number) for number in found.split()]


def test_ten_thousand_records_through_outages() -> None:
    """The server's rsyslog restarts three times, the link is cut twice, and the sender is killed in the second cut."""
    Lab.load([str(INVENTORY)]).up(SENDER, SERVER, "gw1")
    limit = ("--limit", f"{SENDER},{SERVER},gw1", "-e", "site_palier=3", "-e", "backup_without_change_archives=essai")
    play("audit_trail", *limit).succeeded()
    mark = f"essai{secrets.token_hex(4)}"
    script = BURST.format(count=COUNT, mark=mark)
    inside(f"lab-{SENDER}", f"systemd-run --quiet --collect python3 -c '{script}'")
    seen = []
    for outage in range(3):
        time.sleep(4)
        inside(f"lab-{SERVER}", "systemctl restart rsyslog.service")
        if outage == 2:
            break
        time.sleep(3)
        inside(f"lab-{SERVER}", CUT)
        seen.append(len(numbers(mark)))
        time.sleep(6)
        if outage == 1:
            inside(f"lab-{SENDER}", "systemctl kill --signal=KILL pgssi-log-sender.service")
        time.sleep(6)
        inside(f"lab-{SERVER}", "nft delete table inet essai")
    assert all(0 < count < COUNT for count in seen), f"the outages fell outside of the burst: {seen}"
    end = time.monotonic() + 180
    while len(kept := numbers(mark)) < COUNT and time.monotonic() < end:
        time.sleep(2)
    time.sleep(15)  # what would come twice has had the time to
    kept = numbers(mark)
    missing = sorted(set(range(COUNT)) - set(kept))
    assert not missing, f"{len(missing)} records lost, the first: {missing[:5]}"
    assert len(kept) == COUNT, f"{len(kept) - COUNT} records kept twice"
    assert kept == sorted(kept), "records kept in another order than they were written"
