"""Which rules are in force on a host: the one function that role, test and report share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pgssi.catalogue import Catalogue, Rule


@dataclass(frozen=True)
class Waiver:
    """A dated, signed-off exception to one rule; scope holds host names, groups, or ``all``."""

    rule: str
    scope: tuple[str, ...]
    reason: str
    owner: str
    expires: date

    def covers(self, rule: str, host: str, groups: Iterable[str], today: date) -> bool:
        """Return whether it holds for this rule and host today; past its expiry date it never does."""
        where = {"all", host, *groups}
        return self.rule == rule and today <= self.expires and not where.isdisjoint(self.scope)


@dataclass(frozen=True)
class HostContext:
    """What decides the rules of one host. palier: 0 (none) to 3; guidance: ``pssi`` or ``current``."""

    name: str
    groups: tuple[str, ...]
    palier: int
    guidance: str
    waivers: tuple[Waiver, ...]
    today: date

    @classmethod
    def from_vars(cls, name: str, groups: Sequence[str], variables: Mapping[str, Any], today: date | None = None) -> HostContext:
        """Build it from the resolved site-model variables of a host (site_palier, site_guidance, site_waivers)."""
        return cls(
            name=name,
            groups=tuple(groups),
            palier=int(variables["site_palier"]),
            guidance=str(variables.get("site_guidance", "pssi")),
            waivers=tuple(_waiver(raw) for raw in variables.get("site_waivers") or ()),
            today=today or date.today(),
        )

    def carries(self, rule: Rule) -> bool:
        """Return whether the rule concerns this host at any palier, waived or not."""
        return self.guidance in rule.guidance and not {"all", *self.groups}.isdisjoint(rule.groups)

    def waiver(self, rule: str) -> Waiver | None:
        """Return the unexpired waiver of this rule on this host, if there is one."""
        for waiver in self.waivers:
            if waiver.covers(rule, self.name, self.groups, self.today):
                return waiver
        return None

    def in_force(self, rule: Rule) -> bool:
        """Return whether roles must enforce the rule here: carried, within the palier, not waived."""
        return self.carries(rule) and rule.palier <= self.palier and self.waiver(rule.id) is None


def _waiver(raw: Mapping[str, Any]) -> Waiver:
    expires = raw["expires"]
    return Waiver(
        rule=raw["rule"],
        scope=tuple(raw["scope"]),
        reason=raw["reason"],
        owner=raw["owner"],
        expires=expires if isinstance(expires, date) else date.fromisoformat(str(expires)),
    )


def rules_in_force(catalogue: Catalogue, context: HostContext) -> tuple[str, ...]:
    """Return the ids of the rules that roles enforce on this host, in catalogue order."""
    return tuple(rule.id for rule in catalogue.rules.values() if context.in_force(rule))


def settings_in_force(
    settings: Iterable[Mapping[str, Any]], catalogue: Catalogue, context: HostContext
) -> list[Mapping[str, Any]]:
    """Keep the settings whose rule is in force; for one key, the entry of the highest palier reached wins.

    A setting is ``{rule, key, value}``, with optional ``palier`` (this value only from that palier on),
    ``guidance`` (this value only under that guidance) and whatever else its template needs.
    Raises KeyError for a rule that the catalogue does not know.
    """
    kept: dict[Any, Mapping[str, Any]] = {}
    for setting in settings:
        rule = catalogue.rules[setting["rule"]]
        floor = int(setting.get("palier", rule.palier))
        if not context.in_force(rule) or floor > context.palier:
            continue
        if setting.get("guidance", context.guidance) != context.guidance:
            continue
        previous = kept.get(setting["key"])
        if previous is None or floor >= int(previous.get("palier", catalogue.rules[previous["rule"]].palier)):
            kept[setting["key"]] = setting
    return list(kept.values())
