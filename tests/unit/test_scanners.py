"""What scanners say is read as they say it, and nothing is accepted without a reason."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from pgssi.errors import InvalidInput
from pgssi.lab.scanners import PROFILE, RULE, Acceptance, accepted, lynis, openscap, rules_of, ssh_audit, unexplained, unused

PROGRESS = """xccdf_org.ssgproject.content_rule_sudo_add_noexec:pass
xccdf_org.ssgproject.content_rule_partition_for_var:fail
xccdf_org.ssgproject.content_rule_grub2_password:notapplicable
"""
REPORT = "hardening_index=83\nwarning[]=NETW-2705|Couldn't find 2 responsive nameservers|-|-|\nsuggestion[]=X|y|-|-|\n"


def test_results_of_openscap_by_rule(tmp_path: Path) -> None:
    """Each rule has its result; the content is sent and taken away again."""
    content, asked = tmp_path / "ds.xml", []
    content.write_text("<x/>", "ascii")

    def run(script: str, _stdin: bytes) -> str:
        asked.append(script)
        return PROGRESS if script.startswith("oscap") else ""

    found = openscap(run, content, "enhanced")
    assert found == {"sudo_add_noexec": "pass", "partition_for_var": "fail", "grub2_password": "notapplicable"}
    assert "anssi_bp28_enhanced" in asked[-2]
    assert asked[-1].startswith("rm -f")


def test_a_content_without_the_profile_is_an_error(tmp_path: Path) -> None:
    """No result at all is never taken for no failure."""
    (tmp_path / "ds.xml").write_text("<x/>", "ascii")
    with pytest.raises(InvalidInput, match="aucun résultat"):
        openscap(lambda _script, _stdin: "", tmp_path / "ds.xml", "enhanced")


def _content(path: Path, **parameters: str) -> Path:
    """Write a content whose profiles hold one rule, two and three; parameters: the value that a profile gives to the first."""
    names = ("minimal", "intermediary", "enhanced")
    profiles = "".join(
        f'<Profile id="{PROFILE.format(name)}">'
        + "".join(f'<select idref="{RULE}{one}" selected="true"/>' for one in ("one", "two", "three")[: rank + 1])
        + f'<refine-value idref="length" selector="{parameters.get(name, "15")}"/></Profile>'
        for rank, name in enumerate(names)
    )
    path.write_text(f'<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2">{profiles}</Benchmark>', "ascii")
    return path


def test_rules_of_each_profile(tmp_path: Path) -> None:
    """The last profile, evaluated once, gives the results of the others."""
    assert rules_of(_content(tmp_path / "ds.xml")) == {
        "minimal": {"one"},
        "intermediary": {"one", "two"},
        "enhanced": {"one", "two", "three"},
    }


def test_a_profile_that_judges_otherwise_is_an_error(tmp_path: Path) -> None:
    """A smaller profile with another parameter is not read from the results of the largest."""
    with pytest.raises(InvalidInput, match="jugé autrement"):
        rules_of(_content(tmp_path / "ds.xml", minimal="12"))


def test_report_of_lynis() -> None:
    """The index and the warnings are read; suggestions are not warnings."""
    found = lynis(lambda script, _stdin: REPORT if script.startswith("cat") else "")
    assert found.index == 83
    assert found.warnings == ("NETW-2705 Couldn't find 2 responsive nameservers",)


def test_ssh_audit_by_level(tmp_path: Path) -> None:
    """Each algorithm with a note stands under its level."""
    said = {"kex": [{"algorithm": "old", "notes": {"fail": ["broken"], "info": ["x"]}}, {"algorithm": "new"}],
            "mac": [{"algorithm": "weak", "notes": {"warn": ["short"]}}]}  # fmt: skip
    program = tmp_path / "ssh-audit"
    program.write_text(f"print({json.dumps(json.dumps(said))})", "ascii")
    assert ssh_audit([sys.executable, str(program)], "192.0.2.1", 22) == {"fail": ["old: broken"], "warn": ["weak: short"]}


def test_a_server_that_does_not_answer_ssh_audit_is_an_error(tmp_path: Path) -> None:
    """Nothing said against a server that said nothing proves nothing."""
    program = tmp_path / "ssh-audit"
    program.write_text("print('{}')", "ascii")
    with pytest.raises(InvalidInput, match="répondu"):
        ssh_audit([sys.executable, str(program)], "192.0.2.1", 22)


def test_only_what_is_named_is_accepted() -> None:
    """A star stands for characters, within one scanner; everything else is left."""
    known = [Acceptance("openscap", ("partition_for_*",), {})]
    assert unexplained(["partition_for_var", "my_partition_for_var", "other"], "openscap", known) == [
        "my_partition_for_var",
        "other",
    ]
    assert unexplained(["partition_for_var"], "lynis", known) == ["partition_for_var"]


def test_what_is_accepted_in_vain() -> None:
    """A name that matches nothing any more is told, whether or not it has a star."""
    known = [Acceptance("openscap", ("partition_for_*", "aide_*", "gone"), {}), Acceptance("lynis", ("X *",), {})]
    assert unused(["partition_for_var", "other"], "openscap", known) == ["aide_*", "gone"]


def test_each_acceptance_says_why_once() -> None:
    """Every entry of the catalogue has a reason in both languages, and no finding stands twice."""
    known = accepted()
    assert all(len(one.reason[lang]) > 40 for one in known for lang in ("fr", "en"))
    assert [name for name, count in Counter(f for one in known for f in one.findings).items() if count > 1] == []
