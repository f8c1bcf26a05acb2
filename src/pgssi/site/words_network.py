"""What the check says of zones, addresses, services and flows; shaped as pgssi.site.words."""

from __future__ import annotations

# code: ((message, remedy) in French, (message, remedy) in English)
NETWORK: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "not_a_network": (
        ("n'est pas un réseau IPv{version}", "L'écrire par exemple {example}."),
        ("is not an IPv{version} network", "Write it for example {example}."),
    ),
    "host_bits": (
        ("est une adresse dans un réseau, pas un réseau", "Écrire {network}."),
        ("is an address in a network, not a network", "Write {network}."),
    ),
    "bad_date": (
        (
            "n'est pas une date",
            "L'écrire AAAA-MM-JJ.",
        ),
        (
            "is not a date",
            "Write it YYYY-MM-DD.",
        ),
    ),
    "zone_single_family": (
        (
            "pas d'IPv{missing} alors que {other} en a : personne n'y filtrerait ni n'y vérifierait cette famille",
            "Donner à la zone son réseau IPv{missing}.",
        ),
        (
            "no IPv{missing} although {other} has some: nobody would filter or verify that family there",
            "Give the zone its IPv{missing} network.",
        ),
    ),
    "no_matrix": (
        (
            "absente alors que des zones sont déclarées : aucun pare-feu ne peut être écrit",
            "Déclarer les flux du site (voir inventories/demo).",
        ),
        (
            "missing although zones are declared: no firewall can be written",
            "Declare the flows of the site (see inventories/demo).",
        ),
    ),
    "name_twice": (
        (
            "même nom dans {one} et dans {two}",
            "Renommer l'un des deux : un flux ne saurait pas lequel il désigne.",
        ),
        (
            "same name in {one} and in {two}",
            "Rename one of them: a flow could not tell which one it means.",
        ),
    ),
    "ambiguous_name": (
        (
            "désigne à la fois un groupe d'hôtes et autre chose ({one})",
            "Écrire group:NOM ou zone:NOM, ou renommer.",
        ),
        (
            "means both a group of hosts and something else ({one})",
            "Write group:NAME or zone:NAME, or rename it.",
        ),
    ),
    "flow_id_twice": (
        (
            "identifiant déjà pris par {other}",
            "Donner un id unique à chaque flux.",
        ),
        (
            "id already used by {other}",
            "Give each flow an id of its own.",
        ),
    ),
    "unknown_endpoint": (
        (
            "n'est ni une zone, ni un hôte, ni un groupe, ni un équipement",
            "{maybe_fr}Choisir parmi : {known}.",
        ),
        (
            "is neither a zone, a host, a group nor an equipment",
            "{maybe_en}Choose among: {known}.",
        ),
    ),
    "flow_without_owner": (
        (
            "personne ne répond de ce flux (PSSI 4.2.2.2)",
            "Nommer un service, une personne ou une entrée de site_contacts.",
        ),
        (
            "nobody answers for this flow (PSSI 4.2.2.2)",
            "Name a department, a person or an entry of site_contacts.",
        ),
    ),
    "expires_too_late": (
        (
            "à plus d'un an (PSSI 4.3.2.6)",
            "Revalider au plus tard le {latest}.",
        ),
        (
            "more than a year away (PSSI 4.3.2.6)",
            "Revalidate by {latest} at the latest.",
        ),
    ),
    "flow_expired": (
        (
            "échu, à revalider par {owner} (PSSI 4.3.2.6) ; objet : {purpose}",
            "Le retirer, ou le dater au plus tard du {latest} avec l'accord de son responsable métier.",
        ),
        (
            "expired, to be revalidated by {owner} (PSSI 4.3.2.6); purpose: {purpose}",
            "Remove it, or date it {latest} at the latest with the consent of its business owner.",
        ),
    ),
    "all_ports": (
        (
            "ce service est tous les ports : rien ne serait filtré (PSSI 4.3.1.2)",
            "Nommer les ports utilisés.",
        ),
        (
            "this service is every port: nothing would be filtered (PSSI 4.3.1.2)",
            "Name the ports in use.",
        ),
    ),
    "any_any": (
        (
            "de n'importe où vers n'importe où : ce n'est pas une ligne de liste blanche (PSSI 4.3.1.2)",
            "Nommer qui parle à qui.",
        ),
        (
            "from anywhere to anywhere: this is no line of a white list (PSSI 4.3.1.2)",
            "Name who talks to whom.",
        ),
    ),
    "published_zone": (
        (
            "une zone entière ouverte depuis {source}, donc depuis Internet",
            "Nommer les hôtes publiés, un par un.",
        ),
        (
            "a whole zone opened from {source}, thus from the Internet",
            "Name the published hosts, one by one.",
        ),
    ),
    "flow_opens_nothing": (
        (
            "n'ouvre rien : bouts sans adresse, identiques, ou sans famille IP commune",
            "Corriger from et to, ou le retirer.",
        ),
        (
            "opens nothing: ends without an address, the same, or without a common IP family",
            "Correct from and to, or remove it.",
        ),
    ),
    "flow_twice": (
        (
            "ouvre exactement ce que {other} ouvre déjà",
            "N'en garder qu'un.",
        ),
        (
            "opens exactly what {other} opens already",
            "Keep one of them.",
        ),
    ),
    "flow_covered": (
        (
            "n'ouvre rien de plus que {other} : le retirer ne couperait rien",
            "Réduire l'un des deux.",
        ),
        (
            "opens nothing more than {other}: removing it would cut nothing",
            "Reduce one of the two.",
        ),
    ),
    "service_unused": (
        (
            "aucun flux ne l'utilise",
            "Le retirer, ou déclarer son flux.",
        ),
        (
            "no flow uses it",
            "Remove it, or declare its flow.",
        ),
    ),
    "nobody_listens": (
        (
            "aucune machine connue n'y écoute {services}",
            "Déclarer l'hôte ou l'équipement, ou listener: false pour ce service.",
        ),
        (
            "no known machine listens there for {services}",
            "Declare the host or equipment, or listener: false for this service.",
        ),
    ),
    "no_control": (
        (
            "aucun poste de contrôle : les {count} hôtes gérés seraient coupés des exploitants",
            "Y déclarer un équipement avec use: control, sa zone et ses adresses.",
        ),
        (
            "no control node: the {count} managed hosts would be cut off from the operators",
            "Declare an equipment there with use: control, its zone and its addresses.",
        ),
    ),
    "no_interfaces": (
        (
            "absente alors qu'une matrice de flux existe : on ne sait pas où est cet hôte",
            "Donner ses adresses par zone dans hosts.yml ou host_vars. Zones : {zones}.",
        ),
        (
            "missing although there is a flow matrix: nobody knows where this host is",
            "Give its addresses by zone in hosts.yml or host_vars. Zones: {zones}.",
        ),
    ),
    "login_elsewhere": (
        (
            "n'est pas une adresse de cet hôte ({known})",
            "Corriger ansible_host ou site_interfaces : le pare-feu fermerait cette porte.",
        ),
        (
            "is no address of this host ({known})",
            "Correct ansible_host or site_interfaces: the firewall would close this door.",
        ),
    ),
    "locked_out": (
        (
            "le poste de contrôle ne pourrait plus se connecter à cet hôte (tcp/{port})",
            "Ajouter un flux du poste de contrôle vers cet hôte.",
        ),
        (
            "the control node could not log in to this host any more (tcp/{port})",
            "Add a flow from the control node to this host.",
        ),
    ),
    "guest_inside": (
        (
            "{source}, réseau de visiteurs, ne doit atteindre rien d'interne ; ici {target} (règle {rule}, PSSI {requirements})",
            "Retirer ce bout du flux.",
        ),
        (
            "{source}, a network of visitors, must reach nothing internal; here {target} (rule {rule}, PSSI {requirements})",
            "Remove this end of the flow.",
        ),
    ),
    "biomedical_internet": (
        (
            "le biomédical ne parle pas directement à Internet : {source} → {target} (règle {rule}, PSSI {requirements})",
            "Passer par un relais de DMZ ou par la télémaintenance.",
        ),
        (
            "biomedical equipment does not talk to the Internet directly: {source} → {target} (rule {rule}, PSSI {requirements})",
            "Go through a relay in a DMZ or through remote maintenance.",
        ),
    ),
    "dmz_wide": (
        (
            "la DMZ {source} ouvrirait plus de 1024 ports vers {target} (règle {rule}, PSSI {requirements})",
            "Nommer les ports utilisés.",
        ),
        (
            "the DMZ {source} would open more than 1024 ports towards {target} (rule {rule}, PSSI {requirements})",
            "Name the ports in use.",
        ),
    ),
    "internet_inside": (
        (
            "Internet ({source}) atteindrait {target}, qui n'est pas en DMZ (règle {rule}, PSSI {requirements})",
            "Publier le service depuis une zone use: [dmz_inbound].",
        ),
        (
            "the Internet ({source}) would reach {target}, which is in no DMZ (rule {rule}, PSSI {requirements})",
            "Publish the service from a zone with use: [dmz_inbound].",
        ),
    ),
    "administration_elsewhere": (
        (
            "flux d'administration venant de {source}, hors du réseau d'administration (règle {rule}, PSSI {requirements})",
            "Partir d'une zone use: [administration] ou [remote_maintenance], ou corriger category.",
        ),
        (
            "administration flow from {source}, outside of the administration network (rule {rule}, PSSI {requirements})",
            "Start from a zone with use: [administration] or [remote_maintenance], or correct category.",
        ),
    ),
    "exchange_in_clear": (
        (
            "flux de confidentialité {level} qui sort du réseau maîtrisé ({source} → {target}) par un service qui ne dit pas "
            "comment il est chiffré (règle {rule}, PSSI {requirements})",
            "Chiffrer ce service et l'écrire dans site_services (encrypted: tls ou ssh), ou le mettre dans un flux à part, "
            "d'une confidentialité moindre, s'il ne porte rien de sensible.",
        ),
        (
            "flow of confidentiality {level} that leaves the controlled network ({source} → {target}) by a service that does not "
            "state how it is encrypted (rule {rule}, PSSI {requirements})",
            "Encrypt this service and say so in site_services (encrypted: tls or ssh), or give it a flow of its own, "
            "of a lower confidentiality, if it carries nothing sensitive.",
        ),
    ),
    "encryption_impossible": (
        ("ne passe pas par {protocol}", "Ne garder dans ce service que ses ports chiffrés (ssh : TCP ; tls : TCP ou UDP)."),
        ("does not go over {protocol}", "Keep in this service only its encrypted ports (ssh: TCP; tls: TCP or UDP)."),
    ),
    "rehearsal_to_production": (
        (
            "{source} (recette, développement ou formation) atteint {target}, en production (PSSI 4.2.2.10, 6.5.2.4)",
            "Vérifier que ce passage est vraiment nécessaire.",
        ),
        (
            "{source} (acceptance, development or training) reaches {target}, in production (PSSI 4.2.2.10, 6.5.2.4)",
            "Make sure that this way is really needed.",
        ),
    ),
    "not_an_address": (
        ("n'est pas une adresse IP", 'L\'écrire par exemple "10.1.2.10" ou "fd00:0:0:2::a".'),
        ("is not an IP address", 'Write it for example "10.1.2.10" or "fd00:0:0:2::a".'),
    ),
    "not_usable": (
        (
            "réservé par les normes (boucle locale, lien local, multicast…) : aucune machine du site n'y est",
            "Choisir un réseau ou une adresse du plan d'adressage.",
        ),
        (
            "reserved by the standards (loopback, link-local, multicast…): no machine of the site is there",
            "Choose a network or an address of the address plan.",
        ),
    ),
    "whole_internet": (
        ("toutes les adresses du monde", "Écrire le réseau de la zone, ou use: [internet] si c'est Internet."),
        ("every address of the world", "Write the network of the zone, or use: [internet] if it is the Internet."),
    ),
    "internet_twice": (
        ("{other} est déjà tout ce qui n'est dans aucune zone", "N'en garder qu'une."),
        ("{other} already is whatever is in no zone", "Keep one of them."),
    ),
    "bad_port": (
        ("port impossible", "Écrire tcp/22, udp/5000-5010 (de 1 à 65535, le plus petit d'abord) ou icmp."),
        ("impossible port", "Write tcp/22, udp/5000-5010 (1 to 65535, the smaller first) or icmp."),
    ),
    "outside_zone": (
        ("n'est pas dans la zone {zone} ({networks}) mais dans : {found}", "Corriger l'adresse ou la zone."),
        ("is not in zone {zone} ({networks}) but in: {found}", "Correct the address or the zone."),
    ),
    "outside_zones": (
        ("n'est dans aucune zone", "Corriger l'adresse ; zones : {zones}."),
        ("is in no zone", "Correct the address; zones: {zones}."),
    ),
    "reserved_address": (
        ("première ou dernière adresse du réseau de {zone} : aucune machine ne peut la porter", "En choisir une autre."),
        ("first or last address of the network of {zone}: no machine can bear it", "Choose another one."),
    ),
    "family_missing": (
        (
            "pas d'adresse IPv{version} alors que la zone {zone} en a : ce côté ne serait ni filtré ni vérifié",
            "Ajouter l'adresse IPv{version}, ou retirer ce réseau de la zone si personne ne l'y utilise.",
        ),
        (
            "no IPv{version} address although zone {zone} has some: that side would be neither filtered nor verified",
            "Add the IPv{version} address, or remove that network from the zone if nobody uses it there.",
        ),
    ),
    "overlap": (
        ("recouvre la zone {other}", "Donner à chaque zone un réseau à elle."),
        ("overlaps zone {other}", "Give each zone a network of its own."),
    ),
    "vlan_twice": (
        ("VLAN déjà pris par la zone {other}", "Donner à chaque zone son VLAN."),
        ("VLAN already used by zone {other}", "Give each zone a VLAN of its own."),
    ),
    "address_twice": (
        ("même adresse que {other}", "Corriger l'adresse : un hôte ne reçoit pas deux descriptions."),
        ("same address as {other}", "Correct the address: one host cannot have two descriptions."),
    ),
}
