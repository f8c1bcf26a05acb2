"""What the check says of the Wi-Fi. Same shape as words.MESSAGES."""

from __future__ import annotations

WIFI: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "wifi_ssid_tells": (
        (
            "nom de réseau qui renseigne un intrus : il contient « {word} »",
            "Choisir un mot neutre, sans établissement, service, opérateur ni marque.",
        ),
        (
            "network name that informs an intruder: it holds “{word}”",
            "Choose a neutral word, without site, service, operator or brand.",
        ),
    ),
    "wifi_ssid_twice": (
        ("même nom de réseau que {other}", "Donner un nom différent à chaque usage."),
        ("same network name as {other}", "Give each use a name of its own."),
    ),
    "wifi_open": (
        ("réseau interne sans authentification", "Choisir enterprise (802.1X), ou personal à défaut."),
        ("internal network without authentication", "Choose enterprise (802.1X), or personal for want of it."),
    ),
    "wifi_guests_enterprise": (
        ("des visiteurs en 802.1X", "Choisir open ou personal pour use: guests."),
        ("guests by 802.1X", "Choose open or personal for use: guests."),
    ),
    "wifi_personal": (
        ("clé partagée pour des professionnels", "À partir du palier 2, passer ce réseau en enterprise (802.1X)."),
        ("shared key for professionals", "From palier 2 on, move this network to enterprise (802.1X)."),
    ),
    "wifi_passphrase_short": (
        ("clé trop courte", "Tirer au hasard au moins {detail} caractères."),
        ("passphrase too short", "Draw at least {detail} random characters."),
    ),
    "wifi_passphrase_plain": (
        (
            "clé trop simple",
            "Mêler lettres, chiffres et caractères spéciaux, ou tirer {detail} caractères au hasard.",
        ),
        ("passphrase too plain", "Mix letters, digits and special characters, or draw {detail} random characters."),
    ),
    "wifi_passphrase_trivial": (
        ("clé triviale : elle contient « {detail} »", "Tirer la clé au hasard."),
        ("trivial passphrase: it holds “{detail}”", "Draw the passphrase at random."),
    ),
    "wifi_passphrase_old": (
        ("clé inchangée depuis {days} jours, au-delà des {limit} du site", "La changer et noter la date du changement."),
        ("passphrase unchanged for {days} days, beyond the site's {limit}", "Change it and note the date of the change."),
    ),
    "wifi_passphrase_unused": (
        ("clé sans effet : ce réseau n'est pas security: personal", "La retirer."),
        ("passphrase without effect: this network is not security: personal", "Remove it."),
    ),
    "wifi_guest_zone": (
        ("zone des visiteurs qui sert aussi à autre chose : {use}", "Choisir une zone dont use est [guest] et rien d'autre."),
        ("zone of guests that serves something else too: {use}", "Choose a zone whose use is [guest] and nothing else."),
    ),
    "wifi_not_guest_zone": (
        ("zone des visiteurs pour un réseau {use}", "Choisir une zone interne."),
        ("zone of guests for a network {use}", "Choose an internal zone."),
    ),
    "wifi_zone_shared": (
        ("zone déjà prise par {other}, d'un autre usage", "Donner une zone à chaque usage."),
        ("zone that {other} has already, of another use", "Give each use a zone of its own."),
    ),
    "wifi_secret_shared": (
        ("même secret RADIUS que {other}", "Tirer un secret par borne ou contrôleur."),
        ("same RADIUS secret as {other}", "Draw one secret for each access point or controller."),
    ),
    "wifi_no_radios": (
        ("borne administrée sans radio déclarée", "Décrire ses radios dans access_points, ou la retirer du groupe."),
        ("managed access point without a declared radio", "Describe its radios in access_points, or take it out of the group."),
    ),
    "wifi_no_radius": (
        ("802.1X sans serveur RADIUS : personne n'entrerait", "Mettre un hôte dans le groupe radius_servers."),
        ("802.1X without a RADIUS server: nobody would enter", "Put a host in group radius_servers."),
    ),
}
