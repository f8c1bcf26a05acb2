"""The protocol in which sudo sends what it records: 32-bit length, then one protobuf ClientMessage.

Only what a receiver needs, standard library alone. Source: sudo_logsrv.proto(5); protobuf encoding guide.
"""

LARGEST = 2 << 20  # bytes of one message, sudo's own limit
ACCEPT, REJECT, EXIT, RESTART, ALERT, WINSIZE, SUSPEND, HELLO = 1, 2, 3, 4, 5, 11, 12, 13
# Message number: event number in the timing file, name of the stream's file (sudoreplay's format).
STREAMS = {6: (3, "ttyin"), 7: (4, "ttyout"), 8: (0, "stdin"), 9: (1, "stdout"), 10: (2, "stderr")}
SECOND = 1_000_000_000


class Malformed(ValueError):
    """Bytes that are no message of this protocol."""


def _varint(data, at):
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise Malformed("varint")


def fields(data):
    """Yield (number, value) of a message: int for numbers, memoryview for everything with a length."""
    data, at = memoryview(data), 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise Malformed(f"wire type {kind}")
        if at > len(data):
            raise Malformed("cut short")
        yield number, value


def signed(value):
    """Return a varint as the signed 64-bit number that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def text(value):
    """Return the text of a field, whatever its bytes."""
    return bytes(value).decode("utf-8", "backslashreplace")


def moment(value):
    """Return a TimeSpec in nanoseconds; never negative."""
    parts = dict(fields(value))
    seconds, nanoseconds = signed(parts.get(1, 0)), signed(parts.get(2, 0))
    if not (0 <= seconds < 1 << 40 and 0 <= nanoseconds < SECOND):
        raise Malformed("time")
    return seconds * SECOND + nanoseconds


def message(data):
    """Return (number, body) of a ClientMessage."""
    found = list(fields(data))
    if len(found) != 1 or isinstance(found[0][1], int):
        raise Malformed("not one message")
    return found[0]


def event(body, info_field):
    """Return (time in ns, other fields, {key: value}) of an accept (2), reject (3) or alert (3) message."""
    when, rest, info = 0, {}, {}
    for number, value in fields(body):
        if number == 1:
            when = moment(value)
        elif number == info_field:
            key, content = _info(value)
            info[key] = content
        else:
            rest[number] = value
    return when, rest, info


def _info(data):
    key, content = "", None
    for number, value in fields(data):
        if number == 1:
            key = text(value)
        elif number == 2:
            content = signed(value)
        elif number == 3:
            content = text(value)
        elif number == 4:
            content = [text(item) for _, item in fields(value)]
        elif number == 5:
            content = [signed(item) for _, item in fields(value) if isinstance(item, int)]
    return key, content


def _encoded(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes_field(number, value):
    return _encoded(number << 3 | 2) + _encoded(len(value)) + value


def _framed(body):
    return len(body).to_bytes(4, "big") + body


def hello(server):
    """Return the ServerHello: no sub-commands, no redirection."""
    return _framed(_bytes_field(1, _bytes_field(1, server.encode())))


def commit_point(elapsed):
    """Return the message that says how much (ns) is kept for good."""
    seconds, nanoseconds = divmod(elapsed, SECOND)
    return _framed(_bytes_field(2, b"\x08" + _encoded(seconds) + b"\x10" + _encoded(nanoseconds)))


def log_id(name):
    """Return the message that names the recording."""
    return _framed(_bytes_field(3, name.encode()))


def abort(reason):
    """Return the message that makes sudo end the command."""
    return _framed(_bytes_field(5, reason.encode()))
