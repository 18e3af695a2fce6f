"""A client of the coordinator, speaking ``lifeline.client.v1``."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import ssl as tls
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Dict, Iterable, List, Mapping, Optional, Sequence, Type, Union

from .auth import APIKey
from .connection import ConnectFailure, Connection, ConnectionLost, open_connection
from .dialing import Dialer
from .errors import (
    ClosedError,
    LifelineError,
    NotAdmittedError,
    ProtocolError,
    RequestError,
    UnreachableError,
    UnsuitableValueError,
)
from .pacing import Backoff
from .protocol import (
    CLIENT_PATH,
    CLIENT_SUBPROTOCOL,
    MAX_MESSAGE_BYTES,
    JsonObject,
    decode_json,
    encode_json,
    take_bytes,
    text_field,
)

__all__ = ["Client", "Event", "Logs", "ENDED"]

_logger = logging.getLogger("lifeline_client.client")

#: The statuses of a task that will not change again.
ENDED = frozenset(("completed", "failed", "cancelled"))


@dataclass(frozen=True)
class Event:
    """What a watch tells.

    ``established``: the watch stands, for the first time or again after a connection was lost; what happened before is
    only seen by listing now. ``task``: ``task`` is a task as it is now. ``output``: ``data`` was written.
    """

    kind: str
    task_id: str = ""
    task: JsonObject = field(default_factory=dict)
    attempt: int = 0
    stream: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class Logs:
    """A task's output: that of its newest attempt that wrote any."""

    stdout: bytes
    stderr: bytes
    #: How many bytes of the task's are not among these.
    dropped_bytes: int


@dataclass
class _Pending:
    text: bytes
    answer: "asyncio.Future[JsonObject]"
    is_sent: bool = False


class _Watch:
    """One iterator over events. A bounded number waits; whoever reads too slowly starts over."""

    MAX_WAITING = 10_000

    def __init__(self, run: Optional[str], task_ids: Optional[List[str]], wants_output: bool) -> None:
        self.fields: JsonObject = {"output": wants_output}
        if run is not None:
            self.fields["run"] = run
        if task_ids is not None:
            self.fields["task_ids"] = task_ids
        self.events: "asyncio.Queue[Union[Event, LifelineError]]" = asyncio.Queue()
        #: The newest request for it; an older one's answer means nothing.
        self.number = 0

    def tell(self, event: Union[Event, LifelineError]) -> bool:
        """Whether there was room for it."""
        if self.events.qsize() >= self.MAX_WAITING and isinstance(event, Event):
            return False
        self.events.put_nowait(event)
        return True


