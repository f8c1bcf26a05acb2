"""Runs on a host under test, from memory: sends packets, watches them pass, holds a connection. Standard library only.

Fed to ``python3 -`` with a last line that calls main({"do": send, see, collect, …}).
A packet is [protocol, source, destination, port]; port 0 for icmp, which is an echo request. Prints JSON.
"""

import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SPORT = 20321  # of every packet that we make; each verifier gives its own, so that its watcher knows them
NUMBERS = {"tcp": 6, "udp": 17}
OUTGOING = 4  # PACKET_OUTGOING
ATTACH_FILTER, RCVBUFFORCE, SOL_PACKET, STATISTICS = 26, 33, 263, 6  # of setsockopt(2) and packet(7)


def number(protocol, version):
    return NUMBERS.get(protocol, 1 if version == 4 else 58)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(protocol, source, destination, port):
    """Return the transport part of a packet, its checksum right: a router that tracks connections drops a wrong one."""
    one, two = (socket.inet_pton(family(end), end) for end in (source, destination))
    version = 6 if ":" in source else 4
    kind = number(protocol, version)
    if protocol == "tcp":
        body, at = struct.pack("!HHIIBBHHH", SPORT, port, 7, 0, 5 << 4, 2, 64240, 0, 0), 16
    elif protocol == "udp":
        body, at = struct.pack("!HHHH", SPORT, port, 12, 0) + b"test", 6
    else:
        body, at = struct.pack("!BBHHH", 8 if version == 4 else 128, 0, 0, SPORT, 1), 2
    pseudo = (
        one + two + (struct.pack("!BBH", 0, kind, len(body)) if version == 4 else struct.pack("!IHBB", len(body), 0, 0, kind))
    )
    if protocol == "icmp" and version == 4:
        pseudo = b""
    return body[:at] + struct.pack("!H", checksum(pseudo + body)) + body[at + 2 :], kind, one, two, version


def apart():
    """Fork; return whether this is the process that goes on in the background, with no channel to hold."""
    if os.fork():
        return False
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number_ in (0, 1, 2):
        os.dup2(null, number_)
    return True


def send(packets):
    """Send packets made by hand, whatever their source; say which this host let out ("" or an error)."""
    said = []
    for packet in packets:
        body, kind, one, two, version = segment(*packet)
        try:
            if version == 4:
                raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
                head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, kind, 0, one, two)
            else:
                raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
                head = struct.pack("!IHBB16s16s", 6 << 28, len(body), kind, 64, one, two)
            with raw:
                raw.sendto(head + body, (packet[2], 0))
            said.append("")
        except OSError as error:
            said.append(str(error))
        time.sleep(0.01)
    return said


def later(packets, seconds):
    """Send packets in the background after a while: whoever asks may be out of reach then."""
    if not apart():
        return "ready"
    try:
        time.sleep(seconds)
        send(packets)
    finally:
        os._exit(0)


def read(data):
    """Return the packet that IP data holds, as [protocol, source, destination, port]; "re:" before an answer to ours.

    An ICMP error that quotes a packet of ours is "re:refus " and its protocol, with the ends of an answer to it.
    """
    version = data[0] >> 4
    if version == 4 and len(data) >= 28:
        kind, at, one, two = data[9], (data[0] & 15) * 4, data[12:16], data[16:20]
    elif version == 6 and len(data) >= 48:
        kind, at, one, two = data[6], 40, data[8:24], data[24:40]
    else:
        return None
    name = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp"}.get(kind)
    if name is None or len(data) < at + 8:
        return None
    ends = [socket.inet_ntop(socket.AF_INET if version == 4 else socket.AF_INET6, end) for end in (one, two)]
    first, second = struct.unpack("!HH", data[at : at + 4])
    if name != "icmp":
        known = {first: [name, *ends, second], second: ["re:" + name, *ends, first]}
        return known.get(SPORT)
    if data[at] in (8, 128, 0, 129):
        known = struct.unpack("!H", data[at + 4 : at + 6])[0] == SPORT
        return [name if data[at] in (8, 128) else "re:icmp", *ends, 0] if known else None
    quoted = read(data[at + 8 :]) if (version, data[at]) in ((4, 3), (6, 1)) and len(data) > at + 8 else None
    if quoted is None or quoted[0].startswith("re:"):
        return None
    return [f"re:refus {quoted[0]}", quoted[2], quoted[1], quoted[3]]


