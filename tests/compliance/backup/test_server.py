"""On the backup server: what clients can do there, what the server notices, and how it isolates itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.verify import not_verified
from pgssi.verify.timers import DAY, timer

Seen = Mapping[str, Any]
STORE = "/srv/pgssi-backup"
AS = "setpriv --reuid=$u --regid=$(id -g $u) --init-groups"  # opens no session, which would be taken for a use of the account


@pytest.mark.rule("backup-store-private")
def test_media_are_closed(host: Host, context: Any, facts: Any, observe: Callable[[str], None]) -> None:
    """Each account of a person or of nobody tries to list the folder of the media and to enter it."""
    path = STORE if "backup_servers" in context.groups else "/srv/pgssi-offsite"
    script = (
        f"[ -d {path} ] && echo there; for u in nobody $(getent passwd | awk -F: '$3 >= 1000 && $3 < 60000 {{print $1}}'); do "
    )
    script += f"{AS} ls {path} >/dev/null 2>&1 && echo listed; "
    script += f'for d in {path} {path}/*; do {AS} sh -c "cd $d" 2>/dev/null && echo entered $d; done; done; true'
    said = facts("backup-store", script).split("\n")
    observe(f"{path} : {'présent' if 'there' in said else 'absent'}")
    assert "there" in said, f"{path} n'existe pas"
    assert "listed" not in said, f"un compte ordinaire liste {path}"
    assert not any(line.startswith("entered") for line in said), f"un compte ordinaire entre dans {path}"


@pytest.mark.rule("backup-append-only")
def test_last_writes_were_append_only(clients: Mapping[str, Seen], observe: Callable[[str], None]) -> None:
    """borg's own record of append-only transactions reaches the newest transaction of each repository."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    for name, state in clients.items():
        observe(f"{name} : transaction {state.get('transaction')}, en ajout seul jusqu'à {state.get('append_only_transaction')}")
        assert state.get("transaction") is not None, f"{name} n'a pas de dépôt lisible"
        assert state["transaction"] == state["append_only_transaction"], f"{name} a écrit hors du mode ajout seul"


@pytest.fixture
def trial(host: Host, a_client: Any, marker: str) -> Iterator[str]:
    """A throw-away repository of the first client, filled by that client; gone afterwards. Empty when it cannot be."""
    name = f"essai-{marker[-8:]}"
    path = f"{STORE}/{a_client.name}/borg/{name}"
    work = a_client.host.check_output("mktemp -d /var/tmp/pgssi-essai.XXXXXX").strip()
    try:
        repository = a_client.repository(name)
        made = [a_client.borg("init --encryption repokey-blake2", repository)]
        for archive in ("un", "deux", "trois"):
            a_client.host.run(f"echo {marker}-{archive} > {work}/donnees")
            made.append(a_client.borg(f"create ::{archive} donnees", repository, cwd=work))
        yield name if all(done.rc == 0 for done in made) else ""
    finally:
        a_client.borg("delete --cache-only", a_client.repository(name))
        a_client.host.run(f"rm -rf {work}")
        host.run(f"rm -rf {path} {STORE}/{a_client.name}/set-aside/{name}.*")


