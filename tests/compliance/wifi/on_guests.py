"""Run on the host that is the guests' way out, after on_air.py and in the same way: guests with or without a code.

What is outside, what is inside and each guest have a namespace of their own; outside are addresses kept for documentation.
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

from on_air import ACTIONS, run, spare, station

OUTSIDE = ("203.0.113.9", "203.0.113.10", "2001:db8:9::1", "2001:db8:9::2")
INSIDE = ("203.0.113.13", "203.0.113.14", "2001:db8:a::1", "2001:db8:a::2")
WEB = 443

# Stands for a server: it talks to whoever connects to the web port, and notes every packet that comes from a guest.
SERVER = """
import json, socket, sys, threading, time
guests = [socket.inet_pton(socket.AF_INET6 if ':' in one else socket.AF_INET, one) for one in sys.argv[2:]]
seen = []
def watch():
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    line.bind((sys.argv[1], 0))
    while True:
        try:
            frame, about = line.recvfrom(2048)
        except OSError:
            return
        if about[2] == 4:
            continue
        four, six = frame[12:14] == b'\\x08\\x00', frame[12:14] == b'\\x86\\xdd'
        if (four and frame[26:30] in guests) or (six and frame[22:38] in guests):
            number, start = (frame[23], 14 + 4 * (frame[14] & 15)) if four else (frame[20], 54)
            port = int.from_bytes(frame[start + 2:start + 4], 'big') if number in (6, 17) else 0
            seen.append(f"{'IPv4' if four else 'IPv6'} {({6: 'tcp', 17: 'udp'}).get(number, 'icmp')} {port or ''}".strip())
def talk(one):
    try:
        while True:
            one.sendall(b'.')
            time.sleep(0.2)
    except OSError:
        pass
