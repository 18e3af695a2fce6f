"""One WebSocket connection, whichever version of ``websockets`` is installed (10.4 and newer)."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import ssl as tls
import time
from typing import Any, Dict, Mapping, Optional

import websockets
from websockets.exceptions import ConnectionClosed, WebSocketException

from .auth import APIKey, Upgrade, sign_upgrade, split_address
from .protocol import close_hint, retry_after

_connect: Any
_InvalidStatus: Any
try:
    from websockets.asyncio import client as _implementation
    from websockets.exceptions import InvalidStatus

    _connect, _InvalidStatus, _IS_NEW = _implementation.connect, InvalidStatus, True
except ImportError:  # Before 13.0 there was one implementation, and its names were others.
    _connect, _InvalidStatus = getattr(websockets, "connect"), getattr(websockets, "InvalidStatusCode")
    _IS_NEW = False

__all__ = ["Connection", "ConnectFailure", "ConnectionLost", "open_connection"]


class ConnectFailure(Exception):
    """No connection came about.

    ``retry_after`` is the server's wish in seconds; ``is_refusal`` says that coming back with the same key is of no
    use; ``is_foreign`` that whoever answers is no coordinator.
    """

    def __init__(
        self, reason: str, retry_after: Optional[float] = None, *, is_refusal: bool = False, is_foreign: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_refusal = is_refusal
        self.is_foreign = is_foreign


class ConnectionLost(Exception):
    """The connection ended. ``retry_after`` is the wish in seconds of whoever closed it."""

    def __init__(self, reason: str, retry_after: Optional[float] = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Connection:
    """An open connection that carries text messages, as bytes of UTF-8."""

    def __init__(self, socket: Any, secret: Optional[bytes]) -> None:
        self._socket = socket
        #: What both ends share where they have a key.
        self.secret = secret

    async def send(self, data: bytes) -> None:
        """Sends one message; returns once the connection takes more."""
        try:
            await self._socket.send(data.decode("utf-8"))
        except ConnectionClosed:
            raise self._lost() from None

    async def receive(self) -> bytes:
        try:
            data = await self._socket.recv()
        except ConnectionClosed:
            raise self._lost() from None
        return data if isinstance(data, bytes) else str(data).encode("utf-8")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends the connection; gives up on the closing handshake after a while."""
        text = reason.encode("utf-8")[:120].decode("utf-8", "ignore")
        try:
            await self._socket.close(code, text)
        except (WebSocketException, OSError, asyncio.TimeoutError):
            pass

    def _lost(self) -> ConnectionLost:
        code = self._socket.close_code
        reason = self._socket.close_reason or ""
        if code is None or code == 1006:
            return ConnectionLost("the connection was cut")
        return ConnectionLost(f"closed with {code} {reason}".rstrip(), close_hint(code, reason))


def _header(headers: Any, name: str) -> Optional[str]:
    value = headers.get(name)
    return value if isinstance(value, str) else None


def _refusal(error: Any, has_key: bool) -> ConnectFailure:
    """What an HTTP answer in place of the upgrade means."""
    if _IS_NEW:
        status, headers, body = error.response.status_code, error.response.headers, error.response.body
    else:
        status, headers, body = error.status_code, error.headers, None
    hint = retry_after(_header(headers, "Retry-After"))
    text = _message(body)
    if status in (401, 403):
        advice = "" if has_key else "; give it a key with api_key or LIFELINE_API_KEY"
        reason = f"the coordinator refused with status {status}{': ' + text if text else ''}{advice}"
        return ConnectFailure(reason, hint, is_refusal=True)
    return ConnectFailure(
        f"refused with status {status}{': ' + text if text else ''}", hint, is_foreign=status not in (429, 503)
    )


def _message(body: Optional[bytes]) -> str:
    try:
        value = json.loads(body or b"")
        text = value.get("error") or value.get("detail") if isinstance(value, dict) else None
    except ValueError:
        return ""
    return text if isinstance(text, str) else ""


async def open_connection(
    address: str,
    path: str,
    subprotocol: str,
    *,
    api_key: Optional[APIKey],
    ssl: Optional[tls.SSLContext],
    timeout: float,
    max_size: int,
    ping_interval: Optional[float] = None,
) -> Connection:
    """Connects to a coordinator and proves to have the key, where there is one; raises ``ConnectFailure``.

    With a key, a coordinator that does not prove to know it is left at once: it may be anybody.
    """
    url, target = split_address(address, path)
    upgrade: Optional[Upgrade] = None
    fields: Mapping[str, str] = {}
    if api_key is not None:
        upgrade = sign_upgrade(api_key, target, subprotocol, int(time.time() * 1000), os.urandom(16))
        fields = upgrade.fields
    options: Dict[str, Any] = {
        "subprotocols": [websockets.Subprotocol(subprotocol)],
        "max_size": max_size,
        "open_timeout": timeout,
        "close_timeout": 2.0,
        # The coordinator refuses a message that inflates to more than 256 times its size, as a long line of one
        # character does, and websockets cannot leave a single message uncompressed.
        "compression": None,
        "ping_interval": ping_interval,
        "ping_timeout": ping_interval,
        "additional_headers" if _IS_NEW else "extra_headers": dict(fields),
    }
    if url.startswith("wss:") and ssl is not None:
        options["ssl"] = ssl
    if "proxy" in inspect.signature(_connect.__init__).parameters:
        # A coordinator is a neighbour; its workers must not depend on a proxy that is meant for the web.
        options["proxy"] = None
    try:
        socket: Any = await _connect(url, **options)
    except _InvalidStatus as error:
        raise _refusal(error, api_key is not None) from None
    except (asyncio.TimeoutError, TimeoutError):
        raise ConnectFailure(f"no answer within {timeout:g} s") from None
    except tls.SSLCertVerificationError as error:
        raise ConnectFailure(f"the certificate is not accepted: {error.verify_message}", is_refusal=True) from None
    except (OSError, WebSocketException, EOFError) as error:
        raise ConnectFailure(str(error) or type(error).__name__) from None
    headers = socket.response.headers if _IS_NEW else socket.response_headers
    if socket.subprotocol != subprotocol:
        await Connection(socket, None).close(1002, f"{subprotocol} is needed")
        raise ConnectFailure(f"whoever answers at {address} does not speak {subprotocol}", is_foreign=True)
    secret: Optional[bytes] = None
    if upgrade is not None:
        answer = {name: str(headers[name]) for name in ("X-Lifeline-Nonce", "X-Lifeline-Proof") if name in headers}
        secret = upgrade.secret(answer)
        if secret is None:
            await Connection(socket, None).close(1008, "the coordinator did not prove to know the API key")
            raise ConnectFailure(
                f"whoever answers at {address} does not prove to know this API key, so it is not the coordinator that "
                "the key is for; give the coordinator its keys, or leave the key out here",
                is_refusal=True,
            )
    return Connection(socket, secret)
