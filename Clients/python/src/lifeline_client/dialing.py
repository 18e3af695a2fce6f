"""Reaching whichever of several coordinators answers first, as ``rotation`` says."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, Dict, List, Optional

from .connection import ConnectFailure, Connection
from .rotation import Rotation, split_addresses

__all__ = ["Dialer"]


class Dialer:
    """Opens one connection after the other, each to one of ``coordinators``."""

    def __init__(self, coordinators: str) -> None:
        self._addresses = split_addresses(coordinators)
        self._rotation = Rotation(len(self._addresses))

    async def open(
        self, call: Callable[[str], Awaitable[Connection]], refusal_patience: Optional[float] = None
    ) -> Connection:
        """The first connection that ``call`` opens to one of the addresses; ``ConnectFailure`` when nobody lets us in.

        ``refusal_patience`` is for how long one that refuses our key is left alone.
        """
        loop = asyncio.get_running_loop()
        calls: Dict["asyncio.Future[Any]", int] = {}
        failures: Dict[int, ConnectFailure] = {}
        rotation = self._rotation
        rotation.begin(loop.time())
        try:
            while True:
                index, at = rotation.next(loop.time())
                if rotation.has_failed:
                    raise self._failure(failures, rotation.time_held_by_all(loop.time()))
                if index is not None:
                    calls[asyncio.ensure_future(call(self._addresses[index]))] = index
                    continue
                timeout = None if at is None else max(0.0, at - loop.time())
                if not calls:
                    await asyncio.sleep(timeout or 0.0)
                    continue
                done, _ = await asyncio.wait(calls, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    index = calls[task]
                    error = task.exception()
                    if error is None:
                        del calls[task]
                        rotation.opened(index)
                        return task.result()  # type: ignore[no-any-return]
                    del calls[task]
                    if not isinstance(error, ConnectFailure):
                        raise error
                    failures[index] = error
                    hint = error.retry_after
                    if hint is None and error.is_refusal:
                        hint = refusal_patience
                    rotation.failed(index, loop.time(), hint)
        finally:
            await _drop(list(calls))

    def served(self) -> None:
        """The connection is of use."""
        self._rotation.served()

    def ended(self, retry_after: Optional[float]) -> Optional[float]:
        """The connection has ended; how long to wait because nobody else could be asked sooner."""
        return self._rotation.ended(asyncio.get_running_loop().time(), retry_after)

    def _failure(self, failures: Dict[int, ConnectFailure], retry_after: Optional[float]) -> ConnectFailure:
        if len(self._addresses) == 1:
            reason = str(failures[0])
        else:
            reason = "; ".join(f"{self._addresses[index]}: {failures[index]}" for index in sorted(failures)[:4])
            reason += f"; and {len(failures) - 4} more" if len(failures) > 4 else ""
        # One that may be there soon is worth waiting for, whatever is wrong with the others.
        is_for_good = len(failures) == len(self._addresses) and all(
            failure.is_refusal or failure.is_foreign for failure in failures.values()
        )
        is_refusal = is_for_good and any(failure.is_refusal for failure in failures.values())
        return ConnectFailure(reason, retry_after, is_refusal=is_refusal, is_foreign=is_for_good and not is_refusal)


async def _drop(calls: "List[asyncio.Future[Any]]") -> None:
    """Ends what was not chosen; one may have got through in the same moment."""
    for task in calls:
        task.cancel()
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, Connection):
            await outcome.close(1000, "another coordinator was faster")