def serve():
    door = socket.create_server(('::', 443), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        threading.Thread(target=talk, args=(door.accept()[0],), daemon=True).start()
for one in (watch, serve):
    threading.Thread(target=one, daemon=True).start()
time.sleep(0.5)
print('ready', flush=True)
for line in sys.stdin:
    print(json.dumps(sorted(set(seen))), flush=True)
"""

# Stands for a guest's device: orders come by standard input, one by line.
AGENT = """
import http.client, json, os, socket, subprocess, sys, time, urllib.parse
from concurrent.futures import ThreadPoolExecutor
held = {}
def family(to): return socket.AF_INET6 if ':' in to else socket.AF_INET
def tcp(to, port, seconds=2.5):
    try:
        with socket.create_connection((to, port), seconds):
            return 'open'
    except ConnectionRefusedError:
        return 'refused'
    except OSError:
        return ''
def calls(asked, seconds):
    # all at once; returns what answered
    with ThreadPoolExecutor(len(asked)) as pool:
        came = pool.map(lambda one: tcp(*one, seconds) if one[1] else ping(one[0]), asked)
        return [one for one, answer in zip(asked, came) if answer]
def udp(to, port):
    with socket.socket(family(to), socket.SOCK_DGRAM) as line:
        try:
            line.sendto(b'essai', (to, port))
        except OSError:
            pass
def ping(to):
    return subprocess.run(['ping', '-c', '2', '-i', '0.3', '-W', '1', to], capture_output=True).returncode == 0
def names(to, name):
    with socket.socket(family(to), socket.SOCK_DGRAM) as line:
        line.settimeout(2)
        asked = b''.join(bytes([len(part)]) + part.encode() for part in name.split('.'))
        head, tail = bytes((1, 0, 0, 1, 0, 0, 0, 0, 0, 0)), bytes((0, 0, 1, 0, 1))
        try:
            line.sendto(os.urandom(2) + head + asked + tail, (to, 53))
            said = line.recv(1500)
        except OSError:
            return ''
        return socket.inet_ntoa(said[-4:]) if len(said) > 12 and said[7] else 'none'
def page(to, form=None):
    line = http.client.HTTPConnection(to, 80, timeout=90)
    try:
        if form is None:
            line.request('GET', '/')
        else:
            line.request('POST', '/', urllib.parse.urlencode(form), {'Content-Type': 'application/x-www-form-urlencoded',
                'User-Agent': 'Essai/1.0'})
        answer = line.getresponse()
        return [answer.status, answer.read().decode('utf-8', 'replace')]
    except OSError as fault:
        return [0, str(fault)]
def hold(to, port):
    try:
        held[to] = socket.create_connection((to, port), 3)
        return True
    except OSError:
        return False
def alive(seconds):
    came = []
    for to, line in held.items():
        line.setblocking(False)
        try:
            while line.recv(65536):
                pass
        except OSError:
            pass
    time.sleep(seconds)
    for to, line in held.items():
        try:
            if line.recv(65536):
                came.append(to)
        except OSError:
            pass
    return came
for order in sys.stdin:
    name, *words = json.loads(order)
    print(json.dumps(globals()[name](*words)), flush=True)
"""


class Talker:
    """A program in a namespace that answers line by line."""

    def __init__(self, space, script, *words):
        command = ["ip", "netns", "exec", space, "python3", "-I", "-c", script, *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline()

    def __call__(self, *order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        said = self.line()
        if not said:
            sys.exit(f"{order[0]}: no answer")
        return json.loads(said)

    def close(self):
        self.process.kill()
        self.process.wait()


@contextmanager
def space(name):
    full = f"pgssi-essai-{name}"
    run("ip", "netns", "add", full)
    try:
        run("ip", "-n", full, "link", "set", "lo", "up")
        yield full
    finally:
        run("ip", "netns", "del", full)


def plug(full, link, mac=""):
    """Give a namespace a cable, ``link`` here and eth0 there."""
    run("ip", "link", "del", link)  # of a test that was killed
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", full)
    if mac:
        run("ip", "-n", full, "link", "set", "eth0", "address", mac)
    run("ip", "-n", full, "link", "set", "eth0", "up")
    run("ip", "link", "set", link, "up")


def addressed(link, own, full="", routed=()):
    """Give both ends of a cable their addresses, v4 and v6; routed: what else is behind it."""
    here4, there4, here6, there6 = own
    for address in (f"{here4}/30", f"{here6}/126"):
        run("ip", "address", "add", address, "dev", link, *(["nodad"] if ":" in address else []))
    for address in (f"{there4}/30", f"{there6}/126", *routed):
        run("ip", "-n", full, "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    run("ip", "-n", full, "route", "add", "default", "via", here4)
    run("ip", "-n", full, "-6", "route", "add", "default", "via", here6)
    for address in routed:
        run(
            "ip",
            "-6" if ":" in address else "-4",
            "route",
            "add",
            address,
            "via",
            there6 if ":" in address else there4,
            "dev",
            link,
        )


@contextmanager
def served(name, own, guests, routed=()):
    """A server at the end of a cable of this host, noting what comes from guests."""
    with space(name) as full:
        link = f"pgssi{name[:9]}"
        plug(full, link)
        addressed(link, own, full, routed)
        server = Talker(full, SERVER, "eth0", *guests)
        try:
            server.line()
            yield server
        finally:
            server.close()


class Device:
    """A guest's device: on the air when it has a radio, at the end of a cable of their bridge otherwise."""

    def __init__(self, stack, site, number=0, air=None):
        self.site, self.addresses = (
            site,
            [site["guests4"][number], site["guests6"][number]] if site["own6"] else [site["guests4"][number]],
        )
        self.mac = "02:00:5e:" + ":".join(f"{byte:02x}" for byte in os.urandom(3))
        self.came = "connected"
        if air:
            radio = stack.enter_context(station(*spare()[-1]))
            run("ip", "-n", radio.space, "link", "set", radio.link, "address", self.mac)
            self.came, full, link = radio.join("guest", **air)["came"], radio.space, radio.link
        else:
            full, link = stack.enter_context(space(f"guest{number}")), "eth0"
            plug(full, f"pgssiguest{number}", self.mac)
            run("ip", "link", "set", f"pgssiguest{number}", "master", site["bridge"])
        for address in self.addresses:  # the last test's device had it
            run("ip", "neigh", "flush", "to", address, "dev", site["bridge"])
        for address, length, gateway in zip(self.addresses, ("24", "64"), (site["own4"], site["own6"]), strict=False):
            run("ip", "-n", full, "address", "add", f"{address}/{length}", "dev", link, *(["nodad"] if ":" in address else []))
            run("ip", "-n", full, "-6" if ":" in address else "-4", "route", "add", "default", "via", gateway)
        self.do = Talker(full, AGENT)
        stack.callback(self.do.close)

    def login(self, code, terms="yes"):
        """Send the form; return (status, page)."""
        form = {"code": code, **({"terms": terms} if terms else {})}
        return self.do("page", self.site["own4"], form)

    def outside(self):
        """Return the families by which a web server outside is reached."""
        return [version for version, to in self.ways(OUTSIDE) if self.do("tcp", to, WEB) == "open"]

    def ways(self, own):
        return [("IPv4", own[1]), ("IPv6", own[3])][: len(self.addresses)]

    def knocks(self):
        """Send outside one of everything."""
        for _, to in self.ways(OUTSIDE):
            for port in (WEB, 53):
                self.do("udp", to, port)
        self.do("calls", [(to, port) for _, to in self.ways(OUTSIDE) for port in (WEB, 53, 0)], 2)


def code(*words):
    done = run("pgssi-guests", "issue", "--for", "essai", "--json", *words)
    if done.returncode:
        sys.exit(f"pgssi-guests issue: {done.stderr.strip()[-150:] or 'absent'}")
    return json.loads(done.stdout)


@contextmanager
def a_code(*words):
    """A code that is closed again, whatever happens."""
    one = code(*words)
    try:
        yield one
    finally:
        run("pgssi-guests", "revoke", one["id"], "--by", "essai")


def visit(site, air=None):
    """A guest without a code, with a wrong one, then with a good one."""
    with ExitStack() as stack:
        guest = Device(stack, site, air=air)
        server = stack.enter_context(served("outside", OUTSIDE, guest.addresses))
        if guest.came != "connected":
            return {"came": guest.came}
        guest.knocks()
        name = f"{os.urandom(6).hex()}.example.org"
        found = {"came": guest.came, "named": [guest.do("names", to, name) for to in (site["own4"], OUTSIDE[1])]}
        found["wrong"] = guest.login("AAAAA-AAAAA")[0]
        found["after_wrong"], found["leaked"] = guest.outside(), server("seen")
        if found["leaked"]:  # nothing more is asked of a way out that is open
            return found
        with a_code() as one:
            status, _ = guest.login(one["code"])
            found |= {"status": status, "reached": guest.outside()}
        found["cut"] = guest.outside()
        return found


def internal(site):
    """A guest with a code calls what is inside, this host, and another guest."""
    with ExitStack() as stack:
        guest, other = Device(stack, site), Device(stack, site, 1)
        stack.enter_context(served("outside", OUTSIDE, guest.addresses))
        server = stack.enter_context(served("inside", INSIDE, guest.addresses, site["targets"]))
        one = stack.enter_context(a_code("--devices", "2"))
        statuses = [each.login(one["code"])[0] for each in (guest, other)]
        wanted = []
        for to in (*site["targets"], *site["hosts"], *other.addresses, site["own4"], *([site["own6"]] if site["own6"] else [])):
            ports = site["ports"] if to in site["hosts"] or to in (site["own4"], site["own6"]) else (22, 53, WEB)
            wanted += [(to, port) for port in (*ports, *([] if to in (site["own4"], site["own6"]) else [0]))]
        answers = [f"{to} port {port}" if port else f"écho de {to}" for to, port in guest.do("calls", wanted, 3)]
        name = f"{os.urandom(6).hex()}.interne"
        answers += [f"noms par {to}" for to in site["targets"] if guest.do("names", to, name)]
        return {"statuses": statuses, "answers": answers, "leaked": server("seen"), "reached": guest.outside()}


def terms(site):
    """A good code without the box of the terms, then with it."""
    with ExitStack() as stack:
        guest = Device(stack, site)
        stack.enter_context(served("outside", OUTSIDE, guest.addresses))
        one = stack.enter_context(a_code())
        found = {"mac": guest.mac, "code": one["id"], "without": guest.login(one["code"], "")[0], "before": guest.outside()}
        found["other"] = guest.login(one["code"], "no")[0]
        return {**found, "with": guest.login(one["code"])[0], "reached": guest.outside()}


def ends(site, length):
    """A short session with connections that talk all the time; what is left of them after its end."""
    with ExitStack() as stack:
        guest = Device(stack, site)
        stack.enter_context(served("outside", OUTSIDE, guest.addresses))
        one = stack.enter_context(a_code("--session", f"{length}s"))
        asked = time.time()
        status, text = guest.login(one["code"])
        given = time.time()
        held = [guest.do("hold", to, WEB) for _, to in guest.ways(OUTSIDE)]
        during = guest.do("alive", 1.5)
        early = time.time() < asked + length
        time.sleep(max(0, given + length + 1 - time.time()))
        after = guest.do("alive", 3)
        said = re.search(r'role="alert">([^<]*)', text)
        return {"status": status, "held": held, "during": during, "early": early, "after": after, "new": guest.outside(),
                "said": said[1] if said else ""}  # fmt: skip


def guarded(site):
    """Codes that are over, revoked, already taken, or tried at random; what the host keeps of a code."""
    with ExitStack() as stack:
        guest, other = Device(stack, site), Device(stack, site, 1)
        stack.enter_context(served("outside", OUTSIDE, guest.addresses))
        over = code("--valid", "1s")
        one = stack.enter_context(a_code())
        found = {"good": guest.login(one["code"])[0], "reached": guest.outside(), "taken": other.login(one["code"])[0]}
        plain = one["code"].replace("-", "")
        kept = run("grep", "-rlsE", f"{one['code']}|{plain}", "/var/lib/pgssi", "/etc/pgssi", "/run")
        journal = run("sh", "-c", f"journalctl -q --no-pager -o cat --since=-5min | grep -cE '{one['code']}|{plain}'")
        found |= {"kept": kept.stdout.split(), "logged": journal.stdout.strip()}
        found["over"] = other.login(over["code"])[0]
        run("pgssi-guests", "revoke", one["id"], "--by", "essai")
        found |= {"revoked": guest.login(one["code"])[0], "cut": guest.outside()}
        another = stack.enter_context(a_code())
        for _ in range(4):
            other.login("BBBBB-" + os.urandom(3).hex()[:5].upper())
        found["guessing"] = other.login(another["code"])[0]
        return found


def traced(site):
    """A guest logs in and calls a server."""
    with ExitStack() as stack:
        guest = Device(stack, site)
        stack.enter_context(served("outside", OUTSIDE, guest.addresses))
        one = stack.enter_context(a_code())
        status = guest.login(one["code"])[0]
        found = {"status": status, "mac": guest.mac, "code": one["id"], "addresses": guest.addresses, "reached": guest.outside()}
        return {**found, "recipients": [OUTSIDE[1], OUTSIDE[3]][: len(guest.addresses)]}


def informed(site):
    """What the page says to a guest who has no code yet, by each family."""
    with ExitStack() as stack:
        guest = Device(stack, site)
        return [guest.do("page", to) for to in (site["own4"], site["own6"]) if to]


ACTIONS.update({action.__name__: action for action in (visit, internal, terms, ends, guarded, traced, informed)})
