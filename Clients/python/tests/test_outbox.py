"""The outbox file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest

from lifeline_client import ConfigurationError, OutboxError, Worker
from lifeline_client.outbox import OutboxFile, OutboxWriter

from .fleet import SOURCES


class OutboxTests(unittest.TestCase):
    def setUp(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lifeline-python-")
        self.addCleanup(self._folder.cleanup)
        self.path = os.path.join(self._folder.name, "outbox")

    def test_entries_come_back_in_order_until_they_are_removed(self) -> None:
        file = OutboxFile(self.path)
        file.remember("worker_id", "w")
        file.change([("a", b"1"), ("b", b"2"), ("c", b"\x00\xff")])
        file.change([("b", None), ("a", b"3")])
        file.close()
        file = OutboxFile(self.path)
        self.assertEqual(file.entries(), [("c", b"\x00\xff"), ("a", b"3")])
        self.assertEqual(file.fact("worker_id"), "w")
        self.assertIsNone(file.fact("other"))
        file.close()
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_two_workers_cannot_share_a_file(self) -> None:
        file = OutboxFile(self.path)
        with self.assertRaisesRegex(OutboxError, "in use by another worker"):
            OutboxFile(self.path)
        file.close()
        OutboxFile(self.path).close()

    def test_a_file_of_another_program_or_a_newer_version_is_left_as_it_is(self) -> None:
        with sqlite3.connect(self.path) as other:
            other.execute("CREATE TABLE thing (x)")
        other.close()
        with open(self.path, "rb") as before:
            bytes_before = before.read()
        with self.assertRaisesRegex(OutboxError, "another program"):
            OutboxFile(self.path)
        with open(self.path, "rb") as after:
            self.assertEqual(after.read(), bytes_before)
        os.unlink(self.path)
        OutboxFile(self.path).close()
        with sqlite3.connect(self.path) as newer:
            newer.execute("PRAGMA user_version=2")
        newer.close()
        with self.assertRaisesRegex(OutboxError, "newer program"):
            OutboxFile(self.path)
        with open(self.path, "wb") as nonsense:
            nonsense.write(b"nonsense" * 1000)
        with self.assertRaises(OutboxError):
            OutboxFile(self.path)
        with self.assertRaises(OutboxError):
            OutboxFile(os.path.join(self.path, "below-a-file"))

    def test_what_was_told_to_be_durable_outlives_kill_9(self) -> None:
        program = (
            "import os, signal, sys\n"
            "from lifeline_client.outbox import OutboxFile, OutboxWriter\n"
            "writer = OutboxWriter(OutboxFile(sys.argv[1]))\n"
            "def done(): os.kill(os.getpid(), signal.SIGKILL)\n"
            "writer.add('t/1/1', b'old', lambda: None)\n"
            "writer.remove('t/1/1')\n"
            "writer.add('t/1/result', b'{}', done)\n"
            "import threading; threading.Event().wait(30)\n"
        )
        environment = {**os.environ, "PYTHONPATH": SOURCES}
        ended = subprocess.run([sys.executable, "-c", program, self.path], env=environment, timeout=60)
        self.assertEqual(ended.returncode, -9)
        file = OutboxFile(self.path)
        self.assertEqual(file.entries(), [("t/1/result", b"{}")])
        file.close()

    def test_the_writer_tells_in_order_and_closes_with_everything_written(self) -> None:
        told = []
        all_told = threading.Event()

        def tell(name: str) -> None:
            told.append(name)
            if len(told) == 300:
                all_told.set()

        writer = OutboxWriter(OutboxFile(self.path))
        for number in range(300):
            writer.add(str(number), b"x", lambda name=str(number): tell(name))  # type: ignore[misc]
        for number in range(0, 300, 2):
            writer.remove(str(number))
        self.assertTrue(all_told.wait(30))
        writer.close()
        self.assertEqual(told, [str(number) for number in range(300)])
        file = OutboxFile(self.path)
        self.assertEqual([key for key, _ in file.entries()], [str(number) for number in range(1, 300, 2)])
        file.close()


class ConfigurationTests(unittest.IsolatedAsyncioTestCase):
    async def test_what_cannot_work_is_said_at_once(self) -> None:
        for address, options in (
            ("http://h", {}),
            ("ws://h:1", {"worker_id": "a b"}),
            ("ws://h:1", {"slots": 0}),
            ("ws://h:1", {"heartbeat_interval": 0}),
            ("ws://h:1", {"api_key": "short"}),
        ):
            with self.assertRaises(ConfigurationError):
                Worker(address, **options)
        worker = Worker("ws://127.0.0.1:9", durable=False)
        with self.assertRaisesRegex(ConfigurationError, "no task function"):
            await worker.serve()

        async def work(task: object, context: object) -> None:
            return None

        worker.add("x", work)
        for kind in ("x", "", "command", "x" * 65):
            with self.assertRaises(ConfigurationError):
                worker.add(kind, work)

    async def test_an_outbox_with_another_workers_results_is_left_to_that_worker(self) -> None:
        with tempfile.TemporaryDirectory(prefix="lifeline-python-") as folder:
            path = os.path.join(folder, "outbox")
            file = OutboxFile(path)
            file.remember("worker_id", "first")
            file.change([("t/1/result", b"{}")])
            file.close()
            worker = Worker("ws://127.0.0.1:9", worker_id="second", outbox=path)

            async def work(task: object, context: object) -> None:
                return None

            worker.add("x", work)
            with self.assertRaisesRegex(ConfigurationError, "of worker first"):
                await worker.serve()
            OutboxFile(path).close()


if __name__ == "__main__":
    unittest.main()
