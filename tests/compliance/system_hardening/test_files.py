"""Every file of the local disks, looked at once: owners, shared folders, special rights, what an ordinary account opens."""

from __future__ import annotations

import json
import shlex
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pgssi.baseline import NEEDLESS_PROGRAMS, SPECIAL_FOLDERS, SPECIAL_PROGRAMS
from pgssi.verify import not_verified

SCRIPT = Path(__file__).with_name("on_files.py").read_text("utf-8")
FOREIGN = tuple(f"/var/lib/{name}" for name in ("containers", "docker", "incus", "kubelet", "lxc", "lxd", "machines"))


@pytest.fixture(scope="session")
def files(facts, site):
    """What is odd among the files of the host."""
    asked = json.dumps({"skipped": site.get("system_hardening_foreign_folders", FOREIGN)})
    answer = facts.result("hardening-files", f"python3 -c {shlex.quote(SCRIPT)} {shlex.quote(asked)}", timeout=600)
    if answer.rc:
        not_verified(f"l'hôte ne répond pas : {answer.stderr.strip()[-200:]}")
    return json.loads(answer.stdout)


@pytest.fixture(scope="session")
def declared(site):
    """Programs that the site lets have special rights."""
    return site.get("system_hardening_special_rights", [])


def few(paths):
    """Return the first paths, and how many there are."""
    return f"{', '.join(paths[:8])}{' …' if len(paths) > 8 else ''} ({len(paths)})"


@pytest.mark.rule("files-owned")
def test_owners(files, observe):
    """Each file of the local disks is looked at; its owner and its group must have a name."""
    observe(f"{files['files']} fichiers, {len(files['unowned'])} sans propriétaire connu")
    assert not files["unowned"], f"sans propriétaire connu : {few(files['unowned'])}"


@pytest.mark.rule("folders-shared-sticky")
def test_shared_folders(files, observe):
    """Each folder of the local disks is looked at; one that all may write in must have the sticky bit."""
    observe(f"{len(files['open'])} dossiers ouverts à tous sans sticky bit")
    assert not files["open"], f"ouvert à tous sans sticky bit : {few(files['open'])}"


@pytest.mark.rule("files-special-rights-known")
def test_special_rights(files, declared, observe):
    """Each program with special rights must be, bit for bit, what the package that made it for that brought, or be declared."""
    odd = []
    for path, mode, package, altered in files["special"]:
        made = bool(package) and path.startswith(SPECIAL_FOLDERS) and Path(path).name in SPECIAL_PROGRAMS and not altered
        if not made and not any(fnmatchcase(path, pattern) for pattern in declared):
            odd.append(f"{path} {mode} ({f'{package}, modifié depuis' if altered else package or 'aucun paquet'})")
    observe(f"{len(files['special'])} programmes à droits spéciaux, {len(odd)} inattendus")
    assert not odd, f"droits spéciaux inattendus : {few(odd)}"


@pytest.mark.rule("files-not-world-writable")
def test_writable(files, observe):
    """Each file of the local disks is looked at; none may be writable by every account."""
    observe(f"{len(files['writable'])} fichiers inscriptibles par tous")
    assert not files["writable"], f"inscriptible par tous : {few(files['writable'])}"


@pytest.mark.rule("files-sensitive-closed")
def test_sensitive(files, observe):
    """A process of an ordinary account tries to open keys, sudo rights, planned jobs, logs and the folder of root."""
    observe(f"{len(files['readable'])} fichiers sensibles ouverts")
    assert not files["readable"], f"lisible d'un compte ordinaire : {few(files['readable'])}"


@pytest.mark.rule("files-special-rights-few")
def test_few(files, declared, observe):
    """The live mode of each program with special rights is read; those that nobody here needs must have none left."""
    special = {path: mode for path, mode, *_ in files["special"]}
    kept = [f"{path} {special[path]}" for path in NEEDLESS_PROGRAMS if path in special and path not in declared]
    observe(f"{len(special)} programmes à droits spéciaux, {len(kept)} inutiles")
    assert not kept, f"droits de root inutiles : {few(kept)}"


@pytest.mark.rule("boot-folder-closed")
def test_boot(files, observe):
    """A process of an ordinary account tries to list /boot and to open the kernel there."""
    observe("fermé" if not files["boot"] else "ouvert")
    assert not files["boot"], f"lisible d'un compte ordinaire : {few(files['boot'])}"
