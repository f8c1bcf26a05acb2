"""How a rule is enforced, proven and broken: read from the roles, the tests and the breaks themselves.

Nothing here is declared a second time. The files are searched for the rule's id, so that an answer is
always what the repository really does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pgssi.paths import ROOT

ROLE_PARTS = ("vars", "defaults", "tasks", "handlers", "templates")
_TEXT = {".yml", ".yaml", ".j2", ".py", ""}
_TASK_NAME = re.compile(r"^\s*-\s+name:\s*(?P<name>.+?)\s*$")


@dataclass(frozen=True)
class Setting:
    """One ``{rule, key, value}`` of a role. file: relative to the repository."""

    rule: str
    file: str
    key: str
    value: Any
    palier: int | None = None
    guidance: str | None = None


@dataclass(frozen=True)
class Mention:
    """A line of a role or plugin that names a rule; ``task``: the name of its task, if it stands in one."""

    file: str
    line: int
    task: str = ""


@dataclass(frozen=True)
class Proof:
    """A compliance test that carries the rule's mark. acts: it changes something on the host for a moment."""

    rule: str
    file: str
    line: int
    test: str
    sentence: str
    acts: bool


@dataclass(frozen=True)
class Break:
    """One sabotage: ``shell`` run as root on ``host`` must turn the rule red."""

    rule: str
    file: str
    host: str
    shell: str


def settings(root: Path = ROOT) -> tuple[Setting, ...]:
    """Return every setting that the vars and defaults of the roles hold."""
    return tuple(
        Setting(
            rule=str(raw["rule"]),
            file=str(path.relative_to(root)),
            key=str(raw.get("key", "")),
            value=raw.get("value"),
            palier=raw.get("palier"),
            guidance=raw.get("guidance"),
        )
        for part in ("vars", "defaults")
        for path in sorted(root.glob(f"roles/*/{part}/**/*.yml"))
        for raw in _mappings(yaml.safe_load(path.read_text("utf-8")))
        if isinstance(raw.get("rule"), str)
    )


def sources(root: Path = ROOT) -> tuple[Path, ...]:
    """Return the files in which a rule may be enforced: the parts of the roles, and the plugins."""
    parts = [path for part in ROLE_PARTS for path in root.glob(f"roles/*/{part}/**/*")]
    parts += root.glob("plugins/**/*.py")
    return tuple(sorted(path for path in parts if path.is_file() and path.suffix in _TEXT))


def mentions(rule: str, root: Path = ROOT) -> tuple[Mention, ...]:
    """Return the lines of roles and plugins that name the rule, settings left out."""
    found = []
    for path in sources(root):
        text = path.read_text("utf-8")
        if rule not in text or not {"vars", "defaults"}.isdisjoint(path.relative_to(root).parts):
            continue
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            if _names(rule, line):
                found.append(Mention(str(path.relative_to(root)), number, _task_of(lines, number - 1)))
    return tuple(found)


def _names(rule: str, line: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(rule)}(?![\w-])", line) is not None


def _task_of(lines: list[str], index: int) -> str:
    """Return the name of the task that a line belongs to; a comment belongs to the task that follows it."""
    if lines[index].lstrip().startswith("#"):
        code = (line for line in lines[index:] if line.strip() and not line.lstrip().startswith("#"))
        after = next(code, "")
        if match := _TASK_NAME.match(after):
            return match["name"]
    for line in reversed(lines[: index + 1]):
        if match := _TASK_NAME.match(line):
            return match["name"]
    return ""


def proofs(root: Path = ROOT) -> tuple[Proof, ...]:
    """Return every compliance test that carries ``@pytest.mark.rule("…")``, in file order."""
    found: list[Proof] = []
    for path in sorted(root.glob("tests/compliance/**/test_*.py")):
        name = str(path.relative_to(root))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                marks = list(_marks(node))
                acts = any(mark == "acts" for mark, _ in marks)
                found += [
                    Proof(rule, name, node.lineno, node.name, _sentence(node), acts)
                    for mark, values in marks
                    for rule in values
                    if mark == "rule"
                ]
    return tuple(found)


def _marks(node: ast.FunctionDef) -> Iterator[tuple[str, tuple[str, ...]]]:
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        target = call.func if call else decorator
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "pytest.mark":
            values = [a.value for a in call.args if isinstance(a, ast.Constant)] if call else []
            yield target.attr, tuple(str(value) for value in values)


def _sentence(node: ast.FunctionDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def breaks(root: Path = ROOT) -> tuple[Break, ...]:
    """Return every sabotage of ``tests/breaks/*.yml``."""
    return tuple(
        Break(
            str(raw.get("rule")),
            str(path.relative_to(root)),
            str(raw.get("host")),
            str(raw.get("shell", "")).strip(),
        )
        for path in sorted(root.glob("tests/breaks/*.yml"))
        for raw in (yaml.safe_load(path.read_text("utf-8")) or {}).get("breaks") or ()
    )


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping inside a YAML document."""
    if isinstance(value, Mapping):
        yield value
        for item in value.values():
            yield from _mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _mappings(item)
