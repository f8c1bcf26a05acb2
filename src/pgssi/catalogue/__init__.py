"""The catalogue: every requirement of the official text, and every rule of ours that observes one.

Source of the requirements: PSSI canevas of PGSSI-S 1.0 (336 assessable articles, plus 4.2.2.10).
Only PyYAML is needed here, so that the Ansible filters can load it on a bare ansible-core.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from pgssi.errors import InvalidInput, Problem
from pgssi.paths import CATALOGUE

Text = Mapping[str, str]  # {"fr": ..., "en": ...}
Palier = Literal[1, 2, 3]
PALIERS: tuple[Palier, ...] = (1, 2, 3)
GUIDANCES = ("pssi", "current")
CLASSES = ("automated", "assisted", "organisational")
KINDS = ("host", "evidence")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Requirement:
    """One numbered article of the official text (``7.4.4.6``), described in our own words."""

    id: str
    title: Text
    class_: str
    theme: str
    palier: int
    observable: str = ""
    evidence: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Rule:
    """One fact that can be observed on a live host (kind ``host``) or on evidence (kind ``evidence``).

    groups: inventory groups whose hosts carry the rule (``all`` for every host).
    guidance: which of ``pssi`` / ``current`` demand it.
    native_palier: the guide's own level where its count differs from ours, else None.
    closes: what the network ruleset of a host closes because of it (pgssi.network.enforcement), else empty.
    """

    id: str
    guide: str
    title: Text
    statement: Text
    why: Text
    palier: int
    requirements: tuple[str, ...]
    groups: tuple[str, ...]
    kind: str = "host"
    guidance: tuple[str, ...] = GUIDANCES
    refs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    native_palier: int | None = None
    closes: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All requirements and rules, with ``digest``: the SHA-256 of the files they came from."""

    requirements: Mapping[str, Requirement]
    rules: Mapping[str, Rule]
    digest: str

    def guides(self) -> tuple[str, ...]:
        """Return the guides that have rules, sorted."""
        return tuple(sorted({rule.guide for rule in self.rules.values()}))

    def rules_for(self, requirement: str) -> tuple[Rule, ...]:
        """Return the rules that cover one requirement id, in catalogue order."""
        return tuple(rule for rule in self.rules.values() if requirement in rule.requirements)


def _documents(root: Path) -> Iterator[tuple[Path, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in [root / "pssi.yml", *sorted((root / "rules").glob("*.yml"))]:
        try:
            yield path, yaml.load(path.read_text("utf-8"), Loader=loader)
        except (OSError, yaml.YAMLError) as error:
            raise InvalidInput(
                [Problem(str(path), "", "", f"cannot be read: {error}", "Restore this file of the toolkit.")]
            ) from error


def _requirement(raw: Mapping[str, Any]) -> Requirement:
    return Requirement(
        id=raw["id"],
        title=raw["title"],
        class_=raw["class"],
        theme=raw["theme"],
        palier=raw["palier"],
        observable=raw.get("observable", ""),
        evidence=tuple(raw.get("evidence", ())),
        reason=raw.get("reason", ""),
    )


def _rule(guide: str, raw: Mapping[str, Any]) -> Rule:
    return Rule(
        id=raw["id"],
        guide=guide,
        title=raw["title"],
        statement=raw["statement"],
        why=raw["why"],
        palier=raw["palier"],
        requirements=tuple(raw["requirements"]),
        groups=tuple(raw["groups"]),
        kind=raw.get("kind", "host"),
        guidance=tuple(raw.get("guidance", GUIDANCES)),
        refs={name: tuple(ids) for name, ids in raw.get("refs", {}).items()},
        native_palier=raw.get("native_palier"),
        closes=raw.get("closes", ""),
    )


@lru_cache(maxsize=4)
def load_catalogue(root: Path = CATALOGUE) -> Catalogue:
    """Read the catalogue; raise InvalidInput when a file is unreadable or an id stands twice."""
    requirements: dict[str, Requirement] = {}
    rules: dict[str, Rule] = {}
    digest = hashlib.sha256()
    for path, document in _documents(root):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        for raw in document.get("requirements", ()):
            requirement = _built(path, raw, _requirement)
            _refuse_twice(path, requirement.id, requirements)
            requirements[requirement.id] = requirement
        for raw in document.get("rules", ()):
            rule = _built(path, raw, partial(_rule, document.get("guide", "")))
            _refuse_twice(path, rule.id, rules)
            rules[rule.id] = rule
    return Catalogue(requirements, rules, "sha256:" + digest.hexdigest())


def _built(path: Path, raw: Mapping[str, Any], build: Callable[[Mapping[str, Any]], _T]) -> _T:
    try:
        return build(raw)
    except KeyError as error:
        key = str(error.args[0])
        raise InvalidInput(
            [Problem(str(path), f"{raw.get('id', '?')}.{key}", None, "is missing", "Run: pgssi catalogue check")]
        ) from error


def _refuse_twice(path: Path, identifier: str, known: Mapping[str, object]) -> None:
    if identifier in known:
        raise InvalidInput([Problem(str(path), identifier, identifier, "stands twice", "Keep one.")])
