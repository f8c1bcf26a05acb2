"""What the kernel was started with and will be started with next, and who may change that at the console (BP-028 R5, R7, R8)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from pgssi.baseline import BOOT_PARAMETERS, PROTECTIONS_OFF
from pgssi.verify import not_applicable, not_verified

GRUB = "for file in grub.cfg custom.cfg; do test ! -e /boot/grub/$file || cat /boot/grub/$file; done"
SAVED = "test ! -e /boot/grub/grubenv || sed -n 's/^saved_entry=//p' /boot/grub/grubenv"
# What the running kernel shows of its parameters besides its command line: what is asked, and what it answers when they work.
EFFECTS = {
    "slab_nomerge=yes": ("find /sys/kernel/slab -maxdepth 1 -type l | wc -l", "0"),
    "page_alloc.shuffle=1": ("cat /sys/module/page_alloc/parameters/shuffle", "Y"),
    "slub_debug=FZP": ("cat /sys/kernel/slab/kmalloc-64/red_zone", "1"),
    # Not of meltdown in vulnerabilities: a processor that does not need it says there that it is not affected.
    "pti=on": ("grep -q -w pti /proc/cpuinfo; echo $?", "0"),
}
ENTRY = re.compile(r"^\s*(?:menuentry|submenu)\s.*\{$", re.MULTILINE)
# What gives root to whoever starts by it.
ROOT = re.compile(
    r"(?:rd)?init=|single$|s$|S$|1$|rescue$|emergency$|rd\.break|systemd\.unit=(?:rescue|emergency)|systemd\.debug[-_]shell"
)
KERNEL = re.compile(r"^\s*linux(?:16|efi)?\s+\S*/vmlinuz\S*(.*)$", re.MULTILINE)


@pytest.fixture(scope="session")
def starts(facts, kernel) -> Mapping[str, list[list[str]]]:
    """The command lines of the kernel, in words: the one that runs, and those of the entries that GRUB offers."""
    kernel.own()
    running = facts("hardening-cmdline", "cat /proc/cmdline")
    offered = [found[1] for found in KERNEL.finditer(facts("hardening-grub", GRUB))]
    return {"noyau qui tourne": [understood(running)], "prochain démarrage": [understood(line) for line in offered]}


def understood(line: str) -> list[str]:
    """Return the words of a command line as the kernel takes them: without quotes, and with - for _ in a name."""
    words = [word.partition("=") for word in line.replace('"', "").split()]
    return [name.replace("-", "_") + equals + value for name, equals, value in words]


def missing(words: list[str], wanted: list[str]) -> list[str]:
    """Return what a command line lacks; the last value of a parameter is the one that counts."""
    last = {word.split("=", 1)[0]: word for word in words}
    return [word for word in wanted if last.get(word.split("=", 1)[0]) != word]


def asked(site, *names: str) -> list[str]:
    """Return the parameters that the site asks for; end the test when it asks for none."""
    words = [word for name in names if name in site.get("system_hardening_boot", []) for word in BOOT_PARAMETERS[name]]
    if not words:
        not_applicable("le site ne le demande pas pour cet hôte (system_hardening_boot)")
    return words


def lacks(starts: Mapping[str, list[list[str]]], wanted: list[str]) -> list[str]:
    """Return what each start lacks, in one line each."""
    found = {when: sorted({word for words in lines for word in missing(words, wanted)}) for when, lines in starts.items()}
    return [f"{when} sans {', '.join(words)}" for when, words in found.items() if words]


@pytest.mark.rule("processor-protections-on")
def test_protections(starts, observe):
    """The words that the kernel was started with, and those of each entry of GRUB, are searched for those that switch off."""
    said = {when: {word for words in lines for word in words} for when, lines in starts.items()}
    found = {when: sorted(words.intersection(PROTECTIONS_OFF)) for when, words in said.items()}
    observe(f"1 noyau en marche, {len(starts['prochain démarrage'])} entrées de GRUB")
    assert not any(found.values()), " ; ".join(f"{when} avec {', '.join(words)}" for when, words in found.items() if words)


@pytest.mark.rule("boot-memory-protected")
def test_memory(facts, site, starts, observe):
    """The running kernel is asked for the parameters and for the effects that it shows; GRUB's entries for the next start."""
    wanted = asked(site, "memory", "costly")
    faults = lacks(starts, wanted)
    for word, (question, expected) in EFFECTS.items():
        if word in wanted:
            answer = facts.result(f"hardening-boot-{word}", question)
            if answer.rc == 0 and answer.stdout.strip() != expected:
                faults.append(f"{word} sans effet")
    observe(f"{len(wanted)} paramètres demandés, {len(faults)} écarts")
    assert not faults, " ; ".join(faults)


