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
from contextlib import ExitStack, contextmanager
from pathlib import Path

REFUSED = re.compile(
    r"CTRL-EVENT-(EAP-FAILURE|ASSOC-REJECT|AUTH-REJECT|SSID-TEMP-DISABLED|EAP-TLS-CERT-ERROR)|pre-shared key may be incorrect"
)
CONNECTED = "CTRL-EVENT-CONNECTED"
FRAME = socket.htons(0x0003)  # ETH_P_ALL


def run(*words, timeout=90, **more):
    return subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=timeout, check=False, **more)


def radios():
    """Return (phy, interface, busy) of each radio: busy is one that serves a network or is in one."""
    found, phy = {}, ""
    for line in run("iw", "dev").stdout.splitlines():
        words = line.split()
        if line.startswith("phy#"):
            phy = "phy" + line[4:].strip()
        elif words[:1] == ["Interface"]:
            found.setdefault(phy, []).append([words[1], False])
        elif words[:1] == ["ssid"] or (words[:1] == ["type"] and words[1] != "managed"):
            found[phy][-1][1] = True
    return [(phy, links[0][0], any(busy for _, busy in links)) for phy, links in sorted(found.items())]


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
    return [(phy, link) for phy, link, busy in radios() if not busy]


def served():
    """Return the networks that this host serves: interface, address, name, bridge."""
    found, one = [], {}
    for line in run("iw", "dev").stdout.splitlines():
        words = line.split(None, 1)
        if words[0] == "Interface":
            one = {"interface": words[1], "ssid": "", "ap": False}
            found.append(one)
        elif one and words[0] in ("addr", "ssid"):
            one[words[0]] = words[1]
        elif one and line.split()[:2] == ["type", "AP"]:
            one["ap"] = True
    for one in found:
        master = Path("/sys/class/net", one["interface"], "master")
        one["bridge"] = master.resolve().name if master.exists() else ""
    return [one for one in found if one["ap"]]


def survey(names):
    """Return what the beacons around say, what this host serves, and how many radios are free.

    One scan may miss a beacon, the host's own watch may hold a radio or put it down, and the kernel may take long to tell what it
    heard: scans are repeated for three minutes, each by the next free radio, until all that this host serves is heard, and three
    times for these names. A scan takes six seconds, on a busy host many times that: each is given more time than the one before.
    """
    free, mine = spare(), served()
    heard, text, scans, end = {}, "", 0, time.monotonic() + 180
    while free and time.monotonic() < end:
        link = free[scans % len(free)][1]
        run("ip", "link", "set", link, "up")
        done = run("timeout", str(min(15 * 2**scans, 60)), "iw", "dev", link, "scan")
        run("ip", "link", "set", link, "down")
        scans += 1
        heard |= {block[:17]: f"BSS {block}" for block in re.split(r"(?m)^BSS ", done.stdout)[1:]}
        text = "".join(heard.values())
        everything = all(f"SSID: {name}\n" in text for name in names)
        if all(f"BSS {one['addr']}" in text for one in mine) and (everything or scans > 2):
            break
        time.sleep(1)
    return {"scan": text, "served": mine, "free": len(free), "tools": shutil.which("wpa_supplicant") is not None}


