"""What a refused request is told: for each code, what is wrong and what to do, in French and English."""

from __future__ import annotations

from pgssi.errors import Problem

# code: ((message, remedy) in French, (message, remedy) in English)
MESSAGES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "missing": (
        ("absent de la demande", "Le donner : -e {key}=…"),
        ("missing from the request", "Give it: -e {key}=…"),
    ),
    "unknown_key": (
        ("mot inconnu dans la demande", "Mots possibles : {known}."),
        ("unknown word in the request", "Possible words: {known}."),
    ),
    "unknown_person": (
        ("n'est l'intervenant d'aucun prestataire", "Choisir parmi : {known}, ou le déclarer dans site_suppliers."),
        ("is no person of any supplier", "Choose among: {known}, or declare it in site_suppliers."),
    ),
    "unknown_equipment": (
        ("n'est pas un équipement que {supplier} maintient", "Choisir parmi : {known}, ou le déclarer dans site_suppliers."),
        ("is not an equipment that {supplier} maintains", "Choose among: {known}, or declare it in site_suppliers."),
    ),
    "unknown_approver": (
        ("n'est ni une personne en fonction, ni un contact du site", "Choisir parmi : {known}."),
        ("is neither a person in office nor a contact of the site", "Choose among: {known}."),
    ),
    "approver_is_supplier": (
        ("est du prestataire : il n'approuve pas sa propre intervention", "Donner quelqu'un de l'établissement."),
        ("belongs to the supplier and cannot approve its own intervention", "Give somebody of the site."),
    ),
    "not_an_approver": (
        ("n'est pas habilité à approuver (site_remote.approvers)", "Choisir parmi : {known}."),
        ("may not approve (site_remote.approvers)", "Choose among: {known}."),
    ),
    "no_keys": (
        ("n'a pas de clé publique déclarée", "Ajouter sa clé dans site_suppliers, people, keys."),
        ("has no declared public key", "Add it in site_suppliers, people, keys."),
    ),
    "no_address": (
        ("n'a pas d'adresse commune en IPv4 ou IPv6 avec {other}", "Compléter les adresses dans l'inventaire."),
        ("has no address over IPv4 or IPv6 in common with {other}", "Complete the addresses in the inventory."),
    ),
    "no_host_keys": (
        (
            "n'a pas de clé d'hôte déclarée : la passerelle ne saurait pas à qui elle parle",
            "Relever la clé (ssh-keyscan), la vérifier sur place, l'écrire dans host_keys.",
        ),
        (
            "has no declared host key: the gateway could not know whom it talks to",
            "Read the key (ssh-keyscan), check it on the spot, write it in host_keys.",
        ),
    ),
    "contract_over": (
        (
            "contrat terminé le {until}, avant la fin de l'intervention",
            "Prolonger contract_until, ou choisir une date antérieure.",
        ),
        ("contract over on {until}, before the end of the intervention", "Extend contract_until, or choose an earlier date."),
    ),
    "bad_start": (
        ("début illisible", "L'écrire AAAA-MM-JJTHH:MM (heure du poste, ou +02:00), ou now."),
        ("start cannot be read", "Write it YYYY-MM-DDTHH:MM (time of this machine, or +02:00), or now."),
    ),
    "start_past": (
        ("début dans le passé ({ago} min)", "Écrire now, ou une heure à venir."),
        ("start in the past ({ago} min)", "Write now, or a time to come."),
    ),
    "start_far": (
        ("début au-delà de {days} jours", "Demander plus près de l'intervention (site_remote.notice_days)."),
        ("start more than {days} days away", "Ask closer to the intervention (site_remote.notice_days)."),
    ),
    "bad_duration": (
        ("durée illisible", "L'écrire 45m, 2h ou 1h30."),
        ("duration cannot be read", "Write it 45m, 2h or 1h30."),
    ),
    "too_long": (
        ("durée au-delà de {hours} h", "Découper l'intervention, ou relever site_remote.longest_hours."),
        ("longer than {hours} h", "Split the intervention, or raise site_remote.longest_hours."),
    ),
    "bad_text": (
        ("motif trop court, trop long ou avec des caractères de commande", "Écrire de {low} à {high} caractères sur une ligne."),
        ("purpose too short, too long or with control characters", "Write {low} to {high} characters on one line."),
    ),
    "overlap": (
        ("fenêtre déjà prévue de {starts} à {ends} ({other})", "La fermer d'abord, ou choisir une autre heure."),
        ("window already there from {starts} to {ends} ({other})", "Close it first, or choose another time."),
    ),
    "no_bastion": (
        ("aucune passerelle dans le groupe bastions", "Ajouter l'hôte à ce groupe de l'inventaire."),
        ("no gateway in group bastions", "Add the host to this group of the inventory."),
    ),
    "no_authority": (
        ("autorité des prestataires absente", "Lancer playbooks/remote_maintenance.yml, qui la crée une fois."),
        ("suppliers' authority missing", "Run playbooks/remote_maintenance.yml, which makes it once."),
    ),
    "clock": (
        ("horloge en écart de {seconds} s avec ce poste", "Mettre les horloges à l'heure, puis recommencer."),
        ("clock {seconds} s away from this machine's", "Set the clocks, then try again."),
    ),
    "no_window": (
        ("aucune fenêtre de ce nom", "Donner un compte ({known}), un équipement, un intervenant, ou all."),
        ("no window of that name", "Give an account ({known}), an equipment, a person, or all."),
    ),
    "no_table": (
        ("pare-feu du site absent : rien ne fermerait derrière la fenêtre", "Lancer playbooks/network_segmentation.yml."),
        ("the site's firewall is missing: nothing would close behind the window", "Run playbooks/network_segmentation.yml."),
    ),
    "not_ready": (
        ("l'hôte n'est pas préparé pour les interventions à distance", "Lancer playbooks/remote_maintenance.yml."),
        ("the host is not prepared for remote maintenance", "Run playbooks/remote_maintenance.yml."),
    ),
}


def problem(code: str, where: str, key: str, value: object, lang: str = "fr", **details: object) -> Problem:
    """Return the problem of this code, in the language asked for. where: file, host or request."""
    message, remedy = MESSAGES[code][1 if lang == "en" else 0]
    shown = {"key": key, **details}
    return Problem(where, key, value, message.format(**shown), remedy.format(**shown))
