"""Where records are kept: who may write, who may read, how long, and what tells that they were changed (PSSI 7.2.2)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi import trail
from pgssi.inforce import HostContext
from pgssi.interfaces import addresses_of
from pgssi.paths import ROLES
from pgssi.verify import not_verified
from pgssi.verify.facts import Facts
from pgssi.verify.timers import DAY, one_pass, timer

from .conftest import LATER, Keeper, setting

Observe = Callable[[str], None]
VERIFY = (ROLES / "audit_trail" / "files" / "pgssi-log-verify").read_text("utf-8")
SEAL = "pgssi-log-seal.timer"


@pytest.fixture
def store(site: Mapping[str, Any]) -> str:
    """Where this host keeps the records that it receives."""
    return str(setting(site, "audit_trail_store"))


@pytest.fixture
def own(context: HostContext, groups: Mapping[str, list[str]], site: Mapping[str, Any]) -> tuple[str, str, int]:
    """Name of a sender of this log server, and the address and port where it listens."""
    names = trail.sent_to(context.name, groups)
    assert names, "aucun hôte du site n'envoie ses traces à ce serveur"
    return names[0], addresses_of(site)[0], int(setting(site, "audit_trail_port"))


def record(marker: str, host: str = "essai") -> str:
    """Return a syslog record as a sender writes it."""
    return f'<38>1 2026-01-02T03:04:05.678901+01:00 {host} pgssi-essai 1 - [pgssi@32473 id="{secrets.token_hex(16)}"] {marker}'


@pytest.mark.rule("log-known-senders")
@pytest.mark.acts
def test_strangers_are_refused(
    host: Host, own: tuple[str, str, int], log_identity: Any, offer: Any, store: str, marker: str, observe: Observe
) -> None:
    """Records are offered in clear, without certificate, with a stranger's, with an unknown name, then as a host of the site."""
    name, address, port = own
    attempts = {
        "en clair": {"tls": False},
        "sans certificat": {},
        "d'une autre autorité": {"identity": log_identity(name, other=True)},
        "d'un nom inconnu": {"identity": log_identity(f"inconnu-{secrets.token_hex(3)}")},
        "d'un hôte du site": {"identity": log_identity(name)},
    }
    told = {what: f"{marker}-{number}" for number, what in enumerate(attempts)}
    orders = [{"address": address, "port": port, "record": record(told[what]), **how} for what, how in attempts.items()]
    said = dict(zip(attempts, offer(orders), strict=True))
    found_in(host, told["d'un hôte du site"], store)  # offered last
    for what, answer in said.items():
        kept = host.run("grep -rqsF -e %s %s", told[what], store).rc == 0
        observe(f"{what} : {'gardé' if kept else 'refusé'} ({answer['why']})")
        assert answer["listens"], f"rien n'écoute sur le port {port} : {answer['why']}"
        if what == "d'un hôte du site":
            assert kept, "un hôte du site, avec son certificat, est refusé : les refus ne prouvent rien"
        else:
            assert not kept and not answer["taken"], f"une trace est reçue {what}"


@pytest.mark.rule("log-true-sender")
@pytest.mark.acts
def test_a_liar_is_named(
    host: Host, own: tuple[str, str, int], log_identity: Any, offer: Any, store: str, marker: str, observe: Observe
) -> None:
    """With a good certificate, records claim another host or a path of the disk; they are looked for in all the files kept."""
    name, address, port = own
    claims = [name, "victime", "../../../../tmp/pgssi-essai", "/etc/pgssi-essai"]
    identity = log_identity(name)
    records = [*(record(marker, claim) for claim in claims), record(f"{marker}-last")]
    orders = [{"address": address, "port": port, "record": one, "identity": identity} for one in records]
    answers = offer(orders)
    if not all(answer["taken"] for answer in answers):
        not_verified(f"le serveur ne reçoit pas un hôte du site : {answers[0]['why']}")
    found_in(host, f"{marker}-last", store)
    found = host.run("grep -rlsF -e %s %s /tmp /etc", marker, store).stdout.split()
    observe(f"gardé dans {', '.join(found) or 'rien'}")
    assert found, "la trace reçue n'est pas retrouvée"
    folders = {path.removeprefix(store).split("/")[1] if path.startswith(store) else path for path in found}
    assert not folders & {name, "victime"}, f"une trace est gardée au nom d'un autre hôte : {', '.join(folders)}"
    assert all(path.startswith(store) for path in found), "une trace est écrite hors du dossier des traces"


@pytest.mark.rule("log-store-closed")
@pytest.mark.acts
def test_no_account_reads_the_records(host: Host, store: str, observe: Observe) -> None:
    """Every account of this log server but root tries, as itself, to list the folder of records and to read one of them."""
    path = host.run("find %s -type f -name '*.log' | head -n 1", store).stdout.strip()
    if not path:
        not_verified(f"aucune trace dans {store} : rien à essayer de lire")
    # Without PAM: a session of the break-glass account would be a use of it.
    script = (
        'as() { setpriv --reuid "$name" --regid "$(id -g "$name")" --init-groups -- "$@" >/dev/null 2>&1; }; '
        'cut -d: -f1,3 /etc/passwd | while IFS=: read -r name id; do [ "$id" != 0 ] || continue; '
        'as cat %s && echo "$name lit"; as ls %s && echo "$name liste"; done; cut -d: -f3 /etc/passwd | grep -vcx 0'
    )
    *readers, tried = host.run(script, path, store, timeout=120).stdout.splitlines()
    observe(f"{tried} comptes ont essayé ; {', '.join(readers) or 'aucun ne lit'}")
    assert int(tried) > 5, "presque aucun compte n'a pu essayer"
    assert not readers, f"des comptes accèdent aux traces : {', '.join(readers)}"


