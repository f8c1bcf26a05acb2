"""SSH servers: what each one that listens really negotiates, allows and refuses (ANSSI, use of OpenSSH; PSSI 4.2.2.5).

Algorithms are read from the wire, from every server that listens, and a client that knows only the weak ones is refused.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgssi.verify import not_verified
from pgssi.verify.sshd_views import views

SCRIPT = Path(__file__).with_name("ssh_on_host.py").read_text("utf-8")
# A whole group of 3072 bits, or a curve of 256: ANSSI R9, R10 and its guide to cryptographic mechanisms.
KEX = re.compile(
    r"(mlkem768x25519-sha256|sntrup761x25519-sha512(@openssh\.com)?|curve(25519-sha256(@libssh\.org)?|448-sha512)"
    r"|ecdh-sha2-nistp(256|384|521)|diffie-hellman-group1[5-8]-sha512)$"
)
AES = re.compile(r"aes(128|192|256)-ctr$|aes(128|256)-gcm@openssh\.com$")
CHACHA = "chacha20-poly1305@openssh.com"  # sound only where both ends count from the first packet on (CVE-2023-48795)
MAC = re.compile(r"hmac-sha2-(256|512)(-etm@openssh\.com)?$")
HOST_KEY = re.compile(r"(sk-)?(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|rsa-sha2-(256|512))(-cert-v01)?(@openssh\.com)?$")
BITS = {"RSA": 2048, "ECDSA": 256, "ED25519": 256}
NONE_IN_COMMON = "Unable to negotiate"
ALIKE = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=10", "LogLevel=INFO", "IdentityAgent=none")


@dataclass(frozen=True)
class Servers:
    """The SSH servers of the host. offers: one for each address family; options: how a client speaks to them."""

    offers: list[dict[str, Any]]
    facts: Any

    def not_allowed(self, allowed: re.Pattern[str], *parts: str) -> list[str]:
        """Return what servers offer beyond what is allowed, each with its place."""
        return sorted(
            {
                f"{name} ({offer['port']})"
                for offer in self.offers for part in parts for name in offer[part]
                if not allowed.match(name) and not (name == CHACHA and offer["strict"] and part.startswith("ciphers"))
            }
        )  # fmt: skip

    def taken(self, option: str, allowed: re.Pattern[str], question: str) -> list[str]:
        """Return the servers that agree with a client of the host that knows only what is not allowed."""
        known = self.facts(f"ssh-Q:{question}", f"ssh -Q {question}").split()
        weak = [name for name in known if not allowed.match(name) and name != CHACHA and "-cert-" not in name]
        found = []
        for number, port in enumerate(sorted({offer["port"] for offer in self.offers})):
            options = " ".join(f"-o {one}" for one in (*ALIKE, "PreferredAuthentications=none", f"{option}={','.join(weak)}"))
            command = f"ssh -F none -T -p {port} -b 127.8.9.{number + 1} {options} personne@127.0.0.1 true </dev/null"
            said = self.facts.result(f"ssh-weak:{option}:{port}", command).stderr
            if NONE_IN_COMMON in said:
                continue
            if "Permission denied" not in said and "Banner" not in said:
                not_verified(f"le client faible n'a pas eu de réponse : {said.strip()[-200:]}")
            found.append(f"port {port}")
        return found


@pytest.fixture(scope="session")
def servers(facts) -> Servers:
    """What every SSH server that listens offers; without any, or when one does not answer, nothing is verified."""
    answer = facts.result("ssh-offers", f"python3 -c {shlex.quote(SCRIPT)}", timeout=120)
    if answer.rc:
        not_verified(f"offres illisibles : {answer.stderr.strip()[-200:]}")
    offers = json.loads(answer.stdout)
    mute = [f"{offer['port']} ({offer['fault']})" for offer in offers if "fault" in offer]
    if mute or not offers:
        not_verified(f"serveur SSH sans réponse : {', '.join(mute) or 'aucun n’écoute'}")
    return Servers(offers, facts)


@pytest.mark.rule("ssh-key-exchange-strong")
def test_key_exchange(servers, observe):
    """Each server's own list is read from the wire, and a client that knows only weaker key exchanges finds none in common."""
    weak = servers.not_allowed(KEX, "kex")
    taken = servers.taken("KexAlgorithms", KEX, "kex")
    observe(f"{len(servers.offers)} serveur(s) ; échanges de clés faibles : {', '.join(weak) or 'aucun'}")
    assert not weak, f"échanges de clés faibles offerts : {', '.join(weak)}"
    assert not taken, f"un client faible s'entend avec : {', '.join(taken)}"


