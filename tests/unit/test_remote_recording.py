"""What a recording says of a session, and what its report tells: programs of the log server, run here on made-up streams."""

from __future__ import annotations

import hashlib
import importlib.util
import struct
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pgssi.paths import ROLES
from pgssi.remote.recording import Session, digest, is_verification
from pgssi.remote.report import HIDDEN, due, late, window_fields

FILES = ROLES / "remote_maintenance" / "files"


def program(name: str) -> ModuleType:
    loader = SourceFileLoader(name.replace("-", "_").removesuffix(".py"), str(FILES / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


sudo = program("pgssi_sudo_protocol.py")
streams = program("pgssi_record_streams.py")
told = program("pgssi_record_events.py")
server = program("pgssi-record-server")


def recording(folder: Path, *events: tuple[int, bytes]) -> Path:
    """Write a recording as the receiver does: (number of the stream, bytes), 0.1 s apart."""
    timing = ""
    for number, data in events:
        with (folder / streams.STREAMS[number]).open("ab") as stream:
            stream.write(data)
        timing += f"{number} 0.100000000 {len(data)}\n"
    (folder / "timing").write_text(timing, "ascii")
    return folder


def typed(folder: Path, *events: tuple[int, bytes]) -> list[Mapping[str, Any]]:
    return streams.described(recording(folder, *events), "shell", "")["commands"]


def test_lines_are_what_was_typed(tmp_path: Path) -> None:
    """Erased letters are gone, an accent cut in two by the network is one letter, the last line needs no end."""
    lines = typed(tmp_path, (3, b"lss\x7f /\xc3"), (3, b"\xa9tc\r"), (3, b"abc\x15id\rexit"))
    assert [(line["text"], line["raw"]) for line in lines] == [("ls /étc", False), ("id", False), ("exit", False)]


def test_ambiguous_keys_are_told_as_raw(tmp_path: Path) -> None:
    """History and completion depend on the far end; keys on a full screen are no commands: both are marked."""
    lines = typed(tmp_path, (3, b"\x1b[A\r"), (4, b"\x1b[?1049h"), (3, b":wq\r"), (4, b"\x1b[?1049l"), (3, b"id\r"))
    assert [(line["text"], line["raw"]) for line in lines] == [("^[[A", True), (":wq", True), ("id", False)]


def test_secrets_are_stars() -> None:
    """What is typed after a prompt is not kept, whether it comes at once or key by key; what follows is."""
    for prompt in ("Password: ", "root's password:", "Mot de passe : ", "Enter passphrase for key '/x': ", "Verification code: "):
        secrets = server.Secrets()
        secrets.shown(prompt.encode())
        assert [secrets.typed(b"se"), secrets.typed(b"cret\rid"), secrets.typed(b"x")] == [b"**", b"****\rid", b"x"], prompt


def test_no_prompt_hides_nothing() -> None:
    """A shell's prompt, or a prompt that something was shown after, hides no command."""
    for shown in (b"user@host:~$ ", b"Password: \r\nok\r\n$ "):
        secrets = server.Secrets()
        secrets.shown(shown)
        assert secrets.typed(b"rm -r /\r") == b"rm -r /\r"


def packet(kind: int, body: bytes) -> bytes:
    return struct.pack("!IB", len(body) + 1, kind) + body


def text(value: bytes) -> bytes:
    return struct.pack("!I", len(value)) + value


def test_sftp_upload_is_found_in_any_cut(tmp_path: Path) -> None:
    """An upload, then a rename: name, size and digest are found wherever the stream is cut."""
    data = b"x" * 1000
    asked = packet(1, struct.pack("!I", 3)) + packet(3, struct.pack("!I", 1) + text(b"/etc/a") + struct.pack("!II", 26, 0))
    write = packet(6, struct.pack("!I", 2) + text(b"h") + struct.pack("!Q", 0) + text(data)) + packet(
        4, struct.pack("!I", 3) + text(b"h")
    )
    rename = packet(18, struct.pack("!I", 4) + text(b"/etc/a") + text(b"/etc/b"))
    handle = packet(102, struct.pack("!I", 1) + text(b"h"))
    done = packet(101, struct.pack("!II", 4, 0))
    for cut in (1, 7, 100):
        folder = tmp_path / str(cut)
        folder.mkdir()
        late_part = write + rename
        parts = [(0, asked), (1, handle), *((0, late_part[at : at + cut]) for at in range(0, len(late_part), cut)), (1, done)]
        found = streams.described(recording(folder, *parts), "sftp", "pgssi-sftp")
        expected = {"path": "/etc/a", "size": 1000, "sha256": hashlib.sha256(data).hexdigest(), "direction": "to_equipment"}
        assert [{key: one[key] for key in expected} for one in found["transfers"]] == [expected]
        assert [(one["operation"], one["to"], one["ok"]) for one in found["operations"]] == [("rename", "/etc/b", True)]


def test_scp_tree_is_found(tmp_path: Path) -> None:
    """The older protocol: a folder with a file and an empty one, acknowledgements between, in one piece and byte by byte."""
    stream = b"D0755 0 d\nC0644 3 a\nabc\0C0600 0 vide\n\0E\n"
    for cut in (1, 1000):
        folder = tmp_path / str(cut)
        folder.mkdir()
        parts = [(0, stream[at : at + cut]) for at in range(0, len(stream), cut)]
        found = streams.described(recording(folder, *parts), "exec", "scp -r -t /srv")
        assert [(one["path"], one["size"], one["complete"]) for one in found["transfers"]] == [
            ("/srv/d/a", 3, True),
            ("/srv/d/vide", 0, True),
        ]
        assert not found["damaged"]


@pytest.mark.parametrize("noise", [b"\xff" * 64, b"\0\0\0\0", b"C0644 x y\n", b"\0\0\0\x05\x03\0\0\0\1", b""])
@pytest.mark.parametrize(
    ("mode", "command"), [("sftp", "pgssi-sftp"), ("exec", "scp -t /x"), ("exec", "scp -f /x"), ("shell", "")]
)
def test_noise_is_no_crash(tmp_path: Path, mode: str, command: str, noise: bytes) -> None:
    """A supplier who sends anything at all cannot keep the report from being written."""
    found = streams.described(recording(tmp_path, (0, noise), (1, noise), (3, noise), (4, noise)), mode, command)
    assert set(found) == {"commands", "transfers", "operations", "damaged"}


@pytest.mark.parametrize("body", [b"", b"\xff" * 30, b"\x0a\x05ab", b"\x08\x01", b"\x0b\x00", b"\x32\xff\xff\xff\xff\x7f"])
def test_malformed_messages_are_refused(body: bytes) -> None:
    """Bytes that are no message raise Malformed, nothing else."""
    with pytest.raises(sudo.Malformed):
        sudo.message(body)


LINES = """\
2026-11-22T10:00:00Z x b1 pgssi-remote decision=opened person=p account="rm-a_p" target=irm1 window=w1 purpose="Panne \\"x\\"" \
approver=rssi until="2026-11-22T11:00:00Z"
2026-11-22T10:05:00Z x b1 pgssi-remote-gate[9] decision=refused reason="port forward" person=p account="rm-a_p" source=192.0.2.1
2026-11-22T10:06:00Z x b1 sshd[9] decision=opened window=faux person=p account=a target=irm1
2026-11-22T10:30:00Z x b1 pgssi-remote decision=closed window=w1 reason="on demand"
""".splitlines()
FILES_OF = {"log": {"size": 1, "sha256": "a" * 64}, "ttyin": {"size": 9, "sha256": "b" * 64}}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def session(**changed: Any) -> dict[str, Any]:
    return {
        "recording": "b1/1/x", "bastion": "b1", "start": "2026-11-22T10:10:00Z", "end": "2026-11-22T10:20:00Z", "files": FILES_OF,
        "seal": {"seq": 2, "sha256": "c" * 64}, "complete": True, "exit": 0, "signal": "", "missing": False, "account": "rm-a_p",
        "window": "w1", "session": "s", "mode": "shell", "source": "192.0.2.1", "command": "", "transfers": [], "operations": [],
        "commands": [{"at": 1, "text": "-----BEGIN OPENSSH PRIVATE KEY-----", "raw": False, "masked": False}], **changed,
    }  # fmt: skip


def answer(**changed: Any) -> dict[str, Any]:
    (window,) = told.windows(told.decisions(LINES)).values()
    return {"windows": [{**window, "sessions": [session(**changed)]}], "strays": []}


def test_windows_come_from_the_bastions_own_programs() -> None:
    """Only lines of pgssi-remote count: a login chosen by an intruder, quoted by sshd, opens no window."""
    (window,) = told.windows(told.decisions(LINES)).values()
    assert (window["window"], window["purpose"], window["closed"]) == ("w1", 'Panne "x"', "2026-11-22T10:30:00Z")
    assert [refusal["reason"] for refusal in window["refused"]] == ["port forward"]


def test_report_is_due_once_and_late_after_a_day() -> None:
    """A closed window is due until a record cites its recordings with their digests; a changed digest is due again."""
    fields = window_fields(answer()["windows"][0], {})
    assert due(answer(), [], NOW) == (["w1"], [])
    assert due(answer(), [fields], NOW) == ([], [])
    assert due(answer(files={**FILES_OF, "ttyin": {"size": 9, "sha256": "d" * 64}}), [fields], NOW) == (["w1"], [])
    assert due(answer(end=None), [], NOW) == ([], [])
    assert [
        late(answer(), [], NOW),
        len(late(answer(), [], NOW + timedelta(days=2))),
        late(answer(), [fields], NOW + timedelta(days=2)),
    ] == [[], 1, []]


def test_report_carries_no_secret() -> None:
    """A private key typed in a session is left to the recording: the journal would refuse the whole report."""
    assert window_fields(answer()["windows"][0], {})["details"]["sessions"][0]["commands"][0]["text"] == HIDDEN


def test_only_small_sessions_of_the_verification_need_no_report() -> None:
    """The mark of the verification excuses neither a long session, nor a big one, nor a supplier's account."""
    own = {"window": "verification", "account": "essai12", "end": "2026-11-22T10:11:00.000Z"}
    assert is_verification(Session.of(session(**own)))
    for changed in (
        {"account": "rm-a_p"},
        {"end": "2026-11-22T11:11:00.000Z"},
        {"files": {"stdin": {"size": 1 << 20, "sha256": ""}}},
        {"window": "w"},
    ):
        assert not is_verification(Session.of(session(**{**own, **changed})))


def test_digest_depends_on_every_file() -> None:
    """Removing or changing one file changes the digest of the recording."""
    assert (
        len({digest(FILES_OF), digest({"log": FILES_OF["log"]}), digest({**FILES_OF, "log": {"size": 2, "sha256": "a" * 64}})})
        == 3
    )
