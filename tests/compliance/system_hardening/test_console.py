"""What the console shows before anybody logs in (PSSI 1.1.2.2)."""

from __future__ import annotations

import re

import pytest

from pgssi.verify import not_verified


@pytest.mark.rule("console-notice")
def test_console_notice(facts, observe):
    """The program of the console is asked for the text that it would show now, every file that it reads included."""
    answer = facts.result("console-issue", "LC_ALL=C.UTF-8 script -qec '/sbin/agetty --show-issue' /dev/null </dev/null")
    if answer.rc:
        not_verified(f"agetty ne dit pas ce qu'il affiche : {answer.stderr.strip()[-200:]}")
    told = re.search(r"(?i)trac|journalis|enregistr|monitor|logged", answer.stdout)
    observe(f"avis à la console : {'présent' if told else 'absent'}")
    assert told, f"la console n'affiche aucun avis de traçabilité : {answer.stdout.strip()[:80] or 'rien'}"
