#!/usr/bin/env python3
"""Measures several coordinators on one PostgreSQL: durable task lives a second, and what a killed one costs.

PostgreSQL (Debian's) runs in a folder of its own with fsync on and is reached over a Unix socket. The workers are one
`lifeline fleet`, which is given all addresses. A task's life is complete when its end is committed: submitted, given out,
begun, ended, each of it durable. Everything runs on this machine and shares its processors. See Benchmarks/README.md.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import database

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WANTED_LIVES = 3_000  # a second, with two coordinators
WANTED_SECONDS = 5  # until everybody of a killed coordinator is registered with another, plus the backoff
BACKOFF = 2  # seconds: the first two draws of a worker, at --reconnect-delay 1
PATIENCE = 180
TASKS_PER_REQUEST = 500
PARTS = ["database", "sqlite", "lives", "sessions", "failover"]


class Coordinator:
    def __init__(self, program, store, log):
        words = [program, "coordinator", "--host", "127.0.0.1", "--port", "0", "--store", store, "--log-level", "WARNING"]
        self.log = log
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=open(log, "a"), text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"no coordinator: {line!r} {pathlib.Path(log).read_text()[-2000:]}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self._connections = threading.local()

    def request(self, method, path, body=None):
        """One request over a connection that this thread keeps."""
        connection = getattr(self._connections, "one", None)
        if connection is None:
            connection = self._connections.one = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read()
        except BaseException:
            connection.close()
            self._connections.one = None
            raise
        if answer.status not in (200, 201):
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def overview(self):
        return self.request("GET", "/api/v1/overview")

    def connected(self):
        return self.overview()["workers"]["connected"]

    def kill(self):
        self.process.kill()
        self.process.wait()


class Fleet:
    """Coordinators on one store and workers that know all of them; gone at the end of the `with`."""

    def __init__(self, options, store, coordinators, workers, slots):
        self.options, self.store, self.workers = options, store, workers
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeline-cluster-"))
        self.coordinators = []
        self.fleet = None
        try:
            for number in range(1, coordinators + 1):
                self.coordinators.append(Coordinator(options.program, store, self.folder / f"c{number}.log"))
            # As many processes as there are coordinators would divide the workers evenly; one costs less.
            words = [options.program, "fleet", "--workers", str(workers), "--slots", str(slots)]
            words += ["--coordinator", ",".join(one.url for one in self.coordinators)]
            log = open(self.folder / "fleet.log", "a")
            self.fleet = subprocess.Popen(words, stdout=log, stderr=log)
            self.until(lambda: self.connected() >= workers, "the workers to register")
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.end()

    def end(self):
        for process in [self.fleet, *(one.process for one in self.coordinators)]:
            if process is not None and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def living(self):
        return [one for one in self.coordinators if one.process.poll() is None]

    def connected(self):
        return sum(one.connected() for one in self.living)

    def completed(self):
        """What coordinators have seen end; each task with one of them."""
        return sum(one.overview()["totals"]["completed"] for one in self.living)

    def until(self, holds, what, every=0.05):
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end:
                logs = "".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))
                raise RuntimeError(f"waited {PATIENCE} s for {what}\n{logs}")
            time.sleep(every)

    def submit(self, count, task):
        """Submits so many at all coordinators alike; returns once all are acknowledged."""
        shares = [count // len(self.coordinators)] * len(self.coordinators)
        shares[0] += count - sum(shares)
        problems = []

        def share(coordinator, count):
            try:
                while count > 0:
                    batch = min(count, TASKS_PER_REQUEST)
                    coordinator.request("POST", "/api/v1/tasks", json.dumps({"tasks": [task] * batch}))
                    count -= batch
            except Exception as problem:
                problems.append(problem)

        threads = [threading.Thread(target=share, args=pair) for pair in zip(self.coordinators, shares)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]

    def processor_time(self):
        return {
            "coordinators": sum(sum(database.processor_time(one.process.pid)) for one in self.living),
            "workers": sum(database.processor_time(self.fleet.pid)),
        }


# MARK: Throughput


def throughput(options, server, coordinators):
    """Durable lives a second with so many coordinators, or with one on SQLite without a server."""
    with contextlib.ExitStack() as stack:
        if server:
            server.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            store = server.url
        else:
            store = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeline-cluster-")), "tasks.db")
        fleet = stack.enter_context(Fleet(options, store, coordinators, options.workers, options.slots))
        task = {"kind": "demo_task", "input": {"iterations": 1, "sleep": 0, "checkpoint_every": 2}, "run": "bench"}
        # The first tasks warm up what is prepared on first use.
        fleet.submit(500 * coordinators, task)
        warm = 500 * coordinators
        fleet.until(lambda: fleet.completed() >= warm, "the first tasks to end")
        time.sleep(1.1 if server else 0)  # for sessions of PostgreSQL to have told their numbers
        work = server.work() if server else None
        spent = measure_time(server, fleet)
        begin = time.monotonic()
        fleet.submit(options.tasks, task)
        submitted = time.monotonic() - begin
        fleet.until(lambda: fleet.completed() >= warm + options.tasks, "the tasks to end", every=0.05)
        if server:
            # Coordinators count what they have seen; the clock runs until the last of it is committed.
            fleet.until(lambda: server.query("SELECT count(*) FROM lifeline_unfinished") == "0", "the last commit", every=0)
        seconds = time.monotonic() - begin
        spent = {name: value - spent[name] for name, value in measure_time(server, fleet).items()}
        result = {"lives": options.tasks / seconds, "seconds": seconds, "submitted": submitted, "spent": spent}
        if server:
            time.sleep(1.1)
            result["work"] = {name: value - work[name] for name, value in server.work().items()}
        check_all(fleet, warm + options.tasks)
        return result


def measure_time(server, fleet):
    times = fleet.processor_time()
    if server:
        times["postgres"] = server.processor_time()
    return times


def check_all(fleet, count):
    """What is in the store after the fact: every task, and every one completed at its first attempt."""
    fleet.until(lambda: fleet.living[0].overview()["tasks"]["completed"] >= count, "the store to count everything")
    counts = fleet.living[0].overview()["tasks"]
    if counts["completed"] != count or sum(counts.values()) != count:
        raise RuntimeError(f"{count} tasks were submitted, and the store has {counts}")


def show(name, result, tasks):
    seconds = result["seconds"]
    shares = ", ".join(f"{who} {spent / seconds:.2f}" for who, spent in sorted(result["spent"].items()))
    print(f"{name:<34} {result['lives']:>8,.0f} lives/s   all submitted after {result['submitted']:.2f} of {seconds:.2f} s")
    print(f"{'':<34} processors busy: {shares}")
    if "work" in result:
        work = result["work"]
        print(
            f"{'':<34} database: {work['commits'] / seconds:,.0f} commits/s, {work['syncs'] / seconds:,.0f} syncs/s,"
            f" {work['bytes'] / tasks:,.0f} bytes of log for each task")
    sys.stdout.flush()


# MARK: What the database bears


def bearing(server, seconds):
    """pgbench on the same server: commits of one row, and of as many rows as a busy coordinator has in a turn."""
    server.query("CREATE TABLE IF NOT EXISTS bench (id bigserial PRIMARY KEY, value int, text text)")
    one = "INSERT INTO bench (value, text) VALUES (1, repeat('x', 200));\n"
    for clients in (1, 2, 8):
        rate = database.bench(server, clients, one, seconds)
        print(f"{'pgbench: one row a commit':<34} {rate:>8,.0f} commits/s with {clients} connections")
    many = "INSERT INTO bench (value, text) SELECT 1, repeat('x', 200) FROM generate_series(1, 100);\n"
    rate = database.bench(server, 2, many, seconds)
    print(f"{'pgbench: 100 rows a commit':<34} {100 * rate:>8,.0f} rows/s with 2 connections")
    update = "UPDATE bench SET value = value + 1 WHERE id IN (SELECT (random() * 10000)::bigint + n FROM generate_series(1, 100) n);\n"
    rate = database.bench(server, 1, update, seconds)
    print(f"{'pgbench: 100 updates a commit':<34} {100 * rate:>8,.0f} rows/s with 1 connection", flush=True)


# MARK: Sessions


def resident(pid):
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def sessions(options, server):
    """What a registered worker that has nothing to do costs its coordinator, and the database."""
    server.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with Fleet(options, server.url, 1, 1, 1) as small, Fleet(options, server.url, 1, options.idle, 1) as large:
        one, many = small.coordinators[0].process.pid, large.coordinators[0].process.pid
        size = (resident(many) - resident(one)) / (options.idle - 1)
        before, begin = [sum(database.processor_time(pid)) for pid in (one, many)], time.monotonic()
        work = server.processor_time()
        time.sleep(options.seconds * 5)
        seconds = time.monotonic() - begin
        busy = [(sum(database.processor_time(pid)) - old) / seconds for pid, old in zip((one, many), before)]
        connections = server.query("SELECT count(*) FROM pg_stat_activity WHERE datname = 'lifeline' AND pid <> pg_backend_pid()")
        print(
            f"{'idle workers':<34} {options.idle:,} of them: {size / 1024:.1f} KiB resident for each, {busy[1]:.3f} processors"
            f" at one coordinator, {busy[0]:.3f} at one with a single worker\n"
            f"{'':<34} database: {(server.processor_time() - work) / seconds:.3f} processors,"
            f" {connections} connections for two coordinators", flush=True)


# MARK: Fail-over


def failover(options, server):
    """Kills one of two coordinators; seconds until its sessions stand elsewhere and its tasks go on."""
    server.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with Fleet(options, server.url, 2, options.sessions, 1) as fleet:
        task = {"kind": "demo_task", "input": {"iterations": 150, "sleep": 0.1, "checkpoint_every": 10}, "run": "long"}
        fleet.submit(options.sessions, task)
        dying, other = fleet.coordinators
        # Without --name a coordinator of any port is called after its process.
        member = server.query(f"SELECT max(id) FROM lifeline_members WHERE name LIKE '%process {dying.process.pid}'")

        def held(condition):
            return int(server.query(f"SELECT count(*) FROM lifeline_unfinished WHERE {condition}"))

        fleet.until(lambda: held("owner IS NOT NULL AND worker IS NOT NULL") >= options.sessions, "every worker to have a task")
        tasks = held(f"owner = {member}")
        sessions = dying.connected()
        if not tasks:
            raise RuntimeError("no worker chose the coordinator that is to be killed")
        begin = time.monotonic()
        dying.kill()
        registered = first = everything = None
        while registered is None or everything is None:
            now = time.monotonic() - begin
            if now > PATIENCE:
                raise RuntimeError(f"after {PATIENCE} s {other.connected()} of {options.sessions} are registered")
            if registered is None and other.connected() >= options.sessions:
                registered = now
            left = held(f"owner = {member}")
            if left < tasks and first is None:
                first = now
            if left == 0 and everything is None:
                everything = now
        fleet.until(lambda: other.overview()["tasks"]["completed"] >= options.sessions, "all tasks to end")
        listed = []
        after = ""
        while True:
            page = other.request("GET", f"/api/v1/tasks?run=long&limit=500{after}")
            listed += page["tasks"]
            if not page.get("next"):
                break
            after = f"&after={page['next']}"
        again = sum(task["attempt"] != 1 for task in listed)
        return {"sessions": sessions, "tasks": tasks, "registered": registered, "first": first, "all": everything,
                "again": again, "lost": options.sessions - sum(task["status"] == "completed" for task in listed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="Exit status 1: a bound was missed.")
    parser.add_argument("--program", default=str(ROOT / ".build/release/lifeline"), help="the lifeline to measure")
    parser.add_argument("--coordinators", type=int, action="append", metavar="N", help="how many (1, then 2, then 3)")
    parser.add_argument("--tasks", type=int, default=30_000, metavar="N", help="of each measurement (30,000)")
    parser.add_argument("--workers", type=int, default=8, metavar="N", help="that do the tasks (8)")
    parser.add_argument("--slots", type=int, default=64, metavar="N", help="of each worker (64)")
    parser.add_argument("--sessions", type=int, default=200, metavar="N", help="of the fail-over (200)")
    parser.add_argument("--idle", type=int, default=2_000, metavar="N", help="workers without work, to weigh them (2,000)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="how often all of it is measured (1)")
    parser.add_argument("--seconds", type=int, default=3, metavar="S", help="of each pgbench (3)")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--check", action="store_true", help="exit with status 1 where less was reached than is wanted")
    options = parser.parse_args()
    parts = options.only or PARTS
    missed = []
    try:
        server = database.Server() if set(parts) - {"sqlite"} else None
    except database.Missing as problem:
        sys.exit(str(problem))
    try:
        if "database" in parts:
            bearing(server, options.seconds)
        for _ in range(options.repeats):
            if "sqlite" in parts:
                show("1 coordinator on SQLite", throughput(options, None, 1), options.tasks)
            for count in (options.coordinators or [1, 2, 3]) if "lives" in parts else []:
                result = throughput(options, server, count)
                show(f"{count} coordinator{'s' if count > 1 else ''} on PostgreSQL", result, options.tasks)
                if count == 2 and result["lives"] < WANTED_LIVES:
                    missed.append(f"{result['lives']:,.0f} lives/s with two coordinators, wanted {WANTED_LIVES:,}")
            if "sessions" in parts:
                sessions(options, server)
            if "failover" in parts:
                result = failover(options, server)
                print(
                    f"{'kill -9 of one of two coordinators':<34} {result['sessions']} sessions: all registered elsewhere after"
                    f" {result['registered']:.2f} s (at most {WANTED_SECONDS} and the backoff, {BACKOFF})\n"
                    f"{'':<34} {result['tasks']} tasks: the first is another's after {result['first']:.2f} s, all after"
                    f" {result['all']:.2f} s; {result['again']} begun again, {result['lost']} lost", flush=True)
                if result["registered"] > WANTED_SECONDS + BACKOFF:
                    missed.append(f"fail-over took {result['registered']:.2f} s")
                if result["again"] or result["lost"]:
                    missed.append(f"{result['again']} tasks were begun again and {result['lost']} lost by a fail-over")
    finally:
        if server:
            server.remove()
    for text in missed:
        print(f"MISSED: {text}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
