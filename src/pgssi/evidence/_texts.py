"""What the evidence commands say, in French first."""

from __future__ import annotations

from contextvars import ContextVar

language: ContextVar[str] = ContextVar("language", default="fr")

_TEXTS: dict[str, tuple[str, str]] = {
    # refusals
    "ssh_keygen_failed": (
        "ssh-keygen ne s'exécute pas : {detail}. Installez le paquet openssh-client.",
        "ssh-keygen does not run: {detail}. Install the package openssh-client.",
    ),
    "signing_failed": (
        "Signature impossible avec {key} : {detail}. Vérifiez le chemin, ou chargez la clé par ssh-add"
        " et donnez"
        " sa partie publique.",
        "Cannot sign with {key}: {detail}. Check the path, or load the key with ssh-add and give its public half.",
    ),
    "unknown_signer": (
        "La clé {key} n'appartient à aucun signataire du site. Déclarez-la dans site_people, site_contacts ou"
        " site_evidence_signers.",
        "Key {key} belongs to no signer of the site. Declare it in site_people, site_contacts or site_evidence_signers.",
    ),
    "locked": (
        "Le journal {dir} est tenu par un autre processus depuis cinq minutes. Terminez-le, puis recommencez.",
        "The journal {dir} has been held by another process for five minutes. End it, then try again.",
    ),
    "no_access": (
        "Le journal {dir} est inaccessible : {detail}. Vérifiez ses droits et l'espace disque.",
        "The journal {dir} cannot be used: {detail}. Check its permissions and the disk space.",
    ),
    "secret_file": (
        "La pièce jointe {path} contient un secret (clé privée, empreinte de mot de passe ou coffre). Retirez-le.",
        "Attachment {path} holds a secret (private key, password hash or vault). Remove it.",
    ),
    "secret_key": (
        "La preuve contient un secret : {path}. Retirez ce champ : un journal de preuves n'en porte jamais.",
        "The record holds a secret: {path}. Remove this field: an evidence journal never carries one.",
    ),
    "invalid": (
        "Preuve refusée : {path} : {detail}. Corrigez ce champ (catalogue/schema/evidence.schema.json).",
        "Record refused: {path}: {detail}. Correct this field (catalogue/schema/evidence.schema.json).",
    ),
    "unreadable_file": (
        "La pièce jointe {path} est illisible : {detail}. Donnez un fichier existant.",
        "Attachment {path} cannot be read: {detail}. Give an existing file.",
    ),
    "pending_conflict": (
        "Le journal {dir} ne correspond plus à l'écriture interrompue de pending.json. Lancez « pgssi"
        " evidence"
        " verify », puis restaurez le journal depuis sa sauvegarde.",
        "The journal {dir} no longer fits the interrupted write in pending.json. Run 'pgssi evidence verify',"
        " then restore the journal from its backup.",
    ),
    "damaged": (
        "Le journal {dir} est altéré, rien n'y est ajouté : {detail} Remède : « pgssi evidence verify » situe"
        " l'altération ; restaurez le journal depuis sa sauvegarde. Si seule la dernière ligne est"
        " incomplète,"
        " « pgssi evidence repair » la met de côté.",
        "The journal {dir} is damaged, nothing is added: {detail} Remedy: 'pgssi evidence verify' shows"
        " where;"
        " restore the journal from its backup. If only the last line is incomplete, 'pgssi evidence"
        " repair' sets"
        " it aside.",
    ),
    "no_record": (
        "Aucune preuve « {ref} ». « pgssi evidence list » donne les identifiants.",
        "No record '{ref}'. 'pgssi evidence list' gives the ids.",
    ),
    "bad_anchor": (
        "Ancre illisible : {anchor}. Donnez un fichier écrit par « pgssi evidence anchor », ou NOMBRE:SHA256.",
        "Unreadable anchor: {anchor}. Give a file written by 'pgssi evidence anchor', or COUNT:SHA256.",
    ),
    "no_directory": (
        "Le site ne dit pas où est son journal. Déclarez site_evidence_dir, ou donnez --dir.",
        "The site does not say where its journal is. Declare site_evidence_dir, or give --dir.",
    ),
    # findings
    "journal_missing": (
        "aucun journal. Si le site en a tenu un, il a été retiré.",
        "no journal. If the site ever kept one, it has been removed.",
    ),
    "not_json": ("ligne illisible ({detail}).", "unreadable line ({detail})."),
    "not_canonical": (
        "écriture modifiée : ce n'est pas la forme exacte que pgssi écrit.",
        "rewritten: not the exact form that pgssi writes.",
    ),
    "schema": (
        "contenu non conforme au schéma : {path} : {detail}.",
        "against the schema: {path}: {detail}.",
    ),
    "sequence": (
        "numéro {found} au lieu de {expected} : ligne retirée, répétée ou déplacée.",
        "number {found} instead of {expected}: a line was removed, repeated or moved.",
    ),
    "chain": (
        "modifiée, ou ligne retirée juste après : la ligne suivante a retenu une autre empreinte.",
        "changed, or a line right after it removed: the next line remembers another digest.",
    ),
    "first": (
        "n'est pas le début d'un journal : des lignes ont été retirées avant elle.",
        "is not the start of a journal: lines before it were removed.",
    ),
    "half_line": (
        "la dernière ligne est incomplète ({size} octets) : écriture interrompue ou troncature.",
        "the last line is incomplete ({size} bytes): interrupted write or truncation.",
    ),
    "interrupted": (
        "une écriture a été interrompue ; « pgssi evidence repair » (ou la prochaine preuve) la termine.",
        "a write was interrupted; 'pgssi evidence repair' (or the next record) finishes it.",
    ),
    "head_missing": ("la tête du journal manque.", "the head of the journal is missing."),
    "head_bad": ("tête illisible ou réécrite ({detail}).", "unreadable or rewritten head ({detail})."),
    "head_more": (
        "la tête compte {count} lignes, le journal {lines} : fin du journal retirée.",
        "the head counts {count} lines, the journal {lines}: the end of the journal was removed.",
    ),
    "head_less": (
        "la tête compte {count} lignes, le journal {lines} : lignes ajoutées hors de pgssi.",
        "the head counts {count} lines, the journal {lines}: lines were added without pgssi.",
    ),
    "head_last": (
        "la dernière ligne du journal n'est plus celle que la tête a retenue.",
        "the last line of the journal is not the one that the head remembers.",
    ),
    "seal_missing": (
        "des preuves sont signées mais la tête ne porte aucune signature : elle a été réécrite.",
        "records are signed but the head carries no signature: it was rewritten.",
    ),
    "seal_chain": (
        "la signature de la tête couvre {count} lignes qui ne sont plus celles du journal.",
        "the signature of the head covers {count} lines that are no longer those of the journal.",
    ),
    "seal_old": (
        "la signature de la tête est plus ancienne que la dernière signature du journal.",
        "the signature of the head is older than the last signature of the journal.",
    ),
    "signature_blob": ("signature illisible ({detail}).", "unreadable signature ({detail})."),
    "signature_key": (
        "la signature n'est pas de la clé annoncée {key}.",
        "the signature is not of the key {key} it names.",
    ),
    "signature_unknown": (
        "signature de la clé {key}, qui n'est à aucun signataire du site.",
        "signed with key {key}, which belongs to no signer of the site.",
    ),
    "signature_by": ("la clé {key} n'est pas celle de {by}.", "key {key} is not that of {by}."),
    "signature_date": (
        "{by} ne pouvait pas signer le {day} (dates de présence).",
        "{by} could not sign on {day} (dates of presence).",
    ),
    "signature_invalid": ("signature fausse de {by}.", "wrong signature of {by}."),
    "signature_target": (
        "signature d'une preuve absente ou modifiée : {record}.",
        "signature of a record that is absent or changed: {record}.",
    ),
    "file_missing": ("pièce jointe manquante : {path}.", "missing attachment: {path}."),
    "file_changed": ("pièce jointe modifiée : {path}.", "changed attachment: {path}."),
    "anchor_short": (
        "l'ancre compte {count} lignes, le journal {lines} : fin du journal retirée.",
        "the anchor counts {count} lines, the journal {lines}: the end of the journal was removed.",
    ),
    "anchor_other": (
        "la ligne {count} n'est plus celle de l'ancre : le journal a été réécrit.",
        "line {count} is not the one of the anchor: the journal was rewritten.",
    ),
    "unsigned_record": ("preuve à signer.", "record to be signed."),
    "unsigned_tail": (
        "{lines} ligne(s) à la fin ne sont couvertes par aucune signature : seule une ancre les protège.",
        "{lines} line(s) at the end are covered by no signature: only an anchor protects them.",
    ),
    # notes
    "orphan": ("pièce jointe sans preuve.", "attachment without a record."),
    "stranger": ("fichier étranger au journal.", "file that is no part of the journal."),
    "clock": ("date antérieure à celle de la ligne précédente.", "dated before the line above it."),
    "no_anchor": (
        "sans --anchor, un ancien état complet remis en place ne se verrait pas.",
        "without --anchor, a complete older state put back would not show.",
    ),
    "no_signers": (
        "signataires du site inconnus ici : signatures vérifiées contre leur propre clé seulement.",
        "signers of the site unknown here: signatures checked against their own key only.",
    ),
}


def text(code: str, **values: object) -> str:
    """Return the sentence of a code in the language in use (``language``)."""
    french, english = _TEXTS[code]
    return (english if language.get() == "en" else french).format(**values)


def english(code: str, **values: object) -> str:
    """Return the sentence of a code in English."""
    return _TEXTS[code][1].format(**values)


def french(code: str, **values: object) -> str:
    """Return the sentence of a code in French."""
    return _TEXTS[code][0].format(**values)
