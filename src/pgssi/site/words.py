"""What the check says: for each finding, what is wrong and what to do, in French and English."""

from __future__ import annotations

from pgssi.site.model import Finding
from pgssi.site.words_malware import MALWARE
from pgssi.site.words_network import NETWORK
from pgssi.site.words_suppliers import SUPPLIERS
from pgssi.site.words_updates import UPDATES
from pgssi.site.words_wifi import WIFI

# code: ((message, remedy) in French, (message, remedy) in English)
MESSAGES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    **MALWARE,
    **NETWORK,
    **SUPPLIERS,
    **UPDATES,
    **WIFI,
    "unknown_variable": (
        ("variable inconnue", "{maybe_fr}Le préfixe site_ est réservé au modèle de site."),
        ("unknown variable", "{maybe_en}The prefix site_ is reserved for the site model."),
    ),
    "unknown_key": (
        ("clé inconnue", "{maybe_fr}Clés possibles : {known}."),
        ("unknown key", "{maybe_en}Possible keys: {known}."),
    ),
    "missing_variable": (
        ("variable absente", "La définir dans group_vars/all."),
        ("variable missing", "Define it in group_vars/all."),
    ),
    "missing_key": (("clé absente", "L'ajouter à cette entrée."), ("key missing", "Add it to this entry.")),
    "key_written_twice": (
        ("clé écrite deux fois : la première serait ignorée", "N'en garder qu'une."),
        ("key written twice: the first one would be ignored", "Keep one of them."),
    ),
    "bad_name": (("nom refusé", "Il faut {expected_fr}."), ("name refused", "It must be {expected_en}.")),
    "bad_format": (
        ("valeur refusée", "Il faut {expected_fr}."),
        ("value refused", "It must be {expected_en}."),
    ),
    "wrong_type": (
        (
            "mauvais type",
            "Il faut {expected_fr} (un texte qui ressemble à autre chose s'écrit entre guillemets).",
        ),
        ("wrong type", "It must be {expected_en} (a text that looks like something else goes in quotes)."),
    ),
    "not_in_list": (
        ("valeur inconnue", "{maybe_fr}Valeurs possibles : {known} (entre guillemets pour yes et no)."),
        ("unknown value", "{maybe_en}Possible values: {known} (in quotes for yes and no)."),
    ),
    "out_of_range": (
        ("hors limites", "Il faut un nombre entre {low} et {high}."),
        ("out of range", "It must be a number between {low} and {high}."),
    ),
    "too_few": (
        ("trop peu d'éléments", "Il en faut au moins {limit}."),
        ("too few items", "At least {limit} needed."),
    ),
    "too_many": (
        ("trop d'éléments", "Il en faut au plus {limit}."),
        ("too many items", "At most {limit} allowed."),
    ),
    "twice_in_list": (
        ("un élément est écrit deux fois", "N'en garder qu'un."),
        ("an item stands twice", "Keep one of them."),
    ),
    "bad_length": (
        ("texte trop court ou trop long", "Il faut de {low} à {high} caractères."),
        ("text too short or too long", "{low} to {high} characters are needed."),
    ),
    "too_deep": (
        ("valeur imbriquée trop profondément", "La simplifier : le modèle n'a que quelques niveaux."),
        ("value nested too deeply", "Simplify it: the model has only a few levels."),
    ),
    "unresolved": (("illisible : {reason}", "{remedy_fr}"), ("cannot be read: {reason}", "{remedy_en}")),
    "hidden_character": (
        ("contient un caractère invisible ({character})", "Retaper ce texte au clavier."),
        ("holds an invisible character ({character})", "Type this text again."),
    ),
    "look_alike": (
        ("« {word} » mélange deux alphabets ({character})", "Retaper ce mot au clavier."),
        ('"{word}" mixes two alphabets ({character})', "Type this word again."),
    ),
    "unknown_reference": (
        ("n'existe pas dans {where}", "{maybe_fr}Choisir parmi : {known}."),
        ("does not exist in {where}", "{maybe_en}Choose among: {known}."),
    ),
    "unknown_place": (
        ("n'est ni un hôte, ni un groupe de l'inventaire", "{maybe_fr}Choisir parmi : {known}."),
        ("is neither a host nor a group of the inventory", "{maybe_en}Choose among: {known}."),
    ),
    "group_name": (
        ("groupe sans effet, au nom proche de {nearest}", "Le renommer {nearest} si c'est ce groupe."),
        ("group without effect, named almost like {nearest}", "Rename it {nearest} if it is meant."),
    ),
    "root_group": (
        ("ce groupe donne root sans passer par les habilitations", "Donner un droit sudo précis à la place."),
        ("this group gives root outside of the habilitations", "Give a precise sudo right instead."),
    ),
    "business_sudo": (
        (
            "un profil métier ne donne pas de droits sudo",
            "Passer {profile} en kind: technical ou retirer sudo.",
        ),
        ("a business profile gives no sudo rights", "Make {profile} kind: technical or remove sudo."),
    ),
    "person_twice": (
        ("identifiant déjà pris par {other}", "Donner un id unique à chaque personne."),
        ("id already used by {other}", "Give each person an id of its own."),
    ),
    "ends_before": (
        ("est avant le début ({starts})", "Corriger l'une des deux dates."),
        ("is before the start ({starts})", "Correct one of the two dates."),
    ),
    "kind_twice": (
        (
            "{person} a deux comptes de cette nature",
            "Un compte métier et un compte technique au plus (PSSI 5.2.1.4).",
        ),
        (
            "{person} has two accounts of this kind",
            "One business and one technical account at most (PSSI 5.2.1.4).",
        ),
    ),
    "no_account_of_kind": (
        (
            "donne le profil {profile}, de nature {kind}, que {person} n'a pas de compte pour porter",
            "Ajouter à {person} un compte de nature {kind}, ou retirer ce droit.",
        ),
        (
            "gives profile {profile} of kind {kind}, and {person} has no account to carry it",
            "Give {person} an account of kind {kind}, or remove this right.",
        ),
    ),
    "account_without_right": (
        (
            "aucune fonction de {person} ne donne de droit de nature {kind} : le compte sera verrouillé",
            "Retirer ce compte ou ajouter la fonction.",
        ),
        (
            "no function of {person} gives a right of kind {kind}: the account will be locked",
            "Remove this account or add the function.",
        ),
    ),
    "replaces_self": (
        ("une personne ne se remplace pas elle-même", "Écrire l'id de la personne absente."),
        ("a person cannot replace itself", "Write the id of the absent person."),
    ),
    "replacement_ended": (
        ("remplacement terminé : il ne donne plus rien", "Le retirer, ou corriger sa date de fin."),
        ("replacement ended: it gives nothing any more", "Remove it, or correct its end."),
    ),
    "profile_not_held": (
        ("{person} n'a pas ce profil", "Choisir parmi : {known}."),
        ("{person} does not hold this profile", "Choose among: {known}."),
    ),
    "reserved_login": (
        ("compte du système", "Choisir un autre nom."),
        ("account of the system", "Choose another name."),
    ),
    "login_twice": (
        ("déjà déclaré en {other}", "Un nom de connexion désigne un seul compte."),
        ("already declared at {other}", "One login names one account."),
    ),
    "not_automation": (
        ("l'hôte est joint avec un compte que le rôle verrouillerait", "Utiliser {login} (site_automation)."),
        ("the host is reached with an account that the role would lock", "Use {login} (site_automation)."),
    ),
    "key_twice": (
        ("clé partagée par {owner} et {other}", "Une clé par compte (PSSI 5.2.1)."),
        ("key shared by {owner} and {other}", "One key for each account (PSSI 5.2.1)."),
    ),
    "private_key": (
        ("clé PRIVÉE", "La retirer, la considérer comme compromise, et mettre la clé publique (.pub)."),
        ("PRIVATE key", "Remove it, treat it as compromised, and put the public key (.pub)."),
    ),
    "bad_key": (
        ("n'est pas une clé publique SSH", "Coller la ligne entière du fichier .pub."),
        ("is not an SSH public key", "Paste the whole line of the .pub file."),
    ),
    "weak_key": (
        ("clé trop faible ({why})", "Créer une clé ed25519 : ssh-keygen -t ed25519."),
        ("key too weak ({why})", "Make an ed25519 key: ssh-keygen -t ed25519."),
    ),
    "no_backup_hosts": (
        ("absente alors que site_backup_plan existe", "Définir au moins server et window."),
        ("missing although site_backup_plan exists", "Define at least server and window."),
    ),
    "not_in_group": (
        ("n'est pas dans le groupe {group}", "L'y ajouter, ou choisir parmi : {members}."),
        ("is not in group {group}", "Add it, or choose among: {members}."),
    ),
    "same_as_server": (
        ("{key} est le serveur de sauvegarde lui-même", "Choisir un autre hôte : ce serait la même perte."),
        ("{key} is the backup server itself", "Choose another host: one loss would take both."),
    ),
    "needed_from_palier": (
        ("absent, exigé à partir du palier {palier}", "Ajouter {key} à site_backup."),
        ("missing, demanded from palier {palier} on", "Add {key} to site_backup."),
    ),
    "medium_twice": (
        ("support déjà déclaré sur cet hôte : {other}", "N'en garder qu'une entrée."),
        ("medium already declared on this host: {other}", "Keep one entry."),
    ),
    "worth_two_things": (
        ("contenu déclaré à la fois sauvegardé et sans valeur", "Garder worthless, ou components."),
        ("content declared both backed up and worthless", "Keep worthless, or components."),
    ),
    "component_twice": (
        ("composant déjà déclaré en {other}", "Donner un nom unique à chaque composant."),
        ("component already declared at {other}", "Give each component a name of its own."),
    ),
    "dependency_loop": (
        ("dépendances en boucle : {loop}", "Retirer l'une de ces dépendances."),
        ("dependency loop: {loop}", "Remove one of these dependencies."),
    ),
    "dmard_of_dependency": (
        (
            "plus court que {other} ({hours} h), à restaurer d'abord",
            "Allonger cette DMARD ou raccourcir l'autre.",
        ),
        (
            "shorter than {other} ({hours} h), which is restored first",
            "Lengthen this DMARD or shorten the other.",
        ),
    ),
    "path_climbs": (
        ("chemin qui remonte par ..", "Écrire le chemin sans .. ."),
        ("path that climbs by ..", "Write the path without .. ."),
    ),
    "pdma_below_frequency": (
        (
            "une sauvegarde {frequency} ne tient pas cette PDMA",
            "PDMA d'au moins {hours} h, ou sauvegarde plus fréquente.",
        ),
        (
            "a {frequency} backup cannot keep this PDMA",
            "A PDMA of {hours} h at least, or more frequent backups.",
        ),
    ),
    "retention_too_long": (
        (
            "garde {months} mois, au-delà de retention_max_months ({limit})",
            "Réduire la rétention ou relever la limite.",
        ),
        (
            "keeps {months} months, beyond retention_max_months ({limit})",
            "Reduce the retention or raise the limit.",
        ),
    ),
    "retention_nothing": (
        ("ne garde aucune archive", "Garder au moins une archive."),
        ("keeps no archive at all", "Keep one archive at least."),
    ),
    "retention_needs_note": (
        (
            "plus de {limit} mois sans justification",
            "Ajouter note : l'obligation ou la décision qui l'exige.",
        ),
        (
            "more than {limit} months without a reason",
            "Add note: the obligation or decision that demands it.",
        ),
    ),
    "nothing_planned": (
        (
            "ni composant au plan, ni exclusion : rien n'y est sauvegardé",
            "Ajouter un composant, ou l'exclure dans site_backup_excluded.",
        ),
        (
            "neither a component in the plan nor an exclusion: nothing of it is saved",
            "Add a component, or exclude it in site_backup_excluded.",
        ),
    ),
    "secret_shared": (
        ("même secret que {other}", "Un secret par hôte : l'un compromis ouvrirait l'autre."),
        ("same secret as {other}", "One secret for each host: one lost would open the other."),
    ),
    "secret_missing": (
        ("absente alors que l'hôte est sauvegardé", "La définir dans host_vars, chiffrée par Ansible Vault."),
        ("missing although the host is backed up", "Define it in host_vars, encrypted by Ansible Vault."),
    ),
    "trajectory_order": (
        ("n'est pas après {before}", "Ranger les paliers et les dates en ordre croissant."),
        ("does not come after {before}", "Put paliers and dates in ascending order."),
    ),
    "trajectory_late": (
        (
            "date passée alors que le palier visé est encore {target}",
            "Atteindre le palier {palier} ou revoir la date.",
        ),
        (
            "date passed although the target is still palier {target}",
            "Reach palier {palier} or review the date.",
        ),
    ),
    "unknown_rule": (
        ("règle inconnue", "{maybe_fr}Voir pgssi catalogue list."),
        ("unknown rule", "{maybe_en}See pgssi catalogue list."),
    ),
    "unknown_requirement": (
        ("exigence inconnue", "{maybe_fr}Voir pgssi catalogue list."),
        ("unknown requirement", "{maybe_en}See pgssi catalogue list."),
    ),
    "waiver_expired": (
        (
            "dérogation échue : la règle s'applique de nouveau",
            "La retirer, ou la faire approuver à une nouvelle date.",
        ),
        ("waiver expired: the rule applies again", "Remove it, or have it approved with a new date."),
    ),
    "waiver_twice": (
        ("dérogation écrite deux fois", "N'en garder qu'une."),
        ("waiver written twice", "Keep one of them."),
    ),
    "waiver_without_effect": (
        ("aucun hôte de cette portée n'est concerné par la règle", "Choisir des hôtes de : {groups}."),
        ("no host of this scope carries the rule", "Choose hosts of: {groups}."),
    ),
    "attests_automated": (
        ("exigence vérifiée par la machine : l'attestation ne compte pas", "La retirer."),
        ("requirement verified by machine: the attestation does not count", "Remove it."),
    ),
    "date_in_future": (
        ("date à venir", "Dater du jour où la réponse a été donnée."),
        ("date in the future", "Date it to the day the answer was given."),
    ),
    "attestation_expired": (
        ("attestation échue : elle ne compte plus", "La renouveler ou la retirer."),
        ("attestation expired: it does not count any more", "Renew it or remove it."),
    ),
    "attested_twice": (
        ("exigence déjà attestée", "N'en garder qu'une en cours."),
        ("requirement already attested", "Keep one current answer."),
    ),
}


def say(finding: Finding, lang: str = "fr") -> tuple[str, str]:
    """Return (message, remedy) of a finding, ``fr`` or ``en``."""
    message, remedy = MESSAGES[finding.code][1 if lang == "en" else 0]
    close = finding.details.get("nearest")
    values = {
        **finding.details,
        "maybe_fr": f"Vouliez-vous dire « {close} » ? " if close else "",
        "maybe_en": f'Did you mean "{close}"? ' if close else "",
    }
    return message.format(**values), remedy.format(**values)
