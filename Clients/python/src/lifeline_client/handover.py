"""The steps of a drain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import List, Optional, Tuple


@dataclass
class Handover:
    """What a draining worker does about attempts that still run.

    ::

        drain ── timeout ──▶ checkpoints are asked for ── 1 s ──▶ asked to end ── 2 s ──▶ ended ── 1 s ──▶ leave
    """

    CHECKPOINT_GRACE = 1.0
    STOP_GRACE = 2.0
    DELIVERY_GRACE = 1.0

    steps: List[Tuple[str, float]] = field(default_factory=list)
    taken: int = 0
    #: Whether the worker still hopes to deliver what it owes, even over a new connection.
    may_deliver: bool = False
    has_asked_for_checkpoints: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the worker leaves whatever is left."""
        return bool(self.steps) and self.taken == len(self.steps) and not self.may_deliver

    @property
    def deadline(self) -> float:
        return self.steps[self.taken][1] if self.taken < len(self.steps) else math.inf

    def begin(self, now: float, timeout: Optional[float]) -> None:
        if timeout is None or self.steps:
            return
        self.may_deliver = True
        asking = now + max(0.0, timeout)
        stopping = asking + self.CHECKPOINT_GRACE
        ending = stopping + self.STOP_GRACE
        self.steps = [("ask", asking), ("stop", stopping), ("end", ending), ("leave", ending + self.DELIVERY_GRACE)]

    def next(self, now: float) -> Optional[str]:
        if now < self.deadline:
            return None
        step = self.steps[self.taken][0]
        self.taken += 1
        if step == "ask":
            self.has_asked_for_checkpoints = True
        if step == "leave":
            self.may_deliver = False
        return step

    def abandon(self) -> None:
        self.may_deliver = False
        self.steps = []
        self.taken = 0
