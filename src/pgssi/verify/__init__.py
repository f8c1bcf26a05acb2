"""The verifier: compliance tests on live hosts, one verdict per rule and host.

Tests call these two when a verdict is neither a pass nor a failed assertion.
"""

from __future__ import annotations

from typing import NoReturn

VERDICTS = ("conforme", "non_conforme", "derogation", "non_applicable", "non_verifie")


class NotApplicable(Exception):
    """The rule has no object on this host."""


class NotVerified(Exception):
    """The fact could not be observed; never counted as conforme."""


def not_applicable(reason: str) -> NoReturn:
    """End the test with verdict ``non_applicable``."""
    raise NotApplicable(reason)


def not_verified(reason: str) -> NoReturn:
    """End the test with verdict ``non_verifie``."""
    raise NotVerified(reason)


__all__ = ["VERDICTS", "NotApplicable", "NotVerified", "not_applicable", "not_verified"]