class Station:
    """One radio in a namespace of its own, trying to enter."""

    def __init__(self, phy, link, folder):
        self.phy, self.link, self.folder, self.process = phy, link, folder, None
        self.space = f"pgssi-essai-{phy}"

    def inside(self, *words, **more):
        return run("ip", "netns", "exec", self.space, *words, **more)

    def join(self, name, block, files, seconds, freq):
        """Try one profile; return what came of it."""
        for file, content in files.items():
            Path(self.folder, file).write_text(content, encoding="ascii")
        lines = block.replace("@", f"{self.folder}/")
        return self.use(name, f"ap_scan=1\nfreq_list={freq}\nnetwork={{\n{lines}\nscan_freq={freq}\n}}\n", seconds)

    def use(self, name, text, seconds):
        """Try a whole profile; return what came of it."""
        log, profile = Path(self.folder, f"{name}.log"), Path(self.folder, f"{name}.conf")
        profile.write_text(text, encoding="ascii")
        words = ["ip", "netns", "exec", self.space, "wpa_supplicant", "-D", "nl80211", "-i", self.link, "-c", str(profile)]
        words += ["-f", str(log)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end, text, came = time.monotonic() + seconds, "", "ignored"
        while time.monotonic() < end and came == "ignored":
            text = log.read_text("utf-8", "replace") if log.exists() else ""
            came = "connected" if CONNECTED in text else "refused" if REFUSED.search(text) else came
            time.sleep(0.3)
        link = self.inside("iw", "dev", self.link, "link").stdout if came == "connected" else ""
        return {"came": came, "said": text[-1500:], "link": link, "tried": "Trying to associate" in text}

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
    """Try profiles one after the other with one radio: {name: {block, files, seconds, freq}}."""
    free = spare()
    found = {}
    with station(*free[-1]) as one:
        for name, attempt in attempts.items():
            found[name] = one.join(name, **attempt)
            one.leave()
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
def way_back(bridge):
    """Have this host answer the device by that bridge, as it would whoever has an address that it knows a way to."""
    routes = (("-4", "198.51.100.77/32"), ("-6", "2001:db8:77::77/128"))
    for version, address in routes:
        run("ip", version, "route", "replace", address, "dev", bridge)
    try:
        yield Path("/sys/class/net", bridge, "address").read_text("ascii").strip()
    finally:
        for version, address in routes:
            run("ip", version, "route", "del", address, "dev", bridge)


def reach(attempt, targets, ports, bridge):
    """Enter, then call addresses of this host as if they were on the air's own network; return what answered."""
    with station(*spare()[-1]) as one, way_back(bridge) as hardware:
        found = one.join("reach", **attempt)
        answers = []
        if found["came"] == "connected":
            one.inside("ip", "address", "add", "198.51.100.77/32", "dev", one.link)
            one.inside("ip", "address", "add", "2001:db8:77::77/128", "dev", one.link, "nodad")
            for target in targets:
                one.inside("ip", "route", "replace", target, "dev", one.link)
                one.inside("ip", "neigh", "replace", target, "lladdr", hardware, "dev", one.link)  # whoever knows it need not ask
                version = "-6" if ":" in target else "-4"
                if one.inside("ping", version, "-c", "2", "-W", "1", target).returncode == 0:
                    answers.append(f"écho de {target}")
                for port in ports:
                    call = f"import socket; socket.create_connection(({target!r}, {port}), 1)"
                    said = one.inside("python3", "-I", "-c", call)
                    if said.returncode == 0 or "refused" in said.stderr:
                        answers.append(f"{target} port {port}")
            around = one.inside("ping", "-6", "-c", "2", "-W", "1", f"ff02::1%{one.link}").stdout
            own = re.search(r"inet6 (fe80::\S+)/", one.inside("ip", "-6", "address", "show", "dev", one.link).stdout)
            answers += sorted({f"voisin {a}" for a in re.findall(r"from (fe80::[0-9a-f:]+)", around) if not own or a != own[1]})
        return {**found, "answers": answers}


def apart(attempt, bridge):
    """Enter with two radios; return whether each was heard on the wire, and what the second heard of the first."""
    free = spare()
    with ExitStack() as stack:
        one, two = (stack.enter_context(station(*radio)) for radio in free[-2:])
        entered = [one.join("one", **attempt)["came"], two.join("two", **attempt)["came"]]
        found = {"entered": entered, "wire": False, "reached": []}
        if entered != ["connected", "connected"]:
            return found
        addresses = {one: ("198.51.100.11", "2001:db8:78::11"), two: ("198.51.100.12", "2001:db8:78::12")}
        for each, (four, six) in addresses.items():
            each.inside("ip", "address", "add", f"{four}/24", "dev", each.link)
            each.inside("ip", "address", "add", f"{six}/64", "dev", each.link, "nodad")
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, FRAME)
        wire.bind((bridge, 0))
        for target in addresses[two]:
            if one.inside("ping", "-c", "2", "-W", "1", target).returncode == 0:
                found["reached"].append(target)
        mark = os.urandom(12).hex()
        listen = (
            "import socket,sys\ns=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,socket.htons(3))\n"
            f"s.bind(('{two.link}',0)); s.settimeout(4); print('ready',flush=True)\n"
            f"try:\n while b'{mark}' not in s.recv(65535): pass\n print('heard')\nexcept OSError: print('silence')\n"
        )
        ear = subprocess.Popen(
            ["ip", "netns", "exec", two.space, "python3", "-I", "-c", listen], stdout=subprocess.PIPE, text=True
        )
        ear.stdout.readline()
        shout = (
            "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.setsockopt(1,6,1)\n"
            f"for _ in range(5): s.sendto(b'{mark}',('198.51.100.255',9)); time.sleep(.2)\n"
        )
        one.inside("python3", "-I", "-c", shout)
        found["wire"] = heard(wire, mark.encode(), 2)
        if "heard" in ear.communicate(timeout=10)[0]:
            found["reached"].append("diffusion")
        return found


def plant(ssid, address, seconds):
    """Put up an access point that nobody declared, run the host's watch, and return what it alerted about meanwhile."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    said, start = "", ""
    with station(*spare()[-1]) as one:
        profile = Path(one.folder, "planted.conf")
        profile.write_text(f"interface={one.link}\nssid={ssid}\nhw_mode=g\nchannel=6\nbssid={address}\n", encoding="ascii")
        words = ["ip", "netns", "exec", one.space, "hostapd", str(profile)]
        one.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(4)
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
        found["real"] = device.use("real", at(real), seconds)["came"]
        device.leave()
        for kind, more in kinds.items():
            with station(*free[-2]) as false:
                for name, content in files.items():
                    Path(false.folder, name).write_text(content, encoding="ascii")
                conf, log = Path(false.folder, "twin.conf"), Path(false.folder, "twin.log")
                conf.write_text(f"interface={false.link}\n{common}{more}".replace("@", f"{false.folder}/"), encoding="ascii")
                words = ["ip", "netns", "exec", false.space, "hostapd", "-dd", str(conf)]
                with log.open("w") as out:
                    false.process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
                    end = time.monotonic() + 15
                    while time.monotonic() < end and "AP-ENABLED" not in log.read_text("utf-8", "replace"):
                        time.sleep(0.3)
                    patience = seconds if "eap" in more else seconds / 2  # a profile that refuses the others does not even try
                    came = device.use(kind.split()[0], at(2437), patience)
                    device.leave()
                heard = log.read_text("utf-8", "replace")
                found["twins"][kind] = {
                    "came": came["came"],
                    "up": "AP-ENABLED" in heard,
                    "tried": came["tried"],
                }
                found["shown"] = found["shown"] or bool(re.search(r"tls_verify_cb.*depth=0", heard))
    return found


ACTIONS = {action.__name__: action for action in (survey, enter, reach, apart, plant, twin)}


def main(order):
    """Do what an order says and print its answer."""
    reclaim()
    sys.stdout.write(json.dumps(ACTIONS[order.pop("do")](**order)))