@pytest.mark.rule("boot-iommu-forced")
def test_iommu(site, starts, observe):
    """The words of the running kernel and of GRUB's entries are searched for the forced IOMMU."""
    faults = lacks(starts, asked(site, "iommu"))
    observe("IOMMU imposée" if not faults else "IOMMU non imposée")
    assert not faults, " ; ".join(faults)


@pytest.mark.rule("boot-loader-locked")
def test_boot_loader(facts, kernel, site, observe):
    """GRUB's configuration is read as GRUB does: a password before the first entry, and for all but those that start a server."""
    if not site.get("system_hardening_boot_password", ""):
        not_applicable("le site ne le demande pas pour cet hôte (system_hardening_boot_password)")
    kernel.own()
    text = facts("hardening-grub", GRUB)
    if not KERNEL.search(text):
        not_verified("GRUB ne démarre pas cet hôte : vérifier le mot de passe du chargeur à la console")
    head = text[: ENTRY.search(text).start()] if ENTRY.search(text) else text
    people = re.findall(r'^\s*set superusers="([^"]*)"', text, re.MULTILINE)
    hashed = set(re.findall(r"^\s*password_pbkdf2 (\S+) grub\.pbkdf2\.", head, re.MULTILINE))
    faults = []
    if not people or not set(re.split(r"[\s,;&|]+", people[-1])) & hashed or len(set(people)) > 1:
        faults.append("aucun mot de passe n'est demandé à qui change une entrée")
    if "export superusers" not in head:
        faults.append("les sous-menus ne le demandent pas")
    if re.search(r"^\s*password ", text, re.MULTILINE):
        faults.append("un mot de passe est écrit en clair")
    blocks = re.split(r"^(?=\s*menuentry\s)", text, flags=re.MULTILINE)[1:]
    opened = [block for block in blocks if "--unrestricted" in block.partition("{")[0] and gives_root(block)]
    if opened:
        faults.append(f"{len(opened)} entrées donnent root sans mot de passe")
    if people and not started(text, facts("hardening-grub-saved", SAVED)):
        faults.append("le prochain démarrage attendrait le mot de passe")
    observe(f"mot de passe de {len(hashed)} compte, {len(ENTRY.findall(text))} entrées")
    assert not faults, " ; ".join(faults)


def gives_root(block: str) -> bool:
    """Tell whether an entry starts the kernel with something that gives root."""
    return any(ROOT.match(word) for found in KERNEL.finditer(block) for word in found[1].split())


def started(text: str, saved: str) -> bool:
    """Tell whether the entry that starts by default asks for nothing; saved: the entry that was chosen to stay."""
    defaults = re.findall(r'^\s*set default="(.*)"$', text, re.MULTILINE)
    name = next((name for name in reversed(defaults) if name != "${next_entry}"), "0")
    if name == "${saved_entry}":
        name = saved.strip() or "0"
    entries = [entry for entry in ENTRY.findall(text) if entry.lstrip().startswith("menuentry")]
    last = name.split(">")[-1]
    default = entries[:1] if name == "0" else [entry for entry in entries if f"'{last}'" in entry or f'"{last}"' in entry]
    return bool(default) and all("--unrestricted" in entry for entry in default)
