"""What the check says of suppliers. Same shape as words.MESSAGES."""

from __future__ import annotations

SUPPLIERS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "no_bastion": (
        ("des prestataires sans passerelle : le groupe bastions est vide", "Ajouter un hôte à ce groupe."),
        ("suppliers without a gateway: group bastions is empty", "Add a host to this group."),
    ),
    "no_log_server": (
        (
            "des prestataires sans serveur de journaux : aucune session ne s'ouvrirait",
            "Mettre un hôte dans le groupe log_servers.",
        ),
        ("suppliers without a log server: no session would open", "Put a host in group log_servers."),
    ),
    "port_of_operators": (
        ("port du SSH des exploitants sur {host}", "Donner un port à part, 2222 par exemple."),
        ("port of the operators' SSH on {host}", "Give a port of its own, 2222 for instance."),
    ),
    "contract_over": (
        ("contrat terminé : aucune intervention ne s'ouvrira", "Le prolonger, ou retirer ce prestataire."),
        ("contract over: no intervention will open", "Extend it, or remove this supplier."),
    ),
    "supplier_network_wide": (
        ("réseau trop large pour dire d'où vient un intervenant", "Demander des adresses fixes (préfixe d'au moins {prefix})."),
        ("network too wide to tell where a person comes from", "Ask for fixed addresses (a prefix of at least {prefix})."),
    ),
    "supplier_without_key": (
        ("intervenant sans clé publique : rien ne pourra lui être ouvert", "Demander sa clé et l'ajouter."),
        ("person without a public key: nothing can be opened", "Ask for the key and add it."),
    ),
    "totp_missing": (
        ("absent : au palier 3, cet intervenant n'entrera pas", "Tirer un secret base32 et le lui remettre en main propre."),
        ("missing: at palier 3 this person will not get in", "Draw a base32 secret and hand it over in person."),
    ),
    "host_keys_missing": (
        (
            "équipement sans clé d'hôte : la passerelle refusera de s'y connecter",
            "Relever la clé, la vérifier sur place, l'ajouter.",
        ),
        ("equipment without a host key: the gateway will refuse to connect", "Read the key, check it on the spot, add it."),
    ),
}
