#!/usr/bin/env python3
"""Breaks a small fleet in three ways, one at a time, and prints what each cost; see Benchmarks/README.md.

40 commands of 1 s run on 4 workers of one slot each, with default settings, as real processes: without a fault that is
10 s. The fault comes 3.5 s after the first command began. Every command appends a line to a file when it
begins, so what ran twice is known from the commands themselves and not from the fleet.
"""

import argparse
import collections
import dataclasses
import json
import pathlib
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMMANDS = 40
WORKERS = 4
FAULT_AFTER = 3.5
GIVE_UP_AFTER = 180


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    title: str
    seconds: float  # at most
    may_run_twice: bool  # what a killed or frozen worker had begun has to begin again


FAULTS = [
    Fault("worker", "kill -9 of one worker, not restarted", 15, True),
    Fault("coordinator", "kill -9 of the coordinator, back after 2 s", 13, False),
    Fault("frozen", "one worker frozen for 20 s", 20, True),
]


@dataclasses.dataclass
class Result:
    lost: int
    recorded_twice: int
    run_twice: int
    seconds: float


class Fleet:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.processes = []
        self.workers = []
        self.coordinator = None
        self.url = None

    def start(self, *words, **options):
        process = subprocess.Popen([self.program, *words], text=True, **options)
        self.processes.append(process)
        return process

    def start_coordinator(self):
        port = self.url.rsplit(":", 1)[1] if self.url else "0"
        words = ["coordinator", "--host", "127.0.0.1", "--port", port, "--store", str(self.directory / "lifeline.db")]
        log = open(self.directory / "coordinator.log", "a")
        self.coordinator = self.start(*words, stdout=subprocess.PIPE, stderr=log)
        line = self.coordinator.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"no coordinator: {line!r}; see {log.name}")
        self.url = line.split()[-1]

    def start_workers(self):
        for number in range(1, WORKERS + 1):
            log = open(self.directory / f"w{number}.log", "a")
            words = ["worker", "--coordinator", self.url, "--worker-id", f"w{number}", "--slots", "1"]
            words += ["--state-dir", str(self.directory / "state")]
            self.workers.append(self.start(*words, stdout=log, stderr=log))
        end = time.monotonic() + 30
        while len([worker for worker in self.ask("workers") if worker["state"] == "connected"]) < WORKERS:
            if time.monotonic() > end:
                raise RuntimeError(f"the workers did not register; see {self.directory}")
            time.sleep(0.05)

    def ask(self, *words):
        words = [self.program, *words, "--json", "--coordinator", self.url]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    def verdicts(self, task):
        """The attempts whose result counted; two of them would be one too many."""
        attempts = self.ask("task", task)["attempts"]
        return [attempt for attempt in attempts if attempt["outcome"] in ("completed", "failed", "cancelled")]

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def wait_until(moment):
    while (rest := moment - time.monotonic()) > 0:
        time.sleep(rest)


def journal(directory):
    """How often each command began."""
    path = directory / "journal"
    return collections.Counter(path.read_text().split() if path.exists() else [])


def break_it(fault, fleet, start):
    wait_until(start + FAULT_AFTER)
    if fault.name == "coordinator":
        fleet.coordinator.kill()
        fleet.coordinator.wait()
        wait_until(start + FAULT_AFTER + 2)
        fleet.start_coordinator()
    elif fault.name == "worker":
        fleet.workers[0].kill()
    else:
        fleet.workers[0].send_signal(signal.SIGSTOP)


def measure(program, fault, directory):
    fleet = Fleet(program, directory)
    try:
        fleet.start_coordinator()
        fleet.start_workers()
        path = shlex.quote(str(directory / "journal"))
        lines = [f"echo {n} >> {path}; sleep 1\n" for n in range(COMMANDS)]
        run = fleet.start(
            "run", "--json", "--coordinator", fleet.url,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(directory / "run.log", "a"))
        run.stdin.write("".join(lines))
        run.stdin.close()
        while not journal(directory):
            time.sleep(0.005)
            if run.poll() is not None:
                raise RuntimeError(f"lifeline run ended early; see {directory}")
        start = time.monotonic()
        break_it(fault, fleet, start)
        if fault.name == "frozen":
            # It goes on when its time is over, whether or not the work still needs it.
            try:
                run.wait(timeout=max(0, start + FAULT_AFTER + 20 - time.monotonic()))
                seconds = time.monotonic() - start
            except subprocess.TimeoutExpired:
                seconds = None
            wait_until(start + FAULT_AFTER + 20)
            fleet.workers[0].send_signal(signal.SIGCONT)
        else:
            seconds = None
        run.wait(timeout=GIVE_UP_AFTER)
        seconds = seconds or time.monotonic() - start
        if fault.name == "frozen":
            # What it still owes must have had its chance to be recorded a second time.
            end = time.monotonic() + 30
            while any(worker["state"] != "connected" for worker in fleet.ask("workers")) and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(1.5)
        summary = json.loads(run.stdout.read())
        began = journal(directory)
        twice = sum(len(fleet.verdicts(task["task_id"])) > 1 for task in summary["tasks"])
        return Result(COMMANDS - summary["completed"], twice, sum(count > 1 for count in began.values()), seconds)
    finally:
        fleet.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="Exit status 1: a bound was missed.")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="how often each fault is measured (1)")
    parser.add_argument("--fault", choices=[fault.name for fault in FAULTS], action="append", help="only this one")
    parser.add_argument("--program", default=str(ROOT / ".build/release/lifeline"), help="the lifeline to measure")
    options = parser.parse_args()
    columns = "{:<44} {:>6} {:>9} {:>10} {:>9} {:>8} {:>8}  {}"
    print(columns.format("fault", "lost", "recorded", "run twice", "seconds", "worst", "at most", ""))
    print(columns.format("", "", "twice", "(worst)", "(median)", "", "", ""))
    missed = False
    for fault in FAULTS:
        if options.fault and fault.name not in options.fault:
            continue
        results = []
        for _ in range(options.repeats):
            # It stays, with its logs, when something goes wrong.
            directory = tempfile.mkdtemp(prefix="lifeline-failover-")
            results.append(measure(options.program, fault, pathlib.Path(directory)))
            shutil.rmtree(directory, ignore_errors=True)
        lost, recorded, ran = (
            max(getattr(result, name) for result in results) for name in ("lost", "recorded_twice", "run_twice"))
        seconds = [result.seconds for result in results]
        good = not lost and not recorded and (fault.may_run_twice or not ran) and max(seconds) <= fault.seconds
        missed = missed or not good
        print(columns.format(
            fault.title, lost, recorded, ran, f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}",
            f"{fault.seconds:.0f}", "" if good else "MISSED"), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
