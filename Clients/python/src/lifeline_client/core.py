"""A worker without its sockets, disk, tasks and clock.

::

    assignment ─▶ StartAttempt … checkpoints, result ─▶ Persist ─▶ numbered, sent ─▶ acknowledged ─▶ Forget

A checkpoint or a result is on the worker's own disk before the coordinator hears of it, and stays there until the
coordinator has it on its own, so no order of crashes loses it. Attempts run under a lease, counted from the moment a
heartbeat was *sent*; the coordinator counts from when it arrived, so ours always ends first.

The shell calls a method for what happened, with the time; performs ``take_effects()`` in order; and asks
``next_message()`` for what to write whenever the connection takes more, so that a slow connection holds everything
back by itself. A message gets its number when it leaves.

Long, and one piece, because connection, session, lease and attempts decide about each other at every event.
"""

from __future__ import annotations

import enum
import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Deque, Dict, List, Optional, Tuple, Union

from .configuration import Counters, WorkerConfiguration
from .effects import (
    Assignment,
    AttemptKey,
    Close,
    Connect,
    ConnectionState,
    Effect,
    Ending,
    Forget,
    Log,
    PauseAttempt,
    Persist,
    ReadTelemetry,
    RequestCheckpoint,
    ResumeAttempt,
    StartAttempt,
    StateChanged,
    StopAttempt,
    Stopped,
    StopReason,
)
from .errors import ProtocolError
from .handover import Handover
from .messages import about, bounded, ending_fields, parcel_key, read_key, read_parcel_key
from .pacing import Backoff, FailureDetector, RoundTrips
from .protocol import (
    CLOSE_BROKEN_SESSION,
    CLOSE_SILENT,
    MAX_CHECKPOINT_BYTES,
    MAX_REASON_BYTES,
    JsonObject,
    Message,
    MessageCodes,
    cut_text,
    decode_json,
    encode_carried,
    integer_field,
    number_field,
    open_envelope,
    put_bytes,
    seal,
    text_field,
)
from .session import Arrival, Outbox, Session


class _Link(enum.Enum):
    NONE = "none"
    WAITING = "waiting"
    CONNECTING = "connecting"
    REGISTERING = "registering"
    REGISTERED = "registered"
    #: No further attempt will be made.
    ENDED = "ended"


class _Phase(enum.Enum):
    RUNNING = "running"
    STOPPING = "stopping"
    #: Ended; its result is on its way.
    FINISHED = "finished"


@dataclass
class _Held:
    phase: _Phase = _Phase.RUNNING
    reason: Optional[StopReason] = None
    checkpoints: int = 0


@dataclass
class _Parcel:
    """A reliable message on its way to the coordinator that has no number yet."""

    body: bytes
    key: Optional[str] = None


@dataclass
class _Plain:
    """An unnumbered message; it may be lost with the connection."""

    body: bytes
    name: Optional[Tuple[str, Optional[str]]] = None


class _Ending(enum.Enum):
    NONE = "none"
    DRAINING = "draining"
    STOPPING = "stopping"


