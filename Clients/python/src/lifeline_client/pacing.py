"""When to try again, how long an answer takes, and when silence means that the peer is gone.

Values without a clock: times are seconds on any monotonic clock and come in as arguments.
"""

from __future__ import annotations

import math
import random
from collections import deque
from statistics import NormalDist
from typing import Deque, Optional

__all__ = ["Backoff", "FailureDetector", "RoundTrips"]


class Backoff:
    """Exponential growth with full jitter: each delay is uniform in [0, min(cap, base·2ⁿ)].

    The count of failures starts over when a session was useful, not when a socket opened: a peer that accepts and
    drops us at once must not be called every ``base``.
    """

    LONGEST_SERVER_DELAY = 300.0

    def __init__(
        self,
        base: float = 1.0,
        cap: float = 60.0,
        useful_session: float = 5.0,
        max_attempts: int = 0,
        generator: Optional[random.Random] = None,
    ) -> None:
        self.base = base
        self.cap = cap
        self.useful_session = useful_session
        self.max_attempts = max_attempts
        self.failures = 0
        self._server_delay = 0.0
        self._random = generator if generator is not None else random.Random()

    def next_delay(self, at_most: float = math.inf) -> Optional[float]:
        """Counts a failure; how long to wait before the next attempt, or ``None`` when none is left.

        ``at_most`` is another upper bound of the random part. Bounding what is drawn keeps it spread; cutting what
        was drawn would gather those above the bound in one moment.
        """
        if self.max_attempts and self.failures >= self.max_attempts:
            return None
        ceiling = min(self.cap, self.base * 2.0 ** min(self.failures, 64), max(0.0, at_most))
        delay = self._server_delay + self._random.uniform(0.0, ceiling)
        self._server_delay = 0.0
        self.failures += 1
        return delay

    def server_asked(self, delay: float) -> None:
        """The server asked not to be called again for this long; counts once."""
        self._server_delay = max(0.0, min(delay, self.LONGEST_SERVER_DELAY))

    def session_lasted(self, seconds: float) -> None:
        if seconds >= self.useful_session:
            self.reset()

    def reset(self) -> None:
        self.failures = 0
        self._server_delay = 0.0


class RoundTrips:
    """The smoothed round-trip time of RFC 6298 §2."""

    def __init__(self) -> None:
        self.smoothed: Optional[float] = None
        self.variation = 0.0
        self.last: Optional[float] = None
        self.longest = 0.0

    def measured(self, sample: float) -> None:
        sample = max(0.0, sample)
        self.last = sample
        self.longest = max(self.longest, sample)
        if self.smoothed is None:
            self.smoothed, self.variation = sample, sample / 2
        else:
            self.variation = self.variation * 3 / 4 + abs(self.smoothed - sample) / 4
            self.smoothed = self.smoothed * 7 / 8 + sample / 8


class FailureDetector:
    """The phi-accrual detector of Hayashibara et al. (2004) with φ = 8, one wrong suspicion in 10⁸ gaps.

    Silence shorter than ``minimum`` is never suspect and silence of ``maximum`` always is, whatever was learnt.
    """

    _DEVIATIONS = -NormalDist().inv_cdf(1e-8)

    def __init__(self, minimum: float, maximum: float, expected_gap: float, now: float, window: int = 100) -> None:
        self.maximum = maximum
        self.minimum = min(minimum, maximum)
        self._last = now
        gap = min(expected_gap, maximum)
        # Two made-up gaps; real ones push them out.
        self._gaps: Deque[float] = deque((gap * 0.75, gap * 1.25), maxlen=window)
        #: The silence that φ calls suspect; ``None`` until it is asked for again.
        self._learnt: Optional[float] = None

    def heard(self, now: float) -> None:
        """Something arrived. A gap across an outage is cut, or it would blind the detector for a whole window."""
        self._gaps.append(min(max(now - self._last, 0.0), self.maximum))
        self._last = max(now, self._last)
        self._learnt = None

    def resumed(self, now: float) -> None:
        """The peer is back after a disconnection; the gap is not learnt."""
        self._last = max(now, self._last)

    @property
    def suspect_at(self) -> float:
        """When the peer becomes suspect if nothing more arrives."""
        if self._learnt is None:
            mean = sum(self._gaps) / len(self._gaps)
            deviation = math.sqrt(sum((gap - mean) ** 2 for gap in self._gaps) / len(self._gaps))
            self._learnt = mean + self._DEVIATIONS * max(deviation, 0.05)
        return self._last + min(max(self._learnt, self.minimum), self.maximum)
