"""What a worker's core tells its shell to do, and the words in which both speak of attempts."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

from .protocol import JsonObject


class AttemptKey(NamedTuple):
    """One attempt of one task."""

    task_id: str
    #: From 1; the fencing token.
    attempt: int

    def __str__(self) -> str:
        return f"{self.task_id}/{self.attempt}"


class StopReason(str, enum.Enum):
    """Why an attempt is to be stopped."""

    CANCELLED = "cancelled on request"
    SUPERSEDED = "the coordinator gave the task to someone else"
    LEASE_EXPIRED = "the lease ran out"
    STOPPING = "the worker is stopping"
    #: Politely: the attempt may save a last checkpoint. It is handed back for others to go on.
    DRAINING = "the worker is draining"


class ConnectionState(str, enum.Enum):
    CONNECTING = "connecting"
    #: Registered with the coordinator.
    CONNECTED = "connected"
    #: Waiting to try again.
    DISCONNECTED = "disconnected"
    #: No attempt to connect is left.
    FAILED = "failed"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True)
class Assignment:
    """One attempt, as the coordinator hands it to a worker."""

    key: AttemptKey
    specification: JsonObject
    #: The newest checkpoint's data, where there is one.
    checkpoint: Any = None
    has_checkpoint: bool = False


@dataclass
class Ending:
    """How an attempt ended."""

    #: ``completed``, ``failed`` or ``cancelled``.
    outcome: str
    reason: Optional[str] = None
    result: Any = None
    stdout: bytes = b""
    stderr: bytes = b""
    dropped_bytes: int = 0


@dataclass(frozen=True)
class Connect:
    pass


@dataclass(frozen=True)
class Close:
    """End the connection; nothing more of it is reported. ``flush``: after what ``next_message`` still has."""

    code: int
    reason: str
    flush: bool = False


@dataclass(frozen=True)
class Persist:
    key: str
    body: bytes


@dataclass(frozen=True)
class Forget:
    key: str


@dataclass(frozen=True)
class StartAttempt:
    assignment: Assignment


@dataclass(frozen=True)
class PauseAttempt:
    key: AttemptKey


@dataclass(frozen=True)
class ResumeAttempt:
    key: AttemptKey


@dataclass(frozen=True)
class StopAttempt:
    """``politely``: it may say a last word first; else it must end at once."""

    key: AttemptKey
    reason: StopReason
    politely: bool


@dataclass(frozen=True)
class RequestCheckpoint:
    key: AttemptKey


@dataclass(frozen=True)
class ReadTelemetry:
    pass


@dataclass(frozen=True)
class StateChanged:
    state: ConnectionState


@dataclass(frozen=True)
class Log:
    level: int
    message: str


@dataclass(frozen=True)
class Stopped:
    """Everything has ended."""


Effect = Union[
    Connect,
    Close,
    Persist,
    Forget,
    StartAttempt,
    PauseAttempt,
    ResumeAttempt,
    StopAttempt,
    RequestCheckpoint,
    ReadTelemetry,
    StateChanged,
    Log,
    Stopped,
]
