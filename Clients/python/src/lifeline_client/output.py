"""What a task wrote to one stream, in a bounded amount of memory."""

from __future__ import annotations

from typing import Tuple

__all__ = ["BoundedOutput"]

_NOTE_RESERVE = 64


class BoundedOutput:
    """All of a stream, or its beginning and its end with a note of what lies between."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max(max_bytes, 4 * _NOTE_RESERVE)
        #: Written so far, kept or not.
        self.total = 0
        self._head = bytearray()
        self._tail = bytearray()

    def append(self, data: bytes) -> None:
        self.total += len(data)
        room = self.max_bytes // 2 - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        capacity = self.max_bytes - self.max_bytes // 2
        self._tail += data[-capacity:] if data else b""
        # Cutting only when twice as long makes a byte move once on average.
        if len(self._tail) > 2 * capacity:
            del self._tail[: len(self._tail) - capacity]

    def kept(self) -> Tuple[bytes, int]:
        """At most ``max_bytes``, and how many of the task's bytes are not among them."""
        if self.total <= self.max_bytes:
            return bytes(self._head + self._tail), 0
        # Text stays text: characters that the cuts go through are left out as a whole.
        first = bytes(self._head[: len(self._head) - _incomplete_suffix(self._head)])
        capacity = self.max_bytes - self.max_bytes // 2
        last = bytes(self._tail[-(capacity - _NOTE_RESERVE) :])
        skipped = 0
        while skipped < min(3, len(last)) and last[skipped] & 0xC0 == 0x80:
            skipped += 1
        last = last[skipped:]
        dropped = self.total - len(first) - len(last)
        return first + b"\n[... %d bytes left out ...]\n" % dropped + last, dropped


def _incomplete_suffix(data: bytearray) -> int:
    """How many bytes at the end begin a UTF-8 sequence that goes on beyond it."""
    for index, byte in enumerate(reversed(data[-3:])):
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return index + 1 if length > index + 1 else 0
    return 0
