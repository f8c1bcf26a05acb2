"""From what happened in a test to its verdict, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from pgssi.transport import TransportError
from pgssi.verify import NotApplicable, NotVerified

# Worst last: several tests of one rule, and the phases of one test, become their worst.
SEVERITY = ("non_applicable", "conforme", "non_verifie", "non_conforme")
HIDDEN = "[masqué]"
_HASH = re.compile(r"\$(?:y|gy|7|[1-6]|2[abxy]|md5|sha1)\$[^\s:'\"]{8,}")
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def worst(outcomes: Iterable[str]) -> str:
    """Return the worst outcome; ``non_verifie`` when there is none."""
    return max(outcomes, key=SEVERITY.index, default="non_verifie")


@dataclass(frozen=True)
class Redactor:
    """Removes known secret values, password hashes and private keys from what is shown."""

    secrets: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return _KEY.sub(HIDDEN, _HASH.sub(HIDDEN, text))


def judge(phase: str, error: BaseException | None, expected_failure: bool) -> tuple[str, str]:
    """Return (outcome, message) of one phase: ``setup``, ``call`` or ``teardown``.

    Only the test itself can show a fault of the host: what breaks before or after it proves nothing.
    """
    if expected_failure:
        return "non_verifie", "essai marqué comme devant échouer : il ne prouve rien"
    if error is None:
        return "conforme", ""
    if isinstance(error, NotApplicable):
        return "non_applicable", str(error)
    if isinstance(error, NotVerified | TransportError):
        return "non_verifie", str(error)
    if isinstance(error, pytest.skip.Exception):
        return "non_verifie", f"essai sauté : {error.msg}"
    if isinstance(error, AssertionError | pytest.fail.Exception):
        said = _said(error)
        if phase == "call":
            return "non_conforme", said
        place = "préparation" if phase == "setup" else "remise en état"
        return "non_verifie", f"{place} impossible : {said}"
    return "non_verifie", f"essai interrompu ({type(error).__name__}) : {' '.join(str(error).split())[:300]}"


def _said(error: BaseException) -> str:
    """Return the author's own message when there is one, else what was compared."""
    text = str(error.msg if isinstance(error, pytest.fail.Exception) else error).strip()
    own, _, _ = text.partition("\nassert ")
    return " ".join(own.split())[:500] or "l'assertion a échoué"
