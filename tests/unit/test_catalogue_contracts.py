"""Each contract between catalogue, roles, tests and breaks can fail, and says where."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalogue_builder import TEST, Repository

from pgssi.catalogue import Catalogue, contracts, load_catalogue
from pgssi.catalogue.explain import breaks, mentions, proofs, settings

RULE = "lockout-three-failures"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def catalogue(repository: Repository) -> Catalogue:
    return load_catalogue.__wrapped__(repository.catalogue())


def test_explanation_is_read_from_the_repository(repository: Repository) -> None:
    """Settings, tasks, tests and breaks of a rule are found with their place."""
    deny, unlock = settings(repository.root)
    assert (deny.key, deny.value, deny.palier) == ("deny", 3, None)
    assert (unlock.key, unlock.palier, unlock.guidance) == ("unlock_time", 2, "pssi")
    assert [mention.task for mention in mentions(RULE, repository.root)] == [
        "Lock accounts after failures",
        "Alert after three lockouts",
    ]
    (proof,) = proofs(repository.root)
    assert (proof.rule, proof.acts) == (RULE, True)
    assert proof.sentence == "The right password is refused after three wrong ones."
    assert [item.host for item in breaks(repository.root)] == ["dpi1"]


def test_longer_name_is_not_a_mention(repository: Repository) -> None:
    """A rule whose id begins another one's is not taken for it."""
    assert mentions("three-failures", repository.root) == ()


def test_sound_repository_has_no_fault(repository: Repository, catalogue: Catalogue) -> None:
    """The small sound repository of these tests keeps every contract."""
    assert contracts.faults(catalogue, repository.root) == []


SETTINGS = "roles/access_rights/vars/main.yml"
TASKS = "roles/access_rights/tasks/main.yml"
COMPLIANCE = "tests/compliance/access_rights/test_lockout.py"
BREAKS = "tests/breaks/access_rights.yml"
TWO_MARKS = TEST.replace("@pytest.mark.acts", f'@pytest.mark.rule("{RULE}")')


def test_rule_without_setting_or_task_is_named(repository: Repository, catalogue: Catalogue) -> None:
    """A rule that no role and no plugin names is not enforced."""
    repository.write(SETTINGS, "{}")
    repository.write(TASKS, "[]")
    assert contracts.not_enforced(catalogue, repository.root)
    repository.write("plugins/modules/accounts.py", f'RULE = "{RULE}"')
    assert not contracts.not_enforced(catalogue, repository.root)


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        (COMPLIANCE, "", "no test of tests/compliance/access_rights"),
        (COMPLIANCE, TEST.replace(RULE, "no-such"), "unknown rule no-such"),
        (COMPLIANCE, TEST.replace("after three wrong ones.", ""), "its docstring"),
        (COMPLIANCE, TWO_MARKS, "carries 2 rules"),
        ("tests/compliance/backup/test_x.py", TEST, "belongs to tests/compliance/access_rights"),
        (BREAKS, "breaks: []", "no break"),
        (BREAKS, f"breaks: [{{rule: {RULE}, host: dpi1, shell: ''}}]", "shell is empty"),
        ("tests/breaks/x.yml", "breaks: [{rule: no-such, host: a, shell: b}]", "unknown rule no-such"),
        (SETTINGS, "a: [{rule: no-such, key: a}]", "unknown rule no-such"),
        (TASKS, "# rule: no-such\n- name: x", "unknown rule no-such"),
        (TASKS, "- when: \"'no-such' in (x | pgssi.toolkit.rules)\"", "unknown rule no-such"),
        ("roles/backup/vars/main.yml", f"a: [{{rule: {RULE}, key: a}}]", "is a rule of access_rights"),
        ("src/x.py", f'RULE = "{RULE}"', "repeats the rule"),
        ("playbooks/x.yml", f"when: \"'{RULE}' in x\"", "repeats the rule"),
    ],
)
def test_broken_contract_is_named(repository: Repository, catalogue: Catalogue, path: str, text: str, fault: str) -> None:
    """One breach of a contract is found and named."""
    repository.write(path, text)
    assert any(fault in line for line in contracts.faults(catalogue, repository.root))


def test_evidence_must_be_written_by_something(repository: Repository) -> None:
    """An article may count on a kind of evidence only when something writes it."""
    repository.articles[0]["evidence"] = ["access_review"]
    catalogue = load_catalogue.__wrapped__(repository.catalogue())
    assert contracts.evidence_nobody_writes(catalogue, repository.root)
    repository.write("playbooks/access_review.yml", "- pgssi.toolkit.evidence:\n    kind: access_review\n")
    assert not contracts.evidence_nobody_writes(catalogue, repository.root)