@pytest.mark.rule("backup-append-only")
@pytest.mark.acts
def test_attacks_by_root_of_a_client_lose_nothing(
    trial: str, host: Host, a_client: Any, marker: str, observe: Callable[[str], None]
) -> None:
    """Root on a client deletes, prunes, forges dates, overwrites the key and compacts: all comes back by one command."""
    assert trial, "le client ne parvient pas à créer un dépôt d'essai sur ce serveur"
    repository = a_client.repository(trial)
    path = f"{STORE}/{a_client.name}/borg/{trial}"
    size = int(host.check_output(f"du -sb {path}/data").split()[0])
    attacks = (
        "delete ::un",
        "create --timestamp 2099-01-01T00:00:00 ::futur /etc/hostname",
        "create --timestamp 1990-01-01T00:00:00 ::passe /etc/hostname",
        "prune --keep-daily 1",
        "rename ::deux autre",
        "delete --force --glob-archives '*'",
        "compact --threshold 0",
        "key change-passphrase",
    )
    for attack in attacks:
        done = a_client.borg(attack.replace("key change", "--lock-wait 5 key change"), repository)
        observe(f"{attack} : code {done.rc}")
    gone = a_client.borg("delete", repository)
    observe(f"suppression du dépôt : code {gone.rc}")
    after = int(host.check_output(f"du -sb {path}/data").split()[0])
    assert after >= size, "le client a libéré de la place sur le serveur : des données sont perdues"
    recovered = host.run(f"pgssi-backup-store recover {a_client.name} --repository {trial}", timeout=120)
    assert recovered.rc == 0, f"récupération impossible : {recovered.stderr.strip()[-300:]}"
    a_client.borg("delete --cache-only", repository)
    a_client.host.run(
        "rm -rf $(grep -lF " + trial + " /root/.config/borg/security/*/location 2>/dev/null | xargs -r -n1 dirname)"
    )
    for archive in ("un", "deux", "trois"):
        back = a_client.borg(f"extract --stdout ::{archive} donnees", repository)
        assert back.stdout.strip() == f"{marker}-{archive}", f"l'archive {archive} n'est pas revenue : {back.stderr[-200:]}"


@pytest.mark.rule("backup-nothing-hidden")
def test_nothing_is_hidden(
    clients: Mapping[str, Seen], facts: Any, overridden: Callable[..., list[str]], observe: Callable[[str], None]
) -> None:
    """No archive that arrived is missing, nothing was deleted, and the server's watch ran within 30 minutes."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    for name, state in clients.items():
        assert "error" not in state, f"{name} : état illisible : {state['error']}"
        lost = f"le dépôt de {name} a disparu ; à remettre par : pgssi-backup-store put-back {name} DOSSIER"
        assert not state["missing"], lost
        observe(f"{name} : {len(state['hidden'])} archives masquées, {len(state['deletions'])} transactions destructrices")
        undo = f"à annuler par : pgssi-backup-store recover {name}"
        assert not state["hidden"], f"{name} a masqué {', '.join(state['hidden'][:3])} ; {undo}"
        assert not state["deletions"], f"{name} a supprimé des objets dans son dépôt ; {undo}"
        assert state["shortened_after"] is None, f"{name} a réduit la liste de ses archives ; {undo}"
        assert not state["key_changed"], f"{name} a remplacé la clé de son dépôt ; {undo}"
    said = facts("backup-watch-age", "cat /var/lib/pgssi-backup/status.json 2>/dev/null; date +%s").rsplit("\n", 2)
    known = re.search(r'"generated": ([0-9.]+)', said[0])
    assert known and -60 <= float(said[-2]) - float(known[1]) <= 1800, "la comparaison n'a pas eu lieu depuis 30 minutes"
    states = facts("backup-watch", "systemctl is-active pgssi-backup-watch.timer; systemctl is-enabled pgssi-backup-watch.timer")
    assert states.split() == ["active", "enabled"], "la comparaison n'est plus planifiée"
    faults = overridden("pgssi-backup-watch.timer", "pgssi-backup-watch.service")
    assert not faults, " ; ".join(faults)


@pytest.mark.rule("backup-age-alarm")
def test_late_component_is_reported(
    clients: Mapping[str, Seen], site: Any, facts: Any, overridden: Callable[..., list[str]], observe: Callable[[str], None]
) -> None:
    """Asked as if it were in two months, the server reports every component as late; its timer is active."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    said = facts("backup-late", "pgssi-backup-store status --json --now $(( $(date +%s) + 5000000 ))")
    late = {name for state in json.loads(said).values() for name, one in state["components"].items() if one["late"]}
    planned = {component["component"] for component in site["site_backup_plan"]}
    observe(f"{len(late)} composants sur {len(planned)} seraient signalés")
    assert late == planned, f"jamais signalés : {', '.join(sorted(planned - late))}"
    watch = timer(facts, "pgssi-backup-watch.timer")
    observe(str(watch))
    fault = watch.fault("surveillance de la PDMA", 16 * 60)
    assert not fault, fault
    faults = overridden("pgssi-backup-watch.timer", "pgssi-backup-watch.service")
    assert not faults, " ; ".join(faults)


