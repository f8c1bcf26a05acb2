"""Only authentic packages, from declared sources: tried through every source of the host (PSSI 4.5.4)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pgssi.verify import not_verified

TRIALS = json.loads(Path(__file__).with_name("repositories.json").read_text("utf-8"))
WORDS = {
    "unsigned": "dépôt sans signature",
    "stranger": "dépôt signé d'une clé inconnue",
    "altered": "index altéré",
    "expired": "dépôt périmé",
    "fetched-altered": "paquet altéré",
    "installed-unsigned": "paquet d'un dépôt sans signature",
}
OFFICIAL = re.compile(r"(^|\.)(debian\.org|ubuntu\.com)$")


@pytest.mark.rule("packages-signed-only")
def test_unauthentic_is_refused(on_host: Callable[..., Any], observe: Callable[[str], None]) -> None:
    """Trial repositories, one sound and five not, are offered to a private apt under the options of the host and its sources."""
    seen = on_host("attacks", key=TRIALS["key"], repositories=TRIALS["repositories"])
    accepted = [one for one in seen["accepted"] if one[2] not in ("good", "package")]
    known = {(source, program) for source, program, name in seen["accepted"] if name == "good"}
    wrong = sorted({f"{WORDS[name]} accepté ({source})" for source, _, name in accepted})
    observe(f"{seen['sources']} jeux d'options de sources, {len(known)} essais du dépôt sain admis, {len(wrong)} refus manquants")
    assert not wrong, " ; ".join(wrong)
    if len(known) < 2 * seen["sources"] or not seen["fetched_good"]:
        not_verified(f"même le dépôt sain est refusé : {seen['said'].strip()[-200:]}")


@pytest.fixture(scope="session")
def read(on_host: Callable[..., Any]) -> Mapping[str, list[list[Any]]]:
    """What apt reads, and the keys that it trusts for that."""
    return dict(on_host("sources"))


@pytest.mark.rule("packages-declared-sources")
def test_sources_are_declared(
    read: Mapping[str, list[list[Any]]], site: Mapping[str, Any], codename: str, observe: Callable[[str], None]
) -> None:
    """Apt's own list of what it would read at the next update is compared with the declared sources, address, suite and key."""
    declared = {
        (uri.rstrip("/"), suite.replace("{codename}", codename).rstrip("/"), source["signed_by"])
        for source in site.get("site_package_sources") or ()
        for uri in source["uris"]
        for suite in source["suites"]
    }
    if not read["sources"]:
        not_verified("apt ne lit aucun dépôt")
    strangers = set()
    for uri, suite, key in read["sources"]:
        if declared:
            if (uri, suite, key) not in declared:
                strangers.add(f"{uri} {suite} (clé {key or 'non désignée'}) n'est pas déclarée")
        elif not OFFICIAL.search(re.sub(r"^[a-z+]+://([^/:]*).*", r"\1", uri)):
            strangers.add(f"{uri} n'est pas un dépôt officiel")
        elif not key and not uri.startswith("https:"):
            strangers.add(f"{uri} : ni HTTPS ni clé désignée")
    observe(f"{len(read['sources'])} dépôts lus, {len(declared)} déclarés")
    assert not strangers, " ; ".join(sorted(strangers)[:5])


@pytest.mark.rule("packages-declared-sources")
def test_keys_are_those_of_their_publisher(
    read: Mapping[str, list[list[Any]]], site: Mapping[str, Any], observe: Callable[[str], None]
) -> None:
    """Each file of keys that apt trusts is compared with the package that brought it, or with the declared digest."""
    digests = {source["signed_by"]: source.get("keyring_sha256") for source in site.get("site_package_sources") or ()}
    strangers, unknown = [], []
    for path, for_all, package, altered, digest in read["keyrings"]:
        if digests.get(path):
            strangers += [f"{path} n'a pas l'empreinte déclarée"] if digest != digests[path] else []
        elif package:
            strangers += [f"{path} n'est plus tel que le paquet {package} l'a apporté"] if altered else []
        elif for_all:
            strangers.append(f"{path}, qu'aucun paquet n'a apporté, vaut pour tout dépôt sans clé désignée")
        else:
            unknown.append(path)
    told = f", sans paquet ni empreinte déclarée : {', '.join(unknown)}" if unknown else ""
    observe(f"{len(read['keyrings'])} trousseaux{told}")
    assert not strangers, " ; ".join(strangers[:5])
