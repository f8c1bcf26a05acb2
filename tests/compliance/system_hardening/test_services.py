"""What runs, starts at boot or is installed although nobody needs it; what the kernel would load by itself."""

from __future__ import annotations

import pytest

from pgssi.baseline import NEEDLESS_MODULES, NEEDLESS_PACKAGES, NEEDLESS_SERVICES


@pytest.mark.rule("modules-needless-blocked")
def test_modules(kernel, facts, site, observe):
    """modprobe is asked, without doing it, how it would load each module; those loaded already are read in the kernel."""
    kernel.own()
    names = [name for name in NEEDLESS_MODULES if name not in site.get("system_hardening_kept_modules", [])]
    asked = f'for m in {" ".join(names)}; do echo "$m: $(modprobe --dry-run --verbose $m 2>&1 | tail -n 1)"; done'
    answers = dict(line.split(": ", 1) for line in facts("hardening-modprobe", asked, timeout=120).splitlines() if ": " in line)
    loaded = {line.split()[0] for line in facts("hardening-modules", "cat /proc/modules").splitlines()}
    faults = [f"{name} chargé" for name in names if name in loaded]
    faults += [f"{name} chargeable" for name in names if answers.get(name, "").startswith(("insmod", "builtin"))]
    observe(f"{len(names)} modules essayés, {len(faults)} écarts")
    assert answers, "modprobe ne répond pas"
    assert not faults, ", ".join(faults)


@pytest.mark.rule("services-needless-stopped")
def test_services(facts, site, observe):
    """systemd is asked which of these units run or start at boot."""
    names = [name for name in NEEDLESS_SERVICES if name not in site.get("system_hardening_kept_services", [])]
    said = facts("hardening-units", f"systemctl show -p Id,LoadState,ActiveState,UnitFileState -- {' '.join(names)}")
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in said.strip().split("\n\n")]
    assert len(blocks) == len(names), "systemd ne répond pas"
    present = [block for block in blocks if block["LoadState"] == "loaded"]
    running = ("active", "activating", "reloading")
    faults = [
        f"{block['Id']} ({block['ActiveState']}, {block['UnitFileState']})"
        for block in present
        if block["ActiveState"] in running or block["UnitFileState"] in ("enabled", "enabled-runtime")
    ]
    observe(f"{len(present)} services de la liste présents, {len(faults)} en service")
    assert not faults, f"en service sans être nécessaire : {', '.join(faults)}"


@pytest.mark.rule("packages-needless-absent")
def test_packages(facts, observe):
    """dpkg is asked which of these packages are installed."""
    listed = facts("hardening-packages", "dpkg-query -W -f='${Package} ${db:Status-Status}\\n'").splitlines()
    installed = {line.split()[0] for line in listed if line.endswith(" installed")}
    assert "dpkg" in installed, "dpkg ne répond pas"
    faults = sorted(installed & set(NEEDLESS_PACKAGES))
    observe(f"{len(installed)} paquets, {len(faults)} à retirer")
    assert not faults, f"installé : {', '.join(faults)}"
