"""Components of the backup plan that are archived together, because depends_on ties them (PSSI 7.4.1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OFTEN = ("hourly", "daily", "weekly")


@dataclass(frozen=True)
class Group:
    """One run: its components in plan order, the first of which gives it its name; as often as the most demanding."""

    leader: str
    members: tuple[str, ...]
    frequency: str


def backup_groups(components: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Return the groups of one host's components (entries of ``site_backup_plan``), in plan order."""
    groups: list[set[str]] = []
    for component in components:
        tied = {component["component"], *component.get("depends_on", ())}
        apart = [group for group in groups if group.isdisjoint(tied)]
        groups = [*apart, tied.union(*(group for group in groups if not group.isdisjoint(tied)))]
    found = []
    for index, component in enumerate(components):
        mine = next(group for group in groups if component["component"] in group)
        members = [other for other in components if other["component"] in mine]
        if members[0] is components[index]:
            often = min((member["frequency"] for member in members), key=_OFTEN.index)
            found.append(Group(component["component"], tuple(member["component"] for member in members), often))
    return found
