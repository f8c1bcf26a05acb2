"""Where a value of the inventory was written: file and line, by reading the YAML files again.

Ansible keeps such origins only inside its own value types (a private interface, lost when a template
is resolved), so the files are read here, without resolving anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path as File

import yaml

from pgssi.site.model import Finding, Path

SUFFIXES = ("", ".yml", ".yaml", ".json")
LARGEST = 5_000_000  # bytes; a larger file is not a site model


class Origins:
    """The variables of an inventory and where they stand. roots: inventory files and directories."""

    def __init__(self, roots: Iterable[str]) -> None:
        """Read every YAML file that may define variables; unreadable ones are left to Ansible."""
        self._roots = [File(root) for root in roots]
        self._found: dict[str, list[tuple[File, yaml.Node, yaml.Node]]] = {}
        self.twice: list[tuple[str, Finding]] = []
        for file in dict.fromkeys(self._files()):
            self._read(file)

    def place(self, path: Path, host: str = "") -> str:
        """Return ``file:line`` of the deepest part of ``path`` that is written down, or the inventory."""
        known = self._found.get(str(path[0]), [])
        if not known:
            return ", ".join(str(root) for root in self._roots)
        best = max((self._follow(item, path, host) for item in known), key=lambda found: found[0])
        return f"{_shown(best[1])}:{best[2] + 1}"

    def _follow(self, item: tuple[File, yaml.Node, yaml.Node], path: Path, host: str) -> tuple[tuple[bool, int], File, int]:
        """Return how well one definition fits (of this host, parts of the path found), its file and line."""
        file, key, node = item
        line, depth = key.start_mark.line, 0
        for part in path[1:]:
            child = _child(node, part)
            if child is None:
                break
            line, node, depth = child[0].line, child[1], depth + 1
        return (bool(host) and host in (file.stem, file.parent.name), depth), file, line

    def _files(self) -> Iterator[File]:
        for root in self._roots:
            directory = root if root.is_dir() else root.parent
            for folder in ("group_vars", "host_vars"):
                yield from (p for p in sorted((directory / folder).rglob("*")) if p.is_file() and p.suffix in SUFFIXES)
            files = sorted(directory.iterdir()) if root.is_dir() else [root]
            yield from (p for p in files if p.is_file() and p.suffix in SUFFIXES)

    def _read(self, file: File) -> None:
        try:
            if file.stat().st_size > LARGEST:
                return
            document = yaml.compose(file.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if document is not None:
                self._collect(file, document, ())
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
            return  # Ansible itself says what is wrong with this file

    def _collect(self, file: File, node: yaml.Node, path: Path) -> None:
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._collect(file, item, (*path, index))
        if not isinstance(node, yaml.MappingNode):
            return
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            where = (name,) if name.startswith("site_") else (*path, name)
            if name and name != "<<" and name in seen:
                place = f"{_shown(file)}:{key.start_mark.line + 1}"
                self.twice.append((place, Finding("key_written_twice", where, name)))
            seen.add(name)
            if name.startswith(("site_", "ansible_")):
                self._found.setdefault(name, []).append((file, key, value))
            self._collect(file, value, where)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and str(key.value) == str(part):
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None


def _shown(file: File) -> str:
    """Return the path as the user would type it."""
    try:
        return str(file.resolve().relative_to(File.cwd()))
    except ValueError:
        return str(file)
