"""The session protocol's words, envelope and limits: values without sockets or clock.

``Docs/session-protocol.md`` of the repository describes what is implemented here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import re
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Dict, Optional, Union

from .errors import ProtocolError, UnsuitableValueError

SESSION_SUBPROTOCOL = "lifeline.v1"
CLIENT_SUBPROTOCOL = "lifeline.client.v1"
CLIENT_PATH = "/api/v1/client/ws"
DEFAULT_PORT = 8765

#: The largest message that a coordinator accepts, in bytes.
MAX_MESSAGE_BYTES = 1 << 20
#: How deep a checkpoint, a result or an input may nest; what is put around it must fit under the parser's 64.
MAX_CARRIED_DEPTH = 48
MAX_CHECKPOINT_BYTES = 256 << 10
MAX_RESULT_BYTES = 256 << 10
#: Of each of an attempt's output streams.
MAX_OUTPUT_BYTES = 192 << 10
MAX_REASON_BYTES = 4096
MAX_ATTEMPT = 2**31 - 1

CLOSE_TAKEN_OVER = 4001
CLOSE_SILENT = 4002
CLOSE_BROKEN_SESSION = 4003
CLOSE_WORKER_ID_IN_USE = 4004
CLOSE_SHUTTING_DOWN = 4005

_LONGEST_HINT = 3600.0

Json = Any
JsonObject = Dict[str, Json]

# MARK: JSON


def _refuse_constant(text: str) -> Json:
    raise ValueError(f"{text} is not JSON")


def decode_json(data: Union[str, bytes]) -> Json:
    """Parses JSON as strictly as the coordinator does."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None


def encode_json(value: Json) -> bytes:
    """Compact JSON text in UTF-8.

    Raises ``UnsuitableValueError`` for what the other side could not read: numbers that are infinite or not numbers,
    integers beyond 64 bits, halves of surrogate pairs, and whatever the ``json`` module does not know.
    """
    try:
        _check(value, MAX_CARRIED_DEPTH + 12)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsuitableValueError(f"this cannot be sent as JSON: {error}") from None


def encode_carried(value: Json, what: str, max_bytes: int) -> bytes:
    """``encode_json`` for what a message carries for others, with the limits on its depth and length."""
    _check(value, MAX_CARRIED_DEPTH, what)
    data = encode_json(value)
    if len(data) > max_bytes:
        raise UnsuitableValueError(f"the {what} has {len(data)} bytes as JSON; at most {max_bytes} are allowed")
    return data


def _check(value: Json, levels: int, what: str = "value") -> None:
    waiting = [(value, levels)]
    while waiting:
        item, left = waiting.pop()
        if isinstance(item, (dict, list, tuple)):
            if left == 0:
                raise UnsuitableValueError(f"the {what} is nested more than {levels} levels deep")
            inner = item.values() if isinstance(item, dict) else item
            waiting.extend((element, left - 1) for element in inner)
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise UnsuitableValueError(f"the {what} holds an integer beyond 64 bits; carry it as text")
        elif isinstance(item, float) and not math.isfinite(item):
            raise UnsuitableValueError(f"the {what} holds {item}, which JSON cannot write")


# MARK: Bytes as members of a message


def put_bytes(fields: JsonObject, name: str, data: bytes) -> None:
    """Adds ``name`` as text where the bytes are UTF-8 that escapes do not swell, else ``name_base64``."""
    escaped = len(data) + 5 * sum(1 for byte in data if byte < 0x20 and byte not in (0x0A, 0x0D, 0x09))
    if escaped <= len(data) + len(data) // 3:
        try:
            fields[name] = data.decode("utf-8")
            return
        except UnicodeDecodeError:
            pass
    fields[f"{name}_base64"] = base64.b64encode(data).decode("ascii")


def take_bytes(fields: JsonObject, name: str) -> Optional[bytes]:
    """The bytes of members that ``put_bytes`` or the coordinator made; ``None`` when they are not there."""
    text = fields.get(name)
    if isinstance(text, str):
        return text.encode("utf-8")
    encoded = fields.get(f"{name}_base64")
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(f"the field {name}_base64 is not base64") from None


