#!/usr/bin/python
"""Lock the accounts whose password is one that makers ship, or that is their own name."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: known_passwords
short_description: No account opens with a password that everybody knows
description:
  - Tries the given passwords, the account's own name and none at all against the hashes of this host, and locks what opens.
  - A login by key stays possible. Nothing is locked when the account of the operators itself would be.
options:
  passwords: {type: list, elements: str, required: true, no_log: false, description: Passwords that makers ship; known to all.}
  keep: {type: str, default: "", description: Account of the operators, never locked; the task fails when it opens.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.known_passwords:
    passwords: [admin, ubnt, raspberry]
    keep: pgssi
"""
RETURN = """
locked: {description: Accounts that were locked., type: list, returned: always}
"""

# Perl is on every Debian, and its crypt knows every kind of hash that PAM does.
TRY = 'while (<STDIN>) { chomp; my ($hash, $try) = split /\\t/, $_, 2; print((crypt($try, $hash) // "") eq $hash ? "1" : "0"); }'


def opens(hash_: str, tries: list[str]) -> bool:
    """Return whether one of these passwords opens an account."""
    asked = "".join(f"{hash_}\t{one}\n" for one in tries)
    return "1" in subprocess.run(["perl", "-e", TRY], input=asked, capture_output=True, text=True, check=True).stdout


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "passwords": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "keep": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    found = []
    for line in Path("/etc/shadow").read_text("utf-8").splitlines():
        name, hash_ = line.split(":")[:2]
        if hash_ == "" or (hash_[0] not in "!*" and opens(hash_, [*module.params["passwords"], name])):
            found.append(name)
    if module.params["keep"] in found:
        module.fail_json(
            msg=f"Le compte {module.params['keep']}, par lequel vous administrez cet hôte, a un mot de passe connu de tous : rien"
            " n'a été verrouillé. Changez-le (passwd), puis repassez le playbook."
        )
    for name in found:
        if not module.check_mode:
            module.run_command(["usermod", "--lock", name], check_rc=True)
    module.exit_json(changed=bool(found), locked=found)


if __name__ == "__main__":
    main()
