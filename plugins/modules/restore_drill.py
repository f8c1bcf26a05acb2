#!/usr/bin/python
"""Restore one component into a scratch host for real, compare it, open its database, and leave nothing behind."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Rehearse the restore of one component
description:
  - Extracts the newest archive that the backup server knows, measures how long it takes, compares content,
    owners, modes, ACLs and extended attributes with the source, opens databases and runs their checks.
  - What was restored is removed again, also when something fails.
options:
  component: {description: Component of the backup plan., type: dict, required: true}
  repository: {description: borg URL of the repository., type: str, required: true}
  server: {description: "Backup server: name, address, port, authority (its CA line).", type: dict, required: true}
  key: {description: Private key whose certificate opens the repository for the drill., type: path, required: true}
  passphrase: {description: What opens the repository., type: str, required: true}
  source: {description: What M(pgssi.toolkit.tree_state) said of the source., type: str, default: ""}
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Rehearse
  pgssi.toolkit.restore_drill:
    component: "{{ component }}"
    repository: ssh://borg-dpi1@bkp1/srv/pgssi-backup/dpi1/borg/main
    server: {name: bkp1, address: 10.90.3.10, port: 8022, authority: "{{ authority }}"}
    key: /run/pgssi-drill/id_ed25519
    passphrase: "{{ hostvars.dpi1.site_backup_passphrase }}"
"""

RETURN = r"""
checks:
  description: "What was checked: [{check, ok, observed}]."
  returned: always
  type: list
"""

import base64
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import zlib
from datetime import datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.trees import compare, describe

TEXTS = {
    "missing": "Tous les fichiers sont revenus",
    "content": "Contenu identique (SHA-256)",
    "owner": "Propriétaires et groupes identiques",
    "mode": "Droits identiques",
    "attributes": "ACL et attributs étendus identiques",
}


