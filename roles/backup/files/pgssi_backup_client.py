"""What a backup client knows of its own content: what changed in it, whether a dump is whole, which programs made it."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

HOME = Path("/etc/pgssi/backup")
VERSIONS = Path("/var/lib/pgssi-backup/versions")
DUMPER = Path("/usr/local/lib/pgssi/pg_dump")
# Tables whose rows a dump holds: neither the system's own, nor passing ones, nor those that an extension brings.
TABLES = """select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')"""
READ = re.compile(r'pg_restore: processing data for table "(.*)"$')


class Failure(Exception):
    """One step did not do its work; the text is for people."""


def execute(command, **options):
    """Run a command; raise Failure with its last words."""
    done = subprocess.run(command, capture_output=True, **{"text": True} | options)
    if done.returncode:
        said = done.stderr if isinstance(done.stderr, str) else done.stderr.decode("utf-8", "replace")
        raise Failure(f"{Path(command[0]).name} : {' / '.join(said.strip().splitlines()[-3:]) or done.returncode}")
    return done.stdout


def query(database, text):
    """Return what PostgreSQL answers, asked as its own account."""
    return execute(["/usr/sbin/runuser", "-u", "postgres", "--", "psql", "-XAtc", text, database], cwd="/").strip()


def live_tables(component):
    """Return the tables that the database has now, as "schema.table"."""
    return set(query(component["database"], TABLES).splitlines())


def databases():
    """Return the databases that this host serves, nothing without a PostgreSQL that answers."""
    asked = "select datname from pg_database where not datistemplate and datname <> 'postgres'"
    try:
        return query("postgres", asked).splitlines()
    except (Failure, OSError):
        return []


def read_dump(source, environment):
    """Read a whole dump that a command writes, with PostgreSQL's own reader; return the tables whose rows were in it.

    The dump passes through: neither memory nor disk holds it. A header says nothing of what follows it.
    """
    with subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as giver:
        done = subprocess.run(
            ["/usr/bin/pg_restore", "--verbose", "--file=/dev/null"],
            stdin=giver.stdout,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
        giver.stdout.close()
        giver.communicate()
    if done.returncode or giver.returncode:
        raise Failure(f"l'export ne se relit pas en entier : {' / '.join(done.stderr.strip().splitlines()[-2:])}")
    return {found[1] for line in done.stderr.splitlines() if (found := READ.search(line))}


def check_paths(name, component):
    """Raise Failure for a path of the plan that is not there, or that borg would save as a mere link."""
    for path in map(Path, component["paths"]):
        remedy = "corriger site_backup_plan, ou remettre le dossier en place"
        if path.is_symlink():
            raise Failure(f"{name} : {path} est un lien vers {path.resolve()}, que l'archive ne suivrait pas ; {remedy}")
        if not path.exists():
            raise Failure(f"{name} : {path} n'existe pas ; {remedy}")


def note_versions(component):
    """Keep, where every archive takes it along, what its data needs to be opened again: system, programs, database.

    Written only when it changed. Source: PSSI 7.4.2.4.
    """
    packages = execute(["/usr/bin/dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture} ${db:Status-Status}\\n"])
    installed = sorted(line.removesuffix(" installed") for line in packages.splitlines() if line.endswith(" installed"))
    texts = {"systeme": Path("/etc/os-release").read_text("utf-8"), "paquets": "\n".join(installed) + "\n"}
    if component["type"] == "postgresql":
        texts[f"base-{component['database']}"] = query(component["database"], "select version()") + "\n"
    VERSIONS.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, text in texts.items():
        path = VERSIONS / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def fingerprint(component):
    """Return what changes when a component's content changes: newest inode change and count, or the WAL position."""
    if component["type"] == "postgresql":
        asked = "select pg_current_wal_insert_lsn(), (select system_identifier from pg_control_system())"
        return query(component["database"], asked)
    newest, count = 0, 0
    for root in component["paths"]:
        for folder, _, names in os.walk(root):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                try:
                    newest, count = max(newest, os.lstat(path).st_ctime_ns), count + 1
                except FileNotFoundError:
                    continue  # gone meanwhile
    return f"{newest}:{count}"


def settings(name, component):
    """Return what changes when the way in which a component is saved changes: its job, its dumper, its secret."""
    parts = [json.dumps(component, sort_keys=True).encode()]
    files = (HOME / "borgmatic.d" / f"{name}.yaml", DUMPER, HOME / "passphrase")
    parts += [path.read_bytes() if path.exists() else b"" for path in files]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def linked(components, names):
    """Return these components, together with all those that depends_on ties to them, each after those that it depends on."""
    wanted = set(names)
    while True:
        more = {
            other
            for name, one in components.items()
            for other in one["depends_on"]
            if other in components and (name in wanted) != (other in wanted)
        }
        more |= {name for name, one in components.items() if not wanted.isdisjoint(one["depends_on"])}
        if more <= wanted:
            break
        wanted |= more
    result = []

    def add(name):
        for needed in components[name]["depends_on"]:
            if needed in wanted and needed not in result:
                add(needed)
        if name not in result:
            result.append(name)

    for name in components:
        if name in wanted:
            add(name)
    return result
