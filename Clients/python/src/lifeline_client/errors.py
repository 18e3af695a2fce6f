"""What can go wrong, apart by whose fault it is."""

from __future__ import annotations

__all__ = [
    "LifelineError",
    "ProtocolError",
    "RequestError",
    "UnreachableError",
    "NotAdmittedError",
    "ClosedError",
    "OutboxError",
    "ConfigurationError",
    "UnsuitableValueError",
    "TaskStopped",
]


class LifelineError(Exception):
    """The root of this package's errors."""


class ProtocolError(LifelineError):
    """The peer said something that the protocol does not allow, or its bytes changed on the way."""


class RequestError(LifelineError):
    """The coordinator answered a request with an error.

    ``code`` is one of ``bad_request``, ``forbidden``, ``not_found``, ``refused`` and ``unavailable``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class UnreachableError(LifelineError):
    """No coordinator answered for as long as the client was willing to wait."""


class NotAdmittedError(LifelineError):
    """The coordinator does not let us in, or did not prove to be the one that our key is for."""


class ClosedError(LifelineError):
    """The client was closed before the answer came."""


class OutboxError(LifelineError):
    """The outbox file cannot be used: another worker has it, or it is no outbox."""


class ConfigurationError(LifelineError):
    """A worker or a client was set up in a way that cannot work."""


class UnsuitableValueError(LifelineError, ValueError):
    """A checkpoint, a result or a message holds what cannot be carried as JSON."""


class TaskStopped(BaseException):
    """Raised inside a synchronous task function whose attempt was stopped.

    Not an ``Exception``, for the same reason as ``asyncio.CancelledError``: ``except Exception`` in a task must not
    swallow it.
    """
