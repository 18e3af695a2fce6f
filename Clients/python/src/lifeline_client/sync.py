"""The client for programs without an event loop.

::

    from lifeline_client.sync import Client

    with Client("ws://127.0.0.1:8765") as client:
        ids = client.submit([{"kind": "count"}], run="nightly")
        tasks = client.wait(ids)
"""

from __future__ import annotations

import asyncio
import ssl as tls
import threading
from types import TracebackType
from typing import (
    Any,
    AsyncIterator,
    Coroutine,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
)

from . import client as asynchronous
from .auth import APIKey
from .client import Event, Logs
from .errors import ClosedError
from .protocol import JsonObject

__all__ = ["Client"]

_Result = TypeVar("_Result")


class Client:
    """As ``lifeline_client.Client``, with methods that wait. Usable from any thread.

    A thread of its own runs the event loop, so that the connection lives while its user computes.
    """

    def __init__(
        self,
        coordinator: str = "ws://localhost:8765",
        *,
        api_key: Union[str, APIKey, None] = None,
        ssl: Optional[tls.SSLContext] = None,
        patience: Optional[float] = 10.0,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lifeline client", daemon=True)
        self._is_open = False
        try:
            # On its loop: before Python 3.10 an event belongs to the loop of the thread that makes it.
            self._thread.start()
            self._client = self._call(self._make(coordinator, api_key, ssl, patience))
        except BaseException:
            self._end()
            raise

    @staticmethod
    async def _make(
        coordinator: str, api_key: Union[str, APIKey, None], ssl: Optional[tls.SSLContext], patience: Optional[float]
    ) -> asynchronous.Client:
        return asynchronous.Client(coordinator, api_key=api_key, ssl=ssl, patience=patience)

    def __enter__(self) -> "Client":
        self._call(self._client.__aenter__())
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection and ends the thread."""
        if self._is_open:
            self._is_open = False
            self._call(self._client.close())
        self._end()

    def submit(self, tasks: Sequence[Mapping[str, Any]], *, run: Optional[str] = None) -> List[str]:
        """Submits tasks, durably, and returns their ids in the same order."""
        return self._call(self._client.submit(tasks, run=run))

    def get(self, task_id: str) -> JsonObject:
        """A task with its output, checkpoints and attempts."""
        return self._call(self._client.get(task_id))

    def list(
        self,
        *,
        run: Optional[str] = None,
        statuses: Optional[Iterable[str]] = None,
        worker_id: Optional[str] = None,
        task_ids: Optional[Iterable[str]] = None,
        limit: Optional[int] = None,
    ) -> List[JsonObject]:
        """Tasks in the order of their submission; ``limit`` of them, or all."""
        return self._call(
            self._client.list(run=run, statuses=statuses, worker_id=worker_id, task_ids=task_ids, limit=limit)
        )

    def count(self, *, run: Optional[str] = None) -> Dict[str, int]:
        """How many tasks there are of each status."""
        return self._call(self._client.count(run=run))

    def workers(self, *, telemetry: bool = False) -> List[JsonObject]:
        """Every worker known."""
        return self._call(self._client.workers(telemetry=telemetry))

    def cancel(self, task_id: str) -> None:
        """Asks for a task's end."""
        self._call(self._client.cancel(task_id))

    def pause(self, task_id: str) -> None:
        self._call(self._client.pause(task_id))

    def resume(self, task_id: str) -> None:
        self._call(self._client.resume(task_id))

    def checkpoint(self, task_id: str) -> None:
        """Asks a running task for a checkpoint."""
        self._call(self._client.checkpoint(task_id))

    def retry(self, task_id: str) -> str:
        """Submits a task that has ended once more, and returns the id of the new one."""
        return self._call(self._client.retry(task_id))

    def drain(self, worker_id: str) -> None:
        """Asks a worker to leave."""
        self._call(self._client.drain(worker_id))

    def logs(self, task_id: str) -> Logs:
        """What a task wrote."""
        return self._call(self._client.logs(task_id))

    def wait(self, task_ids: Iterable[str], *, timeout: Optional[float] = None) -> List[JsonObject]:
        """Waits until all of these tasks have ended, and returns them in this order."""
        return self._call(self._client.wait(task_ids, timeout=timeout))

    def watch(
        self,
        *,
        run: Optional[str] = None,
        task_ids: Optional[Sequence[str]] = None,
        output: bool = False,
    ) -> Iterator[Event]:
        """What happens to tasks, until the iteration is left; see ``lifeline_client.Client.watch``."""
        events: AsyncIterator[Event] = self._client.watch(run=run, task_ids=task_ids, output=output)
        try:
            while True:
                yield self._call(_next(events))
        except StopAsyncIteration:
            return
        finally:
            if self._is_open:
                self._call(events.aclose())  # type: ignore[attr-defined]

    def request(self, kind: str, fields: Optional[Mapping[str, Any]] = None) -> JsonObject:
        """Sends one request of the client protocol and returns the members of its reply."""
        return self._call(self._client.request(kind, fields))

    def _call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        if not self._thread.is_alive():
            work.close()
            raise ClosedError("the client was closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _end(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if not self._loop.is_closed():
            self._loop.close()


async def _next(events: AsyncIterator[Event]) -> Event:
    return await events.__anext__()