@pytest.mark.rule("backup-repository-reread")
def test_repositories_were_reread(
    facts: Any,
    overridden: Callable[..., list[str]],
    foreign_programs: Callable[..., list[str]],
    observe: Callable[[str], None],
) -> None:
    """The full reread is planned by programs of Debian's own, its last pass, if any, succeeded, and the medium has room."""
    planned, service = timer(facts, "pgssi-backup-verify.timer"), "pgssi-backup-verify.service"
    said = facts("backup-reread", f"systemctl show -P Result {service}").strip()
    observe(f"{planned}, dernier passage : {said}")
    assert said == "success", "la dernière relecture a trouvé une altération"
    fault = planned.fault("relecture des dépôts", DAY)
    assert not fault, fault
    faults = overridden("pgssi-backup-verify.timer", "pgssi-backup-verify.service")
    assert not faults, " ; ".join(faults)
    found = foreign_programs("borgbackup", "openssh-server")
    assert not found, f"ne viennent plus de leur paquet : {', '.join(found[:5])}"
    free = facts("backup-free", f"df --output=pcent,ipcent {STORE} | tail -n 1").replace("%", "").split()
    observe(f"support occupé à {free[0] if free else '?'} %")
    assert free and all(int(word) < 95 for word in free if word.isdigit()), "le support des sauvegardes est presque plein"


@pytest.mark.rule("backup-repository-reread")
@pytest.mark.acts
def test_one_flipped_byte_is_found(trial: str, host: Host, a_client: Any, observe: Callable[[str], None]) -> None:
    """One byte is flipped in a throw-away repository; the reread, and the client's own check, report it."""
    assert trial, "le client ne parvient pas à créer un dépôt d'essai sur ce serveur"
    path = f"{STORE}/{a_client.name}/borg/{trial}"
    sound = host.run(f"pgssi-backup-store verify --client {a_client.name} --repository {trial}", timeout=120)
    assert sound.rc == 0, f"le dépôt d'essai est refusé avant toute altération : {sound.stderr.strip()[-200:]}"
    flip = "import sys; f=open(sys.argv[1],'r+b'); f.seek(-40,2); b=f.read(1); f.seek(-1,1); f.write(bytes([b[0]^1]))"
    newest = host.check_output(f"ls -S {path}/data/0/* | head -n1").strip()
    host.check_output(f'python3 -c "{flip}" {newest}')
    found = host.run(f"pgssi-backup-store verify --client {a_client.name} --repository {trial}", timeout=120)
    client = a_client.borg("check --repository-only", a_client.repository(trial))
    observe(f"relecture du serveur : code {found.rc} ; vérification du client : code {client.rc}")
    assert found.rc != 0, "un octet altéré n'est pas signalé par la relecture"
    assert client.rc != 0, "un octet altéré n'est pas signalé par la vérification de fin de sauvegarde"


@pytest.fixture
def service(facts: Any) -> dict[str, str]:
    """The options in effect of the backup service, as its own sshd says them; empty when there is none."""
    path = "/etc/pgssi/backup/sshd_config"
    said = facts("backup-sshd", f"[ -e {path} ] && /usr/sbin/sshd -T -f {path} -C user=borg-x,host=x,addr=10.0.0.1")
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


