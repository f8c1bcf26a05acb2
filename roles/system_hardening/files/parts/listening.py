"""Services that listen although no flow of the site says so. They are told, and left running: nobody knows who needs them."""

import re
import subprocess
from pathlib import Path

BOOT = False  # services are not up yet
LOCAL = re.compile(r"^(127\.|::1$|::ffff:127\.)|%lo$")
ANY = ("0.0.0.0", "::", "*")
# A host that asks for its address by DHCP waits for the answer on these.
ASKS = re.compile(r"dhclient|dhcpcd|systemd-network|NetworkManager|udhcpc")


def sockets(said):
    """Yield (protocol, address, port, processes) of each line of ``ss -lntupH``."""
    for line in said.splitlines():
        fields = line.split()
        address, _, port = fields[4].rpartition(":")
        names = ", ".join(f"{name} {pid}" for name, pid in sorted(set(re.findall(r'"([^"]+)",pid=(\d+)', line))))
        yield fields[0], address.strip("[]").replace("]%", "%"), int(port), names or "?"


def notes(host):
    """Yield what listens for others and is no flow's."""
    wanted = host.wanted.get("served")
    if not wanted:
        return
    said = subprocess.run(["ss", "-lntupH"], capture_output=True, text=True, check=False).stdout
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split())
    told = set()
    for protocol, address, port, processes in sockets(said):
        # From the range of clients' ports the kernel gives one to whoever asks something over UDP.
        client = protocol == "udp" and (low <= port <= high or (port in (68, 546) and ASKS.search(processes)))
        if LOCAL.search(address) or client or declared(wanted, protocol, address.split("%")[0], port):
            continue
        told.add(f"{protocol}/{port} ({processes})")
    for one in sorted(told):
        yield f"{one} écoute sans flux déclaré : le déclarer dans site_flows, le lier à 127.0.0.1 ou l'arrêter"


def declared(wanted, protocol, address, port):
    """Return whether a flow ends at this address, or at any for what listens on all of them or on that of a link."""
    doors = (addresses for kind, first, last, addresses in wanted if kind == protocol and first <= port <= last)
    return any(address in ANY or address.startswith("fe80:") or address in addresses for addresses in doors)


def gaps(_host):
    """Yield nothing: what listens is for a person to declare or to stop."""
    return iter(())
