"""What a recording says: lines typed, files moved by sftp and scp. Reads streams in the order of the timing file.

Nothing is guessed: a line with keys whose effect only the far end knows (arrows, completion, history) is told as raw.
Sources: sudoreplay(8); draft-ietf-secsh-filexfer-02 (sftp 3); the rcp protocol of scp -t and scp -f.
"""

import codecs
import hashlib
import re
import struct
from pathlib import Path
from typing import ClassVar

STREAMS = {0: "stdin", 1: "stdout", 2: "stderr", 3: "ttyin", 4: "ttyout"}
FULL_SCREEN = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])")
LARGEST_PACKET = 1 << 20
KEPT_AHEAD = 32 << 20  # bytes of one file that may arrive out of order


def chunks(folder):
    """Yield (seconds since the start, stream, bytes) in the order in which they were recorded."""
    files, at = {}, 0.0
    try:
        with (Path(folder) / "timing").open("r", encoding="ascii", errors="replace") as timing:
            for line in timing:
                words = line.split()
                if len(words) < 3 or not words[0].isdigit():
                    continue
                at += float(words[1])
                name = STREAMS.get(int(words[0]))
                if name is None:
                    continue
                if name not in files:
                    files[name] = (Path(folder) / name).open("rb")
                yield at, name, files[name].read(int(words[2]))
    finally:
        for stream in files.values():
            stream.close()


def plain(text):
    """Return what a terminal would show, without what would drive it."""
    text = SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text if c != "\x07")


class Typed:
    """Lines typed on a terminal. ``lines``: {at, text, raw, masked}; raw: only what was pressed; masked: a secret."""

    def __init__(self):
        """Start with nothing typed."""
        self.lines, self._line, self._raw, self._full, self._at = [], [], False, False, 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def shown(self, data):
        """Take what the terminal showed: on a full screen, keys are no lines."""
        for match in FULL_SCREEN.finditer(data):
            self._full = match.group(1) == b"h"

    def pressed(self, at, data):
        """Take keys, as bytes."""
        for c in self._decoder.decode(data):
            if not self._line:
                self._at = at
            if c in "\r\n":
                self.end()
            elif c in "\x7f\x08" and not self._raw:
                del self._line[-1:]
            elif c == "\x15" and not self._raw:
                self._line.clear()
            elif c.isprintable():
                self._line.append(c)
            else:
                self._raw = True
                self._line.append(f"^{chr(ord(c) ^ 64)}" if ord(c) < 32 or c == "\x7f" else f"\\u{ord(c):04x}")

    def end(self):
        """Take the end of a line, or of the session."""
        if self._line:
            self.lines.append(
                {
                    "at": round(self._at, 1),
                    "text": "".join(self._line),
                    "raw": self._raw or self._full,
                    "masked": not set(self._line) - {"*"},
                }
            )
        self._line, self._raw = [], False


class Moved:
    """One file on its way: size and digest of what was recorded of it."""

    def __init__(self, at, how, direction, path):
        """Name it; nothing has moved yet."""
        self.facts = {"at": round(at, 1), "how": how, "direction": direction, "path": path}
        self._digest, self._size, self._ahead, self._held, self.exact = hashlib.sha256(), 0, {}, 0, True

    def put(self, offset, data):
        """Take one part of it, in any order."""
        if offset != self._size:
            self._held += len(data)
            if offset < self._size or self._held > KEPT_AHEAD or offset in self._ahead:
                self.exact = False
            else:
                self._ahead[offset] = data
            return
        self._digest.update(data)
        self._size += len(data)
        while (data := self._ahead.pop(self._size, None)) is not None:
            self._held -= len(data)
            self._digest.update(data)
            self._size += len(data)

    def told(self, complete):
        """Return the facts; no digest when not everything was seen."""
        exact = self.exact and not self._ahead
        size = max([self._size, *(offset + len(data) for offset, data in self._ahead.items())])
        return {
            **self.facts,
            "size": size,
            "sha256": self._digest.hexdigest() if exact and complete else "",
            "complete": complete,
        }