class Client:
    """Submits, watches and controls tasks.

    ::

        async with Client("ws://127.0.0.1:8765") as client:
            ids = await client.submit([{"kind": "count", "input": {}}], run="nightly")
            for task in await client.wait(ids):
                logging.info("%s: %s", task["task_id"], task["status"])

    It connects by itself, again and again, asks once more whatever was not answered, and takes up its watch again.
    Every request may thus reach the coordinator twice; all are made so that the second time changes nothing.

    ``coordinator`` may be several addresses with commas between them: whichever answers first is taken, and another when
    it is lost. ``patience`` is how long requests wait, in seconds, while no coordinator answers; ``None``: for ever. The others
    are as for ``Worker``.
    """

    BACKOFF_BASE = 0.1
    BACKOFF_CAP = 2.0
    #: As many requests are worked on at once; the coordinator would leave more unread.
    MAX_IN_FLIGHT = 64
    MAX_TASKS_PER_SUBMIT = 1000
    #: Answers are larger than requests: a task with its output, a page of tasks.
    MAX_ANSWER_BYTES = 64 << 20
    PING_SECONDS = 10.0

    def __init__(
        self,
        coordinator: str = "ws://localhost:8765",
        *,
        api_key: Union[str, APIKey, None] = None,
        ssl: Optional[tls.SSLContext] = None,
        patience: Optional[float] = 10.0,
    ) -> None:
        self._dialer = Dialer(coordinator)
        if api_key is None:
            api_key = os.environ.get("LIFELINE_API_KEY") or None
        self.coordinator = coordinator
        self._key = APIKey(api_key) if isinstance(api_key, str) else api_key
        self._ssl = ssl
        self._patience = patience
        self._pending: Dict[int, _Pending] = {}
        self._last_request = 0
        self._connection: Optional[Connection] = None
        self._watch: Optional[_Watch] = None
        self._backoff = Backoff(self.BACKOFF_BASE, self.BACKOFF_CAP, useful_session=1.0)
        #: Since when no coordinator has answered; ``None`` while one does.
        self._outage_began: Optional[float] = None
        self._worker: Optional["asyncio.Task[None]"] = None
        #: Made on the loop that the client is used on.
        self._to_send: asyncio.Event
        self._failure: Optional[LifelineError] = None

    async def __aenter__(self) -> "Client":
        self._to_send = asyncio.Event()
        self._outage_began = asyncio.get_running_loop().time()
        self._worker = asyncio.get_running_loop().create_task(self._run_until_closed())
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; requests without an answer fail with ``ClosedError``."""
        self._fail(ClosedError("the client was closed before the answer came"))
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None

    # MARK: Tasks

    async def submit(
        self,
        tasks: Sequence[Mapping[str, Any]],
        *,
        run: Optional[str] = None,
    ) -> List[str]:
        """Submits tasks, durably, and returns their ids in the same order.

        A task is ``{"kind": "count", "input": {…}}`` for a function, or ``{"command": ["sh", "-c", "…"]}``, and may
        have ``task_id``, ``name``, ``priority``, ``timeout_s``, ``retries``, ``env`` and ``cwd``. Those without a
        ``task_id`` are given one here, so that submitting again after a lost answer changes nothing. ``run`` is what
        they are watched, listed and counted by together.
        """
        named: List[JsonObject] = []
        for task in tasks:
            specification = dict(task)
            specification.setdefault("task_id", secrets.token_hex(16))
            if run is not None:
                specification.setdefault("run", run)
            named.append(specification)
        ids: List[str] = []
        for batch in _batches(named, self.MAX_TASKS_PER_SUBMIT, MAX_MESSAGE_BYTES - 1024):
            reply = await self.request("submit", {"tasks": batch})
            ids += [str(task_id) for task_id in reply.get("task_ids", [])]
        return ids

    async def get(self, task_id: str) -> JsonObject:
        """A task with its output, checkpoints and attempts; ``RequestError`` with ``not_found`` when there is none."""
        reply = await self.request("get_task", {"task_id": task_id})
        return _object(reply, "task")

    async def list(
        self,
        *,
        run: Optional[str] = None,
        statuses: Optional[Iterable[str]] = None,
        worker_id: Optional[str] = None,
        task_ids: Optional[Iterable[str]] = None,
        limit: Optional[int] = None,
    ) -> List[JsonObject]:
        """Tasks in the order of their submission; ``limit`` of them, or all."""
        fields: JsonObject = {}
        if run is not None:
            fields["run"] = run
        if statuses is not None:
            fields["statuses"] = [*statuses]
        if worker_id is not None:
            fields["worker_id"] = worker_id
        if task_ids is not None:
            ids = [*task_ids]
            found: List[JsonObject] = []
            for start in range(0, len(ids), 1000):
                reply = await self.request("list_tasks", {**fields, "task_ids": ids[start : start + 1000]})
                found += _objects(reply, "tasks")
            return found if limit is None else found[:limit]
        tasks: List[JsonObject] = []
        while limit is None or len(tasks) < limit:
            page = 1000 if limit is None else min(1000, limit - len(tasks))
            reply = await self.request("list_tasks", {**fields, "limit": page})
            got = _objects(reply, "tasks")
            tasks += got
            if len(got) < page:
                break
            fields["after"] = got[-1]["task_id"]
        return tasks

    async def count(self, *, run: Optional[str] = None) -> Dict[str, int]:
        """How many tasks there are of each status."""
        reply = await self.request("count_tasks", {} if run is None else {"run": run})
        return {str(status): int(number) for status, number in _object(reply, "counts").items()}

    async def workers(self, *, telemetry: bool = False) -> List[JsonObject]:
        """Every worker known, with what it last said about itself where that is asked for."""
        return _objects(await self.request("list_workers", {"telemetry": telemetry}), "workers")

    async def cancel(self, task_id: str) -> None:
        """Asks for a task's end. It has ended once its status says so."""
        await self.request("cancel_task", {"task_id": task_id})

    async def pause(self, task_id: str) -> None:
        await self.request("pause_task", {"task_id": task_id})

    async def resume(self, task_id: str) -> None:
        await self.request("resume_task", {"task_id": task_id})

    async def checkpoint(self, task_id: str) -> None:
        """Asks a running task for a checkpoint; those that offered one save it."""
        await self.request("checkpoint_task", {"task_id": task_id})

    async def retry(self, task_id: str) -> str:
        """Submits a task that has ended once more, and returns the id of the new one: ``ID.2``, then ``ID.3``."""
        reply = await self.request("retry_task", {"task_id": task_id})
        return text_field(reply, "task_id")

    async def drain(self, worker_id: str) -> None:
        """Asks a worker to leave, as it does after SIGTERM."""
        await self.request("drain_worker", {"worker_id": worker_id})

    async def logs(self, task_id: str) -> Logs:
        """What a task wrote, so far or at all."""
        task = await self.get(task_id)
        return Logs(
            take_bytes(task, "stdout") or b"", take_bytes(task, "stderr") or b"", int(task.get("dropped_bytes") or 0)
        )

    async def wait(self, task_ids: Iterable[str], *, timeout: Optional[float] = None) -> List[JsonObject]:
        """Waits until all of these tasks have ended, and returns them in this order.

        Raises ``asyncio.TimeoutError`` after ``timeout`` seconds. Uses the client's watch.
        """
        ids = [*task_ids]
        return await asyncio.wait_for(self._wait(ids), timeout)

    async def _wait(self, ids: List[str]) -> List[JsonObject]:
        ended: Dict[str, JsonObject] = {}
        missing = set(ids)
        if not missing:
            return []
        # The coordinator takes a thousand names for a watch; more are picked out of everything here.
        events = self.watch(task_ids=ids if len(missing) <= 1000 else None)
        try:
            async for event in events:
                if event.kind == "established":
                    found = {str(task["task_id"]): task for task in await self.list(task_ids=missing)}
                    unknown = sorted(missing - found.keys())
                    if unknown:
                        raise RequestError("not_found", f"there is no task {unknown[0]}")
                    changed = list(found.values())
                else:
                    changed = [event.task]
                for task in changed:
                    task_id = str(task.get("task_id"))
                    if task_id in missing and task.get("status") in ENDED:
                        ended[task_id] = task
                        missing.discard(task_id)
                if not missing:
                    break
        finally:
            await events.aclose()  # type: ignore[attr-defined]
        return [ended[task_id] for task_id in ids]

    async def watch(
        self,
        *,
        run: Optional[str] = None,
        task_ids: Optional[Sequence[str]] = None,
        output: bool = False,
    ) -> AsyncIterator[Event]:
        """What happens to the tasks of a run, to these tasks, or to all, until the iteration is left.

        The first event is ``established``, and it comes again after each reconnection; list then, for what happened
        meanwhile is not told. A client has one watch at a time.
        """
        if self._watch is not None:
            raise LifelineError("this client watches already; one client has one watch")
        self._check()
        watch = _Watch(run, [*task_ids] if task_ids is not None else None, output)
        self._watch = watch
        if self._connection is not None:
            self._establish(watch)
        try:
            while True:
                event = await watch.events.get()
                if isinstance(event, LifelineError):
                    raise event
                yield event
        finally:
            if self._watch is watch:
                self._watch = None
            self._pending.pop(watch.number, None)

    async def request(self, kind: str, fields: Optional[Mapping[str, Any]] = None) -> JsonObject:
        """Sends one request of the client protocol and returns the members of its reply.

        Raises ``RequestError`` for what the coordinator answers with an error.
        """
        self._check()
        number, pending = self._ask(kind, fields or {})
        try:
            return await pending.answer
        finally:
            self._pending.pop(number, None)

    # MARK: Inside

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._worker is None:
            raise ClosedError("the client is not open; use it as `async with Client(…) as client`")

    def _ask(self, kind: str, fields: Mapping[str, Any]) -> "tuple[int, _Pending]":
        self._last_request += 1
        number = self._last_request
        text = encode_json({"type": kind, "request_id": number, **fields})
        if len(text) > MAX_MESSAGE_BYTES:
            raise UnsuitableValueError(
                f"the request has {len(text)} bytes; the coordinator takes at most {MAX_MESSAGE_BYTES}"
            )
        pending = _Pending(text, asyncio.get_running_loop().create_future())
        self._pending[number] = pending
        self._to_send.set()
        return number, pending

    def _establish(self, watch: _Watch) -> None:
        # A watch belongs to its connection, so one that was asked for over an earlier connection is not asked again.
        self._pending.pop(watch.number, None)
        watch.number, pending = self._ask("watch", watch.fields)

        def answered(answer: "asyncio.Future[JsonObject]") -> None:
            self._pending.pop(watch.number, None)
            if answer.cancelled():
                return
            error = answer.exception()
            if error is None:
                watch.tell(Event("established"))
            elif isinstance(error, LifelineError):
                watch.tell(error)

        pending.answer.add_done_callback(answered)

    def _fail(self, error: LifelineError) -> None:
        """Ends everything for good."""
        if self._failure is None:
            self._failure = error
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(error)
        self._pending.clear()
        if self._watch is not None:
            self._watch.tell(error)

    async def _run_until_closed(self) -> None:
        try:
            await self._run()
        except Exception as error:
            # A fault of this package. Whoever waits for an answer must not wait for ever.
            _logger.exception("the client has failed")
            self._fail(LifelineError(f"the client has failed: {error!r}"))

    async def _run(self) -> None:
        """Connects for as long as the client is open."""
        loop = asyncio.get_running_loop()
        while self._failure is None:
            hint: Optional[float] = None
            try:
                connection = await self._dialer.open(self._open)
            except ConnectFailure as error:
                if error.is_refusal:
                    return self._fail(NotAdmittedError(f"no way in to {self.coordinator}: {error}"))
                if error.is_foreign:
                    return self._fail(NotAdmittedError(f"{self.coordinator} is no Lifeline coordinator: {error}"))
                hint, cause = error.retry_after, str(error)
            else:
                opened = loop.time()
                try:
                    cause = await self._carry(connection)
                except ConnectionLost as lost:
                    hint, cause = self._dialer.ended(lost.retry_after), str(lost)
                except ProtocolError as wrong:
                    cause = str(wrong)
                finally:
                    self._connection = None
                    await connection.close()
                self._backoff.session_lasted(loop.time() - opened)
                # One that accepts connections and drops them at once does not answer.
                if loop.time() - opened >= self._backoff.useful_session:
                    self._outage_began = None
            if self._outage_began is None:
                self._outage_began = loop.time()
            _logger.info("the coordinator at %s is away: %s", self.coordinator, cause)
            for pending in self._pending.values():
                pending.is_sent = False
            if hint is not None:
                self._backoff.server_asked(hint)
            delay = self._backoff.next_delay() or 0.0
            if self._patience is not None:
                left = self._outage_began + self._patience - loop.time()
                if left <= 0:
                    text = f"no coordinator answered at {self.coordinator} for {self._patience:g} s: {cause}"
                    return self._fail(UnreachableError(text))
                delay = min(delay, left)
            await asyncio.sleep(delay)

    def _open(self, address: str) -> Awaitable[Connection]:
        return open_connection(
            address,
            CLIENT_PATH,
            CLIENT_SUBPROTOCOL,
            api_key=self._key,
            ssl=self._ssl,
            timeout=10.0,
            max_size=self.MAX_ANSWER_BYTES,
            ping_interval=self.PING_SECONDS,
        )

    async def _carry(self, connection: Connection) -> str:
        self._connection = connection
        # The watch first, so that nothing that a request brings about is missed.
        if self._watch is not None:
            self._establish(self._watch)
            newest = self._pending.pop(self._watch.number)
            self._pending = {self._watch.number: newest, **self._pending}
        self._to_send.set()
        loop = asyncio.get_running_loop()
        sender = loop.create_task(self._send(connection))
        receiver = loop.create_task(self._receive(connection))
        try:
            await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
            for task in (receiver, sender):
                if task.done():
                    task.result()
        finally:
            for task in (sender, receiver):
                task.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)
        return "the connection ended"

    async def _send(self, connection: Connection) -> None:
        while True:
            self._to_send.clear()
            in_flight = sum(1 for pending in self._pending.values() if pending.is_sent)
            for pending in list(self._pending.values()):
                if in_flight >= self.MAX_IN_FLIGHT:
                    break
                if not pending.is_sent:
                    pending.is_sent = True
                    in_flight += 1
                    await connection.send(pending.text)
            await self._to_send.wait()

    async def _receive(self, connection: Connection) -> None:
        while True:
            message = decode_json(await connection.receive())
            if not isinstance(message, dict):
                raise ProtocolError("an answer is a JSON object")
            self._outage_began = None
            self._dialer.served()
            kind = message.get("type")
            if kind == "reply":
                self._answered(message)
            elif kind == "error":
                self._refused(message)
            elif kind in ("task_changed", "task_output"):
                self._tell(_event(kind, message))

    def _answered(self, message: JsonObject) -> None:
        pending = self._pending.pop(message.get("request_id", 0), None)
        if pending is not None and not pending.answer.done():
            pending.answer.set_result(message)
        self._to_send.set()

    def _refused(self, message: JsonObject) -> None:
        number = message.get("request_id", 0)
        code, text = str(message.get("code", "")), str(message.get("message", "unknown error"))
        pending = self._pending.get(number)
        if pending is not None and code == "unavailable" and self._patience is None:
            # The store is busy or being repaired; whoever waits for ever for a connection waits for it too.
            asyncio.get_running_loop().call_later(1.0, self._ask_again, pending)
            return
        self._pending.pop(number, None)
        if pending is not None and not pending.answer.done():
            pending.answer.set_exception(RequestError(code, text))
        self._to_send.set()

    def _ask_again(self, pending: _Pending) -> None:
        pending.is_sent = False
        self._to_send.set()

    def _tell(self, event: Event) -> None:
        watch = self._watch
        if watch is not None and not watch.tell(event):
            # Too slow for what comes: all that waits is thrown away, and the reader starts over with a list.
            _logger.warning("events are read too slowly; the watch starts over")
            while not watch.events.empty():
                watch.events.get_nowait()
            self._establish(watch)


def _event(kind: str, message: JsonObject) -> Event:
    if kind == "task_changed":
        task = _object(message, "task")
        return Event("task", str(task.get("task_id", "")), task, attempt=int(task.get("attempt") or 0))
    return Event(
        "output",
        str(message.get("task_id", "")),
        attempt=int(message.get("attempt") or 0),
        stream=str(message.get("stream", "")),
        offset=int(message.get("offset") or 0),
        data=take_bytes(message, "data") or b"",
    )


def _object(message: JsonObject, name: str) -> JsonObject:
    value = message.get(name)
    if not isinstance(value, dict):
        raise ProtocolError(f"the answer has no object {name}")
    return value


def _objects(message: JsonObject, name: str) -> List[JsonObject]:
    value = message.get(name)
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise ProtocolError(f"the answer has no objects {name}")
    return value


def _batches(tasks: List[JsonObject], max_count: int, max_bytes: int) -> Iterable[List[JsonObject]]:
    """The tasks in parts that fit into one request each."""
    batch: List[JsonObject] = []
    size = 0
    for task in tasks:
        length = len(encode_json(task)) + 1
        if batch and (len(batch) == max_count or size + length > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += length
    if batch:
        yield batch
