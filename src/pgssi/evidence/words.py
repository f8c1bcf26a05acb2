"""Names of kinds, results and differences for people, in French and English."""

from __future__ import annotations

from datetime import datetime

KINDS = {
    "restore_drill": ("Fiche de restauration", "Restore sheet"),
    "access_review": ("Revue des habilitations", "Access review"),
    "asset_inventory": ("Relevé d'inventaire", "Inventory record"),
    "backup_change": ("Sauvegarde avant et après changement", "Backup before and after a change"),
    "red_button": ("Isolement de la zone de sauvegarde", "Backup zone isolated"),
    "remote_session": ("Rapport d'intervention à distance", "Remote intervention report"),
    "destruction_approval": ("Accord pour une destruction de données", "Agreement to a destruction of data"),
    "physical_destruction": ("Fiche d'intervention : destruction physique", "Intervention sheet: physical destruction"),
    "data_destruction": ("Fiche d'intervention : effacement", "Intervention sheet: erasure"),
    "journal_repair": ("Réparation du journal", "Repair of the journal"),
}
RESULTS = {
    "success": ("Réussi", "Success"),
    "failure": ("Échec", "Failure"),
    "partial": ("Partiel", "Partial"),
}
ROLES = {
    "operator": ("Opérateur", "Operator"),
    "requester": ("Demandeur", "Requester"),
    "approver": ("Approbateur", "Approver"),
    "reviewer": ("Réviseur", "Reviewer"),
    "witness": ("Témoin", "Witness"),
    "supplier": ("Intervenant", "Supplier's person"),
}
REFUSALS = {
    "no open window": ("aucune fenêtre ouverte", "no open window"),
    "outside the window": ("hors de la fenêtre", "outside the window"),
    "outside a window": ("hors de toute fenêtre", "outside a window"),
    "expired certificate": ("certificat expiré", "expired certificate"),
    "revoked certificate": ("certificat révoqué", "revoked certificate"),
    "no valid certificate": ("aucun certificat valable", "no valid certificate"),
    "unknown account": ("compte inconnu", "unknown account"),
    "port forward": ("redirection de port", "port forward"),
    "not a relay": ("demande qui n'est pas un flux", "request that is no relay"),
    "command too long": ("commande trop longue", "command too long"),
    "wrong one-time code": ("code à usage unique faux", "wrong one-time code"),
    "one-time code missing": ("code à usage unique absent", "one-time code missing"),
}
STEPS = {
    "luks": ("Destruction des en-têtes de chiffrement", "Destruction of the encryption headers"),
    "nwipe": ("nwipe, DoD 5220.22-M", "nwipe, DoD 5220.22-M"),
    "overwrite": ("Passe de zéros sur tout le support", "Pass of zeros over the whole medium"),
    "digest": ("Empreinte de tout le support, avec témoins", "Digest of the whole medium, with witnesses"),
    "firmware": ("Commande d'effacement du support", "The medium's own erase command"),
    "changed": ("Comparaison de tout le support avec l'empreinte", "Comparison of the whole medium with the digest"),
    "discard": ("Libération des blocs", "Discard of the blocks"),
    "verify": ("Relecture de tout le support", "Reading back of the whole medium"),
}
LEVELS = {
    "clear": ("effacement (clear, NIST SP 800-88)", "clear (NIST SP 800-88)"),
    "purge": ("purge (purge, NIST SP 800-88)", "purge (NIST SP 800-88)"),
}
ENDINGS = {
    "on demand": ("à la demande", "on demand"),
    "end of the window": ("fin de la fenêtre", "end of the window"),
}
DIFFERENCES = {
    "undeclared_account": ("Compte non déclaré", "Undeclared account"),
    "no_right_here": ("Compte actif sans droit sur cet hôte", "Active account without a right on this host"),
    "person_gone": ("Personne partie, compte encore actif", "Person gone, account still active"),
    "not_started": ("Personne pas encore arrivée, compte actif", "Person not there yet, account active"),
    "replacement_expired": ("Remplacement terminé, droits encore là", "Replacement over, rights still there"),
    "missing_account": ("Compte déclaré absent ou verrouillé", "Declared account absent or locked"),
    "service_login": ("Compte de service pouvant se connecter", "Service account able to log in"),
    "default_login": ("Compte par défaut pouvant se connecter", "Default account able to log in"),
    "extra_group": ("Groupe en trop", "Extra group"),
    "missing_group": ("Groupe manquant", "Missing group"),
    "extra_sudo": ("Règle sudo non déclarée", "Undeclared sudo rule"),
    "missing_sudo": ("Règle sudo manquante", "Missing sudo rule"),
    "extra_key": ("Clé SSH non déclarée", "Undeclared SSH key"),
    "missing_key": ("Clé SSH manquante", "Missing SSH key"),
    "shared_key": ("Clé SSH partagée par plusieurs comptes", "SSH key shared by several accounts"),
    "duplicate_uid": ("Numéro d'utilisateur partagé", "Shared user number"),
    "too_many_accounts": ("Plus de deux comptes pour une personne", "More than two accounts for one person"),
    "mixed_rights": ("Droits techniques et métier mêlés", "Technical and business rights mixed"),
    "no_account_for_profile": (
        "Profil attribué sans compte de ce type",
        "Profile given without such an account",
    ),
    "profile_unused": ("Profil qu'aucune fonction ne donne", "Profile that no function gives"),
}


def say(pair: tuple[str, str], language: str) -> str:
    """Return the French or the English of a pair."""
    return pair[1] if language == "en" else pair[0]


def name_of(table: dict[str, tuple[str, str]], code: str, language: str) -> str:
    """Return the name of a code, or the code itself in plain letters."""
    return say(table[code], language) if code in table else code.replace("_", " ").capitalize()


def moment(value: object, language: str) -> str:
    """Return an ISO date or moment as people of that language write it, with its offset from UTC."""
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    day = read.strftime("%d/%m/%Y") if language == "fr" else read.strftime("%Y-%m-%d")
    if len(str(value)) == 10:
        return day
    zone = read.strftime(" %Z") if read.tzinfo else ""
    return f"{day} {read:%H:%M}{zone}"


def span(seconds: float) -> str:
    """Return a duration: ``3 h 05 min``, ``4 min 10 s``, ``12 s``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