@pytest.mark.rule("backup-client-no-shell")
def test_service_offers_no_shell(service: dict[str, str], observe: Callable[[str], None]) -> None:
    """In effect on the backup service: one forced command, no terminal, no forwarding of any kind, no subsystem."""
    wanted = {"disableforwarding": "yes", "permittty": "no", "permituserrc": "no", "permituserenvironment": "no"}
    found = {key: service.get(key) for key in wanted}
    observe(f"commande forcée {service.get('forcecommand')}, {found}")
    assert service.get("forcecommand", "none").endswith("/pgssi-backup-serve"), "aucune commande n'est imposée aux clients"
    assert found == wanted, f"le service de sauvegarde accorde trop : {found}"
    assert "subsystem" not in service, "le service de sauvegarde offre un sous-système"


@pytest.mark.rule("backup-client-no-shell")
@pytest.mark.acts
def test_client_keys_open_no_shell(clients: Any, a_client: Any, observe: Callable[[str], None]) -> None:
    """With a client's keys: a command, a terminal, a file copy and a port forwarding are tried and refused."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    assert a_client.ssh("", "status").rc == 0, "le service de sauvegarde ne répond pas au client"
    tries = {
        "commande": a_client.ssh("", "id"),
        "terminal": a_client.ssh("-tt"),
        "interpréteur": a_client.ssh("", "sh -c 'echo ouvert'"),
        "fichiers": a_client.ssh("-s", "sftp"),
        "relais": a_client.ssh("-o ExitOnForwardFailure=yes -W 127.0.0.1:22"),
        "autre commande": a_client.ssh("", "borg list /"),
    }
    observe(", ".join(f"{name} : code {done.rc}" for name, done in tries.items()))
    for name, done in tries.items():
        assert done.rc != 0 and "ouvert" not in done.stdout, f"{name} accordé au client"
        assert "uid=" not in done.stdout and "SSH-2.0" not in done.stdout, f"{name} accordé au client"
    assert "refus" in tries["commande"].stderr, "le refus ne vient pas de la commande forcée"


@pytest.mark.rule("backup-own-repository-only")
def test_folders_are_apart(
    clients: Mapping[str, Seen], service: dict[str, str], facts: Any, observe: Callable[[str], None]
) -> None:
    """The account of each client tries to enter the folder of another; certificates are bound to their account's name."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    script = "".join(
        f"runuser -u borg-{one} -- ls {STORE}/{two} >/dev/null 2>&1 && echo {one}:{two}; "
        for one, two in zip(clients, [*list(clients)[1:], *list(clients)[:1]], strict=True)
        if one != two
    )
    entered = facts("backup-apart", script + "true").split()
    observe(f"{len(clients)} comptes essayés, {len(entered)} entrés ailleurs")
    assert not entered, f"dossiers ouverts à un autre client : {', '.join(entered)}"
    assert service.get("authorizedprincipalsfile") == "none", "un certificat ouvre d'autres comptes que le sien"


