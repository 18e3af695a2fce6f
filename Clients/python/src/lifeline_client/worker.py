"""The worker's shell: the core driven by asyncio, a WebSocket and an outbox file."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import secrets
import signal
import socket
import ssl as tls
import sys
import threading
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Set, Tuple, TypeVar, Union

from .attempt import Attempt, TaskFunction
from .auth import APIKey
from .configuration import WorkerConfiguration
from .connection import ConnectFailure, Connection, ConnectionLost, open_connection
from .core import WorkerCore
from .dialing import Dialer
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
)
from .errors import ConfigurationError, UnreachableError
from .outbox import OutboxFile, OutboxWriter
from .protocol import MAX_MESSAGE_BYTES, SESSION_SUBPROTOCOL, is_identifier, worker_path
from .rotation import split_addresses

__all__ = ["Worker"]

_logger = logging.getLogger("lifeline_client.worker")

_Function = TypeVar("_Function", bound=TaskFunction)


class Worker:
    """Runs tasks for a coordinator.

    ::

        worker = Worker("ws://127.0.0.1:8765", slots=4)

        @worker.task("count")
        async def count(task, context):
            for number in range(context.checkpoint or 0, 100):
                await context.save(number + 1)
                context.progress((number + 1) / 100)
            return {"counted_to": 100}

        worker.run()

    Parameters are keywords but for the first; times are in seconds.

    coordinator
        ``ws://HOST:PORT``, or ``wss://HOST:PORT`` with TLS; several with commas between them: whichever answers first
        is taken, and another when it is lost.
    worker_id
        1 to 128 of the characters ``A–Z a–z 0–9 . _ : @ { } -``. A worker that is to deliver after its death what it
        had not, needs an id that its next start has again; without one it makes one up, unless ``outbox`` is a file
        that remembers it.
    slots
        How many tasks run at once.
    outbox
        The file that keeps results and checkpoints until the coordinator has them. Unless given, it is a file named
        after the worker in ``$XDG_STATE_HOME/lifeline`` or ``~/.local/state/lifeline``.
    durable
        ``False`` keeps them in memory only; then a killed worker loses what it had not delivered.
    api_key
        What to prove to the coordinator, which must prove to know it too; never sent. Unless given, the environment's
        ``LIFELINE_API_KEY``.
    ssl
        How the coordinator of a ``wss`` address is verified; by the system's authorities unless given.
    labels
        What tasks may require of a worker, such as ``{"gpu": "1"}``.
    heartbeat_interval, heartbeat_timeout
        How often to say that we live, and after which silence the coordinator is taken for gone.
    reconnect_delay, max_reconnect_delay, max_reconnect_attempts
        Delays are random between zero and a bound that starts at the first and doubles up to the second; 0 attempts
        are without end.
    drain_timeout
        How long a worker that is told to leave lets tasks go on before it hands them back; ``None``: to their end.
    telemetry_interval
        How often to tell the coordinator how the worker fares; 0: when asked.
    max_waiting, outbox_messages, outbox_bytes
        How many checkpoints, results and reports may wait to be sent, and to be acknowledged, before ``save`` waits.
    """

    def __init__(
        self,
        coordinator: str = "ws://localhost:8765",
        *,
        worker_id: Optional[str] = None,
        slots: int = 1,
        outbox: Union[str, "os.PathLike[str]", None] = None,
        durable: bool = True,
        api_key: Union[str, APIKey, None] = None,
        ssl: Optional[tls.SSLContext] = None,
        labels: Optional[Mapping[str, str]] = None,
        heartbeat_interval: float = 5.0,
        heartbeat_timeout: float = 15.0,
        reconnect_delay: float = 1.0,
        max_reconnect_delay: float = 60.0,
        max_reconnect_attempts: int = 0,
        drain_timeout: Optional[float] = 25.0,
        telemetry_interval: float = 300.0,
        max_waiting: int = 1000,
        outbox_messages: int = 4096,
        outbox_bytes: int = 16 << 20,
    ) -> None:
        split_addresses(coordinator)
        if worker_id is not None and not is_identifier(worker_id):
            raise ConfigurationError(f"{worker_id!r} is no worker id: 1 to 128 of A-Z a-z 0-9 . _ : @ {{ }} -")
        if slots < 1:
            raise ConfigurationError("a worker needs at least one slot")
        if min(heartbeat_interval, heartbeat_timeout) <= 0 or min(max_waiting, outbox_messages, outbox_bytes) < 1:
            raise ConfigurationError("intervals, timeouts and bounds must be positive")
        if api_key is None:
            api_key = os.environ.get("LIFELINE_API_KEY") or None
        self.coordinator = coordinator
        self.worker_id = worker_id
        self._slots = slots
        self._outbox_path = os.fspath(outbox) if outbox is not None else None
        self._durable = durable
        self._key = APIKey(api_key) if isinstance(api_key, str) else api_key
        self._ssl = ssl
        self._labels = dict(labels or {})
        self._options: Dict[str, Any] = {
            "heartbeat_interval": heartbeat_interval,
            "heartbeat_timeout": heartbeat_timeout,
            "reconnect_delay": reconnect_delay,
            "max_reconnect_delay": max_reconnect_delay,
            "max_reconnect_attempts": max_reconnect_attempts,
            "drain_timeout": drain_timeout,
            "telemetry_interval": telemetry_interval,
            "max_waiting": max_waiting,
            "outbox_messages": outbox_messages,
            "outbox_bytes": outbox_bytes,
        }
        self._functions: Dict[str, TaskFunction] = {}
        self._running: Optional["_Running"] = None

    def task(self, kind: str) -> Callable[[_Function], _Function]:
        """Decorates the function that executes tasks of this kind.

        Coroutine functions run on the worker's event loop and are called with a ``TaskContext``; ordinary ones run in
        threads of their own and are called with a ``BlockingTaskContext``. What is returned is the task's result;
        what is raised fails it.
        """

        def register(function: _Function) -> _Function:
            self.add(kind, function)
            return function

        return register

    def add(self, kind: str, function: TaskFunction) -> None:
        """Lets ``function`` execute tasks of this kind; see ``task``."""
        if not kind or len(kind.encode("utf-8")) > 64 or kind == "command":
            raise ConfigurationError(
                f"{kind!r} is no kind of work for a function: it has 1 to 64 bytes, and commands are lifeline worker's"
            )
        if kind in self._functions:
            raise ConfigurationError(f"two functions for tasks of kind {kind}")
        self._functions[kind] = function

    def run(self) -> None:
        """Works until told to leave: SIGTERM and Ctrl-C drain, a second one stops. Blocks; call in the main thread."""
        asyncio.run(self._run_with_signals())

    async def serve(self) -> None:
        """Works on the running event loop until ``drain`` or ``stop`` was called and all is done."""
        if self._running is not None:
            raise ConfigurationError("this worker runs already")
        if not self._functions:
            raise ConfigurationError("this worker has no task function; give it one with @worker.task(KIND)")
        self._running = _Running(self)
        try:
            await self._running.run()
        finally:
            self._running = None

    def drain(self) -> None:
        """Takes no more tasks and leaves once those that run have ended, or were handed back. From any thread."""
        self._tell(lambda running: running.drain())

    def stop(self) -> None:
        """Ends what runs, and then the worker; what was not delivered stays in the outbox file. From any thread."""
        self._tell(lambda running: running.stop())

    def reconnect(self) -> None:
        """Drops the connection and connects again at once. From any thread."""
        self._tell(lambda running: running.reconnect())

    @property
    def state(self) -> ConnectionState:
        """How the worker stands with its coordinator."""
        running = self._running
        return running.core.state if running is not None else ConnectionState.SHUTDOWN

    def _tell(self, call: Callable[["_Running"], None]) -> None:
        running = self._running
        if running is not None:
            running.loop.call_soon_threadsafe(call, running)

    async def _run_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        handled: List[signal.Signals] = []
        wishes = 0

        def leave() -> None:
            nonlocal wishes
            wishes += 1
            (self.drain if wishes == 1 else self.stop)()

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, leave)
                handled.append(number)
        try:
            await self.serve()
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


class _Running:
    """One run of a worker, on one event loop. Performs the core's effects."""

    #: A key may be about to be added, and a certificate to be renewed; until then trying only costs both sides.
    ADMISSION_RETRY = 10.0

    def __init__(self, worker: Worker) -> None:
        self.loop = asyncio.get_running_loop()
        self._worker = worker
        self._functions = dict(worker._functions)
        self._file: Optional[OutboxFile] = None
        self._is_for_once = worker.worker_id is None and worker._outbox_path is None
        worker_id, restored = self._open_outbox()
        # Only once the file is ours: this thread keeps it open.
        self._writer = OutboxWriter(self._file) if self._file is not None else None
        worker.worker_id = worker_id
        self._path = worker_path(worker_id)
        self._dialer = Dialer(worker.coordinator)
        configuration = WorkerConfiguration(
            worker_id, secrets.token_hex(16), worker._slots, tuple(self._functions), worker._labels, **worker._options
        )
        self.core = WorkerCore(configuration, self._now())
        for key, body in restored:
            self.core.restored(self._now(), key, body)
        self._attempts: Dict[AttemptKey, Attempt] = {}
        self._link: Optional["asyncio.Task[None]"] = None
        #: With which words connections end that were dropped.
        self._farewells: Dict["asyncio.Task[None]", Close] = {}
        self._to_send = asyncio.Event()
        #: Close once everything was sent.
        self._flush: Optional[Close] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._saving: Dict[str, "asyncio.Future[None]"] = {}
        self._waiting_for_room: List["asyncio.Future[None]"] = []
        self._background: Set["asyncio.Task[None]"] = set()
        self._stopped = asyncio.Event()
        self._is_performing = False

    def _now(self) -> float:
        return self.loop.time()

    # MARK: The outbox file

    def _open_outbox(self) -> Tuple[str, List[Tuple[str, bytes]]]:
        worker, wanted = self._worker, self._worker.worker_id
        if not worker._durable:
            return wanted or _made_up_id(), []
        path = worker._outbox_path
        if path is None:
            wanted = wanted or _made_up_id()
            folder = _state_folder()
            os.makedirs(folder, 0o700, exist_ok=True)
            path = os.path.join(folder, f"{wanted}.outbox.sqlite")
        file = OutboxFile(path)
        try:
            remembered, restored = file.fact("worker_id"), file.entries()
            worker_id = wanted or remembered or _made_up_id()
            if restored and remembered not in (None, worker_id):
                raise ConfigurationError(
                    f"the outbox file {path} holds {len(restored)} results and checkpoints of worker {remembered}, "
                    f"which only it can deliver; start it as {remembered} once, or give {worker_id} another file"
                )
            if remembered != worker_id:
                file.remember("worker_id", worker_id)
        except BaseException:
            file.close()
            raise
        self._file = file
        return worker_id, restored

    def _close_outbox(self) -> None:
        if self._writer is not None and self._file is not None:
            is_empty = self.core.outbox_count == 0 and self.core.waiting_count == 0
            self._writer.close()
            if self._is_for_once and is_empty:
                for suffix in ("", "-wal", "-shm"):
                    try:
                        os.unlink(self._file.path + suffix)
                    except OSError:
                        pass

    # MARK: The turn

    async def run(self) -> None:
        _logger.info("worker %s starts", self.core.configuration.worker_id)
        self.core.start(self._now())
        self._after_event()
        try:
            await self._stopped.wait()
            if self._link is not None:
                # It may still have a goodbye to say.
                await asyncio.wait([self._link], timeout=3.0)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for attempt in list(self._attempts.values()):
                attempt.stopped_flag.set()
            # Threads that wait here must not do so for ever.
            for future in [*self._saving.values(), *self._waiting_for_room]:
                future.cancel()
            for task in [*self._background, *([self._link] if self._link is not None else [])]:
                task.cancel()
            await self.loop.run_in_executor(None, self._close_outbox)
        _logger.info("worker %s has ended", self.core.configuration.worker_id)
        if self.core.state is ConnectionState.FAILED:
            raise UnreachableError(
                f"no coordinator at {self._worker.coordinator} after {self.core.counters.attempts} attempts to connect"
            )

    def drain(self) -> None:
        self.core.drain(self._now())
        self._after_event()

    def stop(self) -> None:
        self.core.stop(self._now())
        self._after_event()

    def reconnect(self) -> None:
        self.core.reconnect(self._now())
        self._after_event()

    def _tick(self) -> None:
        self._timer = None
        self.core.tick(self._now())
        self._after_event()

    def _after_event(self) -> None:
        """Performs what the core wants; an effect may make another event, whose effects come after."""
        if self._is_performing:
            return
        self._is_performing = True
        try:
            while True:
                effects = self.core.take_effects()
                if not effects:
                    break
                for effect in effects:
                    self._perform(effect)
        finally:
            self._is_performing = False
        self._to_send.set()
        if self._waiting_for_room and self.core.has_room:
            waiting, self._waiting_for_room = self._waiting_for_room, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.core.next_deadline
        if deadline != float("inf") and not self._stopped.is_set():
            self._timer = self.loop.call_at(max(deadline, self._now() + 0.001), self._tick)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Connect):
            self._flush = None
            self._link = self.loop.create_task(self._connection())
        elif isinstance(effect, Close):
            if effect.flush:
                self._flush = effect
            elif self._link is not None:
                # The core has done with it, and hears nothing of how it ends.
                link, self._link = self._link, None
                self._farewells[link] = effect
                self._keep(link)
                link.cancel()
        elif isinstance(effect, Persist):
            self._persist(effect.key, effect.body)
        elif isinstance(effect, Forget):
            if self._writer is not None:
                self._writer.remove(effect.key)
        elif isinstance(effect, StartAttempt):
            self._start(effect.assignment)
        elif isinstance(effect, PauseAttempt):
            if effect.key in self._attempts:
                self._attempts[effect.key].pause()
        elif isinstance(effect, ResumeAttempt):
            if effect.key in self._attempts:
                self._attempts[effect.key].resume()
        elif isinstance(effect, StopAttempt):
            if effect.key in self._attempts:
                self._attempts[effect.key].stop(effect.reason, effect.politely)
        elif isinstance(effect, RequestCheckpoint):
            if effect.key in self._attempts:
                self._keep(self.loop.create_task(self._attempts[effect.key].request_checkpoint()))
        elif isinstance(effect, ReadTelemetry):
            report = self.core.report()
            report["metrics"]["resident_bytes"] = _resident_bytes()
            self.core.telemetry_read(self._now(), report)
        elif isinstance(effect, StateChanged):
            if effect.state is ConnectionState.CONNECTED:
                self._dialer.served()
            _logger.debug("worker %s is %s", self.core.configuration.worker_id, effect.state.value)
        elif isinstance(effect, Log):
            _logger.log(effect.level, "worker %s: %s", self.core.configuration.worker_id, effect.message)
        elif isinstance(effect, Stopped):
            self._stopped.set()

    def _keep(self, task: "asyncio.Task[None]") -> None:
        """Holds a task until it has ended; the loop itself does not."""
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # MARK: The connection

    async def _connection(self) -> None:
        """One connection from its first attempt to its end."""
        link = asyncio.current_task()
        try:
            patience = min(self.core.configuration.max_reconnect_delay, self.ADMISSION_RETRY)
            connection = await self._dialer.open(self._open, refusal_patience=patience)
        except Exception as error:
            if not isinstance(error, ConnectFailure):
                # A fault of this package, or one of websockets that it does not know; trying again may help.
                _logger.exception("the attempt to connect has failed")
                error = ConnectFailure(repr(error))
            if self._link is link:
                self._link = None
                self.core.connect_failed(self._now(), str(error), error.retry_after)
                self._after_event()
            return
        try:
            self.core.connected(self._now(), connection.secret)
            self._after_event()
            await self._carry(connection)
        except Exception as error:
            if not isinstance(error, ConnectionLost):
                _logger.exception("the connection has failed")
                error = ConnectionLost(repr(error))
            if self._link is link:
                self._link = None
                self.core.disconnected(self._now(), str(error), self._dialer.ended(error.retry_after))
                self._after_event()
        finally:
            farewell = self._farewells.pop(link, self._flush) if link is not None else None
            await _leave(connection, farewell)

    def _open(self, address: str) -> Awaitable[Connection]:
        worker = self._worker
        return open_connection(
            address,
            self._path,
            SESSION_SUBPROTOCOL,
            api_key=worker._key,
            ssl=worker._ssl,
            timeout=min(10.0, self.core.configuration.heartbeat_timeout),
            max_size=4 * MAX_MESSAGE_BYTES,
        )

    async def _carry(self, connection: Connection) -> None:
        """Sends and receives until the connection is lost, or was to be closed and everything is sent."""
        sender = self.loop.create_task(self._send(connection))
        receiver = self.loop.create_task(self._receive(connection))
        try:
            await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
            # The receiver knows best why a connection ended.
            for task in (receiver, sender):
                if task.done():
                    task.result()
        finally:
            for task in (sender, receiver):
                task.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _send(self, connection: Connection) -> None:
        while True:
            self._to_send.clear()
            data = self.core.next_message(self._now())
            if data is None:
                if self._flush is not None:
                    return
                await self._to_send.wait()
            else:
                await connection.send(data)
                # Room in the queue may let a producer go on.
                if self._waiting_for_room:
                    self._after_event()

    async def _receive(self, connection: Connection) -> None:
        while True:
            data = await connection.receive()
            self.core.received(self._now(), data)
            self._after_event()

    # MARK: Attempts

    def _start(self, assignment: Assignment) -> None:
        key, kind = assignment.key, assignment.specification.get("kind")
        function = self._functions.get(kind) if isinstance(kind, str) else None
        if function is None:
            reason = f"this worker cannot execute work of kind {kind if kind is not None else 'command'}"
            self.attempt_ended(key, Ending("failed", reason))
            return
        attempt = Attempt(assignment, function, self)
        self._attempts[key] = attempt
        attempt.start()

    def attempt_started(self, key: AttemptKey) -> None:
        self.core.attempt_started(self._now(), key)
        self._after_event()

    def attempt_paused(self, key: AttemptKey) -> None:
        self.core.attempt_paused(self._now(), key)
        self._after_event()

    def attempt_resumed(self, key: AttemptKey) -> None:
        self.core.attempt_resumed(self._now(), key)
        self._after_event()

    def attempt_progressed(self, key: AttemptKey, progress: float) -> None:
        self.core.attempt_progressed(self._now(), key, progress)
        self._after_event()

    def attempt_wrote(self, key: AttemptKey, stream: str, offset: int, data: bytes) -> None:
        self.core.attempt_wrote(self._now(), key, stream, offset, data)
        self._after_event()

    def attempt_ended(self, key: AttemptKey, ending: Ending) -> None:
        self._attempts.pop(key, None)
        self.core.attempt_ended(self._now(), key, ending)
        self._after_event()

    async def attempt_checkpointed(self, key: AttemptKey, data: Any, *, wait: bool) -> bool:
        while wait and not self.core.has_room and key in self._attempts:
            future: "asyncio.Future[None]" = self.loop.create_future()
            self._waiting_for_room.append(future)
            await future
        name = self.core.attempt_checkpointed(self._now(), key, data)
        if name is None:
            self._after_event()
            return False
        saved: "asyncio.Future[None]" = self.loop.create_future()
        self._saving[name] = saved
        self._after_event()
        # Shielded, for a cancelled attempt must not take the future from under the writer.
        await asyncio.shield(saved)
        return True

    def _persist(self, key: str, body: bytes) -> None:
        if self._writer is None:
            self.loop.call_soon(self._persisted, key)
            return
        loop, persisted = self.loop, self._persisted

        def done() -> None:
            try:
                loop.call_soon_threadsafe(persisted, key)
            except RuntimeError:
                pass  # The worker has ended; the next start finds it in the file.

        self._writer.add(key, body, done)

    def _persisted(self, key: str) -> None:
        _logger.debug("worker %s: %s is in the outbox", self.core.configuration.worker_id, key)
        saved = self._saving.pop(key, None)
        if saved is not None and not saved.done():
            saved.set_result(None)
        self.core.persisted(self._now(), key)
        self._after_event()


async def _leave(connection: Connection, farewell: Optional[Close]) -> None:
    if farewell is not None:
        await connection.close(farewell.code, farewell.reason)
    else:
        await connection.close(1001, "the worker leaves this connection")


def _made_up_id() -> str:
    host = "".join(character for character in socket.gethostname() if is_identifier(character))[:64]
    return f"{host or 'worker'}-py-{secrets.token_hex(4)}"


def _state_folder() -> str:
    state = os.environ.get("XDG_STATE_HOME", "")
    base = state if os.path.isabs(state) else os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "lifeline")


def _resident_bytes() -> int:
    """The most this process ever had in memory; what it has now is not to be had everywhere."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
