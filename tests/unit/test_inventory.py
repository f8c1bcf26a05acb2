"""Hosts, groups and variables are what Ansible makes of them; what it cannot resolve is told."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from pgssi.errors import InvalidInput
from pgssi.inventory import Inventory, load_inventory

HOSTS = """
all:
  vars:
    site_palier: 2
    site_word: "{{ prefix }}-{{ inventory_hostname }}"
    prefix: base
    needs_facts: "{{ ansible_default_ipv4.address }}"
    site_since: 2024-03-01
    db_password: "{{ 'very' ~ 'secret' }}"
  hosts:
    a: {ansible_host: 192.0.2.1, ansible_user: alice}
    b:
  children:
    outer: {children: {inner: {hosts: {a: }, vars: {prefix: inner}}}}
"""


def write(folder: Path, text: str = HOSTS) -> list[str]:
    path = folder / "hosts.yml"
    path.write_text(text, "utf-8")
    return [str(path)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return load_inventory(write(tmp_path_factory.mktemp("site")))


def test_variables_are_templated_per_host(site: Inventory) -> None:
    """Group variables, precedence and templates give each host its own value."""
    assert [host.variables["site_word"] for host in site.hosts.values()] == ["inner-a", "base-b"]


def test_groups_hold_parents(site: Inventory) -> None:
    """A host belongs to its groups and to the groups that hold those."""
    assert site.hosts["a"].groups == ("inner", "outer")
    assert site.members("outer") == ("a",)
    assert site.members("all") == ("a", "b")
    assert site.members("b") == ("b",)
    assert site.members("nobody") == ()


def test_values_are_plain(site: Inventory) -> None:
    """Nothing of Ansible's own types is left, so that everything can be sent to another process."""
    variables = pickle.loads(pickle.dumps(site)).hosts["a"].variables
    assert variables["site_since"] == date(2024, 3, 1)
    assert {type(value).__module__ for value in (variables["site_word"], variables["site_palier"])} == {"builtins"}


def test_connection_comes_from_the_variables(site: Inventory) -> None:
    """Address and user are those of the host, and a bare name stands for itself."""
    assert (site.hosts["a"].connection.address, site.hosts["a"].connection.user) == ("192.0.2.1", "alice")
    assert site.hosts["b"].connection.address == "b"


def test_unneeded_fault_waits_for_its_reader(site: Inventory) -> None:
    """A variable that needs facts is no obstacle, until a test reads it."""
    with pytest.raises(InvalidInput, match=r"needs_facts \(a\).*undefined"):
        site.hosts["a"].variables["needs_facts"]


def test_secrets_are_known(site: Inventory) -> None:
    """Values of variables named like a secret are known, so that they can be masked."""
    assert site.hosts["a"].variables.secrets() == {"verysecret"}


def test_limit_and_extra_variables(tmp_path: Path) -> None:
    """--limit and -e mean what they mean to ansible-playbook."""
    inventory = load_inventory(write(tmp_path), "all:!inner", ["prefix=given", '{"site_palier": 3}', "word={{ prefix }}!"])
    assert inventory.selected == ("b",)
    variables = inventory.hosts["b"].variables
    assert (variables["site_word"], variables["site_palier"], variables["word"]) == ("given-b", 3, "given!")


def test_extra_variables_are_not_remembered(tmp_path: Path) -> None:
    """Two readings in one process do not share their extra variables."""
    load_inventory(write(tmp_path), extra_vars=["prefix=given"])
    assert load_inventory(write(tmp_path)).hosts["b"].variables["prefix"] == "base"


@pytest.mark.parametrize(
    ("text", "limit", "told"),
    [
        (
            HOSTS.replace("prefix: base", "other: 1"),
            None,
            r"hosts\.yml:5: site_word \(b\) = '{{ prefix }}.*'prefix' is undefined.*Définir",
        ),
        (
            HOSTS + '    late: {vars: {site_x: \'{{ lookup("ansible.builtin.file", "/no/f") }}\'}, hosts: {b: }}',
            "a",
            r"site_x \(b\).*/no/f",
        ),
        (HOSTS, "nobody", r"--limit.*nobody"),
        ("all: {hosts: {}}", None, "ne contient aucun hôte"),
        ("all: {hosts: {a: [}}", None, r"hosts\.yml"),
    ],
    ids=["undefined", "broken-elsewhere", "limit", "empty", "unreadable"],
)
def test_bad_inventories(tmp_path: Path, text: str, limit: str | None, told: str) -> None:
    """Every fault is told with its file, its key and a remedy, on any host, selected or not."""
    with pytest.raises(InvalidInput, match=told) as caught:
        load_inventory(write(tmp_path, text), limit)
    assert all(problem.file and problem.remedy for problem in caught.value.problems)


def test_one_fault_on_many_hosts_is_told_once(tmp_path: Path) -> None:
    """A variable broken for the whole site makes one line, not one per host."""
    with pytest.raises(InvalidInput) as caught:
        load_inventory(write(tmp_path, "all: {hosts: {a: , b: , c: }, vars: {site_x: '{{ nothing }}'}}"))
    assert [problem.key for problem in caught.value.problems] == ["site_x (a, b, c)"]


def test_missing_inventory() -> None:
    """An inventory that is not there is named."""
    with pytest.raises(InvalidInput, match=r"/no/inventory.*n'existe pas"):
        load_inventory(["/no/inventory"])


LOAD = """
import sys
from pgssi.errors import InvalidInput
from pgssi.inventory import load_inventory
try:
    print(load_inventory([sys.argv[1]]).hosts["a"].variables["site_key"])
except InvalidInput as error:
    sys.exit(f"told: {error}")
"""


def in_new_process(folder: Path, password: str | None) -> subprocess.CompletedProcess[str]:
    """Load an inventory with a vaulted variable; a new process, since Ansible reads its environment once."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    (folder / "right").write_text("right\n", "utf-8")
    ansible = [
        str(Path(sys.executable).with_name("ansible-vault")),
        "encrypt_string",
        "--name",
        "site_key",
        "clear",
    ]
    made = subprocess.run(
        ansible,
        env={**environment, "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "right")},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    group = folder / "group_vars"
    group.mkdir()
    (group / "all.yml").write_text(made.stdout, "utf-8")
    (folder / "hosts.yml").write_text("all: {hosts: {a: }}", "utf-8")
    if password:
        (folder / "given").write_text(password + "\n", "utf-8")
        environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(folder / "given")
    return subprocess.run(
        [sys.executable, "-c", LOAD, str(folder / "hosts.yml")],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_vault_is_opened_as_ansible_does(tmp_path: Path) -> None:
    """A vaulted variable is read with the password that Ansible would use."""
    assert in_new_process(tmp_path, "right").stdout == "clear\n"


@pytest.mark.parametrize("password", [None, "wrong"])
def test_unreadable_vault(tmp_path: Path, password: str | None) -> None:
    """A vault that cannot be opened is told with its variable, without a traceback."""
    done = in_new_process(tmp_path, password)
    assert "told: " in done.stderr
    assert "site_key (a)" in done.stderr
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in done.stderr
    assert "Traceback" not in done.stderr