class Drill:
    """One rehearsal: where it works, and what it has checked so far."""

    def __init__(self, module: AnsibleModule, work: Path) -> None:
        self.params, self.work, self.checks = module.params, work, []
        server = self.params["server"]
        known = work / "known_hosts"
        known.write_text(f"@cert-authority {server['name']} {server['authority']}\n", "utf-8")
        self.ssh = (
            f"ssh -i {self.params['key']} -p {server['port']} -o HostName={server['address']} -o HostKeyAlias={server['name']} "
            f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes"
        )

    def check(self, what: str, ok: bool, observed: str) -> None:
        self.checks.append({"check": what, "ok": ok, "observed": observed})

    def borg(self, *arguments: str, cwd: Path | None = None) -> str:
        secret = {"BORG_PASSPHRASE": self.params["passphrase"], "BORG_RSH": self.ssh, "BORG_REPO": self.params["repository"]}
        secret |= {"BORG_BASE_DIR": str(self.work / "borg"), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["borg", *arguments], env=os.environ | secret, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode > 1:
            raise RuntimeError(f"borg {arguments[0]} : {' / '.join(done.stderr.strip().splitlines()[-2:])}")
        return done.stdout

    def newest(self) -> dict:
        """Return the archive that the server names as the newest, after finding it in the repository."""
        name = self.params["component"]["component"]
        user = self.params["repository"].split("//")[1].split("@")[0]
        done = subprocess.run(
            [*self.ssh.split(), f"{user}@{self.params['server']['name']}", "status"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"le serveur de sauvegarde ne répond pas : {done.stderr.strip()[-200:]}")
        wanted = json.loads(done.stdout)["components"][name]["archive"]
        if not wanted:
            raise RuntimeError(f"aucune archive de {name} sur le serveur")
        listed = {archive["id"]: archive for archive in json.loads(self.borg("list", "--json"))["archives"]}
        self.check("L'archive attendue par le serveur est dans le dépôt", wanted["id"] in listed, wanted["name"])
        return listed[wanted["id"]]

    def files(self, folder: Path, taken: float) -> None:
        """Compare what came back with what the source holds now."""
        source = json.loads(zlib.decompress(base64.b64decode(self.params["source"])))
        found = compare(source, describe(str(folder), self.params["component"]["paths"]), taken)
        since = len(found.pop("changed_since"))
        for kind, paths in found.items():
            said = f"{len(source) - since - len(paths)} sur {len(source) - since}"
            said += f" (modifiés depuis l'archive, non comparés : {since})" if since else ""
            self.check(TEXTS[kind], not paths, said + (f" ; diffère : {', '.join(paths[:5])}" if paths else ""))

    def database(self, folder: Path) -> float:
        """Load the dump into a PostgreSQL of this host, run the checks of the plan; return the seconds of the load."""
        component = self.params["component"]
        dumps = [path for path in folder.rglob(component["database"]) if "postgresql_databases" in str(path)]
        self.check("L'archive contient l'export de la base", bool(dumps), str(dumps[0].name if dumps else "absent"))
        started, name = time.monotonic(), f"pgssi_drill_{os.getpid()}"
        running = self.postgres("psql", "-XAtc", "select 1").returncode == 0
        if not running:
            subprocess.run(["systemctl", "start", "postgresql"], check=True)
            self.wait()
        try:
            self.postgres("createdb", name, check=True)
            with dumps[0].open("rb") as stream:
                loaded = self.postgres(
                    "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--dbname", name, stdin=stream
                )
            seconds = time.monotonic() - started
            self.check("La base se recharge sans erreur", loaded.returncode == 0, loaded.stderr.strip()[-200:] or "aucune erreur")
            for wanted in component.get("restore_checks") or [{"query": "select count(*) from pg_tables", "minimum": 1}]:
                got = self.postgres("psql", "-XAtc", wanted["query"], "--dbname", name)
                value = got.stdout.strip()
                ok = got.returncode == 0 and value.isdigit() and int(value) >= wanted["minimum"]
                self.check(f"{wanted['query']} ≥ {wanted['minimum']}", ok, value or got.stderr.strip()[-200:])
            return seconds
        finally:
            self.postgres("dropdb", "--if-exists", "--force", name)
            if not running:
                subprocess.run(["systemctl", "stop", "postgresql"], check=True)

    def wait(self) -> None:
        for _ in range(60):
            if self.postgres("psql", "-XAtc", "select 1").returncode == 0:
                return
            time.sleep(0.5)
        raise RuntimeError("PostgreSQL ne démarre pas sur l'hôte d'essai")

    @staticmethod
    def postgres(*command: str, check: bool = False, stdin=None):
        return subprocess.run(
            ["runuser", "-u", "postgres", "--", *command], cwd="/", stdin=stdin, capture_output=True, text=True, check=check
        )

    def access(self, folder: Path) -> None:
        """Try, as an account without rights, to read files that the source closes to others."""
        nobody = pwd.getpwnam("nobody")
        closed = [path for path in folder.rglob("*") if _closed_to(nobody, path)]
        opened = 0
        folder.chmod(0o755)
        for path in closed[:50]:
            reader = subprocess.run(
                ["cat", str(path)], user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True, check=False
            )
            opened += reader.returncode == 0
        self.check("Lecture refusée à un compte sans droit", opened == 0, f"{opened} sur {len(closed[:50])} fichiers fermés")

    def run(self) -> dict:
        component = self.params["component"]
        started = time.monotonic()
        archive = self.newest()
        folder = self.work / "restored"
        folder.mkdir(mode=0o755)
        self.borg("extract", "--numeric-ids", f"::{archive['name']}", cwd=folder)
        seconds = time.monotonic() - started
        taken = datetime.fromisoformat(archive["start"]).astimezone().timestamp()
        if component["type"] == "postgresql":
            seconds += self.database(folder)
        else:
            self.files(folder, taken)
            self.access(folder)
        within = seconds <= component["dmard_hours"] * 3600
        self.check(f"Durée dans la DMARD ({component['dmard_hours']} h)", within, f"{seconds:.1f} s")
        return {
            "archive": archive["name"],
            "backup_date": datetime.fromtimestamp(taken).astimezone().isoformat(timespec="seconds"),
            "duration_seconds": round(seconds, 1),
        }


def _closed_to(account: pwd.struct_passwd, path: Path) -> bool:
    found = path.lstat()
    mine = found.st_uid == account.pw_uid or found.st_gid == account.pw_gid
    return path.is_file() and not path.is_symlink() and not mine and not found.st_mode & 0o004


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "component": {"type": "dict", "required": True},
            "repository": {"type": "str", "required": True},
            "server": {"type": "dict", "required": True},
            "key": {"type": "path", "required": True, "no_log": False},
            "passphrase": {"type": "str", "required": True, "no_log": True},
            "source": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, checks=[], ok=True, archive="", duration_seconds=0, backup_date="")
    os.umask(0o022)
    work = Path(tempfile.mkdtemp(prefix="pgssi-drill-", dir="/var/tmp"))
    work.chmod(0o755)
    drill, told = None, {"archive": "", "backup_date": "1970-01-01", "duration_seconds": 0}
    try:
        drill = Drill(module, work)
        told |= drill.run()
    except (RuntimeError, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
        drill.check("L'essai va à son terme", False, str(error)[:500])
    finally:
        shutil.rmtree(work)
        for name in ("", ".pub", "-cert.pub"):
            Path(module.params["key"] + name).unlink(missing_ok=True)
    drill.check("L'hôte d'essai est nettoyé", not work.exists(), "rien n'y reste")
    module.exit_json(changed=True, checks=drill.checks, ok=all(check["ok"] for check in drill.checks), **told)


if __name__ == "__main__":
    main()
