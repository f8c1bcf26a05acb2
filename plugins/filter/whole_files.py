"""Filter that turns settings about files into the ``files`` of pgssi.toolkit.protected_files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def whole_files(
    wanted: Sequence[Mapping[str, Any]], contents: Sequence[str], known: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """``wanted | pgssi.toolkit.whole_files(contents, known)``: one entry per file, in the given order.

    wanted: settings with ``key`` (path) and optional ``mode``, ``validate``; contents: theirs, in the same order.
    known: every setting of the role; a path of ours (``pgssi`` in it) that is no longer wanted becomes absent.
    """
    entries = []
    for setting, content in zip(wanted, contents, strict=True):
        entry = {"path": setting["key"], "content": content, "mode": setting.get("mode", "0644")}
        if "validate" in setting:
            entry["validate"] = setting["validate"]
        entries.append(entry)
    paths = {entry["path"] for entry in entries}
    gone = dict.fromkeys(setting["key"] for setting in known if "pgssi" in setting["key"] and setting["key"] not in paths)
    return [*entries, *({"path": path, "state": "absent"} for path in gone)]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"whole_files": whole_files}
