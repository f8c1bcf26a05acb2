"""The words that the catalogue commands and pages say, in French and in English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LANGS = ("fr", "en")

_WORDS: Mapping[str, tuple[str, str]] = {
    "acts": ("agit sur l'hôte", "acts on the host"),
    "and": ("et", "and"),
    "answer": ("Réponse", "Answer"),
    "article": ("Article", "Article"),
    "assisted_short": ("assisté", "assisted"),
    "assisted": ("assisté", "assisted"),
    "attested": ("attestation", "attestation"),
    "automated_short": ("auto", "auto"),
    "automated": ("automatisé", "automated"),
    "breaks": ("Sabotage", "Break"),
    "by_attestation": ("attestation datée d'un responsable", "dated attestation by a person in charge"),
    "by_evidence": ("preuve", "evidence"),
    "class": ("Classe", "Class"),
    "covered": ("Couvert par", "Covered by"),
    "coverage": ("Couverture des {n} articles de la PSSI", "Coverage of the {n} articles of the PSSI"),
    "coverage_note": (
        "Un article est dit couvert dès qu'une règle ou une preuve signée en observe une part. "
        "Un article automatisé n'est couvert que par une règle ; un article assisté demande en plus "
        "la réponse d'une personne. « Attestation » : le site peut répondre, la boîte à outils "
        "n'observe rien. « Rien » : aucun moyen aujourd'hui.",
        "An article counts as covered once a rule or a signed record observes part of it. "
        "An automated article is covered by a rule only; an assisted one also needs a person's answer. "
        "“Attestation”: the site can answer, the toolkit observes nothing. "
        "“Nothing”: no means today.",
    ),
    "enforced": ("Mise en œuvre", "Enforced by"),
    "evidence": ("preuve", "evidence"),
    "fact": ("Fait observé", "Observed fact"),
    "groups": ("Portée", "Applies to"),
    "guidance": ("recommandations", "guidance"),
    "host": ("hôte", "host"),
    "native": ("palier {n} du guide d'origine", "palier {n} of the guide itself"),
    "nothing": ("rien", "nothing"),
    "nothing_found": ("Rien ne correspond.", "Nothing matches."),
    "none_yet": ("rien encore", "nothing yet"),
    "observable": ("À montrer (en anglais)", "To be shown"),
    "organisational_short": ("orga", "org"),
    "organisational": ("organisationnel", "organisational"),
    "palier": ("Palier", "Palier"),
    "proven": ("Preuve", "Proven by"),
    "reason": ("Motif (en anglais)", "Reason"),
    "requirement": ("exigence", "requirement"),
    "requirements": ("exigences", "requirements"),
    "rule": ("Règle", "Rule"),
    "rules": ("règles", "rules"),
    "rules_of": ("Règles : {guide}", "Rules: {guide}"),
    "rules_covering": ("Règles", "Rules"),
    "source": ("Source", "Source"),
    "theme": ("Thème", "Theme"),
    "title": ("Intitulé", "Title"),
    "total": ("Total", "Total"),
    "why": ("Pourquoi", "Why"),
    "with_evidence": ("preuve", "evidence"),
    "with_rule": ("règle", "rule"),
    "unknown": ("Ni règle ni exigence de ce nom : {id}.", "Neither a rule nor a requirement: {id}."),
    "nearest": (" Les plus proches : {ids}.", " Nearest: {ids}."),
    "unknown_value": ("{option} {value} n'existe pas.", "{option} {value} does not exist."),
    "known_values": (" Valeurs possibles : {ids}.", " Known values: {ids}."),
    "sound": ("Catalogue conforme : {rules} règles, {requirements} exigences.",
              "The catalogue is sound: {rules} rules, {requirements} requirements."),
    "tagline": (
        "Page produite par `pgssi catalogue docs` : ne pas la modifier à la main.",
        "Page written by `pgssi catalogue docs`: do not edit it by hand.",
    ),
    "doc_title": ("Catalogue", "Catalogue"),
    "doc_intro": (
        "Les règles que la boîte à outils applique et vérifie, puis tous les articles de la PSSI "
        "et ce qui les couvre. "
        "`pgssi catalogue show RÈGLE` ajoute les réglages, les tests et le sabotage d'une règle.",
        "The rules that the toolkit enforces and verifies, then every article of the PSSI "
        "and what covers it. `pgssi catalogue show RULE` adds the settings, tests and break of a rule.",
    ),
}  # fmt: skip

REFERENCES: Mapping[str, tuple[str, str]] = {  # texts that a rule's refs cite
    "bp028": ("ANSSI BP-028", "ANSSI BP-028"),
    "hygiene": ("Guide d'hygiène ANSSI, mesure", "ANSSI hygiene guide, measure"),
    "care": ("CaRE", "CaRE"),
    "hds": ("HDS", "HDS"),
    "ssh": ("Guide OpenSSH ANSSI", "ANSSI OpenSSH guide"),
    "admin": ("Guide d'administration sécurisée ANSSI", "ANSSI secure administration guide"),
    "log": ("Guide de journalisation ANSSI", "ANSSI logging guide"),
    "tls": ("Guide TLS ANSSI", "ANSSI TLS guide"),
}

SUBJECTS: Mapping[str, tuple[str, str]] = {  # guides and themes of requirements
    "access_rights": ("Droits d'accès", "Access rights"),
    "asset_inventory": ("Inventaire des biens", "Asset inventory"),
    "audit_trail": ("Traces et imputabilité", "Audit trail"),
    "authentication": ("Authentification", "Authentication"),
    "backup": ("Sauvegarde", "Backup"),
    "connected_devices": ("Dispositifs connectés", "Connected devices"),
    "continuity": ("Continuité d'activité", "Continuity"),
    "data_destruction": ("Destruction de données", "Data destruction"),
    "data_integrity": ("Intégrité des données", "Data integrity"),
    "governance": ("Gouvernance", "Governance"),
    "incident": ("Incidents", "Incidents"),
    "legal": ("Obligations légales", "Legal duties"),
    "malware_protection": ("Codes malveillants", "Malware protection"),
    "network_segmentation": ("Cloisonnement du réseau", "Network segmentation"),
    "physical": ("Sécurité physique", "Physical security"),
    "procurement": ("Achats et fournisseurs", "Procurement and suppliers"),
    "remote_maintenance": ("Télémaintenance", "Remote maintenance"),
    "system_hardening": ("Durcissement du système", "System hardening"),
    "updates": ("Mises à jour", "Updates"),
    "web_access": ("Accès web", "Web access"),
    "wifi": ("Wi-Fi", "Wi-Fi"),
    "workstation_mobile": ("Postes et mobilité", "Workstations and mobility"),
}


def references(refs: Mapping[str, Sequence[str]], lang: str) -> list[str]:
    """Return ``ANSSI BP-028 R31, R32`` for each text that a rule cites."""
    return [f"{REFERENCES[name][LANGS.index(lang)]} {', '.join(ids)}" for name, ids in refs.items()]


def say(key: str, lang: str, **values: object) -> str:
    """Return a word or sentence in ``lang`` (``fr`` or ``en``), its ``{names}`` replaced."""
    return _WORDS[key][LANGS.index(lang)].format(**values)


def counted(number: int, key: str, lang: str) -> str:
    """Return ``1 règle`` or ``2 règles``; ``key`` is ``rule`` or ``requirement``."""
    plural = number > 1 if lang == "fr" else number != 1
    return f"{number} {say(f'{key}s' if plural else key, lang).lower()}"


def theme(name: str, lang: str) -> str:
    """Return the title of a theme or guide; its name when it has none."""
    return SUBJECTS[name][LANGS.index(lang)] if name in SUBJECTS else name
