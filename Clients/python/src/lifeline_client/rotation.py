"""Which of several coordinators is called next, and when: random order with the pacing of Happy Eyeballs (RFC 8305 §5).

A value without a clock: times are seconds on any monotonic clock and come in as arguments. The same rules as
``EndpointRotation`` of the Swift sources, which says why they are so.
"""

from __future__ import annotations

import random
from typing import List, Optional, Tuple

from .auth import split_address
from .errors import ConfigurationError
from .pacing import Backoff

__all__ = ["Rotation", "split_addresses"]

MAX_ADDRESSES = 64


def split_addresses(text: str) -> List[str]:
    """The addresses of a list with commas between them; all speak TLS or none does, and none is there twice."""
    addresses: List[str] = []
    places: List[str] = []
    for part in text.split(","):
        address = part.strip(" ")
        if not address and text:
            raise ConfigurationError(f"the address {text} is wrong: between two commas, or beside one, is no address")
        place = split_address(address, "/")[0].lower()
        if place in places:
            raise ConfigurationError(f"the address {address} is wrong: it is in the list twice")
        if places and place.split(":")[0] != places[0].split(":")[0]:
            raise ConfigurationError(
                f"the address {address} is wrong: {addresses[0]} is in the same list; use ws:// for all or wss:// for all"
            )
        addresses.append(address)
        places.append(place)
    if len(addresses) > MAX_ADDRESSES:
        raise ConfigurationError(f"the list of addresses is wrong: it has more than {MAX_ADDRESSES}")
    return addresses


class _Endpoint:
    def __init__(self) -> None:
        self.is_dialled = False
        #: Within this round.
        self.failures = 0
        self.due = 0.0
        #: It asked to be left alone until then.
        self.held_until = float("-inf")


class Rotation:
    """Endpoints are known by their index. Ask ``next`` until it gives nobody to dial."""

    PACING = 0.25
    LONGEST_HOLD = 300.0
    FIRST_RETRY = 1.0
    LAST_RETRY = 8.0

    def __init__(self, count: int, generator: Optional[random.Random] = None) -> None:
        self._random = generator if generator is not None else random.Random()
        self._endpoints = [_Endpoint() for _ in range(count)]
        self._order = list(range(count))
        self._newest_dial = float("-inf")
        self._retries = Backoff(self.FIRST_RETRY, self.LAST_RETRY, generator=self._random)
        self._current: Optional[int] = None
        self._has_served = False
        #: Whether the round has failed.
        self.has_failed = False

    def begin(self, now: float) -> None:
        """A new round."""
        self._random.shuffle(self._order)
        if self._current is not None:
            # First where the session may still be, last who had no use for us.
            self._order.remove(self._current)
            self._order.insert(0 if self._has_served else len(self._order), self._current)
        self._newest_dial = float("-inf")
        self._retries.reset()
        self.has_failed = False
        are_all_held = all(endpoint.held_until > now for endpoint in self._endpoints)
        for endpoint in self._endpoints:
            endpoint.is_dialled, endpoint.failures = False, 0
            endpoint.due = now if are_all_held else max(now, endpoint.held_until)

    def next(self, now: float) -> Tuple[Optional[int], Optional[float]]:
        """Whom to dial now, or when to ask again; neither: once somebody dialled has failed, or the round has."""
        waiting = [index for index in self._order if not self._endpoints[index].is_dialled]
        untried = [index for index in waiting if self._endpoints[index].failures == 0]
        if len(waiting) == len(self._order) and not any(self._endpoints[index].due <= now for index in untried):
            self.has_failed = True
            return None, None
        paced = self._newest_dial + self.PACING
        tried = [index for index in waiting if self._endpoints[index].failures > 0]
        for index in untried + tried:
            if self._endpoints[index].due <= now:
                if paced > now:
                    return None, paced
                self._endpoints[index].is_dialled = True
                self._newest_dial = now
                return index, None
        if not waiting:
            return None, None
        return None, min(max(paced, self._endpoints[index].due) for index in waiting)

    def failed(self, index: int, now: float, retry_after: Optional[float]) -> None:
        """A dialled one did not let us in."""
        endpoint = self._endpoints[index]
        endpoint.is_dialled = False
        endpoint.failures += 1
        endpoint.due = now + (self._retries.next_delay() or 0.0)
        self._newest_dial = float("-inf")
        if retry_after is not None:
            self._hold(endpoint, retry_after, now)
        if self._current == index:
            self._current = None

    def opened(self, index: int) -> None:
        """A dialled one let us in; the others are dropped."""
        self._current, self._has_served = index, False

    def served(self) -> None:
        """The connection is of use."""
        self._has_served = True

    def ended(self, now: float, retry_after: Optional[float]) -> Optional[float]:
        """The connection has ended; how long to wait because nobody else could be asked sooner."""
        if retry_after is None or self._current is None:
            return None
        self._hold(self._endpoints[self._current], retry_after, now)
        return self.time_held_by_all(now)

    def time_held_by_all(self, now: float) -> Optional[float]:
        """How long everybody asked to be left alone, if all of them did."""
        first = min(endpoint.held_until for endpoint in self._endpoints)
        return first - now if first > now else None

    def _hold(self, endpoint: _Endpoint, time: float, now: float) -> None:
        endpoint.held_until = now + max(0.0, min(time, self.LONGEST_HOLD))
        endpoint.due = max(endpoint.due, endpoint.held_until)
