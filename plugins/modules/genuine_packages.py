"""Packages installed, and their programs those that the distribution signed: neither changed nor diverted."""

from __future__ import annotations

import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: genuine_packages
short_description: Install Debian packages and put back their own programs
description:
  - Installs what is missing, without recommended packages.
  - Installs again the packages whose files below /usr differ from those of the package, after local diversions
    of these files were taken back. Configuration files are left alone.
options:
  names: {type: list, elements: str, required: true, description: Names of the packages.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.genuine_packages: {names: [borgbackup]}
"""
RETURN = """
missing: {description: Packages that were installed., type: list, returned: always}
altered: {description: Files that were put back., type: list, returned: always}
"""
PROGRAMS = re.compile(r"^(?:/usr)?/(?:bin|sbin|lib(?:exec)?)/")
DIVERSION = re.compile(r"^local diversion of (?P<path>/\S+) to (?P<to>/\S+)$")


class Packages:
    """What dpkg says of the packages, and what apt is asked to do about it."""

    def __init__(self, module: AnsibleModule, names: list[str]) -> None:
        self.module, self.names = module, names
        self.environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}

    def missing(self) -> list[str]:
        command = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *self.names]
        _, out, _ = self.module.run_command(command, environ_update=self.environment)
        there = {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}
        return [name for name in self.names if name not in there]

    def diverted(self, files: dict[str, str]) -> list[str]:
        """Return the files of the packages that an administrator has diverted."""
        _, out, _ = self.module.run_command(["dpkg-divert", "--list"], environ_update=self.environment)
        return [found["path"] for line in out.splitlines() if (found := DIVERSION.match(line)) and found["path"] in files]

    def files(self) -> dict[str, str]:
        """Return {path: package} of the programs of the packages."""
        owners = {}
        for name in self.names:
            _, out, _ = self.module.run_command(["dpkg-query", "-L", name], environ_update=self.environment)
            owners |= {line: name for line in out.splitlines() if PROGRAMS.match(line)}
        return owners

    def altered(self) -> list[str]:
        """Return the programs that differ from the package's; ``c`` marks a configuration file."""
        _, out, _ = self.module.run_command(["dpkg", "--verify", *self.names], environ_update=self.environment)
        lines = (line.split() for line in out.splitlines())
        return [words[-1] for words in lines if len(words) == 2 and PROGRAMS.match(words[-1])]

    def install(self, names: list[str], *options: str) -> None:
        command = ["apt-get", "-q", "-y", "--no-install-recommends", *options, "-o", "Dpkg::Options::=--force-confold"]
        code, _, _ = self.module.run_command([*command, "install", *names], environ_update=self.environment)
        if code:  # lists of packages that are not there yet, or too old
            self.module.run_command(["apt-get", "-q", "update"], environ_update=self.environment, check_rc=True)
            self.module.run_command([*command, "install", *names], environ_update=self.environment, check_rc=True)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    packages = Packages(module, module.params["names"])
    missing = packages.missing()
    if missing and not module.check_mode:
        packages.install(missing)
    here = [name for name in packages.names if name not in missing]
    packages.names = here
    owners = packages.files()
    diverted, altered = packages.diverted(owners), packages.altered()
    if not module.check_mode:
        for path in diverted:
            if os.path.lexists(path):
                os.unlink(path)
            module.run_command(["dpkg-divert", "--local", "--rename", "--remove", path], check_rc=True)
        again = sorted({owners[path] for path in {*altered, *diverted} if path in owners})
        if again:
            packages.install(again, "--reinstall")
    after = "".join(f"{name}\n" for name in missing) + "".join(f"{path}: as in its package\n" for path in altered + diverted)
    module.exit_json(
        changed=bool(missing or altered or diverted),
        missing=missing,
        altered=altered + diverted,
        diff={"before": "", "after": after},
    )


if __name__ == "__main__":
    main()