def keep():
    """Return the classic BPF program that keeps what may be ours: our port at either end, and all ICMP."""
    return (
        (0x30, 0, 0, 0),  # 0: version and header length
        (0x54, 0, 0, 0xF0),
        (0x15, 0, 4, 0x40),  # 2: IPv4, else 7
        (0xB1, 0, 0, 0),  # 3: x = length of the header
        (0x30, 0, 0, 9),
        (0x15, 9, 0, 1),  # 5: ICMP: 15
        (0x05, 0, 0, 3),  # 6: go to 10
        (0x15, 0, 8, 0x60),  # 7: IPv6, else 16
        (0x01, 0, 0, 40),
        (0x30, 0, 0, 6),
        (0x15, 4, 0, 58),  # 10: ICMPv6: 15
        (0x48, 0, 0, 0),
        (0x15, 2, 0, SPORT),  # 12: ours: 15
        (0x48, 0, 0, 2),
        (0x15, 0, 1, SPORT),  # 14: ours: 15, else 16
        (0x06, 0, 0, 2048),  # 15: keep
        (0x06, 0, 0, 0),  # 16: leave
    )


def sniffer():
    """Return a socket that hears what may be ours on every interface, with room for what a busy host sends meanwhile."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    held = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in keep()))
    raw.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HL", len(keep()), ctypes.addressof(held)))
    with contextlib.suppress(OSError):  # a container may not
        raw.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 16 << 20)
    raw.getsockopt(SOL_PACKET, STATISTICS, 8)  # which also sets them to nothing
    raw.settimeout(0.1)
    return raw


def see(path, seconds):
    """Note, in the background, the packets of ours that come to this host and that leave it."""
    raw = sniffer()
    if not apart():
        return "ready"
    came, left, end = [], [], time.monotonic() + seconds
    while time.monotonic() < end and not Path(path + ".stop").exists():
        try:
            data, where = raw.recvfrom(2048)
        except TimeoutError:
            continue
        packet = read(data)
        if packet:
            (left if where[2] == OUTGOING else came).append(packet)
    lost = struct.unpack("II", raw.getsockopt(SOL_PACKET, STATISTICS, 8))[1]
    new = Path(path + ".new")
    new.write_text(json.dumps({"came": came, "left": left, "lost": lost}), "ascii")
    new.rename(path)
    os._exit(0)


def collect(path):
    """Return what was seen; the watcher ends and leaves nothing."""
    result, stop = Path(path), Path(path + ".stop")
    stop.touch()
    end = time.monotonic() + 10
    while not result.exists() and time.monotonic() < end:
        time.sleep(0.05)
    found = json.loads(result.read_text("ascii"))
    result.unlink()
    stop.unlink()
    return found


def serve(address, port, size, seconds):
    """Take one connection in the background: read to its end, then answer with so many bytes."""
    server = socket.create_server((address, port), family=family(address))
    if not apart():
        return "ready"
    server.settimeout(seconds)
    try:
        peer, _ = server.accept()
        peer.settimeout(seconds)
        while True:
            got = peer.recv(65536)
            if not got:
                break
            if got.endswith(b"?"):
                peer.sendall(b"!" * size)
    except OSError:
        pass
    os._exit(0)


def gather(client, wanted):
    """Return how many bytes came, up to those wanted."""
    got = 0
    while got < wanted:
        some = client.recv(65536)
        if not some:
            break
        got += len(some)
    return got


def talk(source, address, port, size, want, pause):
    """Connect, send so many bytes, get the answer."""
    told = {}
    with socket.socket(family(address)) as client:
        client.settimeout(4)
        client.bind((source, 0))
        told["sport"] = client.getsockname()[1]
        began = time.time()
        try:
            client.connect((address, port))
            client.sendall(b"x" * (size - 1))
            time.sleep(pause)
            client.sendall(b"?")
            told["answer"] = gather(client, want)
        except OSError as error:
            told["error"] = str(error) or type(error).__name__
        told["seconds"] = time.time() - began
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return told


def hold(source, address, port, seconds, notes):
    """Keep one connection in the background; twice a second ask, and note in a file how many answers came.

    Return ``ready``, or why there is no connection.
    """
    notes = Path(notes)
    with contextlib.closing(socket.socket(family(address))) as client:
        client.settimeout(4)
        try:
            client.bind((source, 0))
            client.connect((address, port))
        except OSError as error:
            return str(error) or type(error).__name__
        notes.write_text("0")
        if not apart():
            return "ready"
        end, came = time.monotonic() + seconds, 0
        client.settimeout(0.5)
        with contextlib.suppress(OSError):  # the connection was refused or reset: no more answers come
            while time.monotonic() < end:
                client.send(b"?")
                with contextlib.suppress(TimeoutError):
                    came += len(client.recv(65536))
                    notes.write_text(str(came))
                    time.sleep(0.5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os._exit(0)


def heard(notes, than, patience):
    """Return how many answers came, once there are more than so many or patience, in seconds, is at its end."""
    end, notes = time.monotonic() + patience, Path(notes)
    while int(notes.read_text() or 0) <= than and time.monotonic() < end:
        time.sleep(0.1)
    return int(notes.read_text() or 0)


def card(address):
    """Return the name and the MAC address of the interface that has an address."""
    said = subprocess.run(["ip", "-j", "address", "show"], capture_output=True, check=True).stdout
    for link in json.loads(said):
        if any(item["local"] == address for item in link["addr_info"]):
            return {"name": link["ifname"], "mac": link["address"]}
    return {}


def hand(interface, mac, packets):
    """Give IPv4 packets to a machine of the same link, whoever they are addressed to."""
    for packet in packets:
        body, kind, one, two, _ = segment(*packet)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, kind, 0, one, two)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as raw:
            raw.sendto(head + body, (interface, 0x0800, 0, 0, bytes.fromhex(mac.replace(":", ""))))
    return "sent"


def announce(interface, mac, address, asked):
    """Ask, over ARP, for an address as if we had this MAC and this address ourselves."""
    mac = bytes.fromhex(mac.replace(":", ""))
    one, two = socket.inet_aton(address), socket.inet_aton(asked)
    request = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, one, b"\0" * 6, two)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for _ in range(2):
            raw.send(b"\xff" * 6 + mac + b"\x08\x06" + request)
    return "sent"


def elements(verb, packets, more=""):
    """Add or delete windows for packets; where there is no such set, nothing changes."""
    lines = [
        f"{verb} element inet pgssi windows{6 if ':' in source else 4} {{ {source} . {destination} . {protocol} . {port}{more} }}"
        for protocol, source, destination, port in dict.fromkeys(map(tuple, packets))
        if protocol != "icmp"  # the set of echo requests has no timeout
    ]
    return subprocess.run(["nft", "-f", "-"], input="\n".join(lines).encode(), capture_output=True, check=False).returncode


def windows(packets, seconds):
    """Let packets through the rules of this host for a moment, by elements that vanish by themselves."""
    # By this comment the hosts' own upkeep of windows knows them, and leaves them.
    return elements("add", packets, f' timeout {seconds}s comment "pgssi-essai"')


def close(packets):
    """Take the same windows away."""
    return elements("delete", packets)


ACTIONS = {
    action.__name__: action
    for action in (send, later, see, collect, serve, talk, hold, heard, card, hand, announce, windows, close)
}


def main(order):
    """Do what an order says and print its answer."""
    global SPORT
    SPORT = order.pop("sport", SPORT)
    sys.stdout.write(json.dumps(ACTIONS[order.pop("do")](**order)))