@pytest.mark.rule("ssh-ciphers-strong")
def test_ciphers(servers, observe):
    """Each server's list is read from the wire both ways, and a client that knows only other ciphers finds none in common."""
    weak = servers.not_allowed(AES, "ciphers_in", "ciphers_out")
    taken = servers.taken("Ciphers", AES, "cipher")
    observe(f"{len(servers.offers)} serveur(s) ; chiffrements faibles : {', '.join(weak) or 'aucun'}")
    assert not weak, f"chiffrements faibles offerts : {', '.join(weak)}"
    assert not taken, f"un client faible s'entend avec : {', '.join(taken)}"


@pytest.mark.rule("ssh-integrity-strong")
def test_integrity(servers, observe):
    """Each server's list is read from the wire both ways, and a client that knows only other codes finds none in common."""
    weak = servers.not_allowed(MAC, "macs_in", "macs_out")
    # Without a cipher that checks by itself, else the code is not negotiated at all.
    taken = servers.taken("Ciphers=aes128-ctr,aes256-ctr,aes192-ctr -o MACs", MAC, "mac")
    observe(f"{len(servers.offers)} serveur(s) ; codes d'intégrité faibles : {', '.join(weak) or 'aucun'}")
    assert not weak, f"codes d'intégrité faibles offerts : {', '.join(weak)}"
    assert not taken, f"un client faible s'entend avec : {', '.join(taken)}"


@pytest.mark.rule("ssh-host-keys-strong")
def test_host_keys(servers, observe):
    """Each server's list of signatures is read from the wire, and the size of every host key that it shows is measured."""
    weak = servers.not_allowed(HOST_KEY, "host_keys")
    shown = {(kind, bits) for offer in servers.offers for bits, kind in offer["keys"]}
    short = sorted(f"{kind} {bits} bits" for kind, bits in shown if bits < BITS.get(kind, 1 << 20))
    observe(f"clés d'hôte : {', '.join(sorted(f'{kind} {bits}' for kind, bits in shown)) or 'illisibles'}")
    if not shown:
        not_verified("aucune clé d'hôte n'a pu être lue")
    assert not weak, f"signatures d'hôte faibles offertes : {', '.join(weak)}"
    assert not short, f"clés d'hôte trop courtes : {', '.join(short)}"


@pytest.mark.rule("ssh-host-keys-private")
def test_host_keys_are_private(host, facts, observe):
    """Each private key that a running sshd names is looked at, and an ordinary account tries to read it."""
    paths = sorted({path for view in views(facts, "root") for path in view.get("hostkey").split()})
    state = 'for f; do stat -Lc "%n %U %a" "$f"; done'
    tried = (
        'for f; do setpriv --reuid=nobody --regid=nogroup --clear-groups head -c 1 "$f" >/dev/null 2>&1 && echo "$f"; done; true'
    )
    listed = host.run(f"sh -c %s sh {' '.join(map(shlex.quote, paths))}", state).stdout.splitlines()
    found = [line.rsplit(" ", 2) for line in listed]
    open_ = host.run(f"sh -c %s sh {' '.join(map(shlex.quote, paths))}", tried).stdout.split()
    loose = [f"{name} ({owner}, {mode})" for name, owner, mode in found if owner != "root" or int(mode, 8) & 0o077]
    observe(f"{len(found)} clé(s) d'hôte, {len(loose)} ouverte(s)")
    if not found:
        not_verified("aucune clé d'hôte n'a été trouvée")
    assert not loose, f"clés d'hôte ouvertes à d'autres que root : {', '.join(loose)}"
    assert not open_, f"un compte ordinaire lit : {', '.join(open_)}"


@pytest.mark.rule("ssh-version-discreet")
def test_version(servers, observe):
    """The first line that each server sends is read: it names the protocol and the program, not the package nor its revision."""
    told = sorted({offer["name"] for offer in servers.offers})
    observe(", ".join(told))
    talkative = [name for name in told if " " in name or re.search(r"(?i)debian|ubuntu|\+deb", name)]
    assert not talkative, f"le serveur dit sa révision : {', '.join(talkative)}"