@pytest.mark.rule("log-retention")
@pytest.mark.acts
def test_old_records_go(days_kept: Callable[[str], int], planted: Any, store: str, observe: Observe) -> None:
    """Records of each class are planted, two days too old and one day within; the daily job runs, and what is left is read."""
    wanted = {}
    for kind in ("access", "system"):
        days = days_kept(kind)
        wanted[kind] = (days, *planted(f"{store}/pgssi-essai/{kind}/", "{day}.log", days))
        wanted[f"{kind}.gz"] = (days, *planted(f"{store}/pgssi-essai/{kind}/", "{day}.log.gz", days))
    planted.run()
    left = planted.left()
    for kind, (days, old, young) in wanted.items():
        observe(
            f"{kind}, {days} jours, au-delà : {'reste' if old in left else 'effacé'}, "
            f"en deçà : {'reste' if young in left else 'effacé'}"
        )
        assert old not in left, f"{kind} : une trace de plus de {days} jours est restée"
        assert young in left, f"{kind} : une trace de moins de {days} jours a été effacée"


@pytest.mark.rule("log-sealed-elsewhere")
@pytest.mark.acts
def test_seals_tell_what_was_changed(
    host: Host, own: tuple[str, str, int], log_identity: Any, offer: Any, keepers: Any, context: HostContext, store: str,
    marker: str, observe: Observe,
) -> None:  # fmt: skip
    """A record is received and sealed; the other host has its seal, which denounces a copy altered, cut short, taken away."""
    due = timer_fault(host)
    assert not due, due
    name, address, port = own
    offer([{"address": address, "port": port, "record": record(marker), "identity": log_identity(name)}])
    grown = found_in(host, marker, store).removeprefix(f"{store}/")
    assert grown, "une trace d'un hôte du site n'est pas gardée : rien à sceller"
    before = {keeper.name: seals_on(keeper, context.name) for keeper in keepers}
    done = one_pass(host, SEAL.replace(".timer", ".service"), timeout=300)
    assert done.rc == 0, f"le scellement échoue : {done.stderr.strip()[-160:]}"
    for keeper in keepers:
        end, fresh = time.monotonic() + LATER, False
        while not fresh and time.monotonic() < end:
            time.sleep(0.5)
            seals = seals_on(keeper, context.name)
            fresh = f" file={grown} " in seals.removeprefix(before[keeper.name])
        observe(f"{len(seals.splitlines())} sceaux sur {keeper.name}")
        assert fresh, f"le sceau d'une trace reçue n'est pas arrivé sur {keeper.name} en {LATER:.0f} s"
        whole = check(host, store, seals)
        observe(f"original : {whole.strip()[:160]}")
        assert whole.strip() == "conforme aux sceaux", whole.strip()[:300]
        name = next(line.split(" file=")[1].split()[0] for line in reversed(seals.splitlines()))
        copy = host.check_output("mktemp -d /run/pgssi-essai.XXXXXX").strip()
        try:
            for what, act, word in (
                ("altérée", "sed -i '1s/./X/' %s", "altéré"),
                ("tronquée", "truncate -s -1 %s; [ -s %s ]", "tronqué"),
                ("enlevée", "rm %s", "absent"),
            ):
                host.check_output("rm -rf %s; cp -a %s %s", copy, store, copy)
                size = next(
                    int(line.split(" bytes=")[1].split()[0]) for line in reversed(seals.splitlines()) if f"file={name} " in line
                )
                host.check_output("truncate -s %s %s", str(size), f"{copy}/{name}")
                path = f"{copy}/{name}"
                host.check_output(act, *([path] * act.count("%s")))
                said = check(host, copy, seals)
                observe(f"copie {what} : {said.strip()[:120]}")
                assert f"{name} : {word}" in said, f"une copie {what} n'est pas dénoncée"
        finally:
            host.run("rm -rf %s", copy)


def found_in(host: Host, marker: str, store: str) -> str:
    """Return the file that keeps a record, once there is one; nothing when the time that it may take is over."""
    end = time.monotonic() + LATER
    while not (path := host.run("grep -rlsF -m 1 -e %s %s", marker, store).stdout.strip()) and time.monotonic() < end:
        time.sleep(0.5)
    return str(path)


def seals_on(keeper: Keeper, name: str) -> str:
    """Return the seals of a host that another one holds."""
    return str(keeper.host.run("cat $(ls %s/*.log | sort) | grep -F ' seal run='", f"{keeper.store}/{name}/access").stdout)


def timer_fault(host: Host) -> str:
    """Return in French why the daily seal would not be made; else nothing."""
    return timer(Facts(host), SEAL).fault("scellement des traces", DAY)


def check(host: Host, store: str, seals: str) -> str:
    """Compare a folder of records on the host with seals, by the toolkit's own verification and not the host's."""
    script = f"import sys, io\nsys.argv = ['-', {store!r}]\nsys.stdin = io.StringIO({seals!r})\n{VERIFY}"
    return str(host.run("python3 -I -", stdin=script.encode(), timeout=120).stdout)
