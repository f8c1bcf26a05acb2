"""What a person sees: one line per host while it runs, a short summary after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pgssi.verify.outcome import worst
from pgssi.verify.plan import Plan
from pgssi.verify.results import ACCEPTED

TEXTS = {
    "fr": {
        "title": "Vérification PGSSI-S",
        "columns": (
            "Hôte",
            "Palier visé",
            "Conforme",
            "Non conforme",
            "Non vérifié",
            "Sans objet",
            "Règles vues",
        ),
        "host": "{name} : {count} règle(s) du palier {palier} à traiter",
        "done": "{name} : tout ce que vise le palier {palier} est conforme",
        "away": "{name} : injoignable ({message})",
        "total": "{conforme} conformes, {non_conforme} non conformes, {non_verifie} non vérifiées, "
        "{derogation} dérogations, {non_applicable} sans objet, sur {total} verdicts",
        "report": "Rapport : {path}",
        "more": "  … et {count} autres (voir le rapport)",
    },
    "en": {
        "title": "PGSSI-S verification",
        "columns": (
            "Host",
            "Target palier",
            "Conforming",
            "Not conforming",
            "Not verified",
            "No object",
            "Rules seen",
        ),
        "host": "{name}: {count} rule(s) of palier {palier} to deal with",
        "done": "{name}: everything that palier {palier} asks for conforms",
        "away": "{name}: unreachable ({message})",
        "total": "{conforme} conforming, {non_conforme} not conforming, {non_verifie} not verified, "
        "{derogation} waived, {non_applicable} without object, of {total} verdicts",
        "report": "Report: {path}",
        "more": "  … and {count} more (see the report)",
    },
}
MARKS = {"non_conforme": ("✗", "red"), "non_verifie": ("?", "yellow")}
SHOWN = 12


class Progress:
    """A table of hosts, redrawn as verdicts come; nothing on a console that is no terminal."""

    def __init__(self, plan: Plan, console: Console, lang: str) -> None:
        """Prepare the table. lang: ``fr`` or ``en``."""
        self._plan = plan
        self._texts = TEXTS[lang]
        self._seen: dict[str, dict[str, str]] = defaultdict(dict)
        self._wanted = {name: len(plan.rules_of(name)) for name in plan.contexts}
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._table, transient=True)
        self._shown = console.is_terminal

    def __enter__(self) -> Progress:
        """Start drawing."""
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop drawing."""
        if self._shown:
            self._live.stop()

    def seen(self, record: Mapping[str, Any]) -> None:
        """Take note of one test's record."""
        rules = self._seen[record["host"]]
        if self._plan.contexts[record["host"]].waiver(record["rule"]):
            rules[record["rule"]] = "derogation"
            return
        rules[record["rule"]] = worst([rules.get(record["rule"], record["outcome"]), record["outcome"]])

    def _table(self) -> Table:
        table = Table(title=str(self._texts["title"]), title_justify="left")
        for position, name in enumerate(self._texts["columns"]):
            table.add_column(name, justify="left" if position == 0 else "right")
        for name, context in self._plan.contexts.items():
            outcomes = list(self._seen[name].values())
            counts = [str(outcomes.count(kind)) for kind in ("conforme", "non_conforme", "non_verifie", "non_applicable")]
            table.add_row(name, str(context.palier), *counts, f"{len(outcomes)}/{self._wanted[name]}")
        return table


def summarise(results: Mapping[str, Any], directory: Path, console: Console, lang: str) -> None:
    """Print, per host, what keeps it below its target, then the totals with their denominator."""
    texts = {name: str(text) for name, text in TEXTS[lang].items()}

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    for host in results["hosts"]:
        if host["status"] != "ok":
            say(texts["away"].format(**host), "red")
            continue
        gaps = [
            v
            for v in results["verdicts"]
            if v["host"] == host["name"] and v["palier"] <= host["palier"] and v["verdict"] not in ACCEPTED
        ]
        say(texts["host" if gaps else "done"].format(**host, count=len(gaps)), "" if gaps else "green")
        for verdict in gaps[:SHOWN]:
            mark, style = MARKS[verdict["verdict"]]
            say(f"  {mark} {verdict['rule']} : {verdict['message']}", style)
        if len(gaps) > SHOWN:
            say(texts["more"].format(count=len(gaps) - SHOWN))
    found = [verdict["verdict"] for verdict in results["verdicts"]]
    counts = {kind: found.count(kind) for kind in (*ACCEPTED, *MARKS)}
    say(texts["total"].format(**counts, total=len(found)))
    say(texts["report"].format(path=directory / "report.html"))
