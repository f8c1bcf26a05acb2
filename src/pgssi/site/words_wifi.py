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
    "wifi_no_guests": (
        ("aucun réseau use: guests à desservir", "Déclarer un réseau des visiteurs, ou retirer guests."),
        ("no network use: guests to serve", "Declare a network for guests, or remove guests."),
    ),
    "wifi_portals": (
        (
            "la sortie des visiteurs est un hôte, et un seul ; il y en a {count}",
            "Mettre un hôte, et un seul, dans guest_portals.",
        ),
        ("the guests' way out is one host; there are {count}", "Put one host, and only one, in group guest_portals."),
    ),
    "wifi_portal_not_gateway": (
        (
            "la sortie des visiteurs transmet d'une zone à une autre sans être une passerelle",
            "Mettre cet hôte aussi dans le groupe gateways : la matrice des flux y vaut.",
        ),
        (
            "the guests' way out forwards between zones and is no gateway",
            "Put this host in group gateways too: the flow matrix holds there.",
        ),
    ),
    "wifi_guest_address": (
        ("n'est pas une adresse utilisable ici", "Donner une adresse IP ; leases veut deux adresses IPv4."),
        ("is no address that can be used here", "Give an IP address; leases takes two IPv4 addresses."),
    ),
    "wifi_guest_outside": (
        ("hors de la zone des visiteurs", "Choisir une adresse de {zone}."),
        ("outside the guests' zone", "Choose an address of {zone}."),
    ),
    "wifi_guest_resolver": (
        (
            "résolveur de noms interne pour des visiteurs",
            "Choisir un résolveur du dehors, ou un qui leur soit réservé et ne connaisse aucun nom interne.",
        ),
        (
            "internal name resolver for guests",
            "Choose one outside, or one that is theirs alone and knows no internal name.",
        ),
    ),
    "wifi_guest_families": (
        ("une adresse IPv4, et une IPv6 au plus, sont attendues", "Donner [IPv4] ou [IPv4, IPv6]."),
        ("one IPv4 address, and one IPv6 at most, are expected", "Give [IPv4] or [IPv4, IPv6]."),
    ),
    "wifi_guest_prefix": (
        ("les appareils ne se donnent d'adresse IPv6 que dans un /64", "Donner un cidr6 en /64 à la zone des visiteurs."),
        ("devices give themselves an IPv6 address in a /64 only", "Give the guests' zone a cidr6 of /64."),
    ),
    "wifi_guest_leases": (
        ("la première adresse donnée suit la dernière", "Donner [première, dernière]."),
        ("the first address given comes after the last", "Give [first, last]."),
    ),
}
