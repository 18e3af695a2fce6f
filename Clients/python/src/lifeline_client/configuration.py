"""What a worker's core can be told, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple


@dataclass
class WorkerConfiguration:
    """What a worker can be told. Times are in seconds."""

    worker_id: str
    #: Names this run of the process; another run must have another.
    boot_id: str
    slots: int
    kinds: Tuple[str, ...]
    #: What tasks may require of a worker.
    labels: Dict[str, str] = field(default_factory=dict)
    heartbeat_interval: float = 5.0
    #: A coordinator not heard of for this long is taken for gone, at the latest.
    heartbeat_timeout: float = 15.0
    #: The upper bound of the first reconnection's random delay.
    reconnect_delay: float = 1.0
    max_reconnect_delay: float = 60.0
    #: Attempts to connect in a row before giving up; 0: without end.
    max_reconnect_attempts: int = 0
    #: How long a draining worker lets what runs go on before it is handed back; ``None``: to its end.
    drain_timeout: Optional[float] = None
    #: How often to send telemetry; 0: only when asked.
    telemetry_interval: float = 300.0
    #: What may wait for the coordinator's acknowledgement.
    outbox_messages: int = 4096
    outbox_bytes: int = 16 << 20
    #: Checkpoints, results and reports that may wait before producers are held back.
    max_waiting: int = 1000


@dataclass
class Counters:
    """What a worker has done since it started."""

    attempts: int = 0
    successes: int = 0
    failures: int = 0
    disconnections: int = 0
    time_connected: float = 0.0
    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    checkpoints: int = 0
    checkpoint_bytes: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    messages_dropped: int = 0
    messages_refused: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    replayed: int = 0
    duplicates: int = 0
    longest_heartbeat_delay: float = 0.0
