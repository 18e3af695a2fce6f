#!/usr/bin/env python3
"""Runs the Autobahn testsuite against websocket-echo as a server and as a client, and judges what it reports.

install.sh goes before it. Exit status: 0 every case passed, 1 some did not, 2 wrong usage, or the run itself failed.
The last line is "N passed, N failed, N skipped".
"""
import argparse
import collections
import concurrent.futures
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# Groups 12 and 13 are compression: nearly all of the suite's time. Of them, messages up to 8 KiB, whole and fragmented.
WITHOUT_COMPRESSION = ["%d.*" % group for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
SAMPLE = ["12.*.[1-6]", "12.*.11", "13.*.[1-6]", "13.*.11"]

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
COLUMNS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED", "NOT RUN")
MESSAGE_BYTES = 16 * 1024 * 1024  # The longest message of group 9.


class Trouble(Exception):
    """What keeps the run from having a result."""


class Process:
    """A child of ours whose lines are read as they come; it is ended, at the latest, with this object's context."""

    def __init__(self, title, command, log, **options):
        self.title = title
        self.lines = queue.Queue()
        try:
            self.child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1, **options)
        except OSError as error:
            raise Trouble("cannot start %s: %s" % (command[0], error.strerror))
        self.heard = collections.deque(maxlen=3)
        threading.Thread(target=self._read, args=(log,), daemon=True).start()

    def _read(self, log):
        with open(log, "w") as file:
            for line in self.child.stdout:
                file.write(line)
                file.flush()
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds):
        """The next line; None at the end of output. Raises queue.Empty when none comes in time."""
        line = self.lines.get(timeout=max(0, seconds))
        if line is None:
            self.lines.put(None)
        elif line:
            self.heard.append(line)
        return line

    @property
    def last(self):
        """Its last lines, for messages."""
        return " / ".join(self.heard) or "it said nothing"

    def line_after(self, prefix, seconds=20):
        """What follows the prefix in the first line that has it."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                line = self.line(deadline - time.monotonic())
                if line is None:
                    raise Trouble("%s ended with status %s: %s" % (self.title, self.child.wait(), self.last))
                if line.startswith(prefix):
                    return line[len(prefix):]
        except queue.Empty:
            raise Trouble("%s did not say \"%s…\" within %d s" % (self.title, prefix.strip(), seconds))

    def wait(self, seconds):
        """The exit status, or None if it does not end in time."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Run:
    """One role, all chosen cases."""

    def __init__(self, role, options):
        self.role = role
        self.options = options
        self.notes = []
        self.folder = os.path.join(options.reports, role)
        os.makedirs(self.folder, exist_ok=True)
        started = time.monotonic()
        self.result = self._result()
        self.seconds = time.monotonic() - started
        self.rows = self.result["rows"]

    def path(self, name):
        return os.path.join(self.folder, name)

    def under_test(self, *arguments):
        command = [self.options.program, "--max-message-bytes", str(MESSAGE_BYTES), *arguments]
        command += ["--compression", self.options.compression]
        return Process("the %s under test" % self.role, command, self.path("under-test.log"), stdin=subprocess.DEVNULL)

    def suite(self, url):
        result = self.path("result.json")
        if os.path.exists(result):
            os.remove(result)
        with open(self.path("job.json"), "w") as file:
            json.dump({
                "role": self.role, "url": url, "agent": "websocket-echo", "reports": self.folder,
                "cases": self.options.cases, "exclude": self.options.exclude}, file)
        python = os.path.join(self.options.suite, "env", "bin", "python")
        if not os.access(python, os.X_OK):
            raise Trouble("there is no testsuite in %s; run Tests/Conformance/install.sh" % self.options.suite)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return Process(
            "the testsuite", [python, "-u", os.path.join(HERE, "suite.py"), self.path("job.json"), result],
            self.path("suite.log"), stdin=subprocess.PIPE, env=clean)

    def _result(self):
        (self._test_server if self.role == "server" else self._test_client)()
        try:
            with open(self.path("result.json")) as file:
                return json.load(file)
        except (OSError, ValueError) as error:
            raise Trouble("; ".join(self.notes + ["the testsuite left no result: %s" % error]))

    def _test_server(self):
        with self.under_test("--port", "0") as server:
            url = server.line_after("listening on ")
            with self.suite(url) as suite:
                self._follow(suite, suite)
            server.child.send_signal(signal.SIGTERM)
            status = server.wait(20)
            if status != 0:
                self.notes.append("the server under test ended with status %s: %s" % (status, server.last))

    def _test_client(self):
        with self.suite("") as suite:
            port = suite.line_after("listening ")
            arguments = ("--client", "ws://127.0.0.1:" + port, "--agent", "websocket-echo")
            with self.under_test(*arguments) as client:
                self._follow(suite, client)
                status = client.wait(0)
                if status != 0:
                    self.notes.append("the client under test ended with status %s: %s" % (status, client.last))

    def _follow(self, suite, leader):
        """Shows progress until the leader ends, nothing happens any more, or the time is up; then ends the suite."""
        count, deadline = 0, time.monotonic() + self.options.timeout
        last_heard = time.monotonic()
        while True:
            now = time.monotonic()
            if self.options.stopping.is_set():
                raise Trouble("it was told to end")
            if leader.child.poll() is not None or suite.child.poll() is not None:
                break
            if now > deadline or now - last_heard > self.options.stall:
                self.notes.append("%s after %d cases: %s" % (
                    "the time of %d s was up" % self.options.timeout if now > deadline
                    else "nothing happened for %d s" % self.options.stall, count, suite.last))
                break
            try:
                line = suite.line(0.2)
            except queue.Empty:
                continue
            last_heard = time.monotonic()
            if line is None:
                break
            if line.startswith("done "):
                count += 1
                if sys.stderr.isatty():
                    print("\r%s: %d cases, %s   " % (self.role, count, line[5:]), end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        suite.child.stdin.close()
        status = suite.wait(60)
        if status != 0:
            raise Trouble("; ".join(self.notes + ["the testsuite ended with status %s: %s" % (status, suite.last)]))

    def verdict(self, row):
        """passed, failed or skipped."""
        outcomes = (row.get("behavior"), row.get("behaviorClose"))
        if all(outcome in GOOD for outcome in outcomes):
            return "passed"
        if outcomes[0] == "UNIMPLEMENTED" and self.options.compression == "off":
            return "skipped"
        return "failed"

    def outcome(self, row):
        """One word for both outcomes: the worse one."""
        outcomes = {row.get("behavior", "NOT RUN"), row.get("behaviorClose", "NOT RUN")}
        if "NOT RUN" in outcomes or "UNIMPLEMENTED" in outcomes:
            return "NOT RUN" if "NOT RUN" in outcomes else "UNIMPLEMENTED"
        if outcomes - set(GOOD):
            return "FAILED"
        return "NON-STRICT" if "NON-STRICT" in outcomes else "INFORMATIONAL" if "INFORMATIONAL" in outcomes else "OK"

    def groups(self):
        """The rows by group, in order."""
        groups = collections.OrderedDict()
        for row in self.rows:
            groups.setdefault(row["case"].split(".")[0], []).append(row)
        return groups

    def table(self):
        """Header, one line for each group, and the sum."""
        lines = [["group", "cases", *COLUMNS, "seconds"]]

        def line(title, rows):
            counts = collections.Counter(self.outcome(row) for row in rows)
            # A connection without a handshake has no beginning, and its duration is counted from 1970.
            milliseconds = sum(row["duration"] for row in rows if 0 <= row.get("duration", -1) < 1e9)
            return [title, str(len(rows)), *(str(counts[name]) for name in COLUMNS), "%.1f" % (milliseconds / 1000)]
        for group, rows in self.groups().items():
            lines.append(line(group + ".*", rows))
        lines.append(line("all", self.rows))
        return lines

    def named(self, outcome):
        return [row["case"] for row in self.rows if self.outcome(row) == outcome]

    def print(self):
        print("\n%s role, Autobahn testsuite %s%s, %d cases in %.0f s" % (
            self.role, self.result["version"], "" if self.result["accelerated"] else " without wsaccel (slow)",
            len(self.rows), self.seconds))
        lines = self.table()
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for line in lines:
            print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)))
        for row in self.rows:
            if self.outcome(row) == "FAILED":
                print("FAILED %s: %s, close %s: %s / %s" % (
                    row["case"], row["behavior"], row["behaviorClose"], row["result"], row["resultClose"]))
        for outcome in ("NOT RUN", "UNIMPLEMENTED", "NON-STRICT"):
            if self.named(outcome):
                print("%s: %s" % (outcome, " ".join(self.named(outcome))))
        for note in self.notes:
            print("NOTE: " + note)


