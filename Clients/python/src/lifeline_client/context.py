"""What a task function knows of its attempt, and how it speaks to its worker."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Optional

from .errors import TaskStopped

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["BlockingTaskContext", "Task", "TaskContext"]


@dataclass(frozen=True)
class Task:
    """What is to be done, as its submitter described it."""

    id: str
    #: From 1; a later attempt has a larger number.
    attempt: int
    kind: str
    name: str
    #: What the submitter gave as the task's input.
    input: Dict[str, Any]
    #: Everything that the submitter said, as the wire has it.
    specification: Dict[str, Any]


class TaskContext:
    """For coroutine functions. Call on the worker's event loop."""

    def __init__(self, attempt: "Attempt") -> None:
        self._attempt = attempt

    @property
    def checkpoint(self) -> Any:
        """Where to go on from: the newest checkpoint of this attempt, or else of an earlier one; ``None`` without."""
        return self._attempt.newest_checkpoint

    @property
    def has_checkpoint(self) -> bool:
        """Tells a checkpoint that is ``None`` from none."""
        return self._attempt.has_checkpoint

    @property
    def is_paused(self) -> bool:
        """Whether somebody wants the task to stand still: it does in ``save`` and in ``wait_while_paused``."""
        return self._attempt.is_paused

    @property
    def is_stopping(self) -> bool:
        """Whether the attempt is to end."""
        return self._attempt.is_stopping

    async def save(self, data: Any) -> None:
        """Keeps progress that a later attempt can start from.

        Returns once it is in the worker's outbox file, and then stands still while the task is paused. ``data`` is
        anything that JSON can carry, up to 256 KiB; ``UnsuitableValueError`` is raised for the rest. In an attempt
        that was cancelled, or that another has superseded, this raises ``asyncio.CancelledError``.
        """
        if not await self._attempt.save(data):
            raise asyncio.CancelledError
        if not self._attempt.is_stopping:
            await self.wait_while_paused()

    def offer(self, data: Any) -> None:
        """Tells what a checkpoint would hold if somebody asked for one now. Costs nothing until somebody does."""
        self._attempt.offer(data)

    def progress(self, fraction: float) -> None:
        """Tells how far the task is, from 0 to 1."""
        self._attempt.progress(fraction)

    def write(self, text: "str | bytes", stream: str = "stdout") -> None:
        """Adds to the task's output, on ``stdout`` or ``stderr``, which ``lifeline logs`` shows as it comes."""
        self._attempt.write(text.encode("utf-8", "replace") if isinstance(text, str) else text, stream)

    def print(self, *values: object, stream: str = "stdout") -> None:
        """Writes the values and a line's end, as ``print`` does, to the task's output."""
        self.write(" ".join(str(value) for value in values) + "\n", stream)

    async def wait_while_paused(self) -> None:
        """Returns at once unless the task is to stand still, and otherwise when it may go on."""
        await self._attempt.wait_while_paused()


class BlockingTaskContext:
    """For ordinary functions, which run in a thread of their own. Call in that thread.

    Everything raises ``TaskStopped`` once the attempt was stopped; that ends the function like an exception that
    ``except Exception`` does not catch.
    """

    def __init__(self, attempt: "Attempt", loop: asyncio.AbstractEventLoop) -> None:
        self._attempt = attempt
        self._loop = loop
        self._lock = threading.Lock()
        self._progress: Optional[float] = None

    @property
    def checkpoint(self) -> Any:
        """Where to go on from: the newest checkpoint of this attempt, or else of an earlier one; ``None`` without."""
        return self._attempt.newest_checkpoint

    @property
    def has_checkpoint(self) -> bool:
        """Tells a checkpoint that is ``None`` from none."""
        return self._attempt.has_checkpoint

    @property
    def is_paused(self) -> bool:
        """Whether somebody wants the task to stand still: it does in ``save`` and in ``wait_while_paused``."""
        return self._attempt.is_paused

    @property
    def is_stopping(self) -> bool:
        """Whether the attempt is to end."""
        return self._attempt.is_stopping

    def save(self, data: Any) -> None:
        """Keeps progress that a later attempt can start from; see ``TaskContext.save``."""
        if not self._wait(self._attempt.save(data)):
            raise TaskStopped
        self.wait_while_paused()

    def offer(self, data: Any) -> None:
        """Tells what a checkpoint would hold if somebody asked for one now. ``data`` must not be changed afterwards."""
        self._check()
        self._attempt.offer(data)

    def progress(self, fraction: float) -> None:
        """Tells how far the task is, from 0 to 1."""
        self._check()
        with self._lock:
            is_due = self._progress is None
            self._progress = fraction
        # One call is on its way at most, however often a tight loop says how far it is.
        if is_due:
            self._post(self._tell_progress)

    def write(self, text: "str | bytes", stream: str = "stdout") -> None:
        """Adds to the task's output, on ``stdout`` or ``stderr``, which ``lifeline logs`` shows as it comes."""
        self._check()
        self._wait(self._write(text.encode("utf-8", "replace") if isinstance(text, str) else text, stream))

    def print(self, *values: object, stream: str = "stdout") -> None:
        """Writes the values and a line's end, as ``print`` does, to the task's output."""
        self.write(" ".join(str(value) for value in values) + "\n", stream)

    def wait_while_paused(self) -> None:
        """Returns at once unless the task is to stand still, and otherwise when it may go on."""
        self._check()
        if self._attempt.is_paused:
            self._wait(self._attempt.wait_while_paused())
            self._check()

    def sleep(self, seconds: float) -> None:
        """Sleeps, but ends at once when the attempt is stopped."""
        self._attempt.stopped_flag.wait(max(0.0, seconds))
        self._check()

    async def _write(self, data: bytes, stream: str) -> None:
        self._attempt.write(data, stream)

    def _tell_progress(self) -> None:
        with self._lock:
            fraction, self._progress = self._progress, None
        if fraction is not None:
            self._attempt.progress(fraction)

    def _check(self) -> None:
        if self._attempt.is_stopping:
            raise TaskStopped

    def _post(self, call: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            raise TaskStopped from None

    def _wait(self, work: Any) -> Any:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            # The worker has ended, and its loop with it.
            work.close()
            raise TaskStopped from None
        try:
            return future.result()
        except asyncio.CancelledError:
            raise TaskStopped from None
