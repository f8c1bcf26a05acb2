"""What the module apt_state makes of apt's own answer, which files it holds for it, and what it gives back."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pgssi.paths import ROOT

SPEC = importlib.util.spec_from_file_location("apt_state", ROOT / "plugins" / "modules" / "apt_state.py")
assert SPEC and SPEC.loader
module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(module)
answers, differs, saying, silent = module.answers, module.differs, module.saying, module.silent

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
    assert silent(["Acquire::AllowInsecureRepositories"], (str(tmp_path / "apt.conf"), str(folder))) == []
    assert [path.name for path in silent(["Acquire::Check-Date"], (str(folder),))] == ["98old.pgssi.disabled"]


MIRROR = "# managed\n\n# mirror\nTypes: deb\nURIs: https://mirror.example/debian\nSuites: trixie\nSigned-By: /k.asc\n"
VENDOR = "\n# vendor\nTypes: deb\nURIs: https://vendor.example/apt/\nSuites: stable\nSigned-By: /v.asc\n"


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], ["mirror", "vendor"]),
        (["deb https://vendor.example/apt stable main\n"], ["mirror"]),
        (["# deb https://vendor.example/apt stable main\n"], ["mirror", "vendor"]),
        (["Types: deb\nURIs: https://vendor.example/apt https://mirror.example/debian/\n"], []),
    ],
)
def test_a_source_is_declared_once(others: list[str], left: list[str]) -> None:
    """What a file of the host names already is left out, since apt refuses two keys for one source; nothing left is no file."""
    text = module.without(MIRROR + VENDOR, others)
    assert [name for name in ("mirror", "vendor") if f"# {name}" in text] == left
    assert bool(text) == bool(left)


class _Asked:
    """Stands in for the module of Ansible. check_mode: whether nothing may be touched."""

    def __init__(self, check_mode: bool = False) -> None:
        self.check_mode = check_mode


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /etc/apt."""
    (tmp_path / "sources.list.d").mkdir()
    monkeypatch.setattr(module, "SOURCES", tmp_path / "sources.list.d" / "pgssi.sources")
    return tmp_path


def _found(etc: Path) -> dict[str, str]:
    return {str(path.relative_to(etc)): path.read_text() for path in etc.rglob("*") if path.is_file()}


def test_sources_are_set_aside_and_given_back(etc: Path) -> None:
    """Nothing that an administrator wrote is lost, a second run changes nothing, and a waiver makes the host as it was."""
    (etc / "sources.list").write_text("deb https://deb.debian.org/debian trixie main\n")
    (etc / "sources.list.d" / "vendor.list").write_text("deb https://vendor.example/apt stable main\n")
    before = _found(etc)
    announced = module.Apt(_Asked(check_mode=True))
    announced.sources(MIRROR, only_ours=True)
    assert _found(etc) == before
    done = module.Apt(_Asked())
    done.sources(MIRROR, only_ours=True)
    assert done.diffs == announced.diffs
    assert set(_found(etc)) == {
        "sources.list.pgssi.disabled",
        "sources.list.d/vendor.list.pgssi.disabled",
        "sources.list.d/pgssi.sources",
    }
    again = module.Apt(_Asked())
    again.sources(MIRROR, only_ours=True)
    assert not again.diffs and not again.sources_changed
    back = module.Apt(_Asked())
    back.sources("", only_ours=False)
    assert back.sources_changed and _found(etc) == before


def test_a_second_file_of_one_name_does_not_replace_the_first(etc: Path) -> None:
    """The file that was set aside first stays, numbered; what is given back is the newer one."""
    path = etc / "sources.list.d" / "tools.list"
    for text in ("deb https://one.example x main\n", "deb https://two.example x main\n"):
        path.write_text(text)
        module.Apt(_Asked()).sources(MIRROR, only_ours=True)
    module.Apt(_Asked()).sources("", only_ours=False)
    assert _found(etc) == {
        "sources.list.d/tools.list": "deb https://two.example x main\n",
        "sources.list.d/tools.list.1.pgssi.disabled": "deb https://one.example x main\n",
    }


def test_what_apt_says_to_install_is_remembered() -> None:
    """The names of the new packages are those that apt-get lists, over several lines; updates and suggestions are not."""
    said = (
        "Suggested packages:\n  bsd-mailx\nThe following NEW packages will be installed:\n  distro-info-data python3-apt\n"
        "  unattended-upgrades\n0 upgraded, 3 newly installed\n"
    )
    assert module.new_packages(said) == {"distro-info-data", "python3-apt", "unattended-upgrades"}
    assert module.new_packages("0 upgraded, 0 newly installed\n") == set()


def test_a_file_that_names_no_source_stays(etc: Path) -> None:
    """unattended-upgrade leaves an empty sources.list where there is none: the run after it changes nothing."""
    module.Apt(_Asked()).sources(MIRROR, only_ours=True)
    (etc / "sources.list").write_text("# see sources.list.d\n\n")
    again = module.Apt(_Asked())
    again.sources(MIRROR, only_ours=True)
    assert not again.diffs and not again.sources_changed and (etc / "sources.list").exists()