def write_table(path, runs, options):
    with open(path, "w") as file:
        file.write("# Conformance: the last full run\n\n")
        file.write("Written by `make conformance-full`; compression contexts %s.\n" % options.compression)
        for run in runs:
            file.write("\n## websocket-echo as a %s\n\nAutobahn testsuite %s, %d cases.\n\n" % (
                run.role, run.result["version"], len(run.rows)))
            lines = [line[:-1] for line in run.table()]
            for index, line in enumerate(lines):
                file.write("| " + " | ".join(line) + " |\n")
                if index == 0:
                    file.write("|" + " ---: |" * len(line) + "\n")
            for outcome in ("FAILED", "UNIMPLEMENTED", "NOT RUN", "NON-STRICT"):
                if run.named(outcome):
                    file.write("\n%s: %s\n" % (outcome, ", ".join(run.named(outcome))))
        file.write("\n%s\n" % closing_line(runs))


def closing_line(runs):
    counts = collections.Counter(run.verdict(row) for run in runs for row in run.rows)
    return "%d passed, %d failed, %d skipped" % (counts["passed"], counts["failed"], counts["skipped"])


def patterns(text):
    return [pattern.strip() for pattern in text.split(",") if pattern.strip()]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the websocket-echo to test")
    parser.add_argument("--role", choices=("server", "client", "both"), default="both")
    parser.add_argument("--full", action="store_true", help="all 517 cases instead of all groups but compression and a sample of it")
    parser.add_argument("--cases", type=patterns, metavar="GLOB[,GLOB…]", help="these cases instead")
    parser.add_argument("--exclude", type=patterns, metavar="GLOB[,GLOB…]", default=[])
    parser.add_argument("--compression", choices=("off", "shared", "dedicated"), default="dedicated",
                        help="whose contexts the program compresses with (%(default)s, so that they survive messages); "
                        "with off, cases that need compression count as skipped")
    parser.add_argument("--suite", default=os.path.join(ROOT, ".build/conformance/suite"), help="where install.sh put it")
    parser.add_argument("--reports", default=os.path.join(ROOT, ".build/conformance/reports"), help="for pages, results and logs")
    parser.add_argument("--table", metavar="FILE", help="write the tables to this Markdown file")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="bound on each role's run (3600)")
    parser.add_argument("--stall", type=float, default=120, metavar="SECONDS", help="bound on each case (120)")
    options = parser.parse_args()
    if not options.cases:
        options.cases = ["*"] if options.full else WITHOUT_COMPRESSION + SAMPLE
    for name in ("program", "suite", "reports"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    return options


def main():
    options = parse()
    options.stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: options.stopping.set())  # So that contexts end their processes.
    roles = ("server", "client") if options.role == "both" else (options.role,)
    try:
        # The suite computes on one processor, and is most of what takes time.
        with concurrent.futures.ThreadPoolExecutor(len(roles)) as workers:
            running = [workers.submit(Run, role, options) for role in roles]
            runs = [run.result() for run in running]
        for run in runs:
            run.print()
    except Trouble as trouble:
        print("conformance: %s" % trouble, file=sys.stderr)
        return 2
    if options.table:
        write_table(options.table, runs, options)
    print("\npages with every case: %s" % os.path.relpath(os.path.join(options.reports, "*", "index.html")))
    print(closing_line(runs))
    failed = any(run.verdict(row) == "failed" for run in runs for row in run.rows)
    return 1 if failed or any(run.notes for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
