"""The kernel's own parameters, as it applies them now, and what an ordinary account gets from it (BP-028 R9, R11, R14)."""

from __future__ import annotations

import pytest

MANY = 2**31


@pytest.mark.rule("kernel-information-hidden")
def test_information(kernel, observe):
    """An ordinary account tries the kernel's log, its addresses and a counter on it; the live limits are read too."""
    own = kernel.own()
    faults = own.faults(
        kernel__dmesg_restrict=(1, 1),
        kernel__kptr_restrict=(2, 2),
        kernel__perf_event_paranoid=(2, MANY),
        kernel__perf_cpu_time_max_percent=(1, 1),
        kernel__perf_event_max_sample_rate=(1, 1),
    )
    tried = {"journal lu": own.seen["log"], "adresses lues": own.seen["addresses"], "compteur ouvert": own.seen["perf"]}
    faults += [f"{name} par un compte ordinaire" for name, done in tried.items() if done is True]
    observe(f"{len(faults)} écarts")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("kernel-interfaces-closed")
def test_interfaces(kernel, observe):
    """An ordinary account tries to make a BPF map; the live values for BPF and the magic keys are read too."""
    own = kernel.own()
    faults = own.faults(kernel__unprivileged_bpf_disabled=(1, 2), net__core__bpf_jit_harden=(2, 2), kernel__sysrq=(0, 0))
    faults += ["table BPF créée par un compte ordinaire"] if own.seen["bpf"] is True else []
    observe(f"{len(faults)} écarts")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("kernel-fault-stops")
def test_fault(kernel, observe):
    """The kernel is asked what it does after a fault of its own."""
    faults = kernel.own().faults(kernel__panic_on_oops=(1, 1))
    observe("arrêt sur faute" if not faults else "continue après une faute")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("process-memory-randomised")
def test_layout(kernel, observe):
    """One program is started three times by an ordinary account; its stack, heap and C library must have moved."""
    own = kernel.own()
    faults = own.faults(kernel__randomize_va_space=(2, 2), vm__mmap_min_addr=(65536, MANY))
    layouts = own.seen["layouts"]
    still = [part for part in layouts[0] if len({layout.get(part) for layout in layouts}) == 1]
    faults += [f"{part} toujours à la même adresse" for part in still]
    observe(f"{len(layouts)} lancements, {len(still)} zones immobiles")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("process-tracing-restricted")
def test_tracing(kernel, observe):
    """A process of an ordinary account tries to attach to another one of the same account."""
    own = kernel.own()
    faults = own.faults(kernel__yama__ptrace_scope=(1, MANY))
    faults += ["un processus s'attache à un voisin du même compte"] if own.seen["attach"] is True else []
    observe("attachement refusé" if not own.seen["attach"] else "attachement réussi")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("links-protected")
def test_links(kernel, observe):
    """The kernel is asked how it treats links, pipes and files of others in folders open to all."""
    faults = kernel.own().faults(
        fs__protected_symlinks=(1, 1), fs__protected_hardlinks=(1, 1), fs__protected_fifos=(2, 2), fs__protected_regular=(2, 2)
    )
    observe(f"{len(faults)} écarts")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("links-protected")
@pytest.mark.acts
def test_traps(kernel, script, observe):
    """An ordinary account lays a link, a pipe, a file and a hard link in a folder open to all; root walks by."""
    kernel.own()
    fallen = script("traps")
    observe(f"4 pièges posés, {len(fallen)} efficaces")
    assert not fallen, f"root tombe dans le piège : {', '.join(fallen)}"


@pytest.mark.rule("core-dumps-privileged-none")
def test_core_dumps(kernel, observe):
    """The kernel is asked what it writes when a program that changed privileges fails."""
    faults = kernel.own().faults(fs__suid_dumpable=(0, 0))
    observe("aucune image" if not faults else "image mémoire écrite")
    assert not faults, ", ".join(faults)
