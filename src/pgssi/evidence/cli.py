"""``pgssi evidence``: list, show, verify, sign and print the evidence of a site."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgssi.errors import PgssiError
from pgssi.evidence import words
from pgssi.evidence._signing import allowed_signers
from pgssi.evidence._texts import language, text
from pgssi.evidence._verify import Anchor, Verification
from pgssi.evidence.journal import Journal, Record
from pgssi.evidence.page import page
from pgssi.inventory import load_inventory

app = typer.Typer(help="Liste, montre, vérifie, signe et imprime les preuves d'un site.", no_args_is_help=True)

Inventory = Annotated[list[str] | None, typer.Option("-i", "--inventory", help="Inventaire Ansible du site.")]
Directory = Annotated[Path | None, typer.Option("--dir", help="Dossier du journal (sinon site_evidence_dir).")]
Lang = Annotated[str, typer.Option("--lang", envvar="PGSSI_LANG", help="Langue : fr ou en.")]
Json = Annotated[bool, typer.Option("--json", help="Sortie JSON.")]
Reference = Annotated[str, typer.Argument(metavar="ID", help="Identifiant, ou numéro de ligne.")]


def _open(inventory: list[str] | None, directory: Path | None, lang: str) -> tuple[Journal, Mapping[str, Any]]:
    if lang not in ("fr", "en"):
        raise PgssiError(f"--lang {lang} : fr ou en / fr or en.")
    language.set(lang)
    if not inventory:
        if directory is None:
            raise PgssiError(text("no_directory"))
        return Journal(directory, interactive=True), {}
    hosts = load_inventory(inventory).hosts
    site = next(iter(hosts.values())).variables
    journal = Journal.of_site(
        {**_evidence_of(site), **({"site_evidence_dir": directory.resolve()} if directory else {})},
        str(site["inventory_dir"]),
        interactive=True,
    )
    return journal, site


def _evidence_of(site: Mapping[str, Any]) -> dict[str, Any]:
    names = ("people", "contacts", "automation", "sealing_recipients", "evidence_signers", "evidence_dir")
    return {f"site_{name}": site[f"site_{name}"] for name in names if f"site_{name}" in site}


def _state(record: Record, verification: Verification, lang: str) -> Text:
    approved = verification.approved(record.id)
    if not verification.ok:
        return Text(words.say(("non prouvé : journal altéré", "not proven: journal damaged"), lang), style="red")
    if approved:
        return Text(words.say(("signé par ", "signed by "), lang) + ", ".join(approved), style="green")
    return Text(words.say(("à signer", "to be signed"), lang), style="yellow")


def _hosts(names: tuple[str, ...], lang: str) -> Text:
    shown = ", ".join(names) if len(names) < 3 else words.say((f"{len(names)} hôtes", f"{len(names)} hosts"), lang)
    return Text(shown)


@app.command("list")
def list_(
    inventory: Inventory = None,
    directory: Directory = None,
    kind: Annotated[str | None, typer.Option(help="Une seule sorte, par exemple restore_drill.")] = None,
    as_json: Json = False,
    lang: Lang = "fr",
) -> None:
    """Liste les preuves, les plus anciennes d'abord."""
    journal, _ = _open(inventory, directory, lang)
    verification = journal.verify()
    records = journal.records(kind, damaged=True)
    if as_json:
        typer.echo(json.dumps([record.as_dict() for record in records], ensure_ascii=False, indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for number, pair in enumerate(_COLUMNS):
            table.add_column(words.say(pair, lang), no_wrap=number != 1, overflow="fold")
        for record in records:
            table.add_row(
                record.id,
                Text(record.what),
                _hosts(record.where, lang),
                words.name_of(words.RESULTS, record.result, lang),
                _state(record, verification, lang),
            )
        Console().print(table)
    if not verification.ok:
        _report(verification, lang)
        raise typer.Exit(1)


_COLUMNS = (
    ("Identifiant", "Id"),
    ("Objet", "What"),
    ("Hôtes", "Hosts"),
    ("Résultat", "Result"),
    ("Signature", "Signature"),
)


@app.command()
def show(reference: Reference, inventory: Inventory = None, directory: Directory = None, lang: Lang = "fr") -> None:
    """Montre une preuve en entier, en JSON, puis l'état de ses signatures."""
    journal, _ = _open(inventory, directory, lang)
    record, verification = journal.get(reference, damaged=True), journal.verify()
    typer.echo(json.dumps(record.as_dict(), ensure_ascii=False, indent=2))
    Console(stderr=True).print(_state(record, verification, lang))
    if not verification.ok:
        raise typer.Exit(1)


@app.command()
def verify(
    inventory: Inventory = None,
    directory: Directory = None,
    anchor: Annotated[str | None, typer.Option(help="Ancre gardée ailleurs : fichier, ou NOMBRE:SHA256.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Une preuve à signer est aussi un défaut.")] = False,
    as_json: Json = False,
    lang: Lang = "fr",
) -> None:
    """Vérifie la chaîne, la tête, les signatures et les pièces jointes. Sort avec 1 au moindre défaut."""
    journal, _ = _open(inventory, directory, lang)
    verification = journal.verify(anchor=Anchor.read(anchor) if anchor else None, strict=strict)
    if as_json:
        typer.echo(json.dumps(_as_json(verification, lang), ensure_ascii=False, indent=2))
    else:
        _report(verification, lang)
    if not verification.ok:
        raise typer.Exit(1)


def _as_json(verification: Verification, lang: str) -> dict[str, Any]:
    return {
        "ok": verification.ok,
        "records": verification.records,
        "signatures": verification.signatures,
        "files": verification.files,
        "signed": {record: list(by) for record, by in verification.signed.items()},
        "findings": [{"code": f.code, "place": f.place, "message": f.sentence(lang)} for f in verification.findings],
        "notes": [{"code": f.code, "place": f.place, "message": f.sentence(lang)} for f in verification.notes],
    }


def _report(verification: Verification, lang: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in verification.findings:
        console.print(Text(f"✗ {finding.place} : {finding.sentence(lang)}", style="red"))
    for note in verification.notes:
        console.print(Text(f"· {note.place} : {note.sentence(lang)}", style="yellow"))
    counts = (verification.records, verification.signatures, verification.files)
    seen = words.say(("{} preuves, {} signatures, {} pièces jointes", "{} records, {} signatures, {} attachments"), lang)
    if verification.ok:
        verdict = Text(words.say(("Journal intègre : ", "Journal intact: "), lang), style="bold green")
    else:
        number = len(verification.findings)
        verdict = Text(words.say((f"{number} défaut(s) : ", f"{number} fault(s): "), lang), style="bold red")
    console.print(verdict + Text(seen.format(*counts)))


@app.command()
def sign(
    reference: Reference,
    key: Annotated[Path, typer.Option("--key", help="Clé SSH privée, ou publique si ssh-agent tient la privée.")],
    inventory: Inventory = None,
    directory: Directory = None,
    lang: Lang = "fr",
) -> None:
    """Signe une preuve (et, avec elle, tout ce qui la précède)."""
    journal, _ = _open(inventory, directory, lang)
    record = journal.sign(reference, key.expanduser())
    Console().print(_state(record, journal.verify(), lang))


@app.command()
def html(
    reference: Reference,
    inventory: Inventory = None,
    directory: Directory = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Fichier à écrire (ID.html).")] = None,
    lang: Lang = "fr",
) -> None:
    """Écrit la page imprimable d'une preuve : fiche de restauration, revue des habilitations…"""
    journal, site = _open(inventory, directory, lang)
    record, verification = journal.get(reference, damaged=True), journal.verify()
    names = {signer.principal: signer.name for signer in journal.signers or ()}
    target = output or Path(f"{record.id}.html")
    written = page(
        record,
        site_name=str(site.get("site_name", "")),
        language=lang,
        verification=verification,
        names=names,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(written, "utf-8")
    typer.echo(str(target))
    if not verification.ok:
        _report(verification, lang)
        raise typer.Exit(1)


@app.command()
def anchor(
    inventory: Inventory = None,
    directory: Directory = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Fichier à écrire, hors du serveur.")] = None,
    lang: Lang = "fr",
) -> None:
    """Donne l'ancre du journal, à garder ailleurs (autre serveur, papier) pour « verify --anchor »."""
    journal, _ = _open(inventory, directory, lang)
    value = str(journal.anchor())
    if output:
        output.write_text(value + "\n", "ascii")
    typer.echo(value)


@app.command()
def repair(inventory: Inventory = None, directory: Directory = None, lang: Lang = "fr") -> None:
    """Termine une écriture interrompue ; met de côté une dernière ligne incomplète, et le consigne."""
    journal, _ = _open(inventory, directory, lang)
    record = journal.repair()
    _report(journal.verify(), lang)
    if record:
        typer.echo(record.id)


@app.command()
def signers(inventory: Inventory = None, directory: Directory = None, lang: Lang = "fr") -> None:
    """Écrit le fichier allowed_signers du site, pour vérifier une signature avec ssh-keygen seul."""
    journal, _ = _open(inventory, directory, lang)
    typer.echo(allowed_signers(journal.signers or ()), nl=False)
