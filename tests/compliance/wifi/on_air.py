"""Run on a host with spare radios by the tests of the Wi-Fi, over standard input: it listens, and tries to enter as a device.

A radio that tries something is put in a network namespace of its own, so that nothing of the host takes part, and is given
back at the end, whatever happens.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

REFUSED = re.compile(
    r"CTRL-EVENT-(EAP-FAILURE|ASSOC-REJECT|AUTH-REJECT|SSID-TEMP-DISABLED|EAP-TLS-CERT-ERROR)|pre-shared key may be incorrect"
)
SAYS = re.compile(r"CTRL-EVENT|Trying to|skip|suitable|EAP-TLS|SSL:|pre-shared|WPA: .*fail")
CONNECTED = "CTRL-EVENT-CONNECTED"
UNSUITED = "No suitable network found"
LOOKED = re.compile(r"skip (?!- (SSID|disabled|BSSID))")  # of a network that has the name that it wants
LOOKS = 2  # times that a device must have received a network and found that it does not suit, before it is said to ignore it


def run(*words, timeout=90, **more):
    return subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=timeout, check=False, **more)


def interfaces():
    """Return the interfaces of this host's radios: phy, interface, addr, ssid, type, freq."""
    found, phy = [], ""
    for line in run("iw", "dev").stdout.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.startswith("phy#"):
            phy = word.replace("#", "")
        elif word in ("Interface", "Unnamed/non-netdev"):
            name = rest if word == "Interface" else ""
            found.append({"phy": phy, "interface": name, "addr": "", "ssid": "", "type": "", "freq": 0})
        elif word in ("addr", "ssid", "type"):
            found[-1][word] = rest
        elif word == "channel":  # 6 (2437 MHz), width: 20 MHz…
            found[-1]["freq"] = int(rest.split("(")[1].split()[0])
    return [one for one in found if one["interface"]]


def reclaim():
    """Take back the radios of a test that died: without their namespace they come home."""
    for line in run("ip", "netns").stdout.splitlines():
        space = line.split()[0]
        if space.startswith("pgssi-essai-"):
            for number in run("ip", "netns", "pids", space).stdout.split():
                os.kill(int(number), 9)
            run("ip", "netns", "del", space)
            shutil.rmtree(f"/run/{space}", ignore_errors=True)


def spare():
    """Return (phy, interface) of each radio that neither serves a network nor is in one."""
    found = interfaces()
    busy = {one["phy"] for one in found if one["ssid"] or one["type"] != "managed"}
    return sorted({one["phy"]: (one["phy"], one["interface"]) for one in reversed(found) if one["phy"] not in busy}.values())


def served():
    """Return the networks that this host serves, with the bridge of each."""
    found = [one for one in interfaces() if one["type"] == "AP"]
    for one in found:
        master = Path("/sys/class/net", one["interface"], "master")
        one["bridge"] = master.resolve().name if master.exists() else ""
    return found


def beacons(link, frequencies, seconds):
    """Return what a radio receives by itself on these frequencies (all without), {address: as iw tells it}; None without an end.

    Not by ``iw scan``: it asks for what was heard on the socket by which it waited for the end. If another event came on it, the
    kernel has no room there for the answer, and iw asks again until it is killed. A scan is over when the next may begin.
    """
    run("ip", "link", "set", link, "up")
    asked, end = ["freq", *map(str, frequencies)] if frequencies else [], time.monotonic() + seconds
    for options in (["flush", "passive"], ["passive"]):
        while run("iw", "dev", link, "scan", "trigger", *asked, *options).returncode:
            if time.monotonic() > end:
                return None
            time.sleep(0.3)
    text = run("iw", "dev", link, "scan", "dump", "-b").stdout
    run("ip", "link", "set", link, "down")
    found = {}
    for block in re.split(r"(?m)^BSS ", text)[1:]:
        head, _, _ = block.partition("\tInformation elements from ")
        _, beacon, said = block.partition("\tInformation elements from Beacon frame:\n")
        if beacon:  # what it answered to others earlier says nothing of today
            found[block[:17]] = f"BSS {head}{said}"
    return found


def survey(names):
    """Return what the beacons around say, what this host serves, and how many radios are free.

    A radio may miss a beacon, or be taken by the host's own watch: the next one tries, on the frequencies that this host serves
    until all of it is heard, then three times on all of them for these names.
    """
    free, mine = spare(), served()
    heard, text, tries, everywhere, end = {}, "", 0, 0, time.monotonic() + 120
    while free and time.monotonic() < end and everywhere < 3:
        own = {one["freq"] for one in mine} if any(f"BSS {one['addr']}" not in text for one in mine) else set()
        heard |= beacons(free[tries % len(free)][1], own, 30) or {}
        text, tries, everywhere = "".join(heard.values()), tries + 1, everywhere + (not own)
        if all(f"BSS {one['addr']}" in text for one in mine) and all(f"SSID: {name}\n" in text for name in names):
            break
    return {"scan": text, "served": mine, "free": len(free), "tools": shutil.which("wpa_supplicant") is not None}