def cut_text(text: str, max_bytes: int) -> str:
    """As many whole characters from the start as fit into ``max_bytes`` of UTF-8."""
    data = text.encode("utf-8", "replace")
    return data[: max(0, max_bytes)].decode("utf-8", "ignore")


# MARK: Codes on messages


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def hkdf(secret: bytes, salt: bytes, info: str, count: int = 32) -> bytes:
    """HKDF with SHA-256 (RFC 5869)."""
    extracted = hmac.new(salt or bytes(32), secret, sha256).digest()
    key, block, number = b"", b"", 1
    while len(key) < count:
        block = hmac.new(extracted, block + info.encode("utf-8") + bytes([number]), sha256).digest()
        key += block
        number += 1
    return key[:count]


class MessageCodes:
    """Codes on the messages of one connection whose both ends proved to have the same key.

    A code is HMAC-SHA256 over the message's number on this connection, its length and its bytes, under a key for the
    direction. The number is counted, not sent, so whatever was altered, left out or repeated has a wrong code.
    """

    def __init__(self, secret: bytes, *, is_worker: bool = True) -> None:
        from_worker = hmac.new(hkdf(secret, b"", "lifeline.v1 worker to coordinator"), None, sha256)
        from_coordinator = hmac.new(hkdf(secret, b"", "lifeline.v1 coordinator to worker"), None, sha256)
        self._outbound = from_worker if is_worker else from_coordinator
        self._inbound = from_coordinator if is_worker else from_worker
        self._sent = 0
        self._received = 0

    def sign(self, covered: bytes) -> str:
        """The code of the next message to send, of which ``covered`` are the bytes before it."""
        self._sent += 1
        return self._code(self._outbound, self._sent, covered)

    def verify(self, covered: bytes, code: str) -> bool:
        """Whether ``code`` is that of the next message to come."""
        self._received += 1
        expected = self._code(self._inbound, self._received, covered)
        return hmac.compare_digest(expected.encode("ascii"), code.encode("utf-8", "replace"))

    @staticmethod
    def _code(key: "hmac.HMAC", number: int, covered: bytes) -> str:
        code = key.copy()
        code.update(number.to_bytes(8, "big"))
        code.update(len(covered).to_bytes(8, "big"))
        code.update(covered)
        return _base64url(code.digest())


# MARK: The envelope

_CRC_LENGTH = len(',"crc":"01234567"}')
_MAC_LENGTH = len(',"mac":""}') + 43
_RESERVED = ("type", "seq", "ack", "crc", "mac")


@dataclass(frozen=True)
class Message:
    """One message, taken out of its envelope."""

    kind: str
    fields: JsonObject = field(default_factory=dict)
    #: The message's number in its session; ``None`` when it is not a reliable one.
    sequence: Optional[int] = None
    #: The peer has handled, and made durable, our messages up to this number.
    acknowledgement: Optional[int] = None

    @property
    def body(self) -> bytes:
        """``{"type": …, fields…}`` without an envelope: what an outbox keeps."""
        members: JsonObject = {"type": self.kind}
        members.update((name, value) for name, value in self.fields.items() if name not in _RESERVED)
        return encode_json(members)


def seal(body: bytes, sequence: Optional[int], acknowledgement: int, codes: Optional[MessageCodes] = None) -> bytes:
    """Wraps ``body``, the text of a JSON object with at least one member, for the wire.

    The closing brace gives way to ``seq``, ``ack`` and last of all ``crc``, the CRC-32 of every byte before it, or
    ``mac`` where both ends have a key. A body is encoded once and sealed each time that it is sent.
    """
    if len(body) <= 2 or not body.endswith(b"}"):
        raise ValueError("a body is a JSON object with members")
    covered = body[:-1]
    if sequence is not None:
        covered += b',"seq":%d' % sequence
    if acknowledgement > 0:
        covered += b',"ack":%d' % acknowledgement
    if codes is not None:
        return covered + b',"mac":"' + codes.sign(covered).encode("ascii") + b'"}'
    return covered + b',"crc":"%08x"}' % zlib.crc32(covered)