class WorkerCore:
    """The worker's protocol logic as one state machine."""

    MAX_PLAIN_MESSAGES = 4096
    MAX_PLAIN_BYTES = 1 << 20
    REGISTRATION_TIMEOUT = 10.0

    def __init__(self, configuration: WorkerConfiguration, now: float, backoff: Optional[Backoff] = None) -> None:
        self.configuration = configuration
        self.counters = Counters()
        self.round_trips = RoundTrips()
        self.state = ConnectionState.DISCONNECTED
        self.session: Optional[Session] = None
        self._now = now
        self._started_at = now
        self._link = _Link.NONE
        self._link_since = now
        self._wait_until = math.inf
        self._codes: Optional[MessageCodes] = None
        self._held: Dict[AttemptKey, _Held] = {}
        self._persisting: Dict[str, _Parcel] = {}
        #: Goes before everything else: registration, heartbeats, goodbye.
        self._urgent: Deque[bytes] = deque()
        #: Numbered in a session that is gone, to be numbered again.
        self._returned: Deque[_Parcel] = deque()
        self._waiting: Deque[Union[_Parcel, _Plain]] = deque()
        self._newest: Dict[Tuple[str, Optional[str]], _Plain] = {}
        self._plain_bytes = 0
        self._plain_count = 0
        #: From where on the outbox is being sent again over this connection.
        self._resending: Optional[int] = None
        self._lease = 30.0
        self._lease_ends = math.inf
        self._ending = _Ending.NONE
        self._said_goodbye = False
        self._handover = Handover()
        self._backoff = backoff or Backoff(
            configuration.reconnect_delay,
            configuration.max_reconnect_delay,
            max_attempts=configuration.max_reconnect_attempts,
        )
        self._away_since = now
        self._interval = configuration.heartbeat_interval
        self._asked_interval: Optional[float] = None
        self._is_paced = False
        self._fleet = 0
        self._detector = self._make_detector()
        self._heartbeats = 0
        self._heartbeats_sent: Deque[Tuple[int, float]] = deque(maxlen=16)
        self._next_heartbeat = math.inf
        self._next_telemetry = math.inf
        self._sync_batch = 100
        self._owes_acknowledgement = False
        self._effects: List[Effect] = []

    # MARK: Seeing

    @property
    def has_room(self) -> bool:
        """Whether producers may hand over more; else they are held back until acknowledgements arrive."""
        return self.waiting_count < self.configuration.max_waiting

    @property
    def waiting_count(self) -> int:
        """Reliable messages that wait for a session, for room in its outbox, or for this worker's disk."""
        return len(self._returned) + len(self._waiting) - self._plain_count + len(self._persisting)

    @property
    def outbox_count(self) -> int:
        """Messages that wait for the coordinator's acknowledgement."""
        return len(self.session.outbox) if self.session is not None else 0

    @property
    def active_attempts(self) -> List[AttemptKey]:
        return sorted(self._held)

    @property
    def is_draining(self) -> bool:
        return self._ending is not _Ending.NONE

    @property
    def next_deadline(self) -> float:
        """When ``tick`` is due at the latest."""
        deadline = math.inf
        if self._link is _Link.WAITING:
            deadline = self._wait_until
        elif self._link is _Link.REGISTERING:
            deadline = self._link_since + self.REGISTRATION_TIMEOUT
        elif self._link is _Link.REGISTERED:
            deadline = min(self._next_heartbeat, self._detector.suspect_at, self._next_telemetry)
        if self.state is not ConnectionState.SHUTDOWN and (self._has_running or self._owes):
            deadline = min(deadline, self._handover.deadline)
        return min(deadline, self._lease_ends) if self._has_unstopped else deadline

    @property
    def _has_unstopped(self) -> bool:
        return any(held.phase is _Phase.RUNNING for held in self._held.values())

    @property
    def _has_running(self) -> bool:
        return any(held.phase is not _Phase.FINISHED for held in self._held.values())

    @property
    def _owes(self) -> bool:
        return self.waiting_count > 0 or self.outbox_count > 0

    def take_effects(self) -> List[Effect]:
        """What the shell must do now, in this order."""
        effects = self._effects
        self._effects = []
        return effects

    # MARK: Events of the connection

    def start(self, now: float) -> None:
        self._turn(now)
        self._connect()

    def connected(self, now: float, secret: Optional[bytes] = None) -> None:
        """The upgrade is done; ``secret`` is what both ends share where they have a key."""
        self._turn(now)
        if self._link is not _Link.CONNECTING:
            return
        self._codes = MessageCodes(secret) if secret is not None else None
        self._link, self._link_since = _Link.REGISTERING, self._now
        configuration = self.configuration
        capabilities: JsonObject = {"slots": configuration.slots, "kinds": sorted(configuration.kinds)}
        if configuration.labels:
            capabilities["labels"] = configuration.labels
        fields: JsonObject = {
            "worker_id": configuration.worker_id,
            "capabilities": capabilities,
            "boot_id": configuration.boot_id,
        }
        if self.session is not None:
            fields["session_id"] = self.session.id
            fields["handled"] = self.session.handled
        if self.is_draining:
            fields["draining"] = True
        self._detector.resumed(self._now)
        self._urgent.append(Message("registration", fields).body)

    def connect_failed(self, now: float, reason: str, retry_after: Optional[float] = None) -> None:
        self._turn(now)
        if self._link is not _Link.CONNECTING:
            return
        self.counters.failures += 1
        self._log(logging.WARNING, f"connection failed: {reason}")
        self._retry_later(retry_after)
        self._end_turn()

    def disconnected(self, now: float, reason: str, retry_after: Optional[float] = None) -> None:
        self._turn(now)
        self._disconnected(reason, retry_after)
        self._end_turn()

    def received(self, now: float, data: bytes) -> None:
        self._turn(now)
        if self._link not in (_Link.REGISTERING, _Link.REGISTERED):
            return
        self.counters.messages_received += 1
        self.counters.bytes_received += len(data)
        try:
            message = open_envelope(data, self._codes)
        except ProtocolError as error:
            # The bytes changed on the way: what they said comes again over a new connection.
            self.counters.messages_refused += 1
            self._drop(f"message refused: {error}")
            self._end_turn()
            return
        self._detector.heard(self._now)
        if message.kind == "registration_ack" or self._accept(message):
            try:
                self._handle(message)
            except ProtocolError as error:
                self._log(logging.WARNING, f"message of type {message.kind} refused: {error}")
                self._send_plain(Message("error", {"message": f"{message.kind}: {error}"}))
        self._end_turn()

    def tick(self, now: float) -> None:
        self._turn(now)
        while True:
            step = self._handover.next(self._now)
            if step is None:
                break
            self._hand_over(step)
        if self._link is _Link.WAITING:
            if self._now >= self._wait_until:
                self._connect()
        elif self._link is _Link.REGISTERING:
            if self._now - self._link_since >= self.REGISTRATION_TIMEOUT:
                self._drop("no answer to the registration", CLOSE_SILENT)
        elif self._link is _Link.REGISTERED:
            if self._now >= self._detector.suspect_at:
                self._drop("nothing heard from the coordinator", CLOSE_SILENT)
            elif self._now >= self._next_heartbeat:
                late = self._now - self._next_heartbeat
                self.counters.longest_heartbeat_delay = max(self.counters.longest_heartbeat_delay, late)
                self._beat()
            if self._now >= self._next_telemetry:
                self._next_telemetry = self._now + self.configuration.telemetry_interval
                self._effects.append(ReadTelemetry())
        self._end_turn()

    # MARK: Events of the disk

    def restored(self, now: float, key: str, body: bytes) -> None:
        """What the coordinator has not acknowledged, found on disk when the worker started; oldest first."""
        self._turn(now)
        parcel = read_parcel_key(key)
        try:
            readable = isinstance(decode_json(body), dict)
        except ProtocolError:
            readable = False
        if parcel is None or not readable:
            self._log(logging.WARNING, f"an unreadable entry of the outbox file is dropped: {key}")
            self._effects.append(Forget(key))
            return
        attempt, is_result = parcel
        if is_result:
            self._held[attempt] = _Held(_Phase.FINISHED)
        else:
            self._forget_waiting_checkpoints(attempt)
        self._waiting.append(_Parcel(body, key))

    def persisted(self, now: float, key: str) -> None:
        """What ``Persist`` asked for is on the disk."""
        self._turn(now)
        parcel = self._persisting.pop(key, None)
        if parcel is not None:
            name = read_parcel_key(key)
            # Only now: before, a crash would have lost the older checkpoint and the newer one.
            if name is not None and not name[1]:
                self._forget_waiting_checkpoints(name[0])
            self._waiting.append(parcel)
        self._end_turn()

    # MARK: Events of attempts

    def attempt_started(self, now: float, key: AttemptKey) -> None:
        self._turn(now)
        self._report("task_state", key, {"state": {"status": "running"}})

    def attempt_paused(self, now: float, key: AttemptKey) -> None:
        self._turn(now)
        self._report("task_paused", key)

    def attempt_resumed(self, now: float, key: AttemptKey) -> None:
        self._turn(now)
        self._report("task_resumed", key)

    def attempt_progressed(self, now: float, key: AttemptKey, progress: float) -> None:
        self._turn(now)
        if self._is_running(key):
            message = about("task_state", key, {"state": {"progress": min(1.0, max(0.0, progress))}})
            self._send_plain(message, only_newest=key.task_id)

    def attempt_wrote(self, now: float, key: AttemptKey, stream: str, offset: int, data: bytes) -> None:
        self._turn(now)
        if self._link is _Link.REGISTERED and key in self._held:
            fields: JsonObject = {"stream": stream, "offset": offset}
            put_bytes(fields, "data", data)
            self._send_plain(about("task_output", key, fields))

    def attempt_checkpointed(self, now: float, key: AttemptKey, data: Any) -> Optional[str]:
        """Returns under which name the checkpoint is being persisted; ``None`` when the attempt may not write any more.

        Raises ``UnsuitableValueError`` for what cannot be carried.
        """
        self._turn(now)
        held = self._held.get(key)
        if held is None or held.phase is _Phase.FINISHED:
            return None
        # One that is asked to end for a drain may well say how far it came.
        if held.phase is _Phase.STOPPING and held.reason is not StopReason.DRAINING:
            return None
        size = len(encode_carried(data, "checkpoint", MAX_CHECKPOINT_BYTES))
        self.counters.checkpoints += 1
        self.counters.checkpoint_bytes += size
        held.checkpoints += 1
        name = parcel_key(key, held.checkpoints)
        self._persist(name, about("checkpoint", key, {"number": held.checkpoints, "data": data}))
        # That was all it was still waited for.
        if self._handover.has_asked_for_checkpoints:
            self._stop_running(key, StopReason.DRAINING)
        return name

    def attempt_ended(self, now: float, key: AttemptKey, ending: Ending) -> None:
        self._turn(now)
        held = self._held.get(key)
        if held is None or held.phase is _Phase.FINISHED:
            return
        ending = bounded(ending)
        if ending.outcome == "completed":
            self.counters.completed += 1
        elif ending.outcome == "failed":
            self.counters.failed += 1
        else:
            self.counters.cancelled += 1
        reason = held.reason
        if reason is StopReason.SUPERSEDED:
            # Nobody waits for it, and reporting it would only be refused.
            del self._held[key]
        elif reason is StopReason.DRAINING and ending.outcome != "completed":
            # By way of the disk, so that it follows the checkpoint that the next attempt is to start from.
            held.phase = _Phase.FINISHED
            self._persist(parcel_key(key), about("task_cancelled", key, {"reason": reason.value, "draining": True}))
        elif reason is not None and reason is not StopReason.CANCELLED and ending.outcome != "completed":
            del self._held[key]
            self._report("task_cancelled", key, {"reason": reason.value})
        else:
            # It may have ended by itself before a cancellation reached it: what happened is what is reported.
            kind = "task_cancelled" if ending.outcome == "cancelled" else "task_result"
            held.phase = _Phase.FINISHED
            self._persist(parcel_key(key), about(kind, key, ending_fields(ending)))
        self._end_turn()

    # MARK: Wishes of whoever runs the worker

    def telemetry_read(self, now: float, report: JsonObject) -> None:
        self._turn(now)
        if self._link is _Link.REGISTERED:
            self._send_plain(Message("telemetry", report), only_newest="")

    def drain(self, now: float) -> None:
        """Take no more tasks, and stop once those that run have ended, or were handed back, and all is acknowledged."""
        self._turn(now)
        self._begin_to_drain()
        self._end_turn()

    def stop(self, now: float) -> None:
        """Stop what runs, and then the worker. What was not delivered stays in the outbox file."""
        self._turn(now)
        self._ending = _Ending.STOPPING
        self._handover.abandon()
        self._beat()
        for key in self.active_attempts:
            self._stop_running(key, StopReason.STOPPING)
        self._end_stopping()
        self._end_turn()

    def reconnect(self, now: float) -> None:
        """Drop the connection, if there is one, and connect again now."""
        self._turn(now)
        if self._link is _Link.CONNECTING:
            return
        if self._link in (_Link.REGISTERING, _Link.REGISTERED):
            self._drop("a reconnection was asked for")
        self._backoff.reset()
        self._connect()

    # MARK: What to write

    def next_message(self, now: float) -> Optional[bytes]:
        """The next message for the connection, sealed; ``None`` while there is nothing to send."""
        self._turn(now)
        data = self._next()
        if data is not None:
            self.counters.messages_sent += 1
            self.counters.bytes_sent += len(data)
            self._owes_acknowledgement = False
        return data

    def _next(self) -> Optional[bytes]:
        if self._link not in (_Link.REGISTERING, _Link.REGISTERED, _Link.ENDED):
            return None
        if self._urgent:
            return self._seal(self._urgent.popleft())
        session = self.session
        if self._link is not _Link.REGISTERED or session is None:
            return None
        if self._resending is not None:
            entry = session.outbox.at(self._resending)
            if entry is not None:
                self._resending = entry.sequence + 1
                self.counters.replayed += 1
                return session.seal(entry.body, entry.sequence, self._codes)
            self._resending = None
        # Nothing overtakes the reliable message that is due, or words about a task would change places.
        if self._returned or (self._waiting and isinstance(self._waiting[0], _Parcel)):
            if session.outbox.has_room:
                parcel = self._returned.popleft() if self._returned else self._waiting.popleft()
                assert isinstance(parcel, _Parcel)
                entry = session.outbox.append(parcel.body, parcel.key)
                return session.seal(entry.body, entry.sequence, self._codes)
        elif self._waiting:
            plain = self._waiting.popleft()
            assert isinstance(plain, _Plain)
            self._plain_count -= 1
            self._plain_bytes -= len(plain.body)
            if plain.name is not None:
                self._newest.pop(plain.name, None)
            return session.seal(plain.body, None, self._codes)
        # An acknowledgement rides on what goes anyhow; only without that does it travel alone.
        if self._owes_acknowledgement:
            return session.seal(b'{"type":"ack","durable":true}', None, self._codes)
        return None

    def _seal(self, body: bytes) -> bytes:
        if self.session is not None and self._link is not _Link.REGISTERING:
            return self.session.seal(body, None, self._codes)
        return seal(body, None, 0, self._codes)

    # MARK: Connecting

    def _turn(self, now: float) -> None:
        self._now = max(now, self._now)
        # Before anything else: a process that stood still for longer than its lease must not act as if it had it.
        if self._now >= self._lease_ends:
            for key in self.active_attempts:
                self._stop_running(key, StopReason.LEASE_EXPIRED)

    def _connect(self) -> None:
        self.counters.attempts += 1
        self._link, self._link_since = _Link.CONNECTING, self._now
        self._change(ConnectionState.CONNECTING)
        self._effects.append(Connect())

    def _disconnected(self, reason: str, retry_after: Optional[float] = None) -> None:
        if self._link is _Link.REGISTERED:
            lasted = self._now - self._link_since
            self.counters.disconnections += 1
            self.counters.time_connected += lasted
            self._backoff.session_lasted(lasted)
        elif self._link in (_Link.CONNECTING, _Link.REGISTERING):
            self.counters.failures += 1
        else:
            return
        self._log(logging.WARNING, f"disconnected: {reason}")
        self._heartbeats_sent.clear()
        self._urgent.clear()
        self._resending = None
        self._owes_acknowledgement = False
        self._drop_plain()
        self._retry_later(retry_after)

    def _drop_plain(self) -> None:
        """The connection is gone, and with it what was to be said about it."""
        self._newest.clear()
        if self._plain_count:
            self._waiting = deque(item for item in self._waiting if isinstance(item, _Parcel))
            self._plain_count = self._plain_bytes = 0

    def _retry_later(self, retry_after: Optional[float]) -> None:
        if self.is_draining and not self._has_running and not (self._handover.may_deliver and self._owes):
            self._finish()
            return
        if retry_after is not None:
            self._backoff.server_asked(retry_after)
        if self._backoff.failures == 0:
            self._away_since = self._now
        # Small draws use up the doublings: without this, a few of thousands would wait many times as long as the
        # coordinator was away. A large fleet spreads its return over more time.
        base = max(self.configuration.reconnect_delay, 2 * (self.round_trips.smoothed or 0.0), self._fleet / 2000.0)
        self._backoff.base = min(base, max(self.configuration.reconnect_delay, self.configuration.max_reconnect_delay))
        delay = self._backoff.next_delay(max((self._now - self._away_since) / 2, self._backoff.base))
        if delay is None:
            self._link = _Link.ENDED
            self._log(logging.ERROR, f"giving up after {self.counters.attempts} attempts to connect")
            self._change(ConnectionState.FAILED)
            self._effects.append(Stopped())
            return
        # What runs is lost with the lease: several tries must still fit into what is left of it.
        if self._has_unstopped:
            delay = min(delay, max((self._lease_ends - self._now) / 4, self.configuration.reconnect_delay))
        self._link = _Link.WAITING
        self._wait_until = self._now + delay
        self._change(ConnectionState.DISCONNECTED)
        self._log(logging.INFO, f"reconnecting in {delay:.3f} s (failures: {self._backoff.failures})")

    def _drop(self, reason: str, code: int = CLOSE_BROKEN_SESSION) -> None:
        """Ends the connection from our side; the shell reports nothing more of it."""
        self._effects.append(Close(code, reason))
        self._disconnected(reason)

    def _change(self, state: ConnectionState) -> None:
        if self.state is not state:
            self.state = state
            self._effects.append(StateChanged(state))

    # MARK: Receiving

    def _accept(self, message: Message) -> bool:
        """The session's bookkeeping; whether the message is to be handled."""
        if message.acknowledgement is not None and self.session is not None:
            if not self._acknowledge(message.acknowledgement):
                self._drop(f"the coordinator acknowledges {message.acknowledgement}, which was never sent")
                return False
        if message.sequence is None:
            return True
        if self._link is not _Link.REGISTERED or self.session is None:
            self._drop("a numbered message before the registration's answer")
            return False
        arrival = self.session.arrive(message.sequence)
        if arrival is Arrival.GAP:
            self._drop(f"message {message.sequence} where {self.session.handled + 1} was due")
            return False
        # An assignment needs no disk on this side: if this process dies, its new boot id gives everything back.
        self._owes_acknowledgement = True
        if arrival is Arrival.DUPLICATE:
            self.counters.duplicates += 1
            return False
        return True

    def _acknowledge(self, sequence: int) -> bool:
        assert self.session is not None
        done = self.session.outbox.acknowledge(sequence)
        if done is None:
            return False
        for entry in done:
            if entry.key is not None:
                self._settle(entry.key)
        return True

    def _settle(self, key: str) -> None:
        """The coordinator has it: neither memory nor disk need keep it."""
        self._effects.append(Forget(key))
        name = read_parcel_key(key)
        if name is not None and name[1]:
            self._held.pop(name[0], None)

    def _handle(self, message: Message) -> None:
        kind = message.kind
        if kind == "registration_ack":
            self._registered(message)
        elif kind == "heartbeat":
            self._heartbeat_answered(message)
        elif kind == "task_assignment":
            self._assigned(message)
        elif kind == "state_sync_ack":
            self._synchronised(message)
        elif kind == "cancel_task":
            key = self._running(message)
            if key is not None:
                self._stop_running(key, StopReason.CANCELLED)
        elif kind == "pause_task":
            key = self._running(message)
            if key is not None:
                self._effects.append(PauseAttempt(key))
        elif kind == "resume_task":
            key = self._running(message)
            if key is not None:
                self._effects.append(ResumeAttempt(key))
        elif kind == "checkpoint_request":
            key = self._running(message)
            if key is not None:
                self._effects.append(RequestCheckpoint(key))
        elif kind == "task_result_ack":
            self._result_answered(message)
        elif kind == "state_request":
            wanted = message.fields.get("task_id")
            for key in self.active_attempts:
                if self._is_running(key) and wanted in (None, key.task_id):
                    self._report("task_state", key, {"state": {"status": "running"}})
        elif kind == "telemetry_request":
            self._effects.append(ReadTelemetry())
        elif kind == "drain":
            self._log(logging.INFO, "the coordinator asks this worker to leave")
            self._begin_to_drain()
        elif kind == "error":
            self._log(logging.WARNING, f"the coordinator reports an error: {message.fields.get('message', '?')}")
        elif kind not in ("welcome", "ack"):
            self._log(logging.DEBUG, f"a message of the unknown type {kind} is ignored")

    def _registered(self, message: Message) -> None:
        if self._link is not _Link.REGISTERING:
            return
        fields = message.fields
        session_id = text_field(fields, "session_id")
        resumed = fields.get("resumed") is True and self.session is not None and self.session.id == session_id
        lease = number_field(fields, "lease_s")
        self._lease = min(max(lease if lease is not None else 30.0, 0.1), 86_400.0)
        self._sync_batch = integer_field(fields, "state_sync_batch", 1, 10_000, 100)
        handled = integer_field(fields, "handled", 0, 2**63 - 1, 0)
        self._hear_pacing(fields)
        sent_at = self._link_since
        self._link, self._link_since = _Link.REGISTERED, self._now
        if resumed and self.session is not None:
            if not self._acknowledge(handled):
                self._drop("the coordinator handled more than was sent")
                return
            first = self.session.outbox.at(0)
            self._resending = first.sequence if first is not None else None
            # What we handled while the connection broke was told with the registration.
            self.session.announced = self.session.handled
        else:
            self._open_session(session_id)
        self._renew_lease(sent_at)
        self.counters.successes += 1
        if self._next_telemetry == math.inf and self.configuration.telemetry_interval > 0:
            self._next_telemetry = self._now + self.configuration.telemetry_interval
        self._change(ConnectionState.CONNECTED)
        self._log(logging.INFO, f"registered: session {session_id}, {'resumed' if resumed else 'new'}")
        self._beat()

    def _open_session(self, session_id: str) -> None:
        """A new session starts with everything the worker holds, and then whatever the old one had not delivered."""
        undelivered = [_Parcel(entry.body, entry.key) for entry in self.session.outbox] if self.session else []
        # But for what was said about what is held: that is said anew, and the old words would undo what followed.
        self._returned = deque(
            parcel
            for parcel in undelivered + list(self._returned)
            if not parcel.body.startswith(b'{"type":"state_sync"')
        )
        self.session = Session(session_id, Outbox(self.configuration.outbox_messages, self.configuration.outbox_bytes))
        # A checkpoint of an attempt that ended with an earlier run of this process counts only until the coordinator
        # takes that attempt back, which the sync makes it do: so it goes first.
        orphans = [item for item in self._returned if self._is_orphan(item)]
        orphans += [item for item in self._waiting if isinstance(item, _Parcel) and self._is_orphan(item)]
        first: Deque[_Parcel] = deque()
        tasks = [
            {
                "task_id": key.task_id,
                "attempt": key.attempt,
                "status": "finished" if self._held[key].phase is _Phase.FINISHED else "running",
            }
            for key in self.active_attempts
        ]
        if orphans:
            self._returned = deque(item for item in self._returned if not self._is_orphan(item))
            self._waiting = deque(
                item for item in self._waiting if isinstance(item, _Plain) or not self._is_orphan(item)
            )
            first.extend(orphans)
        for start in range(0, max(1, len(tasks)), self._sync_batch):
            batch = tasks[start : start + self._sync_batch]
            is_last = start + self._sync_batch >= len(tasks)
            first.append(_Parcel(Message("state_sync", {"tasks": batch, "final": is_last}).body))
        self._returned = first + self._returned

    def _is_orphan(self, parcel: _Parcel) -> bool:
        name = read_parcel_key(parcel.key) if parcel.key is not None else None
        return name is not None and not name[1] and name[0] not in self._held

    def _synchronised(self, message: Message) -> None:
        verdicts = message.fields.get("verdicts")
        for value in verdicts if isinstance(verdicts, list) else []:
            if not isinstance(value, dict):
                raise ProtocolError("the field verdicts must hold objects")
            key = read_key(value)
            verdict = text_field(value, "verdict")
            if verdict in ("cancel", "restart", "done"):
                self._log(logging.INFO, f"attempt {key} is not ours any more: {verdict}")
                self._stop_running(key, StopReason.SUPERSEDED)

    # MARK: Heartbeats and the lease

    def _hear_pacing(self, fields: JsonObject) -> None:
        asked = number_field(fields, "heartbeat_interval_s")
        if asked is not None:
            self._asked_interval = min(max(asked, 0.01), 3600.0)
            self._is_paced = fields.get("paced") is True
        fleet = fields.get("fleet")
        if isinstance(fleet, int) and not isinstance(fleet, bool):
            self._fleet = max(0, fleet)
        self._adapt()

    def _adapt(self) -> None:
        """Heartbeats as often as configured or asked for, thrice within a lease; less often only for a large fleet."""
        own, asked, timeout = (
            self.configuration.heartbeat_interval,
            self._asked_interval,
            self.configuration.heartbeat_timeout,
        )
        interval = min(own, asked if asked is not None else own, self._lease / 3)
        if self._is_paced and asked is not None:
            interval = min(max(interval, asked), max(own, timeout / 2), self._lease / 3)
        if interval != self._interval:
            self._interval = interval
            self._next_heartbeat = min(self._next_heartbeat, self._now + interval)
            self._detector = self._make_detector()
        answers = 2 * ((self.round_trips.smoothed or 0.0) + 4 * self.round_trips.variation)
        self._detector.minimum = min(max(timeout / 2, self._interval + answers), timeout)

    def _make_detector(self) -> FailureDetector:
        timeout = self.configuration.heartbeat_timeout
        return FailureDetector(timeout / 2, timeout, self._interval, self._now)

    def _beat(self) -> None:
        if self._link is not _Link.REGISTERED:
            return
        self._heartbeats += 1
        self._next_heartbeat = self._now + self._interval
        self._heartbeats_sent.append((self._heartbeats, self._now))
        fields: JsonObject = {"sequence": self._heartbeats}
        if self.round_trips.smoothed is not None:
            fields["rtt_s"] = self.round_trips.smoothed
        if self.is_draining:
            fields["draining"] = True
        self._urgent.append(Message("heartbeat", fields).body)

    def _heartbeat_answered(self, message: Message) -> None:
        number = message.fields.get("response_to")
        sent = next((at for beat, at in self._heartbeats_sent if beat == number), None)
        if sent is not None:
            while self._heartbeats_sent and self._heartbeats_sent[0][1] <= sent:
                self._heartbeats_sent.popleft()
            self.round_trips.measured(self._now - sent)
            self._renew_lease(sent)
        self._hear_pacing(message.fields)

    def _renew_lease(self, sent_at: float) -> None:
        self._lease_ends = sent_at + self._lease

    # MARK: Attempts

    def _assigned(self, message: Message) -> None:
        key = read_key(message.fields)
        if key in self._held:
            return
        if self.is_draining:
            self._report("task_cancelled", key, {"reason": StopReason.DRAINING.value, "draining": True})
            return
        task = message.fields.get("task")
        checkpoint = message.fields.get("checkpoint")
        if not isinstance(task, dict):
            # The message counts as handled: unless told, the coordinator would wait for this attempt for ever.
            self._decline(key, "the worker could not read the assignment: the field task is missing")
            return
        if self._now >= self._lease_ends:
            # It waited in a buffer while this process stood still; by now someone else may have been given it.
            self._decline(key, StopReason.LEASE_EXPIRED.value)
            return
        running = sum(1 for held in self._held.values() if held.phase is not _Phase.FINISHED)
        if running >= 4 * self.configuration.slots + 16:
            self._decline(key, f"the worker holds {running} attempts and takes no more")
            return
        self._held[key] = _Held()
        self.counters.started += 1
        has_checkpoint = isinstance(checkpoint, dict)
        data = checkpoint.get("data") if isinstance(checkpoint, dict) else None
        self._effects.append(StartAttempt(Assignment(key, task, data, has_checkpoint)))

    def _decline(self, key: AttemptKey, reason: str) -> None:
        self._report("task_cancelled", key, {"reason": cut_text(reason, MAX_REASON_BYTES)})

    def _is_running(self, key: AttemptKey) -> bool:
        held = self._held.get(key)
        return held is not None and held.phase is _Phase.RUNNING

    def _running(self, message: Message) -> Optional[AttemptKey]:
        key = read_key(message.fields)
        return key if self._is_running(key) else None

    def _stop_running(self, key: AttemptKey, reason: StopReason) -> None:
        held = self._held.get(key)
        if held is None or held.phase is not _Phase.RUNNING:
            return
        held.phase, held.reason = _Phase.STOPPING, reason
        self._log(logging.INFO, f"stopping attempt {key}: {reason.value}")
        politely = reason in (StopReason.CANCELLED, StopReason.DRAINING)
        self._effects.append(StopAttempt(key, reason, politely))

    def _result_answered(self, message: Message) -> None:
        if message.fields.get("accepted") is False:
            key = read_key(message.fields)
            reason = message.fields.get("reason", "no reason given")
            self._log(logging.WARNING, f"the coordinator refused the stale attempt {key}: {reason}")
            self._stop_running(key, StopReason.SUPERSEDED)

    def _forget_waiting_checkpoints(self, attempt: AttemptKey) -> None:
        """A newer checkpoint makes an older one that was not sent yet pointless."""

        def is_old(item: Union[_Parcel, _Plain]) -> bool:
            if not isinstance(item, _Parcel) or item.key is None:
                return False
            name = read_parcel_key(item.key)
            return name is not None and name[0] == attempt and not name[1]

        if not self._waiting or not any(is_old(item) for item in self._waiting):
            return
        for item in self._waiting:
            if isinstance(item, _Parcel) and item.key is not None and is_old(item):
                self._effects.append(Forget(item.key))
        self._waiting = deque(item for item in self._waiting if not is_old(item))

    # MARK: Sending

    def _report(self, kind: str, key: AttemptKey, fields: Optional[JsonObject] = None) -> None:
        self._waiting.append(_Parcel(about(kind, key, fields or {}).body))

    def _persist(self, key: str, message: Message) -> None:
        parcel = _Parcel(message.body, key)
        self._persisting[key] = parcel
        self._effects.append(Persist(key, parcel.body))

    def _send_plain(self, message: Message, only_newest: Optional[str] = None) -> None:
        """Sends what may be lost; of progress and telemetry only the newest waits."""
        if self._link is not _Link.REGISTERED:
            return
        body = message.body
        name = (message.kind, only_newest) if only_newest is not None else None
        old = self._newest.get(name) if name is not None else None
        if old is not None:
            self._plain_bytes += len(body) - len(old.body)
            old.body = body
            return
        if self._plain_count >= self.MAX_PLAIN_MESSAGES or self._plain_bytes + len(body) > self.MAX_PLAIN_BYTES:
            self.counters.messages_dropped += 1
            return
        plain = _Plain(body, name)
        self._waiting.append(plain)
        self._plain_count += 1
        self._plain_bytes += len(body)
        if name is not None:
            self._newest[name] = plain

    def _log(self, level: int, message: str) -> None:
        self._effects.append(Log(level, message))

    # MARK: Ending

    def _begin_to_drain(self) -> None:
        if self._ending is not _Ending.NONE:
            return
        self._ending = _Ending.DRAINING
        self._handover.begin(self._now, self.configuration.drain_timeout)
        # At once, or the coordinator would go on handing over tasks that are handed back.
        self._beat()

    def _hand_over(self, step: str) -> None:
        if step == "ask" and self._has_unstopped:
            self._log(logging.INFO, "the time to drain is over: asking for checkpoints")
            for key in self.active_attempts:
                if self._is_running(key):
                    self._effects.append(RequestCheckpoint(key))
        elif step == "stop":
            for key in self.active_attempts:
                self._stop_running(key, StopReason.DRAINING)
        elif step == "end":
            self._end_stopping()
        elif step == "leave" and self._owes:
            left = self.waiting_count + self.outbox_count
            self._log(logging.WARNING, f"leaving with {left} messages not delivered")

    def _end_stopping(self) -> None:
        """What was asked to end politely has to end now."""
        for key in self.active_attempts:
            held = self._held[key]
            if held.phase is _Phase.STOPPING and held.reason in (StopReason.DRAINING, StopReason.CANCELLED):
                self._effects.append(StopAttempt(key, StopReason.STOPPING, False))

    def _end_turn(self) -> None:
        if not self.is_draining or self.state is ConnectionState.SHUTDOWN or self._has_running:
            return
        if self._persisting and not self._handover.is_over:
            return
        if self._link is _Link.REGISTERED:
            is_delivered = self.waiting_count == 0 and self.outbox_count == 0
            if is_delivered:
                self._urgent.append(Message("goodbye", {"reason": "stopping"}).body)
                self._effects.append(Close(1000, "the worker is stopping", flush=True))
                self._finish()
            elif self._handover.is_over:
                self._finish()
        elif self._link in (_Link.CONNECTING, _Link.REGISTERING):
            # An attempt to connect is under way: what waits may still be delivered.
            if self._handover.is_over:
                self._finish()
        elif not (self._link is _Link.WAITING and self._handover.may_deliver and self._owes):
            self._finish()

    def _finish(self) -> None:
        if self.state is ConnectionState.SHUTDOWN:
            return
        self._link = _Link.ENDED
        self._change(ConnectionState.SHUTDOWN)
        self._effects.append(Stopped())

    # MARK: Telemetry

    def report(self) -> JsonObject:
        """The ``telemetry`` message's members; durations are in seconds."""
        counters, now = self.counters, self._now
        connected = now - self._link_since if self._link is _Link.REGISTERED else None
        running = sum(1 for held in self._held.values() if held.phase is not _Phase.FINISHED)
        tries = counters.attempts
        return {
            "metrics": {
                "uptime_s": now - self._started_at,
                "tasks_started": counters.started,
                "tasks_completed": counters.completed,
                "tasks_failed": counters.failed,
                "tasks_cancelled": counters.cancelled,
                "checkpoints": counters.checkpoints,
                "checkpoint_bytes": counters.checkpoint_bytes,
                "messages_sent": counters.messages_sent,
                "messages_received": counters.messages_received,
                "bytes_sent": counters.bytes_sent,
                "bytes_received": counters.bytes_received,
                "messages_refused": counters.messages_refused,
                "compression_ratio": None,
            },
            "queue_status": {
                "slots": self.configuration.slots,
                "running": running,
                "waiting": self.waiting_count - len(self._persisting),
                "persisting": len(self._persisting),
                "outbox_messages": self.outbox_count,
                "outbox_bytes": self.session.outbox.bytes if self.session is not None else 0,
            },
            "connection_stats": {
                "state": self.state.value,
                "mode": "session" if self._link is _Link.REGISTERED else None,
                "connected_s": connected,
                "total_connected_s": counters.time_connected + (connected or 0.0),
                "connection_attempts": tries,
                "successful_connections": counters.successes,
                "failed_connections": counters.failures,
                "disconnections": counters.disconnections,
                "reconnections": max(0, counters.successes - 1),
                "stability": counters.successes / tries if tries else 1.0,
                "rtt_s": self.round_trips.smoothed,
                "last_rtt_s": self.round_trips.last,
                "longest_rtt_s": self.round_trips.longest,
                "longest_heartbeat_delay_s": counters.longest_heartbeat_delay,
            },
        }
