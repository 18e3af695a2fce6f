"""One side of a session: what it sent and has not had acknowledged, and what it handled of the other side's.

Values without sockets or clock. Both directions number their reliable messages from 1 and acknowledge cumulatively;
an acknowledgement also promises that the effects are durable.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import Deque, Iterator, List, Optional

from .protocol import MessageCodes, seal

__all__ = ["Arrival", "Entry", "Outbox", "Session"]


@dataclass(frozen=True)
class Entry:
    """A message that has its number."""

    sequence: int
    body: bytes
    #: Under which name the outbox file has it; forgotten there once it is acknowledged.
    key: Optional[str] = None


class Outbox:
    """Reliable messages that were numbered and are not yet acknowledged, in order, kept for replay."""

    def __init__(self, max_messages: int = 4096, max_bytes: int = 16 << 20) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.bytes = 0
        #: The newest number given.
        self.last_sequence = 0
        self._entries: Deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def has_room(self) -> bool:
        """Whether one more fits. An empty outbox takes a message however long it is, or it could never be sent."""
        return not self._entries or (len(self._entries) < self.max_messages and self.bytes < self.max_bytes)

    def append(self, body: bytes, key: Optional[str] = None) -> Entry:
        """Gives ``body`` the next number and keeps it."""
        self.last_sequence += 1
        entry = Entry(self.last_sequence, body, key)
        self._entries.append(entry)
        self.bytes += len(body)
        return entry

    def acknowledge(self, sequence: int) -> Optional[List[Entry]]:
        """Drops everything up to ``sequence`` and returns it; ``None`` when that was never sent."""
        if sequence > self.last_sequence:
            return None
        dropped: List[Entry] = []
        while self._entries and self._entries[0].sequence <= sequence:
            entry = self._entries.popleft()
            self.bytes -= len(entry.body)
            dropped.append(entry)
        return dropped

    def at(self, sequence: int) -> Optional[Entry]:
        """The first entry with this number or a later one; ``None`` after the last."""
        if not self._entries:
            return None
        # Numbers have no gaps.
        index = max(0, sequence - self._entries[0].sequence)
        return self._entries[index] if index < len(self._entries) else None


class Arrival(enum.Enum):
    """What a numbered message is to a session."""

    NEW = "new"
    #: Handled before: a replay after a connection was lost.
    DUPLICATE = "duplicate"
    #: Numbers are missing. One connection delivers in order, so the peer is at fault.
    GAP = "gap"


class Session:
    """The identity that survives connections."""

    def __init__(self, session_id: str, outbox: Optional[Outbox] = None) -> None:
        self.id = session_id
        self.outbox = outbox if outbox is not None else Outbox()
        #: Everything up to here was handled; nothing up to here is handled again.
        self.handled = 0
        #: What the peer was last told that we handled.
        self.announced = 0

    @property
    def owes_acknowledgement(self) -> bool:
        return self.handled > self.announced

    def arrive(self, sequence: int) -> Arrival:
        if sequence <= self.handled:
            return Arrival.DUPLICATE
        if sequence != self.handled + 1:
            return Arrival.GAP
        self.handled = sequence
        return Arrival.NEW

    def seal(self, body: bytes, sequence: Optional[int], codes: Optional[MessageCodes] = None) -> bytes:
        """Wraps a body for the wire with the newest acknowledgement, and remembers that it was told."""
        self.announced = self.handled
        return seal(body, sequence, self.handled, codes)
