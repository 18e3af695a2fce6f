#!/usr/bin/env python3
"""Measures the coordinator's HTTP API: reads a second with keep-alive, and a durable submission of many tasks.

The coordinator runs on the first core that this process may use and keeps its tasks in a file; wrk runs on the last.
See Benchmarks/README.md.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
READS = ["/api/v1/tasks/{task}", "/api/v1/overview"]
WANTED_READS = 20_000  # a second, on one core
WANTED_SECONDS = 10  # for 100,000 tasks, durable
TASKS = 100_000
TASKS_PER_REQUEST = 10_000


def start_coordinator(program, directory, core):
    words = ["taskset", "-c", str(core), program, "coordinator", "--host", "127.0.0.1", "--port", "0"]
    words += ["--store", str(directory / "lifeline.db"), "--log-level", "WARNING"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        raise RuntimeError(f"no coordinator: {line!r}")
    return process, line.strip().rsplit(":", 1)[1]


def post(connection, path, body):
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 201:
        raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
    return json.loads(text)


def submit(port, total):
    """Submits so many tasks over one connection; the seconds it took until the last answer, and one of the tasks."""
    task = {"command": ["pytest", "tests/test_module.py::test_something"], "run": "bench", "timeout_s": 60}
    body = json.dumps({"tasks": [task] * min(TASKS_PER_REQUEST, total)})
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    begin = time.monotonic()
    ids = []
    while len(ids) < total:
        ids += post(connection, "/api/v1/tasks", body)["task_ids"]
    return time.monotonic() - begin, len(set(ids)), ids[0]


def stored(directory):
    """How many tasks are in the store's file, as another reader finds them."""
    import sqlite3

    with sqlite3.connect(f"file:{directory / 'lifeline.db'}?mode=ro", uri=True) as store:
        return store.execute("SELECT count(*) FROM tasks").fetchone()[0]


def read(url, core, seconds, connections):
    words = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    latencies = dict(re.findall(r"(50|99)%\s+([\d.]+\w+)", text))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if failed:
        raise RuntimeError(f"{url}: {failed[0]}")
    return rate, latencies


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / ".build/release/lifeline"))
    parser.add_argument("--seconds", type=int, default=5, help="of reading, for each path")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--check", action="store_true", help="exit with status 1 where less was reached than is wanted")
    options = parser.parse_args()
    for tool in ["taskset", "wrk"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing; on Debian and Ubuntu: apt install {'wrk' if tool == 'wrk' else 'util-linux'}")
    cores = sorted(os.sched_getaffinity(0))
    missed = False
    with tempfile.TemporaryDirectory(prefix="lifeline-api-") as name:
        directory = pathlib.Path(name)
        process, port = start_coordinator(options.program, directory, cores[0])
        try:
            seconds, count, task = submit(port, options.tasks)
            in_store = stored(directory)
            if in_store != count:
                raise RuntimeError(f"{count} tasks were acknowledged, and {in_store} are in the store")
            wanted = WANTED_SECONDS * options.tasks / TASKS
            missed |= seconds > wanted
            print(f"{count:,} tasks submitted and durable in {seconds:.2f} s, {count / seconds:,.0f}/s (wanted: {wanted:g} s)")
            for path in READS:
                path = path.format(task=task)
                before, begin = cpu_seconds(process.pid), time.monotonic()
                rate, latencies = read(f"http://127.0.0.1:{port}{path}", cores[-1], options.seconds, options.connections)
                busy = (cpu_seconds(process.pid) - before) / (time.monotonic() - begin)
                missed |= rate < WANTED_READS
                shown = re.sub(r"tasks/.*", "tasks/{id}", path)
                print(
                    f"GET {shown:<22} {rate:>9,.0f}/s, {rate / busy:>9,.0f} per CPU second,"
                    f" p50 {latencies['50']}, p99 {latencies['99']} (wanted: {WANTED_READS:,}/s)"
                )
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    if options.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
