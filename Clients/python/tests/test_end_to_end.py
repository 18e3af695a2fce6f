"""A worker and a client against the real coordinator, with faults by the real proxy."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import ssl
import sys
import textwrap
import time
import unittest
from typing import Any, Dict, List, Set, Tuple

from lifeline_client import (
    BlockingTaskContext,
    Client,
    ClosedError,
    ConnectionState,
    NotAdmittedError,
    RequestError,
    Task,
    TaskContext,
    UnreachableError,
)
from lifeline_client.sync import Client as BlockingClient

from .fleet import HERE, LIFELINE, PATIENCE, SOURCES, FleetTestCase, Process, happens, soon


async def do_nothing(task: Task, context: TaskContext) -> Any:
    return None


class WorkTests(FleetTestCase):
    async def test_coroutines_and_threads_do_work_and_tell_of_it(self) -> None:
        await self.coordinator()
        worker = self.make_worker(slots=2)

        @worker.task("coroutine")
        async def coroutine(task: Task, context: TaskContext) -> Any:
            context.progress(0.5)
            context.print("hello", task.input["name"])
            context.print("trouble", stream="stderr")
            await context.save({"half": True})
            return {"id": task.id, "attempt": task.attempt}

        @worker.task("thread")
        def thread(task: Task, context: BlockingTaskContext) -> Any:
            context.write("é" * 3)
            context.save(1)
            context.progress(2)
            context.save([context.checkpoint, 2])
            return context.checkpoint

        self.serve(worker)
        async with self.client() as client:
            ids = await client.submit(
                [{"kind": "coroutine", "input": {"name": "you"}}, {"kind": "thread"}, {"kind": "thread"}], run="r"
            )
            first, second, third = await self.wait(client, ids)
            self.assertEqual(first["status"], "completed")
            self.assertEqual(first["result"], {"id": ids[0], "attempt": 1})
            self.assertEqual(second["result"], [1, 2])
            self.assertEqual(third["status"], "completed")
            logs = await client.logs(ids[0])
            self.assertEqual((logs.stdout, logs.stderr, logs.dropped_bytes), (b"hello you\n", b"trouble\n", 0))
            detail = await client.get(ids[1])
            self.assertEqual([point["data"] for point in detail["checkpoints"]], [1, [1, 2]])
            self.assertEqual(detail["stdout"], "ééé")
            self.assertEqual((await client.count(run="r"))["completed"], 3)
            self.assertEqual([task["task_id"] for task in await client.list(run="r", limit=2)], ids[:2])

    async def test_what_a_function_raises_or_cannot_return_fails_its_task(self) -> None:
        await self.coordinator()
        worker = self.make_worker(slots=4)

        @worker.task("raise")
        async def raising(task: Task, context: TaskContext) -> Any:
            raise ValueError("no good")

        @worker.task("thread-raise")
        def thread_raising(task: Task, context: BlockingTaskContext) -> Any:
            context.print("before")
            raise KeyError("no key")

        @worker.task("unsuitable")
        async def unsuitable(task: Task, context: TaskContext) -> Any:
            return {"when": float("inf")}

        @worker.task("large")
        async def large(task: Task, context: TaskContext) -> Any:
            context.write(b"\xff" * 1_000_000)
            return "x" * 300_000

        @worker.task("endless")
        async def endless(task: Task, context: TaskContext) -> Any:
            await asyncio.Event().wait()

        self.serve(worker)
        async with self.client() as client:
            kinds = ["raise", "thread-raise", "unsuitable", "large"]
            tasks: List[Dict[str, Any]] = [{"kind": kind} for kind in kinds]
            ids = await client.submit(tasks + [{"kind": "endless", "timeout_s": 0.2}])
            ended = await self.wait(client, ids)
            self.assertEqual([task["status"] for task in ended], ["failed"] * 5)
            for task, words in zip(
                ended, ["ValueError: no good", "KeyError: 'no key'", "inf", "300002 bytes", "timed out after 0.2 s"]
            ):
                self.assertIn(words, task["reason"])
            logs = await client.logs(ids[1])
            self.assertEqual(logs.stdout, b"before\n")
            self.assertIn(b"thread_raising", logs.stderr)
            logs = await client.logs(ids[3])
            # Nothing of it may be refused by the coordinator as a bomb: it would come again for ever.
            self.assertGreater(logs.dropped_bytes, 800_000)
            self.assertLessEqual(len(logs.stdout), 192 << 10)

    async def test_cancel_pause_and_resume_reach_coroutines_and_threads(self) -> None:
        await self.coordinator()
        worker = self.make_worker(slots=2)
        steps: Dict[str, int] = {}
        ended: Set[str] = set()

        @worker.task("coroutine")
        async def coroutine(task: Task, context: TaskContext) -> Any:
            try:
                while True:
                    steps[task.id] = steps.get(task.id, 0) + 1
                    await context.save(steps[task.id])
                    await asyncio.sleep(0.01)
            finally:
                ended.add(task.id)

        @worker.task("thread")
        def thread(task: Task, context: BlockingTaskContext) -> Any:
            try:
                while True:
                    steps[task.id] = steps.get(task.id, 0) + 1
                    context.save(steps[task.id])
                    context.sleep(0.01)
            finally:
                ended.add(task.id)

        self.serve(worker)
        async with self.client() as client:
            ids = await client.submit([{"kind": "coroutine"}, {"kind": "thread"}])
            for task_id in ids:
                await self.until(client, task_id, lambda task: task["status"] == "running")
                await client.pause(task_id)
                await self.until(client, task_id, lambda task: task["status"] == "paused")
            standing = dict(steps)
            # Nothing happens while both stand still, for as long as a round trip takes.
            await client.count()
            self.assertEqual(steps, standing)
            for task_id in ids:
                await client.resume(task_id)
                await self.until(client, task_id, lambda task: task["status"] == "running")
                await client.cancel(task_id)
            for task in await self.wait(client, ids):
                self.assertEqual((task["status"], task["attempt"]), ("cancelled", 1))
            self.assertEqual(ended, set(ids))
            with self.assertRaises(RequestError) as refusal:
                await client.cancel(ids[0])
            self.assertEqual(refusal.exception.code, "refused")
            with self.assertRaises(RequestError) as missing:
                await client.get("nobody")
            self.assertEqual(missing.exception.code, "not_found")

    async def test_a_checkpoint_that_is_asked_for_is_what_was_offered(self) -> None:
        await self.coordinator()
        worker = self.make_worker()
        offered, may_end = asyncio.Event(), asyncio.Event()

        @worker.task("offer")
        async def offer(task: Task, context: TaskContext) -> Any:
            context.offer({"at": 7})
            offered.set()
            await may_end.wait()
            return context.checkpoint

        self.serve(worker)
        async with self.client() as client:
            [task_id] = await client.submit([{"kind": "offer"}])
            await happens(offered)
            await client.checkpoint(task_id)

            async def look() -> None:
                while not (await client.get(task_id))["checkpoints"]:
                    pass

            await soon(look())
            may_end.set()
            [task] = await self.wait(client, [task_id])
            self.assertEqual(task["result"], {"at": 7})

    async def test_telemetry_is_told_when_it_is_asked_for(self) -> None:
        await self.coordinator()
        worker = self.make_worker(slots=3, heartbeat_interval=0.05)

        @worker.task("x")
        async def x(task: Task, context: TaskContext) -> Any:
            return None

        self.serve(worker)
        async with self.client() as client:
            await self.wait(client, await client.submit([{"kind": "x"}]))

            async def look() -> Dict[str, Any]:
                while True:
                    await client.request("request_telemetry")
                    [known] = await client.workers(telemetry=True)
                    if known["telemetry"] is not None and known["rtt_s"] is not None:
                        return known

            known = await soon(look())
            self.assertEqual(known["kinds"], ["x"])
            self.assertEqual(known["telemetry"]["metrics"]["tasks_completed"], 1)
            self.assertEqual(known["telemetry"]["queue_status"]["slots"], 3)
            self.assertEqual(known["telemetry"]["connection_stats"]["state"], "connected")

    async def test_a_task_is_tried_again_and_a_worker_drained_on_request(self) -> None:
        await self.coordinator()
        worker = self.make_worker()

        @worker.task("once")
        async def once(task: Task, context: TaskContext) -> Any:
            return task.id

        serving = self.serve(worker)
        async with self.client() as client:
            [task_id] = await client.submit([{"kind": "once"}])
            await self.wait(client, [task_id])
            try:
                again = await client.retry(task_id)
            except RequestError as error:
                if error.code == "bad_request":
                    self.skipTest("this coordinator knows neither request")
                raise
            self.assertNotEqual(again, task_id)
            [task] = await self.wait(client, [again])
            self.assertEqual((task["status"], task["result"]), ("completed", again))
            await client.drain("py")
            await soon(serving)
            self.assertEqual(worker.state, ConnectionState.SHUTDOWN)


class FaultTests(FleetTestCase):
    async def test_a_task_goes_on_under_its_attempt_through_cuts_and_nothing_happens_twice(self) -> None:
        await self.coordinator()
        proxy = await self.proxy()
        worker = self.make_worker(proxy.url)
        runs: List[Tuple[str, int]] = []
        reached: "asyncio.Queue[int]" = asyncio.Queue()
        may_end = asyncio.Event()

        @worker.task("count")
        async def count(task: Task, context: TaskContext) -> Any:
            runs.append((task.id, task.attempt))
            for number in range(context.checkpoint or 0, 40):
                await context.save(number + 1)
                reached.put_nowait(number + 1)
                await asyncio.sleep(0.01)
                if number == 30:
                    await may_end.wait()
            return {"counted_to": 40}

        async def registered(times: int) -> None:
            while worker._running is None or worker._running.core.counters.successes < times:
                await asyncio.sleep(0.01)

        self.serve(worker)
        async with self.client() as client:
            [task_id] = await client.submit([{"kind": "count"}])
            for cut, stop in enumerate((5, 15, 25)):
                await soon(registered(cut + 1))
                while await soon(reached.get()) < stop:
                    pass
                # In the middle of what is on its way, both ways.
                await proxy.order("cut up after=100")
                await proxy.order("cut")
            await soon(registered(4))
            may_end.set()
            [task] = await self.wait(client, [task_id])
            self.assertEqual((task["status"], task["attempt"], task["result"]), ("completed", 1, {"counted_to": 40}))
            self.assertEqual(runs, [(task_id, 1)])
            self.assertEqual(len((await client.get(task_id))["attempts"]), 1)
            [known] = await client.workers()
            self.assertGreaterEqual(known["reconnections"], 3)
            self.assertEqual(known["refused_writes"], 0)

    async def test_corrupted_bytes_end_the_connection_and_are_replayed(self) -> None:
        await self.coordinator()
        proxy = await self.proxy("--seed", "11", "--disruption-interval", "3600")
        worker = self.make_worker(proxy.url, slots=8)
        runs: List[str] = []

        @worker.task("work")
        async def work(task: Task, context: TaskContext) -> Any:
            runs.append(task.id)
            for number in range(5):
                await context.save(number)
            return {"text": "x" * 200}

        self.serve(worker)
        async with self.client() as client:
            await proxy.order("both corrupt=4000")
            ids = await client.submit([{"kind": "work"} for _ in range(60)])
            await self.until(client, ids[20], lambda task: task["status"] == "completed")
            await proxy.order("heal")
            tasks = await self.wait(client, ids)
            self.assertEqual({task["status"] for task in tasks}, {"completed"})
            self.assertEqual({task["attempt"] for task in tasks}, {1})
            self.assertEqual(sorted(runs), sorted(ids))
            [known] = await client.workers()
            self.assertGreater(known["reconnections"], 0, "no byte that mattered was changed; take a higher rate")

    async def test_a_result_on_disk_outlives_kill_9_and_is_delivered_once(self) -> None:
        await self.coordinator("--closed-grace", "60s")
        proxy = await self.proxy()
        journal = self.path("journal")
        worker = await self.worker_process(proxy.url, "mortal", journal)
        async with self.client() as client:
            [first] = await self.wait(client, await client.submit([{"kind": "instant"}]))
            # Whatever the worker says from here on never arrives; it hears of the task all the same.
            await proxy.order("up drop")
            [task_id] = await client.submit([{"kind": "instant"}])
            await worker.line(f"{task_id}/1/result is in the outbox")
            await worker.kill()
            await proxy.order("cut")
            await proxy.order("heal")
            self.assertNotEqual((await client.get(task_id))["status"], "completed")
            again = await self.worker_process(proxy.url, "mortal", journal)
            [task] = await self.wait(client, [task_id])
            self.assertEqual((task["status"], task["attempt"], task["result"]), ("completed", 1, {"id": task_id}))
            again.signal(signal.SIGTERM)
            self.assertEqual(await again.ended(), 0)
            with open(journal, encoding="utf-8") as lines:
                self.assertEqual(lines.read().splitlines(), [f"ran {first['task_id']} 1", f"ran {task_id} 1"])
            # Its outbox is empty: a third start has nothing to say.
            third = await self.worker_process(proxy.url, "mortal", journal)
            await third.line("registered: session")
            [known] = [known for known in await client.workers() if known["state"] == "connected"]
            self.assertEqual(known["refused_writes"], 0)

    async def test_a_coordinator_that_was_killed_finds_everything_again(self) -> None:
        coordinator = await self.coordinator("--closed-grace", "30s")
        worker = self.make_worker(slots=2)
        runs: List[str] = []
        begun, may_end = asyncio.Event(), asyncio.Event()

        @worker.task("long")
        async def long(task: Task, context: TaskContext) -> Any:
            runs.append(task.id)
            await context.save("before")
            begun.set()
            await may_end.wait()
            await context.save("after")
            return "done"

        self.serve(worker)
        async with self.client(patience=PATIENCE) as client:
            ids = await client.submit([{"kind": "long"}, {"kind": "long"}])
            await happens(begun)
            await coordinator.kill()
            # One ends while nobody hears of it.
            may_end.set()
            await self.coordinator()
            tasks = await self.wait(client, ids)
            self.assertEqual([(task["status"], task["attempt"]) for task in tasks], [("completed", 1)] * 2)
            self.assertEqual(sorted(runs), sorted(ids))
            self.assertEqual(worker.state, ConnectionState.CONNECTED)

    async def test_a_coordinator_that_says_when_to_come_back_is_heeded(self) -> None:
        coordinator = await self.coordinator("--closed-grace", "30s", "--max-connections", "2")
        worker, refused = self.make_worker(), self.make_worker(worker_id="refused")
        begun, may_end = asyncio.Event(), asyncio.Event()

        @worker.task("long")
        async def long(task: Task, context: TaskContext) -> Any:
            begun.set()
            await may_end.wait()
            return "done"

        refused.add("other", do_nothing)
        with self.assertLogs("lifeline_client.worker", "INFO") as logs:
            self.serve(worker)
            async with self.client(patience=PATIENCE) as client:
                [task_id] = await client.submit([{"kind": "long"}])
                await happens(begun)
                # There is room for two: this one is told to come back, in ten seconds or later.
                self.serve(refused)
                await self.said(logs.output, "worker refused: connection failed: refused with status 503")
                await self.said(logs.output, "worker refused: reconnecting in")
                line = next(line for line in logs.output if "worker refused: reconnecting in" in line)
                self.assertGreaterEqual(float(line.split("reconnecting in ")[1].split()[0]), 10)
                coordinator.signal(signal.SIGTERM)
                await self.said(logs.output, "worker py: disconnected: closed with 1012 retry after")
                await coordinator.ended()
                may_end.set()
                await self.coordinator()
                [task] = await self.wait(client, [task_id])
                self.assertEqual((task["status"], task["attempt"]), ("completed", 1))

    async def test_of_several_coordinators_the_ones_that_are_well_are_used(self) -> None:
        ours = []
        for _ in range(2):
            process = await self.start(LIFELINE, "coordinator", "--port", "0", "--store", "memory")
            ours.append((process, (await process.line("listening on ")).split()[-1]))

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        addresses = f"ws://127.0.0.1:1,ws://127.0.0.1:{port},{ours[0][1]},{ours[1][1]}"
        worker = self.make_worker(addresses)
        worker.add("nothing", do_nothing)
        self.serve(worker)

        async def home(candidates: List[Tuple[Process, str]]) -> Tuple[Process, str]:
            while True:
                for process, url in candidates:
                    async with self.client(url) as client:
                        if [known for known in await client.workers() if known["state"] == "connected"]:
                            return process, url

        first = await soon(home(ours))
        await first[0].kill()
        second = await soon(home([one for one in ours if one[1] != first[1]]))
        # A client of the whole list finds the only one that is left.
        async with self.client(addresses) as client:
            [task_id] = await client.submit([{"kind": "nothing"}])
            [task] = await self.wait(client, [task_id])
            self.assertEqual(task["status"], "completed")
        async with self.client(second[1]) as client:
            self.assertEqual((await client.get(task_id))["status"], "completed")
        silent.close()

    async def test_a_second_worker_of_the_same_name_stays_out(self) -> None:
        await self.coordinator()
        first = self.make_worker(worker_id="same", outbox=self.path("first"))
        second = self.make_worker(worker_id="same", outbox=self.path("second"))
        for worker in (first, second):

            @worker.task("who")
            async def who(task: Task, context: TaskContext, worker: Any = worker) -> Any:
                return "first" if worker is first else "second"

        with self.assertLogs("lifeline_client.worker", "INFO") as logs:
            self.serve(first)
            await self.said(logs.output, "registered: session")
            self.serve(second)
            await self.said(logs.output, "closed with 4004")
        async with self.client() as client:
            tasks = await self.wait(client, await client.submit([{"kind": "who"} for _ in range(20)]))
            self.assertEqual({task["result"] for task in tasks}, {"first"})

    async def said(self, lines: List[str], words: str) -> None:
        """Waits until this was logged."""

        async def look() -> None:
            while not any(words in line for line in lines):
                await asyncio.sleep(0.01)

        try:
            await soon(look())
        except asyncio.TimeoutError:
            self.fail(f"{words!r} was not logged: {lines}")

    async def test_an_attempt_that_was_superseded_is_fenced_and_stopped(self) -> None:
        await self.coordinator("--heartbeat-interval", "300ms", "--heartbeat-timeout", "2s", "--closed-grace", "100ms")
        proxy = await self.proxy()
        options: Dict[str, Any] = {"heartbeat_interval": 0.3, "heartbeat_timeout": 30.0}
        # Most of a fleet that is silent at once is taken for an outage; this one is not silent.
        witness = self.make_worker(worker_id="witness", **options)
        witness.add("nothing", do_nothing)
        self.serve(witness)
        slow, quick = self.make_worker(proxy.url, worker_id="slow", **options), None
        begun, stopped = asyncio.Event(), asyncio.Event()

        @slow.task("race")
        async def race(task: Task, context: TaskContext) -> Any:
            await context.save(f"slow {task.attempt}")
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        self.serve(slow)
        async with self.client() as client:
            [task_id] = await client.submit([{"kind": "race"}])
            await happens(begun)
            await self.until(client, task_id, lambda task: task["status"] == "running")
            await proxy.order("both hold")
            quick = self.make_worker(worker_id="quick", **options)

            @quick.task("race")
            async def win(task: Task, context: TaskContext) -> Any:
                return [task.attempt, context.checkpoint]

            self.serve(quick)
            [task] = await self.wait(client, [task_id])
            self.assertEqual((task["worker_id"], task["attempt"]), ("quick", 2))
            self.assertIn(task["result"], ([2, "slow 1"], [2, None]))
            self.assertFalse(stopped.is_set())
            await proxy.order("heal")
            await happens(stopped)
            self.assertEqual((await client.get(task_id))["worker_id"], "quick")

    async def test_what_waits_stays_bounded_while_nothing_is_acknowledged(self) -> None:
        await self.coordinator("--slow-reader-timeout", "10m", "--heartbeat-timeout", "10m", "--lease", "20m")
        proxy = await self.proxy()
        worker = self.make_worker(
            proxy.url, max_waiting=4, outbox_messages=6, heartbeat_interval=600, heartbeat_timeout=600
        )
        begun, held, all_saved = asyncio.Event(), asyncio.Event(), asyncio.Event()

        @worker.task("eager")
        async def eager(task: Task, context: TaskContext) -> Any:
            begun.set()
            await held.wait()
            for number in range(100):
                await context.save({"number": number, "pad": "x" * 1000})
            all_saved.set()
            return "done"

        self.serve(worker)
        async with self.client() as client:
            [task_id] = await client.submit([{"kind": "eager"}])
            await happens(begun)
            await self.until(client, task_id, lambda task: task["status"] == "running")
            await proxy.order("both hold")
            held.set()
            # Older checkpoints that wait give way to newer ones, on the disk as well.
            await happens(all_saved)
            running = worker._running
            assert running is not None
            self.assertEqual(running.core.outbox_count, 6)
            self.assertLessEqual(running.core.waiting_count, 4)
            self.assertEqual((await client.get(task_id))["checkpoints"], [])
            await proxy.order("heal")
            [task] = await self.wait(client, [task_id])
            self.assertEqual((task["result"], task["attempt"]), ("done", 1))
            self.assertEqual((await client.get(task_id))["checkpoints"][-1]["data"]["number"], 99)


class FleetTests(FleetTestCase):
    async def test_a_swift_worker_goes_on_from_a_python_workers_checkpoint_and_the_reverse(self) -> None:
        await self.coordinator("--closed-grace", "100ms")
        async with self.client() as client:
            for first, second in (("python", "swift"), ("swift", "python")):
                task = {"kind": "demo_task", "input": {"iterations": 12, "sleep": 0.1}}

                async def begin(language: str, name: str) -> Process:
                    if language == "python":
                        return await self.worker_process(self.url, name)
                    return await self.swift_worker(self.url, name)

                one = await begin(first, f"{first}-1")
                [task_id] = await client.submit([task])
                await self.until(client, task_id, lambda task: (task["progress"] or 0) >= 0.25)
                await one.kill()
                two = await begin(second, f"{second}-2")
                [ended] = await self.wait(client, [task_id])
                self.assertEqual((ended["status"], ended["result"]), ("completed", {"iterations": 12}))
                self.assertEqual((ended["attempt"], ended["worker_id"]), (2, f"{second}-2"))
                detail = await client.get(task_id)
                resumed = detail["attempts"][1]["resumed_from"]
                self.assertEqual(resumed["attempt"], 1)
                # The third iteration was heard of, and its checkpoint may still have been on its way to a disk.
                self.assertGreaterEqual(resumed["number"], 2)
                # Every iteration was done once, whichever worker did it.
                self.assertEqual(detail["checkpoints"][-1]["data"], {"iteration": 12})
                self.assertEqual(detail["checkpoints"][-1]["number"], 12 - resumed["number"])
                two.signal(signal.SIGTERM)
                await two.ended()

    async def test_a_worker_told_to_leave_hands_back_what_it_runs_with_a_checkpoint(self) -> None:
        await self.coordinator()
        leaving = await self.worker_process(self.url, "leaving", self.path("journal"))
        async with self.client() as client:
            [task_id] = await client.submit([{"kind": "offering"}])
            await self.until(client, task_id, lambda task: task["status"] == "running")
            leaving.signal(signal.SIGTERM)
            self.assertEqual(await leaving.ended(), 0)
            open(self.path("staying.outbox.finish"), "w").close()
            await self.worker_process(self.url, "staying", self.path("journal"))
            [task] = await self.wait(client, [task_id])
            self.assertEqual((task["status"], task["attempt"], task["worker_id"]), ("completed", 2, "staying"))
            self.assertGreater(task["result"]["from"], 0)
            detail = await client.get(task_id)
            self.assertIn("draining", detail["attempts"][0]["reason"])

    async def test_a_mixed_fleet_under_random_faults_ends_every_task_once(self) -> None:
        seed = int(os.environ.get("LIFELINE_PYTHON_SEED") or random.randrange(2**32))
        generator = random.Random(seed)
        journal = self.path("journal")
        coordinator = await self.coordinator(
            "--closed-grace", "300ms", "--heartbeat-interval", "500ms", "--heartbeat-timeout", "3s"
        )
        proxies = [
            await self.proxy("--seed", str(seed % 1000 + index), "--disruption-interval", "1.5") for index in range(3)
        ]

        async def begin(name: str) -> Process:
            url, quick = proxies[int(name[-1])].url, {"HEARTBEAT_TIMEOUT": "3"}
            return await self.worker_process(url, name, journal, env=quick)

        python = {f"py-{index}": await begin(f"py-{index}") for index in range(2)}
        for index in range(2):
            await self.swift_worker(
                proxies[2].url, f"swift-{index}", "--slots", "2", "--reconnect-delay", "0.1",
                "--max-reconnect-delay", "0.5", "--heartbeat-interval", "0.5", "--heartbeat-timeout", "3",
            )  # fmt: skip
        async with self.client(patience=PATIENCE) as client:
            tasks = [
                {"kind": "demo_task", "input": {"iterations": generator.randint(1, 12), "sleep": 0.05}}
                for _ in range(60)
            ] + [{"kind": "instant"} for _ in range(20)]
            ids = await client.submit(tasks, run="mixed")
            ending = asyncio.ensure_future(client.wait(ids))
            try:
                deadline = time.monotonic() + 12
                while not ending.done() and time.monotonic() < deadline:
                    # The faults' own rhythm, not a wait for something.
                    await asyncio.wait([ending], timeout=generator.uniform(0.5, 1.5))
                    if generator.random() < 0.15:
                        await coordinator.kill()
                        coordinator = await self.coordinator()
                    else:
                        name = generator.choice(sorted(python))
                        await python[name].kill()
                        python[name] = await begin(name)
                for proxy in proxies:
                    await proxy.order("heal")
                ended = await asyncio.wait_for(ending, PATIENCE)
            except asyncio.TimeoutError:
                self.fail(f"LIFELINE_PYTHON_SEED={seed}: {await client.count(run='mixed')}")
            with self.subTest(f"LIFELINE_PYTHON_SEED={seed}"):
                self.assertEqual({task["status"] for task in ended}, {"completed"})
                for task, wanted in zip(ended, tasks):
                    if wanted["kind"] == "demo_task":
                        self.assertEqual(task["result"], {"iterations": wanted["input"]["iterations"]})  # type: ignore[index]
                listed = json.loads(await self.lifeline("tasks", "--coordinator", self.url, "--run", "mixed", "--json"))
                shown = listed if isinstance(listed, list) else listed["tasks"]
                self.assertEqual(sorted(task["task_id"] for task in shown), sorted(ids))
                self.assertEqual({task["status"] for task in shown}, {"completed"})
                for task_id in ids:
                    attempts = (await client.get(task_id))["attempts"]
                    outcomes = [attempt["outcome"] for attempt in attempts]
                    self.assertEqual(outcomes.count("completed"), 1, f"{task_id}: {outcomes}")


class ExampleTests(FleetTestCase):
    async def test_the_examples_do_what_they_say(self) -> None:
        await self.coordinator()
        folder = os.path.join(os.path.dirname(HERE), "examples")
        # Their outbox files are where such files usually are: in a folder of this test's.
        environment = {"PYTHONPATH": SOURCES, "XDG_STATE_HOME": self.folder}
        for name in ("count.py", "threads.py"):
            await self.start(sys.executable, os.path.join(folder, name), self.url, env=environment)
        submitting = await self.start(sys.executable, os.path.join(folder, "submit.py"), self.url, env=environment)
        self.assertEqual(await submitting.ended(), 0)
        self.assertEqual(sum("completed, {'counted_to': 10}" in line for line in submitting.lines), 3)
        async with self.client() as client:
            [task] = await self.wait(client, await client.submit([{"kind": "primes", "input": {"below": 5000}}]))
            self.assertEqual(task["result"], {"found": 669})
        self.assertEqual(sorted(os.listdir(self.path("lifeline")))[0], "counter.outbox.sqlite")

    async def test_the_readmes_worker_works(self) -> None:
        await self.coordinator()
        with open(os.path.join(os.path.dirname(HERE), "README.md"), encoding="utf-8") as file:
            text = file.read()
        start = text.index("    from lifeline_client import Worker")
        program = textwrap.dedent(text[start : text.index("worker.run()", start)] + "worker.run()\n")
        with open(os.path.join(HERE, "..", "..", "..", "README.md"), encoding="utf-8") as file:
            self.assertIn(program, file.read(), "the project's README shows the same worker")
        program = program.replace("ws://127.0.0.1:8765", self.url)
        self.assertLessEqual(len(program.split("\n")), 14)
        environment = {"PYTHONPATH": SOURCES, "XDG_STATE_HOME": self.folder}
        await self.start(sys.executable, "-c", program, env=environment)
        async with self.client() as client:
            [task] = await self.wait(client, await client.submit([{"kind": "count"}]))
            self.assertEqual((task["result"], task["progress"]), ({"counted_to": 100}, 1.0))


class KeyTests(FleetTestCase):
    async def key(self, name: str, *roles: str) -> str:
        arguments = [argument for role in roles for argument in ("--role", role)]
        return (await self.lifeline("keys", "add", name, *arguments, "--keys", self.path("keys"))).strip()

    async def test_right_keys_work_and_wrong_or_withdrawn_ones_do_not(self) -> None:
        worker_key, reader_key = await self.key("rack", "worker"), await self.key("eye", "read-only")
        submitter_key, lost_key = await self.key("ci", "submitter"), await self.key("old", "worker")
        coordinator = await self.coordinator("--keys", self.path("keys"))
        runs: List[str] = []
        good = self.make_worker(worker_id="good", api_key=worker_key)
        bad = self.make_worker(worker_id="bad", api_key=lost_key[:-4] + "AAAA")
        none = self.make_worker(worker_id="none")
        wrong_role = self.make_worker(worker_id="role", api_key=reader_key)
        old = self.make_worker(worker_id="old", api_key=lost_key)
        for worker in (good, bad, none, wrong_role, old):

            @worker.task("x")
            async def x(task: Task, context: TaskContext) -> Any:
                runs.append(task.id)
                await context.save("€" * 1000)
                return "x" * 5000

            self.serve(worker)
        async with self.client(api_key=submitter_key) as client:
            ids = await client.submit([{"kind": "x"} for _ in range(50)])
            ended = await self.wait(client, ids)
            self.assertEqual({task["status"] for task in ended}, {"completed"})
            self.assertLessEqual({task["worker_id"] for task in ended}, {"good", "old"})
            for worker in (bad, none, wrong_role):
                self.assertNotEqual(worker.state, ConnectionState.CONNECTED)

            await self.lifeline("keys", "remove", "old", "--keys", self.path("keys"))
            coordinator.signal(signal.SIGHUP)

            async def look() -> None:
                while old.state is ConnectionState.CONNECTED:
                    await client.workers()

            await soon(look())
            ended = await self.wait(client, await client.submit([{"kind": "x"} for _ in range(10)]))
            self.assertEqual({task["worker_id"] for task in ended}, {"good"})

        async with self.client(api_key=reader_key) as reader:
            self.assertEqual((await reader.count())["completed"], 60)
            with self.assertRaises(RequestError) as refusal:
                await reader.submit([{"kind": "x"}])
            self.assertEqual(refusal.exception.code, "forbidden")
        for options in ({"api_key": lost_key}, {}):
            async with self.client(**options) as stranger:
                with self.assertRaises(NotAdmittedError):
                    await stranger.count()

    async def test_a_coordinator_that_does_not_know_the_key_is_told_nothing(self) -> None:
        key = await self.key("rack", "worker", "admin")
        # One without keys: whoever took the real one's place.
        coordinator = await self.coordinator("--log-level", "DEBUG")
        worker = self.make_worker(worker_id="careful", api_key=key)

        @worker.task("x")
        async def x(task: Task, context: TaskContext) -> Any:
            return None

        with self.assertLogs("lifeline_client.worker", "WARNING") as logs:
            self.serve(worker)

            async def look() -> None:
                while not any("does not prove to know" in line for line in logs.output):
                    await asyncio.sleep(0.01)

            await soon(look())
        async with self.client(api_key=key) as client:
            with self.assertRaises(NotAdmittedError):
                await client.count()
        async with self.client() as client:
            self.assertEqual([known["worker_id"] for known in await client.workers()], [])
        self.assertFalse(any("registered" in line for line in coordinator.lines))

    async def test_tls_is_spoken_and_its_certificate_verified(self) -> None:
        await self.lifeline("certs", "--dir", self.path("certs"))
        files = os.listdir(self.path("certs"))
        await self.coordinator(
            "--tls-certificate", self.path("certs/server.pem"), "--tls-key", self.path("certs/server-key.pem")
        )
        trusting = ssl.create_default_context(cafile=self.path("certs/ca.pem"))
        worker = self.make_worker(worker_id="secure", ssl=trusting)

        @worker.task("x")
        async def x(task: Task, context: TaskContext) -> Any:
            return "x" * 100_000

        self.serve(worker)
        async with self.client(ssl=trusting) as client:
            [task] = await self.wait(client, await client.submit([{"kind": "x"}]))
            self.assertEqual(task["status"], "completed", files)
        async with self.client() as client:
            with self.assertRaises(NotAdmittedError):
                await client.count()


class ClientTests(FleetTestCase):
    async def test_a_client_reconnects_and_asks_again_under_the_same_ids(self) -> None:
        coordinator = await self.coordinator()
        proxy = await self.proxy()
        async with self.client(proxy.url, patience=PATIENCE) as client:
            await client.count()
            # The answer to the first try is lost.
            await proxy.order("down hold")
            submitting = asyncio.ensure_future(client.submit([{"kind": "x"} for _ in range(2500)], run="many"))
            async with self.client() as other:
                async for event in other.watch(run="many"):
                    if event.kind == "task":
                        break
            await proxy.order("cut")
            await proxy.order("heal")
            ids = await soon(submitting)
            self.assertEqual(len(set(ids)), 2500)
            self.assertEqual((await client.count(run="many"))["queued"], 2500)
            self.assertEqual(len(await client.list(run="many")), 2500)
            await coordinator.kill()
            counting = asyncio.ensure_future(client.count(run="many"))
            await self.coordinator()
            self.assertEqual((await soon(counting))["queued"], 2500)

    async def test_a_watch_is_taken_up_again_after_a_cut(self) -> None:
        await self.coordinator()
        proxy = await self.proxy()
        async with self.client(proxy.url) as client, self.client() as other:
            kinds = []
            async for event in client.watch(run="seen"):
                kinds.append(event.kind)
                if kinds == ["established"]:
                    await proxy.order("cut")
                elif kinds == ["established", "established"]:
                    await other.submit([{"kind": "x", "task_id": "seen-1"}], run="seen")
                else:
                    self.assertEqual(event.task_id, "seen-1")
                    break

    async def test_a_coordinator_that_is_not_there_is_given_up(self) -> None:
        async with self.client("ws://127.0.0.1:9", patience=0.3) as client:
            with self.assertRaises(UnreachableError):
                await client.count()

    async def test_programs_without_a_loop_have_a_client_too(self) -> None:
        await self.coordinator()
        worker = self.make_worker()

        @worker.task("add")
        async def add(task: Task, context: TaskContext) -> Any:
            context.print("adding")
            return task.input["a"] + task.input["b"]

        self.serve(worker)

        def program() -> None:
            with BlockingClient(self.url) as client:
                [task_id] = client.submit([{"kind": "add", "input": {"a": 1, "b": 2}}], run="sync")
                [task] = client.wait([task_id], timeout=PATIENCE)
                self.assertEqual(task["result"], 3)
                self.assertEqual(client.logs(task_id).stdout, b"adding\n")
                self.assertEqual([task["task_id"] for task in client.list(run="sync")], [task_id])
                self.assertEqual(client.count(run="sync")["completed"], 1)
                for event in client.watch(run="sync"):
                    self.assertEqual(event.kind, "established")
                    break
                self.assertRaises(RequestError, client.pause, task_id)
            self.assertRaises(ClosedError, client.count)

        await asyncio.get_running_loop().run_in_executor(None, program)

    async def test_requests_beyond_what_the_coordinator_works_on_wait(self) -> None:
        await self.coordinator()
        async with Client(self.url) as client:
            counts = await soon(asyncio.gather(*(client.count() for _ in range(300))))
            self.assertEqual(len(counts), 300)


if __name__ == "__main__":
    unittest.main()