def open_envelope(data: bytes, codes: Optional[MessageCodes] = None) -> Message:
    """The message in a text that the peer sent; raises ``ProtocolError`` unless its checksum or code is right.

    Nothing is looked at before the checksum was.
    """
    _verify(data, codes)
    value = decode_json(data)
    if not isinstance(value, dict):
        raise ProtocolError("a message is a JSON object")
    kind = value.pop("type", None)
    if not isinstance(kind, str) or len(kind.encode("utf-8", "replace")) > 64:
        raise ProtocolError("the field type is missing or no short string")
    sequence = _number(value.pop("seq", None), "seq")
    acknowledgement = _number(value.pop("ack", None), "ack")
    value.pop("crc", None)
    value.pop("mac", None)
    return Message(kind, value, sequence, acknowledgement)


def _verify(data: bytes, codes: Optional[MessageCodes]) -> None:
    if codes is not None:
        covered, end = data[:-_MAC_LENGTH], data[-_MAC_LENGTH:]
        if not covered or not end.startswith(b',"mac":"') or not end.endswith(b'"}'):
            raise ProtocolError("the field mac is missing")
        if not codes.verify(covered, end[8:-2].decode("utf-8", "replace")):
            raise ProtocolError("the message's code (mac) is wrong: it was altered, repeated or forged")
        return
    covered, end = data[:-_CRC_LENGTH], data[-_CRC_LENGTH:]
    if not covered or not end.startswith(b',"crc":"') or not end.endswith(b'"}'):
        raise ProtocolError("the field crc is missing")
    if end[8:-2] != b"%08x" % zlib.crc32(covered):
        raise ProtocolError("the checksum does not match the bytes")


def _number(value: Json, name: str) -> Optional[int]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ProtocolError(f"the field {name} must be a positive integer")
    return value


# MARK: Fields of a peer's message


def text_field(fields: JsonObject, name: str, default: Optional[str] = None) -> str:
    """A member that must be a string; ``default`` stands for one that is missing."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ProtocolError(f"the field {name} must be a string")
    return value


def integer_field(fields: JsonObject, name: str, low: int, high: int, default: Optional[int] = None) -> int:
    """A member that must be an integer between ``low`` and ``high``."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ProtocolError(f"the field {name} must be an integer between {low} and {high}")
    return value


def number_field(fields: JsonObject, name: str) -> Optional[float]:
    """A member that must be a number, or ``None`` when it is missing."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProtocolError(f"the field {name} must be a number")
    return float(value)


# MARK: Identifiers and hints

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@{}\-]{1,128}\Z")


def is_identifier(text: str) -> bool:
    """Whether ``text`` may name a task or a worker: 1 to 128 of the characters ``A–Z a–z 0–9 . _ : @ { } -``."""
    return bool(_IDENTIFIER.match(text)) and text not in (".", "..")


def worker_path(worker_id: str) -> str:
    """Where a worker connects; braces need encoding in a request target."""
    return f"/api/v1/worker/{worker_id.replace('{', '%7B').replace('}', '%7D')}/ws"


_CLOSE_HINT = re.compile(r"retry after ([0-9]{1,10}(?:\.[0-9]{1,10})?) s(?:;|\Z)")


def close_hint(code: int, reason: str) -> Optional[float]:
    """The delay in seconds that a Close frame asks for; ``None`` without one."""
    if code not in (1001, 1012, 1013):
        return None
    match = _CLOSE_HINT.match(reason)
    return min(float(match.group(1)), _LONGEST_HINT) if match else None


def retry_after(value: Optional[str]) -> Optional[float]:
    """The delay in seconds that a ``Retry-After`` field asks for; dates are ignored."""
    if value is None or not re.match(r"[0-9]{1,10}\Z", value):
        return None
    return min(float(value), _LONGEST_HINT)
