"""How a key is proved without being sent: SCRAM's construction (RFC 5802 §3) in one request and one answer."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha256
from typing import Dict, Mapping, Optional, Tuple

from .errors import ConfigurationError
from .protocol import _base64url, hkdf

KEY_FIELD = "X-Lifeline-Key"
TIME_FIELD = "X-Lifeline-Timestamp"
NONCE_FIELD = "X-Lifeline-Nonce"
PROOF_FIELD = "X-Lifeline-Proof"

_ITERATIONS = 4096
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def _decode(text: str, count: int) -> Optional[bytes]:
    if not re.match(r"[A-Za-z0-9_-]*\Z", text):
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == count and _base64url(data) == text else None


class APIKey:
    """What a worker or a client proves to have.

    A key that ``lifeline keys add`` made reads ``NAME.SALT.SECRET``; any other text is a key with the name
    ``default`` and a salt that everybody knows. Nothing but ``text`` shows the secret.
    """

    def __init__(self, text: str) -> None:
        text = text.strip()
        if not 8 <= len(text) <= 256 or not all(0x21 <= ord(character) <= 0x7E for character in text):
            raise ConfigurationError("an API key has 8 to 256 visible ASCII characters")
        if text == "default-key":
            raise ConfigurationError('"default-key" is what everybody knows; choose another key')
        self.text = text
        parts = text.split(".")
        salt = _decode(parts[1], 16) if len(parts) == 3 else None
        if salt is not None and _NAME.match(parts[0]) and _decode(parts[2], 32) is not None:
            self.name = parts[0]
        else:
            self.name, salt = "default", sha256(b"lifeline default key").digest()[:16]
        salted = pbkdf2_hmac("sha256", text.encode("ascii"), salt, _ITERATIONS)
        self.proof_key = hmac.new(salted, b"Client Key", sha256).digest()

    def __repr__(self) -> str:
        return f"<APIKey {self.name}>"


@dataclass(frozen=True)
class Upgrade:
    """One request for an upgrade: the fields to send, and what the answer must show."""

    key: APIKey
    nonce: str
    fields: Dict[str, str]

    def secret(self, answer: Mapping[str, str]) -> Optional[bytes]:
        """What both ends share, from the fields of the answer; ``None`` unless it proves to know the key."""
        own, proof = answer.get(NONCE_FIELD), answer.get(PROOF_FIELD)
        if own is None or proof is None:
            return None
        secret = hkdf(self.key.proof_key, f"{self.nonce} {own}".encode("utf-8"), "lifeline.v1 channel")
        expected = _base64url(hmac.new(secret, b"lifeline coordinator 1", sha256).digest())
        return secret if hmac.compare_digest(expected.encode("ascii"), proof.encode("utf-8", "replace")) else None


def sign_upgrade(key: APIKey, target: str, subprotocol: str, milliseconds: int, random: bytes) -> Upgrade:
    """Signs one request.

    ``target`` is the request's path as it is sent, ``subprotocol`` what is offered, ``milliseconds`` the time since
    1970, and ``random`` 16 to 64 bytes that were never used before.
    """
    nonce = _base64url(random)
    text = f"lifeline upgrade 1\nGET\n{target}\n{subprotocol}\n{key.name}\n{milliseconds}\n{nonce}"
    stored = sha256(key.proof_key).digest()
    code = hmac.new(stored, text.encode("utf-8"), sha256).digest()
    proof = bytes(left ^ right for left, right in zip(key.proof_key, code))
    fields = {
        KEY_FIELD: key.name,
        TIME_FIELD: str(milliseconds),
        NONCE_FIELD: nonce,
        PROOF_FIELD: _base64url(proof),
    }
    return Upgrade(key, nonce, fields)


def split_address(address: str, path: str) -> Tuple[str, str]:
    """The URL to connect to and its target, from ``ws[s]://HOST[:PORT]``."""
    match = re.match(r"(wss?)://(\[[0-9A-Fa-f:.]+\]|[^/:?#@\[\]\s]+)(?::([0-9]{1,5}))?/?\Z", address)
    if match is None:
        raise ConfigurationError(f"the address {address} is wrong: expected ws://HOST:PORT or wss://HOST:PORT")
    scheme, host, port = match.groups()
    number = int(port) if port else (443 if scheme == "wss" else 80)
    if not 1 <= number <= 65535:
        raise ConfigurationError(f"the address {address} is wrong: ports are from 1 to 65535")
    return f"{scheme}://{host}:{number}{path}", path
