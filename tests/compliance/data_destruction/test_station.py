"""Where media are erased: a rehearsal that is read from outside the program, and requests that must be refused (PSSI 3.1.4)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.destruction import register
from pgssi.verify import not_applicable

PROGRAM = "/usr/local/sbin/pgssi-media"
SIZE = 8 << 20
LATE = "2099-01-01T00:00:00+00:00"


class Trial:
    """A file that stands for a medium, full of markers; what it holds is read by dd and tr, not by the program."""

    def __init__(self, host: Host, marker: str) -> None:
        self.host, self.path = host, f"/var/tmp/pgssi-essai-{marker}"
        host.check_output(f"yes {marker} | head -c {SIZE} > {self.path}")

    def rehearse(self, destination: str, kind: str) -> Mapping[str, Any]:
        """Erase it by the program, and return what the program says, with the bytes that the kernel has counted."""
        before = self.counted()
        done = self.host.run(f"{PROGRAM} rehearse {self.path} {destination} {kind}", timeout=240)
        assert done.stdout.strip().startswith("{"), (
            f"l'essai d'effacement n'a pas eu lieu : {(done.stderr or done.stdout)[-300:]}"
        )
        return {**json.loads(done.stdout), "written": self.counted() - before}

    def counted(self) -> int:
        """Return what the kernel has counted as written to all loop devices."""
        shown = self.host.check_output("cat /sys/block/loop*/stat 2>/dev/null; true")
        return sum(int(line.split()[6]) * 512 for line in shown.splitlines())

    def left(self) -> int:
        """Return how many of its bytes are not zero."""
        return int(self.host.check_output(f"tr -d '\\000' < {self.path} | wc -c"))


@pytest.fixture
def trial(host: Host) -> Iterator[Trial]:
    """A medium of one test, which goes with it."""
    assert host.run(f"test -x {PROGRAM}").rc == 0, "aucun programme d'effacement : jouer playbooks/data_destruction.yml"
    medium = Trial(host, secrets.token_hex(8))
    yield medium
    host.run(f"rm -f {medium.path}")


@pytest.mark.rule("destruction-zero-pass")
@pytest.mark.acts
def test_a_trial_medium_is_blank(trial: Trial, observe: Callable[[str], None]) -> None:
    """A file of markers is erased through a loop device, then every byte of it is counted by other programs."""
    said = trial.rehearse("internal", "disk")
    left = trial.left()
    observe(f"{left} octets non nuls sur {SIZE} ; le programme dit : {said['result']}")
    assert said["result"] == "erased", said["reason"]
    assert left == 0, f"{left} octets restent"


@pytest.mark.rule("destruction-reinforced")
@pytest.mark.acts
@pytest.mark.parametrize(("kind", "passes"), [("disk", 3), ("flash", 1)])
def test_the_kernel_counts_the_passes(trial: Trial, kind: str, passes: int, observe: Callable[[str], None]) -> None:
    """A file of markers leaves the site, as a disk then as flash memory, and the kernel's counters tell the passes."""
    said = trial.rehearse("external", kind)
    left = trial.left()
    observe(f"{kind} : {said['written'] / SIZE:.1f} écritures complètes, {left} octets non nuls ; {said['result']}")
    assert said["result"] == "erased", said["reason"]
    assert said["written"] >= passes * SIZE, f"{said['written'] / SIZE:.1f} écritures au lieu de {passes}"
    assert left == 0, f"{left} octets restent"


def asked(host: Host, **changes: Any) -> Sequence[Mapping[str, str]]:
    """Ask for the erasure of the system's own disk, which must be refused; return the reasons.

    What would be accepted is cancelled at once: nothing is written before a job is run.
    """
    script = f"{PROGRAM} inventory"
    disks = json.loads(host.check_output(script)) if host.run(f"test -x {PROGRAM}").rc == 0 else []
    assert disks, "aucun programme d'effacement : jouer playbooks/data_destruction.yml"
    system = next((disk for disk in disks if disk["system"] and disk["serial"]), None)
    if system is None:
        not_applicable("le disque système de cet hôte n'a pas de numéro de série")
    serial = system["serial"]
    request = {"serial": serial, "typed": serial, "destination": "internal", "palier": 1, "guidance": "pssi", "operator": "essai",
               "content": {"worthless": "essai de conformité"}, "detached": [],
               "approval": {"by": "autre", "serial": serial, "destination": "internal", "until": LATE}, **changes}  # fmt: skip
    done = host.run(f"{PROGRAM} request", stdin=json.dumps(request).encode(), timeout=120)
    answer = json.loads(done.stdout)
    if "job" in answer:
        host.run(f"{PROGRAM} cancel {answer['job']}")
    assert "job" not in answer, f"la demande d'effacer {system['path']} a été acceptée"
    told: Sequence[Mapping[str, str]] = answer["refusals"]
    return told


@pytest.mark.rule("destruction-refuses-in-use")
@pytest.mark.acts
def test_the_system_disk_is_refused(host: Host, observe: Callable[[str], None]) -> None:
    """A request that nothing is missing from asks for the system's own disk."""
    told = asked(host)
    observe(" ; ".join(one["text"] for one in told))
    assert {"system", "mounted"} <= {one["code"] for one in told}, "le disque système n'est pas refusé comme tel"


@pytest.mark.rule("destruction-needs-consent")
@pytest.mark.acts
def test_what_nobody_backed_up_or_agreed_to_is_refused(host: Host, observe: Callable[[str], None]) -> None:
    """Requests without a backup, without an agreement, and with one's own agreement are each refused for that reason."""
    for changes, code in (
        ({"content": {}}, "content_undeclared"),
        ({"approval": {}}, "approval_missing"),
        ({"operator": "autre"}, "approval_self"),
    ):
        told = asked(host, **changes)
        observe(" ; ".join(one["text"] for one in told))
        assert code in {one["code"] for one in told}, f"{code} n'est pas une raison de refus"


@pytest.mark.rule("destruction-certificate")
def test_what_left_has_its_sheet(
    site: Mapping[str, Any], evidence: Sequence[Mapping[str, Any]], observe: Callable[[str], None]
) -> None:
    """The register of media is compared with the signed sheets of the evidence journal, serial number by serial number."""
    left = register.gone(site.get("site_media") or (), date.today())
    if not left:
        not_applicable("aucun support n'a quitté le registre")
    missing = sorted(one["serial"] for one in left if not any(register.answers(record, one, evidence) for record in evidence))
    observe(f"{len(left)} supports partis, {len(left) - len(missing)} fiches signées")
    assert not missing, f"sans fiche signée : {', '.join(missing)}"