@pytest.mark.rule("backup-own-repository-only")
def test_no_key_is_shared(clients: Mapping[str, Seen], other: Callable[[str], Host], observe: Callable[[str], None]) -> None:
    """Each client holds a key of its own, and a certificate for its own account alone."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    path = "/etc/pgssi/backup/id_ed25519"
    script = f"ssh-keygen -y -P '' -f {path} | ssh-keygen -l -f - | cut -d' ' -f2; "
    script += f"ssh-keygen -L -f {path}-cert.pub | sed -n '/Principals:/,/Critical/p' | sed '1d;$d'"
    owners: dict[str, str] = {}
    for name in clients:
        words = other(name).run(script).stdout.split()
        assert words, f"{name} n'a pas de clé de sauvegarde"
        again = f"sur {name} : rm {path}* puis playbooks/backup.yml"
        assert words[0] not in owners, f"{name} et {owners.get(words[0])} ont la même clé ; {again}"
        owners[words[0]] = name
        assert words[1:] == [f"borg-{name}"], f"le certificat de {name} ouvre {', '.join(words[1:]) or 'rien'} ; {again}"
    observe(f"{len(owners)} clés distinctes")


@pytest.mark.rule("backup-own-repository-only")
@pytest.mark.acts
def test_other_repositories_are_refused(clients: Mapping[str, Seen], a_client: Any, observe: Callable[[str], None]) -> None:
    """With one client's keys, another client's repository, and another client's account, are tried."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    others = [name for name in clients if name != a_client.name]
    target = others[0] if others else "autre-client"
    mine = a_client.borg("list --short")
    path = a_client.borg("list", a_client.repository(of=target))
    account = a_client.ssh(f"-l borg-{target}", "status")  # not borg: it may miss what ssh says when ssh ends at once
    root = a_client.borg("list", f"ssh://borg-{a_client.name}@{a_client.server}/etc")
    observe(f"dépôt de {target} : code {path.rc} ; compte de {target} : code {account.rc} ; /etc : code {root.rc}")
    assert mine.rc == 0, f"le client n'ouvre pas son propre dépôt : {mine.stderr[-150:]}"
    assert path.rc != 0 and "not allowed" in path.stderr.lower(), f"le dépôt de {target} n'est pas fermé : {path.stderr[-150:]}"
    assert account.rc != 0, f"le compte borg-{target} s'ouvre"
    assert root.rc != 0 and "not allowed" in root.stderr.lower(), "un chemin hors du dépôt est accessible"
    if "permission denied" not in account.stderr.lower():
        not_verified(f"le compte borg-{target} n'a pas répondu : {account.stderr.strip()[-150:]}")


@pytest.mark.rule("backup-accounts-separate")
def test_two_doors(
    clients: Mapping[str, Seen], service: dict[str, str], a_client: Any, facts: Any, observe: Callable[[str], None]
) -> None:
    """Each client's account has no password and no shell; the operators' SSH and the backups' one refuse each other's people."""
    assert clients, "ce serveur ne tient aucun dépôt de sauvegarde"
    passwd = {fields[0]: fields for fields in facts.getent("passwd")}
    shadow = facts.shadow()
    observe(f"service des sauvegardes : groupes {service.get('allowgroups', 'tous')}, commande {service.get('forcecommand')}")
    assert service.get("allowgroups") == "pgssi-backup", "le service des sauvegardes accepte d'autres comptes"
    assert service.get("authorizedkeysfile") == "none", "des clés locales ouvrent le service des sauvegardes"
    signer = a_client.host.run("ssh-keygen -L -f /etc/pgssi/backup/id_ed25519-cert.pub | sed -n 's/.*Signing CA: //p'").stdout
    trusted = facts("backup-authorities", f"ssh-keygen -l -f {service.get('trustedusercakeys', '/dev/null')}").splitlines()
    observe(f"{len(trusted)} autorité(s) admise(s)")
    assert len(trusted) == 1 and trusted[0].split()[1] in signer, "une autre autorité que celle du site ouvre les comptes"
    for name in clients:
        account = passwd.get(f"borg-{name}")
        assert account, f"borg-{name} n'existe pas"
        assert shadow[f"borg-{name}"][1] == "*", f"borg-{name} a un mot de passe"
        assert account[6].endswith("/pgssi-backup-serve"), f"borg-{name} a un interpréteur : {account[6]}"
        keys = facts(f"backup-keys-{name}", f"cat {account[5]}/.ssh/authorized_keys* 2>/dev/null | wc -l").strip()
        assert keys == "0", f"une clé ouvre borg-{name} par le SSH des exploitants"