class Sftp:
    """An sftp conversation. ``transfers``: files moved; ``operations``: what else changed there."""

    NAMES: ClassVar = {9: "setstat", 13: "remove", 14: "mkdir", 15: "rmdir", 18: "rename", 20: "symlink"}

    def __init__(self):
        """Start before the first packet."""
        self.transfers, self.operations, self.damaged = [], [], False
        self._buffers = {"stdin": bytearray(), "stdout": bytearray()}
        self._asked, self._open = {}, {}

    def feed(self, at, stream, data):
        """Take a chunk of a stream."""
        buffer = self._buffers.get(stream)
        if buffer is None or self.damaged:
            return
        buffer += data
        while len(buffer) >= 5:
            size = int.from_bytes(buffer[:4], "big")
            if not 0 < size <= LARGEST_PACKET:
                self.damaged = True
                return
            if len(buffer) < size + 4:
                return
            packet = bytes(buffer[4 : size + 4])
            del buffer[: size + 4]
            try:
                (self._request if stream == "stdin" else self._answer)(at, packet[0], packet[1:])
            except (struct.error, IndexError):
                self.damaged = True

    @staticmethod
    def _text(body, at=0):
        size = struct.unpack_from("!I", body, at)[0]
        return body[at + 4 : at + 4 + size], at + 4 + size

    def _request(self, at, kind, body):
        if kind == 1:  # INIT has no id
            return
        number = struct.unpack_from("!I", body)[0]
        if kind == 3:
            path, rest = self._text(body, 4)
            self._asked[number] = ("open", path, struct.unpack_from("!I", body, rest)[0])
        elif kind == 4:
            self._close(self._text(body, 4)[0], True)
        elif kind == 5:
            handle, rest = self._text(body, 4)
            self._asked[number] = ("read", handle, struct.unpack_from("!Q", body, rest)[0])
        elif kind == 6:
            handle, rest = self._text(body, 4)
            self._moved(at, handle, "to_equipment").put(struct.unpack_from("!Q", body, rest)[0], self._text(body, rest + 8)[0])
        elif kind in self.NAMES or kind == 200:
            self._operation(at, number, kind, body)

    def _operation(self, at, number, kind, body):
        first, rest = self._text(body, 4)
        name = self.NAMES.get(kind, first.decode("utf-8", "backslashreplace"))
        if kind == 200 and not name.startswith(("posix-rename", "hardlink", "copy-data", "lsetstat")):
            return
        if kind == 200:
            first, rest = self._text(body, rest)
        second = self._text(body, rest)[0] if name.startswith(("rename", "posix-rename", "symlink", "hardlink")) else b""
        paths = [one.decode("utf-8", "backslashreplace") for one in (first, second)]
        fact = {"at": round(at, 1), "operation": name.partition("@")[0], "path": paths[0], "to": paths[1], "ok": None}
        self.operations.append(fact)
        self._asked[number] = ("operation", fact, 0)

    def _answer(self, at, kind, body):
        if kind == 2:
            return
        asked = self._asked.pop(struct.unpack_from("!I", body)[0], None)
        if asked is None:
            return
        if asked[0] == "open" and kind == 102:
            self._open[self._text(body, 4)[0]] = [asked[1].decode("utf-8", "backslashreplace"), None]
        elif asked[0] == "read" and kind == 103:
            self._moved(at, asked[1], "from_equipment").put(asked[2], self._text(body, 4)[0])
        elif asked[0] == "operation" and kind == 101:
            asked[1]["ok"] = struct.unpack_from("!I", body, 4)[0] == 0

    def _moved(self, at, handle, direction):
        entry = self._open.setdefault(handle, ["?", None])
        if entry[1] is None or entry[1].facts["direction"] != direction:
            self._close_one(entry, False)
            entry[1] = Moved(at, "sftp", direction, entry[0])
        return entry[1]

    def _close(self, handle, complete):
        self._close_one(self._open.pop(handle, ["?", None]), complete)

    def _close_one(self, entry, complete):
        if entry[1] is not None:
            self.transfers.append(entry[1].told(complete))

    def end(self):
        """Tell what was still open."""
        for handle in list(self._open):
            self._close(handle, False)