def looks(text):
    """Return how often a device looked at networks that it received, the one that it wants among them, and took none."""
    return sum(bool(LOOKED.search(part)) for part in text.split(UNSUITED)[:-1])


class Station:
    """One radio in a namespace of its own, trying to enter."""

    def __init__(self, phy, link, folder):
        self.phy, self.link, self.folder, self.process = phy, link, folder, None
        self.space = f"pgssi-essai-{phy}"

    def inside(self, *words, **more):
        return run("ip", "netns", "exec", self.space, *words, **more)

    def start(self, words, out):
        self.process = subprocess.Popen(["ip", "netns", "exec", self.space, *words], stdout=out, stderr=subprocess.STDOUT)

    def join(self, name, block, files, seconds, freq, patient=True):
        """Try one profile; return what came of it."""
        for file, content in files.items():
            Path(self.folder, file).write_text(content, encoding="ascii")
        lines = block.replace("@", f"{self.folder}/")
        return self.use(name, f"ap_scan=1\nfreq_list={freq}\nnetwork={{\n{lines}\nscan_freq={freq}\n}}\n", seconds, patient)

    def use(self, name, text, seconds, patient=False):
        """Try a whole profile; return what came of it. patient: a refusal may come of a busy server, it tries again."""
        log, profile = Path(self.folder, f"{name}.log"), Path(self.folder, f"{name}.conf")
        profile.write_text(text, encoding="ascii")
        words = ["wpa_supplicant", "-d", "-D", "nl80211", "-i", self.link, "-c", str(profile), "-f", str(log)]
        self.start(words, subprocess.DEVNULL)
        end, text, came = time.monotonic() + seconds, "", "ignored"
        while time.monotonic() < end and (came == "ignored" or (patient and came == "refused")) and looks(text) < LOOKS:
            time.sleep(0.3)
            text = log.read_text("utf-8", "replace") if log.exists() else ""
            came = "connected" if CONNECTED in text else "refused" if REFUSED.search(text) else came
        text = "\n".join(line for line in text.splitlines() if SAYS.search(line))
        link = self.inside("iw", "dev", self.link, "link").stdout if came == "connected" else ""
        return {"came": came, "said": text[-1500:], "link": link, "tried": "Trying to associate" in text}

    def serve(self, profile):
        """Be an access point by this profile of hostapd, until the radio is left; return its log."""
        log = profile.with_suffix(".log")
        with log.open("w") as out:
            self.start(["hostapd", "-dd", str(profile)], out)
        end = time.monotonic() + 20
        while time.monotonic() < end and "AP-ENABLED" not in log.read_text("utf-8", "replace"):
            time.sleep(0.3)
        return log

    def leave(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


@contextmanager
def station(phy, link):
    one = Station(phy, link, f"/run/pgssi-essai-{phy}")
    Path(one.folder).mkdir(mode=0o700, exist_ok=True)
    run("ip", "link", "set", link, "down")
    try:
        run("ip", "netns", "add", one.space)
        run("iw", "phy", phy, "set", "netns", "name", one.space)
        one.inside("ip", "link", "set", "lo", "up")
        yield one
    finally:
        one.leave()
        one.inside("iw", "phy", phy, "set", "netns", "1")
        run("ip", "netns", "del", one.space)
        shutil.rmtree(one.folder, ignore_errors=True)


def enter(attempts):
    """Try profiles, by several radios at once: {name: {block, files, seconds, freq}}; one is left to the host's watch."""
    free = spare()
    radios, found = free[1:] or free, {}

    def try_by(number):
        with station(*radios[number]) as one:
            for name in list(attempts)[number :: len(radios)]:
                found[name] = one.join(name, **attempts[name])
                one.leave()

    some = range(min(len(radios), len(attempts)))
    with ThreadPoolExecutor(len(some)) as pool:
        list(pool.map(try_by, some))
    return found


def heard(line, mark, seconds):
    """Return whether a frame that holds these bytes passes an interface."""
    end = time.monotonic() + seconds
    line.settimeout(0.3)
    while time.monotonic() < end:
        try:
            if mark in line.recv(65535):
                return True
        except OSError:
            continue
    return False


@contextmanager
def way_back(bridge, addresses):
    """Have this host answer the device by that bridge, as it would whoever has an address that it knows a way to."""
    for address in addresses:
        run("ip", "-6" if ":" in address else "-4", "route", "replace", address, "dev", bridge)
    try:
        yield Path("/sys/class/net", bridge, "address").read_text("ascii").strip()
    finally:
        for address in addresses:
            run("ip", "-6" if ":" in address else "-4", "route", "del", address, "dev", bridge)


# Calls everything at once, and says what answered: a refusal is an answer too.
CALLER = """
import json, socket, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
def call(asked):
    to, port = asked
    if not port:
        return f'écho de {to}' if subprocess.run(['ping', '-c', '3', '-W', '1', to], stdout=-3, stderr=-3).returncode == 0 else ''
    try:
        socket.create_connection((to, port), 3).close()
    except ConnectionRefusedError:
        pass
    except OSError:
        return ''
    return f'{to} port {port}'
calls = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(calls)) as pool:
    print(json.dumps([said for said in pool.map(call, calls) if said]))
"""


def reach(attempts, targets, ports):
    """Enter networks, each with a radio, then call addresses of this host as if they were on the air's own network.

    attempts: {name: {attempt, bridge}}; return for each what came of it, and what answered. A device of which the bridge hears
    nothing in the end has not proven that nothing answers.
    """
    numbers = {name: number for number, name in enumerate(attempts, 77)}
    radios = dict(zip(attempts, spare()[-len(attempts) :], strict=True))

    def from_one(name):
        own, bridge = (f"198.51.100.{numbers[name]}/32", f"2001:db8:{numbers[name]}::77/128"), attempts[name]["bridge"]
        with station(*radios[name]) as one, way_back(bridge, own) as hardware, on_wire(bridge) as wire:
            found = {**one.join("reach", **attempts[name]["attempt"]), "answers": []}
            if found["came"] == "connected":
                found["answers"] = called(one, own, hardware, targets, ports)
                found["came"] = "connected" if sent(one, targets[0], wire) else "connected, then heard by nobody"
            return found

    with ThreadPoolExecutor(len(attempts)) as pool:
        return dict(zip(attempts, pool.map(from_one, attempts), strict=True))


def on_wire(bridge):
    """Return a socket that hears every frame of a bridge."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))  # ETH_P_ALL
    wire.bind((bridge, 0))
    return wire


def sent(one, target, wire):
    """Return whether the bridge hears what a device sends; one that was put out may go on believing that it is in."""
    mark = os.urandom(8)
    words = ["ip", "netns", "exec", one.space, "ping", "-q", "-c", "9", "-i", "0.3", "-W", "1", "-p", mark.hex(), target]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as calling:
        try:
            return heard(wire, mark, 4)
        finally:
            calling.kill()


def called(one, own, hardware, targets, ports):
    """Return what answered a device that entered, under these addresses of its own: the host's addresses, and its neighbours."""
    for address in own:
        one.inside("ip", "address", "add", address, "dev", one.link, *(["nodad"] if ":" in address else []))
    for target in targets:
        one.inside("ip", "route", "replace", target, "dev", one.link)
        one.inside("ip", "neigh", "replace", target, "lladdr", hardware, "dev", one.link)  # whoever knows it need not ask
    calls = [(target, port) for target in targets for port in (0, *ports)]
    answers = json.loads(one.inside("python3", "-I", "-c", CALLER, json.dumps(calls)).stdout)
    around = one.inside("ping", "-6", "-c", "2", "-W", "1", f"ff02::1%{one.link}").stdout
    mine = re.search(r"inet6 (fe80::\S+)/", one.inside("ip", "-6", "address", "show", "dev", one.link).stdout)
    neighbours = set(re.findall(r"from (fe80::[0-9a-f:]+)", around)) - {mine[1] if mine else ""}
    return answers + sorted(f"voisin {address}" for address in neighbours)


def apart(attempt, bridge):
    """Enter with two radios; return whether both were heard on the wire, and what they heard of each other.

    With OWE on a busy machine a device may believe that it is in when it was put out: its kernel asks again before the answer
    comes, which the access point takes for a new association, with another key. It hears nobody: both must be heard.
    """
    found = {"entered": [], "wire": False, "reached": []}
    for _ in range(3):
        with ExitStack() as stack:
            one, two = (stack.enter_context(station(*radio)) for radio in spare()[-2:])
            found["entered"] = [each.join("guest", **attempt)["came"] for each in (one, two)]
            if found["entered"] != ["connected", "connected"]:
                break
            wire = stack.enter_context(on_wire(bridge))
            for each, last in ((one, 11), (two, 12)):
                each.inside("ip", "address", "add", f"198.51.100.{last}/24", "dev", each.link)
                each.inside("ip", "address", "add", f"2001:db8:78::{last}/64", "dev", each.link, "nodad")
            calls = {to: one.inside("ping", "-c", "2", "-W", "1", to) for to in ("198.51.100.12", "2001:db8:78::12")}
            found["reached"] += [to for to, said in calls.items() if said.returncode == 0]
            told = [shouted(*pair, wire) for pair in ((one, two), (two, one))]
            found["reached"] += ["diffusion"] if any("device" in said for said in told) else []
            found["wire"] = all("wire" in said for said in told)
        if found["wire"] or found["reached"]:
            break
    return found


def shouted(one, two, wire):
    """Have one device call everybody; return who has heard it: the other device, the wire."""
    mark = os.urandom(12).hex()
    listen = (
        "import socket,sys\ns=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,socket.htons(3))\n"
        f"s.bind(('{two.link}',0)); s.settimeout(4); print('ready',flush=True)\n"
        f"try:\n while b'{mark}' not in s.recv(65535): pass\n print('heard')\nexcept OSError: print('silence')\n"
    )
    ear = subprocess.Popen(["ip", "netns", "exec", two.space, "python3", "-I", "-c", listen], stdout=subprocess.PIPE, text=True)
    ear.stdout.readline()
    shout = (
        "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.setsockopt(1,6,1)\n"
        f"for _ in range(5): s.sendto(b'{mark}',('198.51.100.255',9)); time.sleep(.2)\n"
    )
    one.inside("python3", "-I", "-c", shout)
    found = {"wire"} if heard(wire, mark.encode(), 2) else set()
    return found | ({"device"} if "heard" in ear.communicate(timeout=20)[0] else set())


def plant(ssid, address, seconds):
    """Put up an access point that nobody declared, run the host's watch, and return what it alerted about meanwhile."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    said, start = "", ""
    with station(*spare()[-1]) as one:
        profile = Path(one.folder, "planted.conf")
        profile.write_text(f"interface={one.link}\nssid={ssid}\nhw_mode=g\nchannel=6\nbssid={address}\n", encoding="ascii")
        one.serve(profile)
        end = time.monotonic() + seconds
        while time.monotonic() < end and address not in said:
            start = run("systemctl", "start", "pgssi-wifi-watch.service", timeout=120).stderr
            said = run("journalctl", "-q", "--no-pager", "-o", "cat", "-t", "pgssi-alert", f"--since={since}").stdout
        there = one.inside("iw", "dev", one.link, "info").stdout
    return {"said": said, "start": start[-200:], "planted": "type AP" in there}


def twin(profile, real, ssid, files, seconds):
    """Hold the profile of this device out to the real network, then to false ones of the same name; return what came of each.

    The false server would take any certificate: what it received of the device is in ``shown``.
    """
    text = Path(profile).read_text("utf-8") if Path(profile).exists() else ""

    def at(freq):  # the kernel remembers what it received on other channels
        return f"freq_list={freq}\n" + text.replace("network={", f"network={{\n    freq_list={freq}\n    scan_freq={freq}")

    if not text:
        return {"profile": False}
    common = f"ssid={ssid}\nhw_mode=g\nchannel=6\nauth_algs=1\n"
    server = "".join(f"{key}=@{key}\n" for key in ("ca_cert", "server_cert", "private_key"))
    own = f"ieee8021x=1\neap_server=1\neap_user_file=@users\n{server}"
    rsn = "wpa=2\nrsn_pairwise=CCMP\nieee80211w=1\nwpa_key_mgmt="
    kinds = {
        "other authority": f"{own}{rsn}WPA-EAP WPA-EAP-SHA256\n",
        "open": "",
        "key": f"{rsn}WPA-PSK\nwpa_passphrase=essai-essai\n",
    }
    free, found = spare(), {"profile": True, "shown": False, "twins": {}}
    with station(*free[-1]) as device:
        found["real"] = device.use("real", at(real), seconds, patient=True)["came"]
        device.leave()
        for kind, more in kinds.items():
            with station(*free[-2]) as false:
                for name, content in files.items():
                    Path(false.folder, name).write_text(content, encoding="ascii")
                conf = Path(false.folder, "twin.conf")
                conf.write_text(f"interface={false.link}\n{common}{more}".replace("@", f"{false.folder}/"), encoding="ascii")
                log = false.serve(conf)
                came = device.use(kind.split()[0], at(2437), seconds)
                device.leave()
                heard = log.read_text("utf-8", "replace")
                found["twins"][kind] = {"came": came["came"], "up": "AP-ENABLED" in heard, "tried": came["tried"]}
                found["shown"] = found["shown"] or bool(re.search(r"tls_verify_cb.*depth=0", heard))
    return found


ACTIONS = {action.__name__: action for action in (survey, enter, reach, apart, plant, twin)}


def main(order):
    """Do what an order says and print its answer."""
    reclaim()
    sys.stdout.write(json.dumps(ACTIONS[order.pop("do")](**order)))
