"""A worker and a client for Lifeline, which keeps a fleet of workers attached to its coordinator and loses no work.

``Worker`` executes tasks by functions, ``Client`` submits, watches and controls them, and ``lifeline_client.sync`` has
a client for programs without an event loop. Everything is logged under ``lifeline_client``.
"""

import logging

from .auth import APIKey
from .client import Client, Event, Logs
from .context import BlockingTaskContext, Task, TaskContext
from .effects import ConnectionState
from .errors import (
    ClosedError,
    ConfigurationError,
    LifelineError,
    NotAdmittedError,
    OutboxError,
    ProtocolError,
    RequestError,
    TaskStopped,
    UnreachableError,
    UnsuitableValueError,
)
from .worker import Worker

__all__ = [
    "APIKey",
    "BlockingTaskContext",
    "Client",
    "ClosedError",
    "ConfigurationError",
    "ConnectionState",
    "Event",
    "LifelineError",
    "Logs",
    "NotAdmittedError",
    "OutboxError",
    "ProtocolError",
    "RequestError",
    "Task",
    "TaskContext",
    "TaskStopped",
    "UnreachableError",
    "UnsuitableValueError",
    "Worker",
]
__version__ = "0.1.0"

logging.getLogger("lifeline_client").addHandler(logging.NullHandler())
