"""One run of a task function."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import traceback
from typing import Any, Awaitable, Callable, Dict, Optional, Protocol, Union

from .context import BlockingTaskContext, Task, TaskContext
from .effects import Assignment, AttemptKey, Ending, StopReason
from .errors import TaskStopped, UnsuitableValueError
from .output import BoundedOutput
from .protocol import MAX_OUTPUT_BYTES

__all__ = ["Attempt", "AttemptOwner", "TaskFunction"]

_logger = logging.getLogger("lifeline_client.worker")

#: ``async def f(task, context)``, or ``def f(task, context)`` that runs in a thread.
TaskFunction = Union[Callable[[Task, TaskContext], Awaitable[Any]], Callable[[Task, BlockingTaskContext], Any]]


class AttemptOwner(Protocol):
    """What an attempt tells its worker."""

    def attempt_started(self, key: AttemptKey) -> None: ...

    def attempt_paused(self, key: AttemptKey) -> None: ...

    def attempt_resumed(self, key: AttemptKey) -> None: ...

    def attempt_progressed(self, key: AttemptKey, progress: float) -> None: ...

    def attempt_wrote(self, key: AttemptKey, stream: str, offset: int, data: bytes) -> None: ...

    def attempt_ended(self, key: AttemptKey, ending: Ending) -> None: ...

    async def attempt_checkpointed(self, key: AttemptKey, data: Any, *, wait: bool) -> bool: ...


class Attempt:
    """Runs a function, tells its worker what becomes of it, and ends exactly once.

    A coroutine function is cancelled to stop it. A thread cannot be: it is told at its next word to the context, and
    given up after a grace; what it says then goes nowhere.
    """

    CANCELLATION_GRACE = 10.0
    HARD_GRACE = 0.5
    FLUSH_BYTES = 32 << 10
    FLUSH_SECONDS = 0.05

    def __init__(self, assignment: Assignment, function: TaskFunction, owner: AttemptOwner) -> None:
        specification = assignment.specification
        given = specification.get("input")
        kind = str(specification.get("kind", ""))
        self.key = assignment.key
        self.task = Task(
            assignment.key.task_id,
            assignment.key.attempt,
            kind,
            str(specification.get("name", kind)),
            given if isinstance(given, dict) else {},
            specification,
        )
        self.newest_checkpoint = assignment.checkpoint
        self.has_checkpoint = assignment.has_checkpoint
        self.is_paused = False
        self.stopped_flag = threading.Event()
        self._function = function
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        timeout = specification.get("timeout_s")
        self._timeout = float(timeout) if isinstance(timeout, (int, float)) else None
        self._timers: Dict[str, asyncio.TimerHandle] = {}
        self._run: Optional["asyncio.Task[None]"] = None
        self._stop_reason: Optional[StopReason] = None
        self._has_timed_out = False
        self._has_ended = False
        self._stands_still = False
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._offered: Any = None
        self._has_offer = False
        self._output = {"stdout": BoundedOutput(MAX_OUTPUT_BYTES), "stderr": BoundedOutput(MAX_OUTPUT_BYTES)}
        self._unsent = {"stdout": bytearray(), "stderr": bytearray()}

    @property
    def is_stopping(self) -> bool:
        return self.stopped_flag.is_set()

    def start(self) -> None:
        if self._timeout is not None:
            self._after("timeout", self._timeout, self._timed_out)
        self._owner.attempt_started(self.key)
        if _is_coroutine_function(self._function):
            self._run = self._loop.create_task(self._run_coroutine())
        else:
            # A thread of its own and not a pool's: one that never ends must not take another task's place, nor keep
            # the process from ending.
            threading.Thread(target=self._run_thread, name=f"task {self.key}", daemon=True).start()

    # MARK: What the worker wants

    def pause(self) -> None:
        if self._has_ended or self.is_paused:
            return
        self.is_paused = True
        self._stands_still = False
        self._may_go_on.clear()

    def resume(self) -> None:
        if self._has_ended or not self.is_paused:
            return
        self.is_paused = False
        self._may_go_on.set()
        self._owner.attempt_resumed(self.key)

    def stop(self, reason: StopReason, politely: bool) -> None:
        if self._has_ended:
            return
        self._stop_reason = self._stop_reason or reason
        self._cancel(self.CANCELLATION_GRACE if politely else self.HARD_GRACE)

    async def request_checkpoint(self) -> None:
        """Saves what was offered, if anything was."""
        if self._has_ended or not self._has_offer:
            return
        data = self._offered
        try:
            if await self._owner.attempt_checkpointed(self.key, data, wait=False):
                self.newest_checkpoint, self.has_checkpoint = data, True
        except UnsuitableValueError as error:
            _logger.warning("attempt %s offers what is no checkpoint: %s", self.key, error)

    # MARK: What the function says

    async def save(self, data: Any) -> bool:
        """Whether the checkpoint was taken; it is in the outbox file then."""
        if self._has_ended or not await self._owner.attempt_checkpointed(self.key, data, wait=True):
            return False
        self.newest_checkpoint, self.has_checkpoint = data, True
        return True

    def offer(self, data: Any) -> None:
        self._offered, self._has_offer = data, True

    def progress(self, fraction: float) -> None:
        # NaN compares with nothing, and is no progress.
        if not self._has_ended:
            self._owner.attempt_progressed(self.key, min(1.0, fraction) if fraction >= 0 else 0.0)

    def write(self, data: bytes, stream: str) -> None:
        if stream not in self._output:
            raise ValueError(f"{stream} is neither stdout nor stderr")
        if self._has_ended:
            return
        self._output[stream].append(data)
        self._unsent[stream] += data
        if len(self._unsent[stream]) >= self.FLUSH_BYTES:
            self._flush()
        elif "flush" not in self._timers:
            self._after("flush", self.FLUSH_SECONDS, self._flush)

    async def wait_while_paused(self) -> None:
        while self.is_paused and not self.is_stopping:
            if not self._stands_still:
                self._stands_still = True
                self._owner.attempt_paused(self.key)
            await self._may_go_on.wait()

    # MARK: Inside

    def _after(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        old = self._timers.pop(name, None)
        if old is not None:
            old.cancel()
        self._timers[name] = self._loop.call_later(seconds, call)

    def _flush(self) -> None:
        timer = self._timers.pop("flush", None)
        if timer is not None:
            timer.cancel()
        for stream, unsent in self._unsent.items():
            offset = self._output[stream].total - len(unsent)
            for start in range(0, len(unsent), self.FLUSH_BYTES):
                piece = bytes(unsent[start : start + self.FLUSH_BYTES])
                self._owner.attempt_wrote(self.key, stream, offset + start, piece)
            unsent.clear()

    def _timed_out(self) -> None:
        self._has_timed_out = True
        self._cancel(self.CANCELLATION_GRACE)

    def _cancel(self, grace: float) -> None:
        self.stopped_flag.set()
        self._may_go_on.set()
        if self._run is not None:
            self._run.cancel()
        timer = self._timers.get("grace")
        if timer is None or timer.when() > self._loop.time() + grace:
            self._after("grace", grace, self._given_up)

    def _given_up(self) -> None:
        _logger.warning("attempt %s did not end when it was asked to; it is left to itself", self.key)
        self._ended(Ending("failed", "it did not end when it was asked to"))

    async def _run_coroutine(self) -> None:
        try:
            result = await self._function(self.task, TaskContext(self))  # type: ignore[arg-type]
            ending = Ending("completed", result=result)
        except asyncio.CancelledError:
            ending = Ending("failed", "the task cancelled itself")
        except Exception as error:
            ending = self._failure(error)
        self._ended(ending)

    def _run_thread(self) -> None:
        try:
            result = self._function(self.task, BlockingTaskContext(self, self._loop))  # type: ignore[arg-type]
            ending = Ending("completed", result=result)
        except TaskStopped:
            ending = Ending("failed", "the task cancelled itself")
        except BaseException as error:
            ending = self._failure(error)
        try:
            self._loop.call_soon_threadsafe(self._ended, ending)
        except RuntimeError:
            pass  # The worker has ended, and its loop with it.

    def _failure(self, error: BaseException) -> Ending:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
        return Ending("failed", text or type(error).__name__, stderr="".join(lines).encode("utf-8", "replace"))

    def _ended(self, ending: Ending) -> None:
        if self._has_ended:
            return
        self._flush()
        self._has_ended = True
        # A thread that was given up learns it at its next word.
        self.stopped_flag.set()
        self._may_go_on.set()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        # Finished is finished, even when it was asked to stop meanwhile.
        if ending.outcome != "completed":
            if self._has_timed_out:
                ending = Ending("failed", f"timed out after {self._timeout:g} s", stderr=ending.stderr)
            elif self._stop_reason is not None:
                ending = Ending("cancelled", self._stop_reason.value)
        if ending.stderr:
            self._output["stderr"].append(ending.stderr)
        ending.stdout, dropped = self._output["stdout"].kept()
        ending.stderr, also_dropped = self._output["stderr"].kept()
        ending.dropped_bytes = dropped + also_dropped
        self._owner.attempt_ended(self.key, ending)


def _is_coroutine_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))
