"""Bring a lab up, down, or back to its first day. Every step can be interrupted and done again."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pgssi.errors import PgssiError
from pgssi.inventory import load_inventory
from pgssi.lab.keys import make_keys, pin
from pgssi.lab.machines import Machines
from pgssi.lab.model import LabHost, LabModel, lab_model
from pgssi.lab.podman import PodmanError, containers, inside, networks, podman
from pgssi.lab.seed import give_routes, seed, steps
from pgssi.lab.waiting import answers
from pgssi.paths import ROOT

DIRECTORY = ROOT / ".lab"
BOOT_SECONDS = 90
# systemd in a container keeps about eight inotify instances, and four for each account that is logged in.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INSTANCES = 16
CROWDED = "Avec beaucoup de conteneurs, le noyau peut manquer d'instances inotify : sysctl -w fs.inotify.max_user_instances=512."
FINGERPRINT = ROOT / "lab" / "fingerprint.sh"


class Lab:
    """The hosts of one inventory, which gives their prefix and addresses: two inventories, two labs."""

    def __init__(self, model: LabModel, directory: Path, say: Callable[[str], None]) -> None:
        """Keep keys and host keys in ``directory``; ``say`` receives a line for each step."""
        self.model = model
        self.directory = directory
        self._say = say
        self._order = list(model.hosts)
        self.machines = Machines(model, directory, say)

    @classmethod
    def load(
        cls,
        inventory: Sequence[str],
        *,
        directory: Path = DIRECTORY,
        say: Callable[[str], None] = lambda _text: None,
    ) -> Lab:
        """Read a lab from its inventory; the keys that the inventory looks up are made first."""
        make_keys(directory)
        return cls(lab_model(load_inventory(inventory)), directory, say)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts, in inventory order."""
        return tuple(self._order)

    def up(self, *names: str) -> None:
        """Bring these hosts and the gateway up (all without names); hosts that are up are left alone."""
        chosen, virtual = self._chosen(names), self._virtual(names)
        with self._locked():
            for host in virtual:
                self.machines.up(host)
            if not chosen:
                return
            images = {image: self._image(image) for image in {host.image for host in chosen}}
            if INOTIFY.exists() and int(INOTIFY.read_text("ascii")) < INSTANCES * len(chosen):
                self._say(CROWDED)
            self._networks(chosen)
            present = containers(self.model.prefix)
            ready = {host.name for host in chosen if self._is_ready(host, images[host.image], present)}
            stale = [
                self.model.container(host.name)
                for host in chosen
                if host.name not in ready and self.model.container(host.name) in present
            ]
            self._remove(stale)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda host: self._host(host, images[host.image], host.name in ready), chosen))
            self._pin(chosen)

    def down(self) -> None:
        """Remove the containers, virtual machines and networks of this lab."""
        with self._locked():
            self.machines.remove()
            if any(not host.machine for host in self.model.hosts.values()):
                self._without_containers()
            pin(self.directory, {host.pinned: () for host in self.model.hosts.values()})

    def _without_containers(self) -> None:
        self._remove(list(containers(self.model.prefix)))
        present = list(networks(self.model.prefix))
        if present:
            podman("network", "rm", "--force", *present)
            self._say(f"réseaux retirés : {', '.join(sorted(present))}")

    def reset(self, *names: str) -> None:
        """Make these hosts again from their images (all without names), then bring them up."""
        with self._locked():
            self._removed(names)
        self.up(*names)

    def remove(self, *names: str) -> None:
        """Remove these hosts and leave the others as they are."""
        with self._locked():
            self._removed(names)

    def _removed(self, names: Sequence[str]) -> None:
        chosen = [self.model.container(host.name) for host in self._chosen(names, gateway=False)]
        virtual = self._virtual(names)
        if virtual:
            self.machines.remove(*virtual)
        present = containers(self.model.prefix) if chosen else {}
        self._remove([container for container in chosen if container in present])

    def restart(self, *names: str) -> None:
        """Stop these hosts and start them again (all without names); their files stay, the kernel's rules and routes go."""
        chosen = self._chosen(names, gateway=False)
        with self._locked():
            for host in self._virtual(names):
                self.machines.restart(host)
            present = containers(self.model.prefix) if chosen else {}
            absent = [host.name for host in chosen if self.model.container(host.name) not in present]
            if absent:
                raise PgssiError(f"Pas encore créés : {', '.join(absent)}. Lancer « pgssi lab up ».")
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(self._restart, chosen))

    def status(self) -> dict[str, str]:
        """Return for every host: ``running``, ``absent``, or podman's own word for its state."""
        present = containers(self.model.prefix) if any(not host.machine for host in self.model.hosts.values()) else {}
        return {
            name: self.machines.state(host)
            if host.machine
            else str(present.get(self.model.container(name), {}).get("State", "absent"))
            for name, host in self.model.hosts.items()
        }

    def fingerprint(self, *names: str) -> dict[str, str]:
        """Return per host a digest of its files: content, owner, mode; logs and run-time state left out."""
        chosen = [host.name for host in self._chosen(names, gateway=False)]
        with ThreadPoolExecutor(2) as pool:
            digests = pool.map(lambda name: inside(self.model.container(name), FINGERPRINT), chosen)
            return {name: digest.strip() for name, digest in zip(chosen, digests, strict=True)}

    def _chosen(self, names: Sequence[str], *, gateway: bool = True) -> list[LabHost]:
        unknown = sorted(set(names) - set(self.hosts))
        if unknown:
            known = ", ".join(self.hosts)
            raise PgssiError(f"Hôte inconnu du laboratoire : {', '.join(unknown)}. Connus : {known}.")
        containers = [host for host in self.model.hosts.values() if not host.machine]
        named = [host for host in containers if not names or host.name in names]
        return [host for host in containers if host in named or (named and gateway and host.is_gateway)]

    def _virtual(self, names: Sequence[str]) -> list[LabHost]:
        """Return the chosen hosts that are virtual machines."""
        return [host for host in self.model.hosts.values() if host.machine and (not names or host.name in names)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("une autre commande travaille sur le laboratoire : attente")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _image(self, image: str) -> str:
        try:
            return podman("image", "inspect", "--format", "{{.Id}}", image).strip()
        except PodmanError as error:
            raise PgssiError(f"L'image {image} n'existe pas : lancer « make images ».") from error

    def _networks(self, chosen: Sequence[LabHost]) -> None:
        present = networks(self.model.prefix)
        for zone in {zone.name: zone for host in chosen for zone in host.zones}.values():
            name = self.model.network(zone.name)
            subnets = {subnet["subnet"] for subnet in present.get(name, {}).get("subnets", ())}
            if subnets == {str(zone.v4), str(zone.v6)}:
                continue
            if subnets:
                podman("network", "rm", "--force", name)
            podman(
                *("network", "create", "--internal", "--disable-dns"),
                *("--label", f"pgssi.lab={self.model.prefix}"),
                *("--subnet", str(zone.v4), "--gateway", zone.control(4)),
                *("--ipv6", "--subnet", str(zone.v6), "--gateway", zone.control(6)),
                name,
            )
            self._say(f"réseau {name} : {zone.v4}, {zone.v6}")

    def _marker(self, host: LabHost) -> Path:
        """Return the file that says which container of this host was seeded to the end."""
        return self.directory / "seeded" / self.model.container(host.name)

    def _is_ready(self, host: LabHost, image: str, present: dict[str, dict[str, object]]) -> bool:
        container = present.get(self.model.container(host.name))
        if not container or container["State"] != "running":
            return False
        marker = self._marker(host)
        expected = f"{container['Id']} {self.model.digest(host, image)} {steps(host).digest}"
        return marker.exists() and marker.read_text("utf-8") == expected

    def _remove(self, names: Sequence[str]) -> None:
        if names:
            podman("rm", "--force", "--time", "2", *names)
            self._say(f"conteneurs retirés : {', '.join(sorted(names))}")

    def _host(self, host: LabHost, image: str, ready: bool) -> None:
        name = self.model.container(host.name)
        started = time.monotonic()
        if not ready:
            options = self.model.run_options(host)
            identity = podman("run", "--detach", *options, host.image, "/sbin/init").strip()
            _booted(name)
            give_routes(host, name)
            seed(host, partial(podman, "exec", "-i", name), self.directory)
        answers(host.address, host.port, BOOT_SECONDS)
        if not ready:
            marker = self._marker(host)
            marker.parent.mkdir(exist_ok=True)
            marker.write_text(f"{identity} {self.model.digest(host, image)} {steps(host).digest}", "utf-8")
            seconds = time.monotonic() - started
            self._say(f"{host.name} prêt en {seconds:.0f} s : {host.address}, {host.image}")

    def _restart(self, host: LabHost) -> None:
        name = self.model.container(host.name)
        started = time.monotonic()
        podman("stop", "--time", "20", name)  # podman's own restart may unmount the files that it has just mounted
        podman("start", name)
        _booted(name)
        answers(host.address, host.port, BOOT_SECONDS)
        self._say(f"{host.name} redémarré en {time.monotonic() - started:.0f} s")

    def _pin(self, chosen: Sequence[LabHost]) -> None:
        read = "cat /etc/ssh/ssh_host_*_key.pub"
        keys = {host.address: inside(self.model.container(host.name), read).splitlines() for host in chosen}
        pin(self.directory, keys)


def _booted(container: str) -> None:
    """Wait until systemd has started everything; a unit that fails is an error of the image."""
    deadline = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < deadline:
        try:
            inside(container, "systemctl is-system-running --wait", timeout=BOOT_SECONDS)
            return
        except PodmanError as error:
            state = str(error)
        if "degraded" in state:
            break
        time.sleep(0.3)
    failed = inside(container, "systemctl --failed --no-legend --plain")
    raise PgssiError(f"{container} n'a pas démarré entièrement : {failed or state}\n{CROWDED}")
