"""The worker's own durable memory of what the coordinator has not acknowledged: one SQLite file."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple, Union

from .errors import OutboxError

__all__ = ["OutboxFile", "OutboxWriter"]

_logger = logging.getLogger("lifeline_client.outbox")

_SCHEMA_VERSION = 1
#: "Life" as a number: which program the file belongs to (SQLite's application_id).
_APPLICATION_ID = 0x4C696665


class OutboxFile:
    """Results and checkpoints by their names, oldest first. Not for two threads at a time.

    The file is locked while it is open, so that no two workers share one, and is durable when ``change`` returns.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # Owner-only: what tasks computed is nobody else's business.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(f"the outbox file {path} cannot be opened: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            if "locked" in str(error):
                raise OutboxError(f"the outbox file {path} is in use by another worker; give each its own") from None
            raise OutboxError(f"the outbox file {path} cannot be used: {error}") from None
        except OutboxError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA synchronous=FULL")
        run("BEGIN EXCLUSIVE")
        owner = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        is_empty = run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not is_empty and owner != _APPLICATION_ID:
            raise OutboxError(f"{self.path} is the database of another program and no outbox; it was left as it is")
        if version > _SCHEMA_VERSION:
            raise OutboxError(
                f"the outbox file {self.path} has version {version} and was made by a newer program; "
                f"this one reads up to {_SCHEMA_VERSION}. It was left as it is"
            )
        if is_empty:
            run(f"PRAGMA application_id={_APPLICATION_ID}")
            run(f"PRAGMA user_version={_SCHEMA_VERSION}")
            run("CREATE TABLE parcel (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, body BLOB NOT NULL)")
            run("CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        run("COMMIT")
        # Only now: changing the journal of another program's database would not have left it as it was.
        run("PRAGMA journal_mode=WAL")

    def fact(self, name: str) -> Optional[str]:
        """A word that the file remembers, such as the worker's id."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row is not None else None

    def remember(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def entries(self) -> List[Tuple[str, bytes]]:
        """What the coordinator has not acknowledged, oldest first."""
        rows = self._connection.execute("SELECT key, body FROM parcel ORDER BY number").fetchall()
        return [(str(key), bytes(body)) for key, body in rows]

    def change(self, changes: List[Tuple[str, Optional[bytes]]]) -> None:
        """Adds entries, or removes those without a body, in one durable transaction."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for key, body in changes:
                if body is None:
                    run("DELETE FROM parcel WHERE key = ?", (key,))
                else:
                    run("INSERT OR REPLACE INTO parcel (key, body) VALUES (?, ?)", (key, body))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()


@dataclass
class _Change:
    key: str
    body: Optional[bytes]
    done: Optional[Callable[[], None]]


class OutboxWriter:
    """A thread that writes an outbox file; whatever waits when it gets to write goes into one transaction.

    What cannot be written is tried again every second, because what is not on the disk must not be reported.
    """

    _RETRY_SECONDS = 1.0
    _MAX_BATCH = 512

    def __init__(self, file: OutboxFile) -> None:
        self._file = file
        self._changes: "queue.SimpleQueue[Union[_Change, None]]" = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lifeline outbox", daemon=True)
        self._thread.start()

    def add(self, key: str, body: bytes, done: Callable[[], None]) -> None:
        """Writes an entry and calls ``done`` on the writer's thread once it is durable."""
        self._changes.put(_Change(key, body, done))

    def remove(self, key: str) -> None:
        self._changes.put(_Change(key, None, None))

    def close(self) -> None:
        """Writes what waits, and closes the file. Blocks until that is done, or has failed."""
        self._closing.set()
        self._changes.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch: List[_Change] = []
            item = self._changes.get()
            while True:
                if item is None:
                    ended = True
                    break
                batch.append(item)
                if len(batch) == self._MAX_BATCH:
                    break
                try:
                    item = self._changes.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._write(batch)
        self._file.close()

    def _write(self, batch: List[_Change]) -> None:
        while True:
            try:
                self._file.change([(change.key, change.body) for change in batch])
                break
            except sqlite3.Error as error:
                _logger.error("the outbox file %s cannot be written: %s", self._file.path, error)
                if self._closing.is_set():
                    return
                time.sleep(self._RETRY_SECONDS)
        for change in batch:
            if change.done is not None:
                change.done()
