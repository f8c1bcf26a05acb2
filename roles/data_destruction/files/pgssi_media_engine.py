"""Erase a medium step by step, from where the journal says, and believe only what is read back from it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any

import pgssi_media_programs as programs
from pgssi_media_device import CHUNK, SECTOR, Device, Host, Lost
from pgssi_media_journal import Job

LUKS_HEADER = 16 << 20
# Known places that hold known bytes before a device erases itself: without them a blank disk would prove nothing.
WITNESSES = 16
KEPT = 200
DIGEST = 16


class Stopped(Exception):
    """The work cannot go on now; the job stays open, and goes on from where it is when it is run again."""


class Failed(Exception):
    """The medium is not erased, or nothing proves it: no certificate."""


class Engine:
    """One job at work."""

    def __init__(self, job: Job, host: Host) -> None:
        """Work on the media of this host."""
        self.job, self.host = job, host
        self.steps: dict[str, Callable[[Device, dict[str, Any], int], dict[str, Any]]] = {
            "luks": self._luks,
            "overwrite": self._overwrite,
            "verify": self._verify,
            "digest": self._digest,
            "changed": self._changed,
            "nwipe": self._nwipe,
            "firmware": self._firmware,
            "discard": self._discard,
        }
        self.number = 0
        self.told = 0

    def run(self) -> dict[str, Any]:
        """Do what is left to do and return the state. Raises Stopped, journal_busy errors, and OSError of the own disk."""
        with self.job.alone():
            state = self.job.state()
            if state["end"]:
                return state
            self.job.write("run")
            try:
                for self.number in range(state["step"], len(state["steps"])):
                    self.told = 0
                    self._step(state)
                    state = self.job.state()
                self._judge(state)
            except Lost as error:
                self.job.write("stopped", step=self.number, reason=str(error))
                raise Stopped(str(error)) from error
            except Failed as error:
                self.job.write("failed", step=self.number, reason=str(error))
            return self.job.state()

    def _step(self, state: dict[str, Any]) -> None:
        step = state["steps"][self.number]
        medium = self.host.find(state["medium"], None if state["begun"] else state["request"])
        began = time.time()
        with self.host.opened(medium) as device:
            if not state["begun"]:
                self.job.write("begins")
            before = device.counted()
            told = self.steps[step["do"]](device, step, state["offset"])
            after = device.counted()
        counted = {f"counted_{key}": after[key] - before[key] for key in after}
        spent = round(time.time() - began, 1)
        fact = {**step, **counted, **told, "device": medium["path"], "began": int(began), "seconds": spent}
        self.job.write("step", step=self.number, **fact)

    def _judge(self, state: dict[str, Any]) -> None:
        """Say that the medium is erased, when everything that was done and read says so."""
        if state["errors"]:
            raise Failed(f"{len(state['errors'])} zones ont refusé l'écriture ou la lecture")
        last = state["done"][-1] if state["done"] else {}
        size = state["medium"]["size"]
        if last.get("do") != "verify" or last.get("read") != size or last.get("residue") != 0:
            raise Failed("le support n'a pas été relu en entier")
        kept = [fact for fact in state["done"] if fact["do"] == "changed" and fact["residue"]]
        if kept:
            raise Failed("la commande interne du support n'a pas effacé ce qu'il portait")
        for fact in state["done"]:
            least = size * fact.get("passes", 1)
            if fact["do"] in ("overwrite", "nwipe") and fact.get("counted_written", least) < least - fact.get("from", 0):
                raise Failed(f"le noyau n'a compté que {fact['counted_written']} octets écrits au lieu de {least}")
        self.job.write("erased", purged=any(fact["do"] == "changed" for fact in state["done"]))

    def _reached(self, device: Device, offset: int, last: int, event: str = "reached") -> int:
        """Note how far the step is, at most a thousand times; what is noted as reached is on the device."""
        if offset - last < max(CHUNK * 4, device.size // 1000):
            return last
        if event == "reached":
            self._settle(device, offset)
        self.job.write(event, step=self.number, offset=offset)
        return offset

    def _settle(self, device: Device, offset: int) -> None:
        try:
            device.flush()
        except OSError as error:
            self._error(device, offset, error)

    def _overwrite(self, device: Device, _step: dict[str, Any], start: int) -> dict[str, Any]:
        zeros, last, bad = bytes(CHUNK), start, 0
        for offset, length in device.chunks(start):
            bad += self._zone(device, offset, zeros[:length])
            last = self._reached(device, offset + length, last)
        self._settle(device, device.size)
        return {"written": device.size - start, "from": start, "bad": bad}

    def _zone(self, device: Device, offset: int, data: bytes) -> int:
        """Write a chunk and return how many pieces of it the device refuses; a dead disk is not asked piece by piece."""
        try:
            device.write(offset, data)
            return 0
        except OSError as error:
            if self.told >= KEPT:
                self._error(device, offset, error)
                return len(data) // SECTOR
        bad = 0
        for place in range(0, len(data), SECTOR):
            try:
                device.write(offset + place, data[place : place + SECTOR])
            except OSError as error:
                bad += 1
                self._error(device, offset + place, error)
        return bad

    def _error(self, device: Device, offset: int, error: OSError) -> None:
        """Tell one bad place; a dead disk has millions, of which the first are enough. Raises Lost when it has gone."""
        if not device.present():
            raise Lost(f"{device.path} a disparu")
        self.told += 1
        if self.told <= KEPT:
            self.job.write("error", step=self.number, offset=offset, reason=os.strerror(error.errno or 0))

    def _verify(self, device: Device, _step: dict[str, Any], _start: int) -> dict[str, Any]:
        """Read every byte back. A step that was interrupted begins again: the proof is one reading of the whole."""
        device.forget()
        zeros, residue, read, last = bytes(CHUNK), 0, 0, 0
        places: list[int] = []
        for offset, length in device.chunks():
            try:
                data = device.read(offset, length)
            except OSError as error:
                self._error(device, offset, error)
                continue
            read += length
            last = self._reached(device, offset + length, last, "progress")
            if data != zeros[:length]:
                found = [place for place in range(0, length, 512) if data[place : place + 512].strip(b"\0")]
                residue += len(found)
                places += [offset + place for place in found][: 20 - len(places)]
        told = {"read": read, "residue": residue, "places": places}
        if residue or read != device.size:
            self.job.write("step", step=self.number, do="verify", **told)
            raise Failed(f"à la relecture, {residue} secteurs ne sont pas à zéro et {device.size - read} octets sont illisibles")
        return told

    def _luks(self, device: Device, step: dict[str, Any], _start: int) -> dict[str, Any]:
        """Destroy the headers that hold the keys: from here on, what is encrypted cannot be read by anybody."""
        for offset in step["offsets"]:
            for place in range(offset, min(offset + LUKS_HEADER, device.size), CHUNK):
                length = min(CHUNK, device.size - place)
                self._zone(device, place, os.urandom(length))
                self._settle(device, place)
                self._zone(device, place, bytes(length))
        self._settle(device, device.size)
        return {"headers": len(step["offsets"])}

    def _digest(self, device: Device, _step: dict[str, Any], _start: int) -> dict[str, Any]:
        """Remember what every place of the medium holds, with witnesses of our own among them."""
        places = range(0, device.size - CHUNK + 1, max(CHUNK, device.size // WITNESSES // CHUNK * CHUNK))
        for place in places:
            self._zone(device, place, os.urandom(CHUNK))
        device.forget()
        target = self.job.folder / "before"
        with target.open("wb") as file:
            for offset, length in device.chunks():
                file.write(_fingerprint(self._look(device, offset, length)))
            file.flush()
            os.fsync(file.fileno())
        return {"witnesses": len(places)}

    def _changed(self, device: Device, _step: dict[str, Any], _start: int) -> dict[str, Any]:
        """Read the whole again after the device's own command: nothing of what it held may be where it was."""
        device.forget()
        residue, compared = 0, 0
        with (self.job.folder / "before").open("rb") as file:
            for offset, length in device.chunks():
                before, now = file.read(DIGEST), _fingerprint(self._look(device, offset, length))
                if before != bytes(DIGEST):
                    compared += 1
                    residue += before == now
        return {"compared": compared, "residue": residue}

    def _look(self, device: Device, offset: int, length: int) -> bytes:
        try:
            return device.read(offset, length)
        except OSError as error:
            self._error(device, offset, error)
            return b""

    def _nwipe(self, device: Device, step: dict[str, Any], _start: int) -> dict[str, Any]:
        log = self.job.folder / f"nwipe-{self.number}.log"
        return programs.nwipe(device.path, step["method"], log, device.counted,
                              lambda written: self.job.write("progress", step=self.number, offset=written))  # fmt: skip

    def _firmware(self, device: Device, step: dict[str, Any], _start: int) -> dict[str, Any]:
        self.job.write("firmware", step=self.number, command=step["command"])
        return programs.firmware(step["command"], device.path)

    def _discard(self, device: Device, _step: dict[str, Any], _start: int) -> dict[str, Any]:
        return programs.discard(device.path)


def _fingerprint(data: bytes) -> bytes:
    """Return a digest, or zeros for a chunk that is one byte repeated, or unreadable: it tells nothing."""
    if not data or data == data[:1] * len(data):
        return bytes(DIGEST)
    return hashlib.blake2b(data, digest_size=DIGEST).digest()
