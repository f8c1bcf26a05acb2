"""From what a probe met, and what was seen on its way, to what it proves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgssi.network.probing import Heard, Met
from pgssi.network.sample import Probe

LISTENS = ("up", "taken")
# Said of a probe that did not do what the matrix says; {by}: hosts, {detail}: what was met.
REASONS = {
    "passed": "passe",
    "dropped": "jeté par {by}",
    "vanished": "jeté en chemin",
    "window": "passe par une fenêtre de télémaintenance ouverte à l'instant",
    "leaked": "passe alors que rien ne le déclare",
    "delivered": "reçu à destination alors que rien ne le déclare (la réponse s'est perdue)",
    "answered": "refusé par une réponse ({detail}) au lieu d'être jeté",
    "crossed": "a traversé {by}, qui devait le jeter",
    "closed": "déclaré, mais ne passe pas : jeté par {by}",
    "silent": "déclaré, mais sans réponse",
    "refused": "déclaré, mais refusé ({detail})",
    "held": "déclaré, mais bloqué à l'émission par {by}",
    "uncounted": "jeté, mais {by} n'a pas compté tous ses rejets ({detail})",
    "spoofed": "adresse usurpée reçue par {by}",
    "unreached": "n'est pas arrivé jusqu'à {by}",
    "no_listener": "sans écoute à destination ({detail})",
    "unsent": "non émis ({detail})",
    "unrouted": "sans route ({detail})",
    "mute": "l'équipement n'a pas répondu",
    "stranger": "une autre machine a répondu à sa place",
    "busy": "le service en place ne répond pas à la sonde",
    "no_witness": "rien ne montre que la source peut atteindre la destination",
    "lost": "hôte injoignable ou sonde interrompue ({detail})",
}


@dataclass(frozen=True)
class Verdict:
    """What one probe proves. by: the host that dropped it, when one was seen to."""

    verdict: str
    reason: str
    by: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        """Return the reason in words."""
        return REASONS[self.reason].format(by=self.by or "?", detail=self.detail or "?")


def good(reason: str, by: str = "") -> Verdict:
    """Return a conforming verdict."""
    return Verdict("conforme", reason, by)


def bad(reason: str, by: str = "", detail: str = "") -> Verdict:
    """Return a verdict of a probe that did what it must not."""
    return Verdict("non_conforme", reason, by, detail)


def unknown(reason: str, by: str = "", detail: str = "") -> Verdict:
    """Return the verdict of a probe that proves nothing."""
    return Verdict("non_verifie", reason, by, detail)


@dataclass(frozen=True)
class Scene:
    """What is known of one run.

    heard: by host; faults: hosts that could not take part; reached: pairs of addresses between which some
    declared probe passed; gateways: those of the inventory; tabled: hosts with our table, which counts.
    """

    heard: Mapping[str, Heard]
    faults: Mapping[str, str]
    reached: frozenset[tuple[str, str]] = frozenset()
    gateways: frozenset[str] = frozenset()
    tabled: frozenset[str] = frozenset()

    def stayed(self, probe: Probe) -> bool:
        """Return whether a packet was seen not to leave its sender."""
        seen = self.passes(probe.sender, probe)
        return seen is not None and not seen[1]

    def vouched(self, probe: Probe) -> bool:
        """Return whether the two ends were seen to talk, so that silence between them is a firewall's doing.

        To each other; or, where the firewall in between is none of the inventory's, to anybody.
        """
        one, two = probe.source.address, probe.target.address
        if (one, two) in self.reached:
            return True
        between = not self.gateways and probe.source.zone != probe.target.zone
        return between and any(a == one for a, _ in self.reached) and any(b == two for _, b in self.reached)

    def passes(self, host: str, probe: Probe) -> tuple[int, int] | None:
        """Return the packets of a probe that came into and left a host; None when nobody could see them."""
        known = self.heard.get(host)
        if known is None or not known.sniffs:
            return None
        key = (probe.source.address, probe.target.address, probe.protocol, probe.port, probe.kind == "forged")
        return known.passed.get(key, (0, 0))

    def listener(self, probe: Probe) -> str:
        """Return the state of what listens for a probe; empty at equipment, where we can listen nowhere."""
        if probe.target.owner not in self.heard:
            return ""
        if probe.protocol == "icmp":
            return "up"
        return self.heard[probe.target.owner].fates.get((probe.protocol, probe.target.address, probe.port), "absent")

    def delivered(self, probe: Probe) -> bool:
        """Return whether a listener of ours got the probe, whatever became of its answer."""
        known = self.heard.get(probe.target.owner)
        key = (probe.source.address, probe.target.address, probe.protocol, probe.port)
        return known is not None and key in known.given


def judge(probe: Probe, met: Met | None, scene: Scene) -> Verdict:
    """Return what one probe proves; met: None when its sender gave no answer."""
    if met is None or probe.sender in scene.faults:
        return unknown("lost", detail=scene.faults.get(probe.sender, probe.sender))
    if probe.target.owner in scene.faults:
        return unknown("lost", detail=scene.faults[probe.target.owner])
    if met.result in ("unsent", "error"):
        return unknown("unsent", detail=met.detail)
    if met.result == "unrouted":
        return unknown("unrouted", detail=met.detail)
    if probe.kind == "forged":
        return _forged(probe, met, scene)
    return _allowed(probe, met, scene) if probe.allowed else _refused(probe, met, scene)


def _allowed(probe: Probe, met: Met, scene: Scene) -> Verdict:
    state = scene.listener(probe)
    if met.result == "blocked":
        return bad("held", probe.sender)
    if met.result in ("open", "other"):
        return unknown("stranger") if met.result == "other" and state == "up" else good("passed")
    if state and state not in LISTENS:
        return unknown("no_listener", detail=state)
    if not state:
        forwarded = [host for host in scene.heard if (scene.passes(host, probe) or (0, 0))[1]]
        stopped = _stopped(probe, scene)
        if stopped:
            return bad("closed", stopped)
        return good("passed") if forwarded and met.result == "silent" else unknown("mute", detail=met.result)
    if met.result in ("refused", "rejected"):
        return bad("refused", detail=met.detail or "RST")
    if scene.stayed(probe):
        return bad("held", probe.sender)
    stopped = _stopped(probe, scene)
    if stopped:
        return bad("closed", stopped)
    arrived = scene.passes(probe.target.owner, probe)
    if state == "taken" and probe.protocol == "udp" and arrived and arrived[0]:
        return unknown("busy")
    return bad("closed", probe.target.owner) if arrived and arrived[0] else bad("silent")


def _stopped(probe: Probe, scene: Scene) -> str:
    """Return the host on the way that took a packet in and did not let it out again."""
    for host in scene.heard:
        if host not in (probe.sender, probe.target.owner):
            came, left = scene.passes(host, probe) or (0, 0)
            if came and not left:
                return host
    return ""


def _refused(probe: Probe, met: Met, scene: Scene) -> Verdict:
    if met.result in ("open", "other"):
        return bad("leaked")
    if scene.delivered(probe):
        return bad("delivered")
    if met.result in ("refused", "rejected"):
        return bad("answered", detail=met.detail or "RST")
    decider = probe.by[0] if probe.by else ""
    if met.result == "blocked":
        return good("dropped", probe.sender)
    state = scene.listener(probe)
    if state and state not in LISTENS:
        return unknown("no_listener", detail=state)
    if decider == probe.sender:  # refused before any tap could see it: the counters of the sender must tell
        arrived = scene.passes(probe.target.owner, probe)
        return bad("crossed", decider) if arrived and arrived[0] else good("dropped", decider)
    if scene.stayed(probe):  # stricter than asked, if its own table has counted it; else there is no way out
        return good("dropped", probe.sender) if probe.sender in scene.tabled else unknown("unsent", detail="rien n'est sorti")
    seen = scene.passes(decider, probe)
    if seen is None:  # nobody could look
        return good("vanished") if scene.vouched(probe) else unknown("no_witness")
    if not seen[0]:
        return good("vanished") if scene.vouched(probe) else unknown("unreached", decider)
    if seen[1] and decider != probe.target.owner:
        return bad("crossed", decider)
    return good("dropped", decider)


def _forged(probe: Probe, met: Met, scene: Scene) -> Verdict:
    if met.result == "blocked":
        return good("dropped", probe.sender)
    arrived = scene.passes(probe.target.owner, probe)
    if arrived and arrived[0]:
        return bad("spoofed", probe.target.owner)
    ways = {host: scene.passes(host, probe) for host in probe.by}
    if any(seen and seen[1] for seen in ways.values()):
        return bad("crossed", next(host for host, seen in ways.items() if seen and seen[1]))
    stopper = next((host for host, seen in ways.items() if seen and seen[0]), "")
    return good("dropped", stopper) if stopper else unknown("unreached", ", ".join(probe.by))
