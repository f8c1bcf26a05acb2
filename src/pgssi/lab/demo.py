"""The demonstration: audit untouched hosts, prove that nothing changed, harden, rehearse, audit again, compare."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pgssi.errors import PgssiError
from pgssi.lab.lifecycle import Lab
from pgssi.paths import PLAYBOOKS, ROOT

INVENTORY = ROOT / "inventories" / "demo"
OUTPUT = ROOT / "var" / "demo"
BIN = Path(sys.executable).parent


class Demo:
    """One run of the demonstration; each step prints what it does and how long the whole has lasted."""

    def __init__(self, palier: int, console: Console) -> None:
        """Show the way to this palier (1, 2 or 3) on the console."""
        self._palier = palier
        self._console = console
        self._started = time.monotonic()

    def run(self) -> Path:
        """Run every step and return the page that compares before and after."""
        lab = Lab.load([str(INVENTORY)], say=self._say)
        self._step(f"Laboratoire : {len(lab.hosts)} hôtes à leur premier jour")
        lab.reset()
        shutil.rmtree(OUTPUT, ignore_errors=True)
        before, after, page = OUTPUT / "before", OUTPUT / "after", OUTPUT / "index.html"

        self._step("Audit des hôtes intacts, en lecture seule")
        untouched = lab.fingerprint()
        self._verify(before, "--no-acting")
        self._unchanged(untouched, lab.fingerprint())

        self._step(f"Durcissement au palier {self._palier}")
        self._play("site")

        if self._palier >= 2:
            self._step("Essai de restauration, revue des droits, inventaire : trois preuves au journal")
            self._play("restore_drill")
            self._play("access_review")
            self._play("inventory_record")

            self._step("La matrice des flux, prouvée par des paquets de chaque zone vers chaque hôte")
            self._command("pgssi", "flows", "prove", "-i", str(INVENTORY), *self._target(), accepted=(0, 1))

        self._step("Second audit, essais réels compris")
        self._verify(after)
        self._command("pgssi", "report", "compare", str(before), str(after), "-o", str(page))
        self._step(f"Rapport : {page}")
        return page

    def _play(self, name: str) -> None:
        self._command("ansible-playbook", "-i", str(INVENTORY), str(PLAYBOOKS / f"{name}.yml"), *self._target())

    def _target(self) -> Sequence[str]:
        return ("-e", f"site_palier={self._palier}")

    def _verify(self, directory: Path, *options: str) -> None:
        """Run the verifier; gaps (exit code 1) are a result, anything above means that it could not run."""
        target = ("-i", str(INVENTORY), "-o", str(directory), *self._target())
        self._command("pgssi", "verify", *target, *options, accepted=(0, 1))

    def _unchanged(self, before: dict[str, str], after: dict[str, str]) -> None:
        touched = [host for host, digest in before.items() if after[host] != digest]
        if touched:
            raise PgssiError(f"L'audit a modifié : {', '.join(touched)}. C'est un défaut de l'outil.")
        self._say(f"empreintes des fichiers des {len(before)} hôtes identiques avant et après l'audit")

    def _command(self, *command: str, accepted: Sequence[int] = (0,)) -> None:
        program, *arguments = command
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}
        done = subprocess.run([str(BIN / program), *arguments], cwd=ROOT, env=environment, check=False)
        if done.returncode not in accepted:
            raise PgssiError(f"La démonstration s'arrête : {program} a rendu le code {done.returncode}.")

    def _step(self, text: str) -> None:
        elapsed = int(time.monotonic() - self._started)
        self._console.rule(f"[bold]{text}[/]  [dim]{elapsed // 60} min {elapsed % 60:02d} s[/]", align="left")

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=True)


def show(page: Path) -> None:
    """Open the page in the browser when this session has a display."""
    opener = shutil.which("xdg-open")
    if opener and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        subprocess.Popen([opener, str(page)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
