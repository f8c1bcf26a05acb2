"""What the check says of care hours and updates. Same shape as words.MESSAGES."""

from __future__ import annotations

UPDATES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "window_in_care_hours": (
        ("fenêtre de maintenance pendant les soins ({when}, {care})", "Déplacer la fenêtre, ou corriger site_care_hours."),
        ("maintenance window during care ({when}, {care})", "Move the window, or correct site_care_hours."),
    ),
    "window_short": (
        ("fenêtre de maintenance trop courte", "Laisser au moins {least} minutes entre starts et ends."),
        ("maintenance window too short", "Leave at least {least} minutes between starts and ends."),
    ),
    "ring_unknown": (
        ("anneau de mise à jour inconnu", "{maybe_fr}Anneaux de site_update_rings : {known}."),
        ("unknown update ring", "{maybe_en}Rings of site_update_rings: {known}."),
    ),
    "no_first_ring": (
        ("aucun anneau ne valide : tous attendent", "Donner 0 jour à l'anneau de validation."),
        ("no ring validates: all of them wait", "Give the validation ring 0 days."),
    ),
    "source_twice": (
        ("nom de source déjà pris", "Donner un nom par source : ce sera celui de son fichier."),
        ("name of a source already taken", "Give each source a name: its file will bear it."),
    ),
    "support_plan_over": (
        ("l'échéance de remplacement est passée", "Remplacer les hôtes, ou redater ce plan."),
        ("the date of replacement has passed", "Replace the hosts, or date this plan again."),
    ),
}