class Scp:
    """The older protocol of scp: ``scp -t`` receives on the equipment, ``scp -f`` sends from it."""

    HEADER = re.compile(rb"([CDET])(?:([0-7]{4}) (\d+) ([^\n]*))?[^\n]*\n")

    def __init__(self, command):
        """Take the command line of the far end."""
        self.transfers, self.operations, self.damaged = [], [], False
        self._direction = "to_equipment" if re.search(r"(?:^|\s)-[a-zA-Z]*t", command) else "from_equipment"
        self._stream = "stdin" if self._direction == "to_equipment" else "stdout"
        words = command.split()
        self._root, self._path = words[-1] if words else "", []
        self._buffer, self._left, self._file, self._offset = bytearray(), 0, None, 0

    def feed(self, at, stream, data):
        """Take a chunk of a stream."""
        if stream != self._stream or self.damaged:
            return
        self._buffer += data
        while self._buffer and not self.damaged:
            if self._left:
                part = bytes(self._buffer[: self._left])
                del self._buffer[: len(part)]
                self._file.put(self._offset, part)
                self._offset += len(part)
                self._left -= len(part)
                if not self._left:
                    self._done(True)
            elif self._buffer[0] in b"\0\1\2":  # an acknowledgement, or an error message up to the end of its line
                end = 0 if self._buffer[0] == 0 else self._buffer.find(b"\n")
                if end < 0:
                    return
                del self._buffer[: end + 1]
            elif not self._header(at):
                return

    def _header(self, at):
        match = self.HEADER.match(bytes(self._buffer[:4096]))
        if match is None:
            self.damaged = b"\n" in self._buffer or len(self._buffer) > 4096
            return False
        del self._buffer[: match.end()]
        kind, name = match.group(1), (match.group(4) or b"").decode("utf-8", "backslashreplace")
        if kind == b"D":
            self._path.append(name)
        elif kind == b"E":
            del self._path[-1:]
        elif kind == b"C":
            if not match.group(2):
                self.damaged = True
                return False
            path = "/".join([*self._path, name])
            if self._direction == "to_equipment":  # a folder, or the file itself under another name: only its end knows
                path = f"{self._root}/{path}" if self._path else f"{self._root} ({name})"
            self._file, self._left, self._offset = Moved(at, "scp", self._direction, path), int(match.group(3)), 0
            if not self._left:
                self._done(True)
        return True

    def _done(self, complete):
        self.transfers.append(self._file.told(complete))
        self._file = None

    def end(self):
        """Tell what was still on its way."""
        if self._file is not None:
            self._done(False)


def described(folder, mode, command):
    """Return {commands, transfers, operations, damaged} of one recording. mode: shell, exec, sftp or tcp."""
    typed, moves = Typed(), None
    if mode == "sftp":
        moves = Sftp()
    elif mode == "exec" and re.match(r"(?:\S*/)?scp\s(?:.*\s)?-[a-zA-Z]*[tf](?:\s|$)", command):
        moves = Scp(command)
    commands = [{"at": 0.0, "text": command, "raw": False, "masked": False}] if mode == "exec" and command else []
    for at, stream, data in chunks(folder):
        if stream == "ttyin":
            typed.pressed(at, data)
        elif stream == "ttyout":
            typed.shown(data)
        elif moves is not None:
            moves.feed(at, stream, data)
    typed.end()
    found = {"commands": commands + typed.lines, "transfers": [], "operations": [], "damaged": False}
    if moves is not None:
        moves.end()
        found |= {"transfers": moves.transfers, "operations": moves.operations, "damaged": moves.damaged}
    return found
