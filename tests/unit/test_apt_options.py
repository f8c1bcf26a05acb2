"""What the module apt_options makes of apt's own answer, and which files it holds for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pgssi.paths import ROOT

SPEC = importlib.util.spec_from_file_location("apt_options", ROOT / "plugins" / "modules" / "apt_options.py")
assert SPEC and SPEC.loader
module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(module)
answers, differs, saying = module.answers, module.differs, module.saying

DUMP = """APT "";
APT::Get "";
APT::Get::AllowUnauthenticated "1";
Binary::apt-get::Acquire::AllowInsecureRepositories "yes";
Acquire::Check-Valid-Until "true";
Unattended-Upgrade::Origins-Pattern "";
Unattended-Upgrade::Origins-Pattern:: "origin=Debian,label=Debian-Security";
Unattended-Upgrade::Package-Blacklist "";
Unattended-Upgrade::Package-Blacklist:: ".*";
"""


@pytest.mark.parametrize(
    ("option", "wanted", "wrong"),
    [
        ("APT::Get::AllowUnauthenticated", "false", True),
        ("Acquire::AllowInsecureRepositories", "false", True),  # for one program only: its tree counts too
        ("Acquire::Check-Valid-Until", "true", False),
        ("acquire::check-valid-until", "yes", False),
        ("Acquire::AllowWeakRepositories", "false", False),  # nobody names it: apt's own default
        ("Unattended-Upgrade::Origins-Pattern", ["origin=Debian,label=Debian-Security"], False),
        ("Unattended-Upgrade::Origins-Pattern", ["origin=Other"], True),
        ("Unattended-Upgrade::Package-Blacklist", [], True),
        ("Unattended-Upgrade::Update-Days", [], False),
    ],
)
def test_apt_answers_what_is_wanted_or_not(option: str, wanted: object, wrong: bool) -> None:
    """Words for true and false are as good as each other, case does not count, lists are whole lists."""
    assert differs(answers(DUMP), option, wanted) is wrong


def test_only_files_that_name_the_option_are_held_for_it(tmp_path: Path) -> None:
    """Our own file, files already set aside and files about something else stay."""
    folder = tmp_path / "apt.conf.d"
    folder.mkdir()
    for name, text in {
        "zz-ours": 'Acquire::AllowInsecureRepositories "false";',
        "99repair": 'Acquire { allowinsecurerepositories "true"; };',
        "00proxy": 'Acquire::http::Proxy "http://proxy";',
        "98old.pgssi.disabled": 'Acquire::AllowInsecureRepositories "true";',
    }.items():
        (folder / name).write_text(text)
    found = saying(["Acquire::AllowInsecureRepositories"], str(folder / "zz-ours"), (str(tmp_path / "apt.conf"), str(folder)))
    assert [path.name for path in found] == ["99repair"]
