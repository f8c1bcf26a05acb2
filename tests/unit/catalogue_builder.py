"""A small sound repository in a temporary place, so that each contract can be broken on purpose."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from pgssi.paths import CATALOGUE

ARTICLE: Mapping[str, Any] = {
    "id": "5.2.3.1",
    "title": {"fr": "Compte verrouillé après trois échecs", "en": "Account locked after three failures"},
    "class": "automated",
    "theme": "authentication",
    "palier": 1,
    "observable": "The right password is refused for a minute",
    "reason": "One setting, and three wrong passwords prove it",
}
RULE: Mapping[str, Any] = {
    "id": "lockout-three-failures",
    "title": {"fr": "Verrouillage après trois échecs", "en": "Lockout after three failures"},
    "statement": {
        "fr": "Trois échecs verrouillent le compte 60 s.",
        "en": "Three failures lock the account for 60 s.",
    },
    "why": {"fr": "Freine la recherche de mots de passe.", "en": "It slows the guessing of passwords."},
    "palier": 1,
    "requirements": ["5.2.3.1"],
    "groups": ["all"],
    "refs": {"bp028": ["R31"]},
}
TEST = '''
import pytest
@pytest.mark.rule("lockout-three-failures")
@pytest.mark.acts
def test_lockout(host):
    """The right password is refused after three wrong ones."""
'''


class Repository:
    """Paths and contents of a repository with one rule, its setting, test and break."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.articles: list[dict[str, Any]] = [deepcopy(dict(ARTICLE))]
        self.rules: list[dict[str, Any]] = [deepcopy(dict(RULE))]
        self.guide = "access_rights"
        self.write("roles/access_rights/vars/main.yml", SETTINGS)
        self.write("roles/access_rights/tasks/main.yml", TASKS)
        self.write("tests/compliance/access_rights/test_lockout.py", TEST)
        self.write("tests/breaks/access_rights.yml", BREAKS)

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        return target

    def catalogue(self) -> Path:
        """Write the catalogue as it stands now; return its folder."""
        self.write("catalogue/pssi.yml", yaml.safe_dump({"requirements": self.articles}, allow_unicode=True))
        document = {"guide": self.guide, "rules": self.rules}
        self.write("catalogue/rules/access_rights.yml", yaml.safe_dump(document, allow_unicode=True))
        schemas = self.root / "catalogue" / "schema"
        shutil.copytree(CATALOGUE / "schema", schemas, dirs_exist_ok=True)
        return self.root / "catalogue"


SETTINGS = """
__access_rights_faillock:
  - {rule: lockout-three-failures, key: deny, value: 3}
  - {rule: lockout-three-failures, key: unlock_time, value: 120, palier: 2, guidance: pssi}
"""
TASKS = """
- name: Lock accounts after failures
  ansible.builtin.template:
    src: faillock.conf.j2
  when: "'lockout-three-failures' in (hostvars[inventory_hostname] | pgssi.toolkit.rules)"

# rule: lockout-three-failures
- name: Alert after three lockouts
  ansible.builtin.debug:
"""
BREAKS = """
breaks:
  - rule: lockout-three-failures
    host: dpi1
    shell: |
      sed -i /faillock/d /etc/pam.d/common-auth
"""
