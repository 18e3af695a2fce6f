"""Real processes for the tests: a coordinator, a proxy, workers of either language."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import unittest
from contextlib import asynccontextmanager, suppress
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Sequence

from lifeline_client import Client, Worker

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(os.path.dirname(HERE), "src")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
LIFELINE = os.environ.get("LIFELINE") or os.path.join(ROOT, ".build", "debug", "lifeline")

#: Everything that is waited for comes sooner, or the test has failed.
PATIENCE = float(os.environ.get("PATIENCE", 45))


class Process:
    """A program whose lines can be waited for. ``errors`` gets what it writes to standard error."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.name = name
        self._process = process
        self.lines: List[str] = []
        self._news = asyncio.Condition()
        self._readers = [
            asyncio.ensure_future(self._read(stream)) for stream in (process.stdout, process.stderr) if stream
        ]

    @classmethod
    async def start(cls, *arguments: str, env: Optional[Dict[str, str]] = None) -> "Process":
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**clean_environment(), **(env or {})},
            limit=1 << 24,
        )
        return cls(process, os.path.basename(arguments[0]) + " " + " ".join(arguments[1:3]))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while True:
            line = await stream.readline()
            if not line:
                break
            async with self._news:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, part: str, after: int = 0) -> str:
        """The first line that holds ``part``, once it comes."""

        def found() -> Optional[str]:
            return next((line for line in self.lines[after:] if part in line), None)

        async def look() -> str:
            async with self._news:
                while True:
                    line = found()
                    if line is not None:
                        return line
                    if all(reader.done() for reader in self._readers):
                        raise AssertionError(f"{self.name} ended without {part!r}:\n" + "\n".join(self.lines[-30:]))
                    await self._news.wait()

        try:
            return await asyncio.wait_for(look(), PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.name} never said {part!r}:\n" + "\n".join(self.lines[-30:])) from None

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        status = await asyncio.wait_for(self._process.wait(), PATIENCE)
        await asyncio.gather(*self._readers)
        return status


class Proxy:
    """``lifeline proxy`` in front of a coordinator."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    async def order(self, command: str) -> Dict[str, Any]:
        """Breaks or heals something, and returns once that is done."""
        after = len(self.process.lines)
        self.process.say(command)
        answer = json.loads(await self.process.line("{", after))
        assert "error" not in answer, answer
        return dict(answer)


def clean_environment() -> Dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LIFELINE_")}


def program(name: str) -> str:
    return os.path.join(HERE, name)


@unittest.skipUnless(os.access(LIFELINE, os.X_OK), f"{LIFELINE} is not there; build it, or name it with LIFELINE")
class FleetTestCase(unittest.IsolatedAsyncioTestCase):
    """A test with a folder and processes of its own, which are all gone afterwards."""

    async def asyncSetUp(self) -> None:
        # Its debug mode is for programs that are looked into; it makes everything several times slower.
        asyncio.get_running_loop().set_debug(False)
        self._folder = tempfile.TemporaryDirectory(prefix="lifeline-python-")
        self.folder = self._folder.name
        self._processes: List[Process] = []
        self._workers: List["asyncio.Task[None]"] = []
        self.url = ""
        self._coordinator_arguments: List[str] = []

    async def asyncTearDown(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for process in self._processes:
            await process.kill()
        self._folder.cleanup()

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    async def start(self, *arguments: str, env: Optional[Dict[str, str]] = None) -> Process:
        process = await Process.start(*arguments, env=env)
        self._processes.append(process)
        return process

    async def lifeline(self, *arguments: str, env: Optional[Dict[str, str]] = None) -> str:
        """Runs a command to its end and returns its standard output."""
        process = await asyncio.create_subprocess_exec(
            LIFELINE,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**clean_environment(), **(env or {})},
        )
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
        self.assertEqual(process.returncode, 0, errors.decode())
        return output.decode()

    async def coordinator(self, *arguments: str, port: int = 0) -> Process:
        """Starts a coordinator on the test's store; at the port that it had, when it is started again."""
        if arguments:
            self._coordinator_arguments = list(arguments)
        if self.url and not port:
            port = int(self.url.rsplit(":", 1)[1])
        process = await self.start(
            LIFELINE, "coordinator", "--port", str(port), "--store", self.path("store.db"), *self._coordinator_arguments
        )
        line = await process.line("listening on ws")
        self.url = line[line.index("ws") :].split()[0]
        return process

    async def proxy(self, *arguments: str) -> Proxy:
        process = await self.start(LIFELINE, "proxy", "--to", self.url[len("ws://") :], *arguments)
        line = await process.line("listening on ")
        return Proxy(process, "ws://" + line.split("listening on ", 1)[1].split()[0])

    def serve(self, worker: Worker) -> "asyncio.Task[None]":
        """Runs a worker on the test's own event loop."""
        task = asyncio.ensure_future(worker.serve())
        self._workers.append(task)
        return task

    def make_worker(self, url: Optional[str] = None, **options: Any) -> Worker:
        options.setdefault("worker_id", "py")
        options.setdefault("outbox", self.path(f"{options['worker_id']}.outbox"))
        options.setdefault("reconnect_delay", 0.1)
        options.setdefault("max_reconnect_delay", 1.0)
        return Worker(url or self.url, **options)

    async def worker_process(
        self, url: str, name: str, *arguments: str, env: Optional[Dict[str, str]] = None
    ) -> Process:
        """``worker_program.py`` as a process of its own."""
        return await self.start(
            sys.executable,
            program("worker_program.py"),
            url,
            name,
            self.path(f"{name}.outbox"),
            *arguments,
            env={"PYTHONPATH": SOURCES, **(env or {})},
        )

    async def swift_worker(self, url: str, name: str, *arguments: str) -> Process:
        return await self.start(
            LIFELINE, "worker", "--coordinator", url, "--worker-id", name, "--state-dir", self.folder, *arguments
        )

    @asynccontextmanager
    async def client(self, url: Optional[str] = None, **options: Any) -> AsyncIterator[Client]:
        async with Client(url or self.url, **options) as client:
            yield client

    async def until(
        self, client: Client, task_id: str, holds: Callable[[Dict[str, Any]], bool], what: str = "what was expected"
    ) -> Dict[str, Any]:
        """The task as it is when something holds for it, once it does."""

        async def look() -> Dict[str, Any]:
            async for event in client.watch(task_ids=[task_id]):
                task = (await client.list(task_ids=[task_id]))[0] if event.kind == "established" else event.task
                if holds(task):
                    return task
            raise AssertionError

        try:
            return await asyncio.wait_for(look(), PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError(f"{what} did not come: {await client.get(task_id)}") from None

    async def wait(self, client: Client, ids: Sequence[str], timeout: float = PATIENCE) -> List[Dict[str, Any]]:
        try:
            return await client.wait(ids, timeout=timeout)
        except asyncio.TimeoutError:
            tasks = [task for task in await client.list(task_ids=ids) if task["status"] not in ("completed", "failed")]
            raise AssertionError(f"not ended: {tasks}") from None


async def happens(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENCE)


async def soon(work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, PATIENCE)