@pytest.mark.rule("backup-offsite-reads-only")
def test_reader_account_only_reads(site: Any, facts: Any, observe: Callable[[str], None]) -> None:
    """The account of the off-site host exists, owns nothing in the store, and its forced command refuses writes and commands."""
    account = f"pull-{site['site_backup']['offsite']}"
    serve = f"runuser -u {account} -- env SSH_ORIGINAL_COMMAND"
    script = f"id {account} >/dev/null 2>&1 && echo there; find {STORE} -user {account} 2>/dev/null | head -n1; "
    for name, command in (("write", "rsync --server -r . ./"), ("command", "id")):
        script += f"{serve}='{command}' /usr/local/lib/pgssi/pgssi-backup-serve </dev/null >/dev/null 2>&1 && echo {name}; "
    said = facts("backup-reader", script + "true").split()
    observe(f"{account} : {' '.join(said) or 'absent'}")
    assert "there" in said, f"le compte {account} n'existe pas : aucune copie hors site n'est possible"
    assert said == ["there"], f"{account} peut plus que lire : {said}"
    shell = {fields[0]: fields[6] for fields in facts.getent("passwd")}.get(account, "")
    assert shell.endswith("/pgssi-backup-serve"), f"{account} a un interpréteur : {shell}"


@pytest.mark.rule("backup-offsite-reads-only")
@pytest.mark.acts
def test_offsite_keys_only_read(host: Host, site: Any, other: Callable[[str], Host], observe: Callable[[str], None]) -> None:
    """With the keys of the off-site host: a read works, a write, a deletion and a command are refused."""
    far, name = other(site["site_backup"]["offsite"]), site["site_backup"]["server"]
    ssh = "ssh -F /etc/pgssi/backup/ssh_config"
    read = far.run(f"rsync -e '{ssh}' {name}: ")
    write = far.run(f"rsync -e '{ssh}' /etc/hostname {name}:essai")
    remove = far.run(
        f"mkdir -p /run/pgssi-vide && rsync -r --delete -e '{ssh}' /run/pgssi-vide/ {name}: ; "
        "rc=$?; rmdir /run/pgssi-vide; exit $rc"
    )
    command = far.run(f"{ssh} {name} id")
    observe(f"lecture : code {read.rc} ; écriture : {write.rc} ; suppression : {remove.rc} ; commande : {command.rc}")
    assert read.rc == 0, f"l'hôte hors site ne lit pas les dépôts : {read.stderr.strip()[-150:]}"
    assert write.rc != 0 and host.run(f"ls {STORE}/essai").rc != 0, "l'hôte hors site écrit sur le serveur"
    assert remove.rc != 0, "l'hôte hors site supprime sur le serveur"
    assert command.rc != 0 and "uid=" not in command.stdout, "l'hôte hors site exécute des commandes sur le serveur"


@pytest.mark.rule("backup-red-button")
def test_isolation_is_ready(facts: Any, observe: Callable[[str], None]) -> None:
    """The kernel accepts the isolation rules in a dry run, the boot unit is enabled, the button is not pressed."""
    ready = facts.result("backup-red-try", "pgssi-red-button try 192.0.2.1 2001:db8::1")
    boot = facts("backup-red-boot", "systemctl is-enabled pgssi-red-button.service").strip()
    state = facts("backup-red-state", "pgssi-red-button status").strip()
    rules = facts("backup-red-rules", "pgssi-red-button show 192.0.2.1")
    closed = {hook for hook in ("input", "output", "forward") if re.search(rf"hook {hook} priority -\d+; policy drop;", rules)}
    kept = set(re.findall(r"\d+\.\d+\.\d+\.\d+", rules))
    observe(f"règles : code {ready.rc} ; démarrage : {boot or 'absent'} ; état : {state or 'inconnu'}")
    assert ready.rc == 0, "les règles d'isolement sont refusées ou absentes"
    assert boot == "enabled", "l'isolement ne survivrait pas à un redémarrage"
    assert closed == {"input", "output", "forward"}, "les règles d'isolement ne ferment pas tout"
    assert kept == {"192.0.2.1"}, f"l'isolement laisserait passer {', '.join(sorted(kept - {'192.0.2.1'})) or 'personne'}"
    assert state == "relâché", "le bouton rouge est enfoncé ; à relâcher par : playbooks/red_button.yml -e red_button=release"
