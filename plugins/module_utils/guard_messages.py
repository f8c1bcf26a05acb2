"""What a guarded change tells the operator, in French and English."""

from __future__ import annotations

import errno
import os
from typing import Any, Mapping

_MESSAGES = {
    "not_root": (
        "Ce changement demande root. Remède : activez `become` pour cette tâche. Rien n'a été modifié.",
        "This change needs root. Remedy: enable `become` for this task. Nothing was changed.",
    ),
    "no_systemd": (
        "Pas de systemd sur cet hôte : le retour arrière ne peut pas être armé, le changement est "
        "donc refusé. "
        "Remède : appliquez-le depuis la console. Rien n'a été modifié.",
        "No systemd on this host: the way back cannot be armed, so the change is refused. "
        "Remedy: make it from the console. Nothing was changed.",
    ),
    "no_snapshot": (
        "Copie de sauvegarde impossible : {reason}. Remède : libérez de la place dans "
        "/var/lib/pgssi/guard ou "
        "corrigez le chemin. Rien n'a été modifié.",
        "No copy could be kept: {reason}. Remedy: free some space in /var/lib/pgssi/guard or correct "
        "the path. "
        "Nothing was changed.",
    ),
    "not_armed": (
        "Le retour arrière n'a pas pu être armé : {reason}. Remède : réparez systemd (`systemctl "
        "--failed`) puis "
        "relancez. Rien n'a été modifié.",
        "The way back could not be armed: {reason}. Remedy: repair systemd (`systemctl --failed`) "
        "and run again. "
        "Nothing was changed.",
    ),
    "busy": (
        "Un autre changement protégé occupe cet hôte. Remède : attendez sa fin puis relancez.",
        "Another guarded change holds this host. Remedy: wait until it ends and run again.",
    ),
    "apply_failed": (
        "{label} : `{command}` a échoué (code {status}) : {output}. L'état précédent a été rétabli. "
        "Remède : corrigez le contenu puis relancez.",
        "{label}: `{command}` failed (code {status}): {output}. The previous state is back. "
        "Remedy: correct the content and run again.",
    ),
    "check_failed": (
        "{label} : le contrôle `{command}` refuse le changement (code {status}) : {output}. L'état "
        "précédent a été "
        "rétabli. Remède : corrigez le contenu puis relancez.",
        "{label}: the check `{command}` refuses the change (code {status}): {output}. The previous "
        "state is back. "
        "Remedy: correct the content and run again.",
    ),
    "validate_failed": (
        "{label} : `{command}` refuse le fichier (code {status}) : {output}. Rien n'a été modifié. "
        "Remède : corrigez le contenu puis relancez.",
        "{label}: `{command}` refuses the file (code {status}): {output}. Nothing was changed. "
        "Remedy: correct the content and run again.",
    ),
    "not_restored": (
        "L'état précédent n'a PAS pu être entièrement rétabli : {reason}. Une nouvelle tentative "
        "suit toutes les 5 s. "
        "Remède : depuis la console, libérez la cause puis `python3 {directory}/guard.py rollback "
        "ID`, ID étant le nom "
        "de ce dossier.",
        "The previous state could NOT be put back entirely: {reason}. Another try follows every 5 s. "
        "Remedy: from the console, remove the cause, then `python3 {directory}/guard.py rollback "
        "ID`, ID being the name "
        "of that directory.",
    ),
    "refused": (
        "{path} ne peut pas être changé ({reason}) : {remedy}.",
        "{path} cannot be changed ({reason}): {remedy}.",
    ),
    "refused_restored": (
        "{path} ne peut pas être changé ({reason}) : {remedy}. L'état précédent a été rétabli.",
        "{path} cannot be changed ({reason}): {remedy}. The previous state is back.",
    ),
    "too_late": (
        "{label} : l'hôte est revenu de lui-même à l'état précédent au bout de {timeout} s, avant la "
        "confirmation. "
        "Remède : vérifiez la charge de l'hôte, augmentez `timeout`, puis relancez.",
        "{label}: the host went back to its previous state by itself after {timeout} s, before the "
        "confirmation. "
        "Remedy: look at the load of the host, raise `timeout`, and run again.",
    ),
    "invalid": (
        "{label} : {reason}. Rien n'a été modifié.",
        "{label}: {reason}. Nothing was changed.",
    ),
}


# Why the system refuses root itself, and what a person does about it.
_REFUSALS = {
    errno.EPERM: (
        "quelqu'un l'a verrouillé, lui ou son dossier ; `lsattr -d` montre le drapeau i ou a, `chattr -ia` le retire",
        "somebody locked it or its folder; `lsattr -d` shows the flag i or a, `chattr -ia` takes it away",
    ),
    errno.EBUSY: (
        "quelque chose est monté dessus ; `findmnt` le montre, `umount` le retire",
        "something is mounted on it; `findmnt` shows what, `umount` takes it away",
    ),
    errno.EROFS: (
        "son système de fichiers est en lecture seule ; `findmnt -T` le montre, et `dmesg` souvent pourquoi",
        "its file system is read-only; `findmnt -T` shows it, and `dmesg` often why",
    ),
    errno.ENOSPC: (
        "son système de fichiers est plein ; `df -h` et `df -i` le montrent",
        "its file system is full; see `df -h`, `df -i`",
    ),
}


def text(code: str, lang: str, values: Mapping[str, Any]) -> str:
    """Return one message (``fr`` or ``en``) with its values filled in; ``number``, an errno, gives reason and remedy."""
    language = 1 if lang == "en" else 0
    if "number" in values:
        remedy = _REFUSALS.get(values["number"], ("levez cette cause puis relancez", "remove this cause and run again"))[language]
        values = {**values, "reason": os.strerror(values["number"]), "remedy": remedy}
    return _MESSAGES[code][language].format(**values)
