#!/usr/bin/env python3
"""Measures websocket-echo beside other WebSocket servers and prints medians and ratios; see Benchmarks/README.md.

Server and generator run on a core each. The contestants of a row take turns, round by round, each time with a fresh
process, so that a busy minute of the machine hits all of them; a ratio is the median of the rounds' own ratios.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import select
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SOURCES = pathlib.Path(__file__).resolve().parent
ROOT = SOURCES.parent.parent


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    title: str
    load: str
    mode: str = "echo"  # echo, idle, accept or loops
    compression: str = "off"
    # What is wanted of ours: at least so many times uWebSockets' figure; at most so much of the unit, in a mode that
    # has one; at most so many nanoseconds in user mode per message.
    at_least: float = 0
    at_most: float = 0
    user_at_most: float = 0


ROWS = [
    Row("20B-1", "100 x 20 B, 1 in flight", "--connections 100 --size 20 --depth 1", at_least=1.0, user_at_most=200),
    Row("20B-16", "100 x 20 B, 16 in flight", "--connections 100 --size 20 --depth 16", at_least=1.0, user_at_most=50),
    Row("1KiB-16", "100 x 1 KiB text, 16 in flight", "--connections 100 --size 1024 --depth 16 --text", at_least=1.1),
    Row("16KiB-1", "50 x 16 KiB, 1 in flight", "--connections 50 --size 16384 --depth 1", at_least=1.0),
    Row("64KiB-1", "50 x 64 KiB, 1 in flight", "--connections 50 --size 65536 --depth 1", at_least=1.1),
    Row("10k-1", "10,000 x 1 KiB, 1 in flight", "--connections 10000 --size 1024 --depth 1", at_least=1.0),
    Row("deflate", "deflate, 100 x 1 KiB JSON, shared context", "--connections 100 --size 1024 --depth 1 --deflate",
        compression="shared", at_least=1.0),
    Row("idle", "resident bytes per idle connection, 10,000", "--idle --connections 10000", mode="idle", at_most=400),
    Row("idle-dedicated", "resident bytes per idle connection, dedicated 12-bit contexts, 10,000",
        "--idle --connections 10000 --deflate --context-takeover --size 1024", mode="idle",
        compression="dedicated", at_most=16_000),
    Row("used-dedicated", "the same after one message each",
        "--idle --connections 10000 --deflate --context-takeover --size 1024 --exchanges 1", mode="idle",
        compression="dedicated"),
    Row("accept", "server CPU microseconds per accept and upgrade", "--accept --connections 2000", mode="accept",
        at_most=20),
    Row("loops", "two loops: user-mode ns per message, 1 loop / 2 loops",
        "--connections 100 --size 20 --depth 16", mode="loops", at_least=1.8),
]


class Unavailable(Exception):
    """Why a contestant does not take part in a row."""


@dataclasses.dataclass(frozen=True)
class Contestant:
    name: str
    program: str  # its file under the peers' folder, or empty for ours and for one given on the command line
    compressions: tuple = ("off",)
    command: tuple = ()

    def line(self, row, peers, ours, loops=1):
        """The command line that serves `row`."""
        if row.mode == "loops" and self.name not in ("ours", "ours-async"):
            raise Unavailable("not a row for peers")
        if self.command:
            if row.compression != "off":
                raise Unavailable("given without a way to compress")
            return list(self.command)
        if not self.program:
            return self.own_line(row, ours, loops)
        reason = peers / f"{self.program}.skipped"
        if reason.exists():
            raise Unavailable(reason.read_text().strip())
        if row.compression not in self.compressions:
            raise Unavailable(f"no compression with {row.compression} contexts")
        python = str(peers / "venv/bin/python")
        return {
            "epoll-echo": [str(peers / "epoll-echo"), "0"],
            "uwebsockets-echo": [str(peers / "uwebsockets-echo"), str(peers / "libsocketify.so"), "0", row.compression],
            "libwebsockets-echo": [str(peers / "libwebsockets-echo"), "0", row.compression],
            "picows": [python, str(SOURCES / "picows_echo.py"), "0"],
            "websockets": [python, str(SOURCES / "websockets_echo.py"), "0", row.compression],
        }[self.program]

    def own_line(self, row, ours, loops):
        line, options = [ours[0], "--port", "0"], ours[1]
        if "--compression" in options:
            line += ["--compression", row.compression]
        elif row.compression != "off":
            raise Unavailable("websocket-echo has no option --compression")
        if self.name == "ours-async":
            if "--style" not in options:
                raise Unavailable("websocket-echo has no option --style")
            line += ["--style", "async"]
        return line + (["--loops", str(loops)] if loops > 1 else [])


CONTESTANTS = [
    Contestant("ours", ""),
    Contestant("ours-async", ""),
    Contestant("epoll", "epoll-echo"),
    Contestant("uwebsockets", "uwebsockets-echo", ("off", "shared", "dedicated")),
    Contestant("libwebsockets", "libwebsockets-echo", ("off", "shared")),
    Contestant("picows", "picows"),
    Contestant("websockets", "websockets", ("off", "shared", "dedicated")),
]


class Server:
    """A contestant's process on its cores, from its announcement on."""

    def __init__(self, line, cores):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=lambda: os.sched_setaffinity(0, cores)
        )
        self.url = self.announced(time.monotonic() + 20)

    def announced(self, deadline):
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not piece:
                self.process.kill()
                self.process.wait()
                self.errors.seek(0)
                error = self.errors.read().decode(errors="replace").strip()
                raise RuntimeError(f"the server does not say where it listens: {error or text.decode()}")
            text += piece
        return text.decode().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def measure(line, row, arguments, cores, loops=1):
    """One run: what ws-load found, as it printed it."""
    server_cores, generator_core = cores
    if loops > 1:
        server_cores = set(sorted(os.sched_getaffinity(0))[:loops])
    with Server(line, server_cores) as server:
        command = [arguments.generator, "--url", server.url, "--server-pid", str(server.process.pid), "--json"]
        command += shlex.split(row.load) + ["--server-cores", str(loops)]
        if row.mode != "idle":
            command += ["--duration", f"{arguments.duration}s", "--warmup", f"{arguments.warmup}s"]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=600 + 2 * arguments.duration,
            preexec_fn=lambda: os.sched_setaffinity(0, {generator_core}),
        )
    if result.returncode != 0:
        raise RuntimeError(result.stderr.strip() or f"ws-load ended with {result.returncode}")
    return json.loads(result.stdout)


def figure(row, sample):
    """The number that the row is about."""
    return {
        "echo": lambda: sample["messages_per_server_cpu_second"],
        "idle": lambda: sample["resident_bytes_per_connection"],
        "accept": lambda: sample["server_us_per_connection"],
        "loops": lambda: sample["scaling"],
    }[row.mode]()


def one_round(contestant, row, arguments, peers, ours, cores):
    if row.mode != "loops":
        return measure(contestant.line(row, peers, ours), row, arguments, cores)
    one = measure(contestant.line(row, peers, ours), row, arguments, cores)
    two = measure(contestant.line(row, peers, ours, loops=2), row, arguments, cores, loops=2)
    return {"one": one, "two": two}


def pooled_user(samples):
    """User-mode nanoseconds per message over all rounds: the kernel counts by ticks, and ticks add up."""
    messages = sum(sample["messages"] for sample in samples)
    return sum(sample["server_user_seconds"] for sample in samples) * 1e9 / messages


def summary(row, samples):
    if row.mode == "loops":
        for sample in samples:
            one, two = sample["one"], sample["two"]
            sample["scaling"] = 2 * pooled_user([one]) / max(1e-9, pooled_user([two]))
        one, two = [s["one"] for s in samples], [s["two"] for s in samples]
        result = {
            "median": 2 * pooled_user(one) / max(1e-9, pooled_user(two)), "user_ns": pooled_user(one),
            "user_ns_two_loops": pooled_user(two),
            "cpu_scaling": 2 * statistics.median(
                s["two"]["messages_per_server_cpu_second"] / s["one"]["messages_per_server_cpu_second"]
                for s in samples),
        }
    else:
        result = {"median": statistics.median(figure(row, sample) for sample in samples)}
    figures = [figure(row, sample) for sample in samples]
    result["spread"] = (max(figures) - min(figures)) / abs(result["median"]) if result["median"] else 0
    result["samples"] = samples
    if row.mode == "echo":
        result["user_ns"] = pooled_user(samples)
        for name in ("p50", "p99"):
            result[name] = statistics.median(sample["latency_ns"][name] for sample in samples)
        result["messages_per_second"] = statistics.median(sample["messages_per_second"] for sample in samples)
        result["reply_bytes"] = statistics.median(sample["reply_payload_bytes_per_message"] for sample in samples)
        kinds = [sample["bottleneck"] for sample in samples]
        result["bottleneck"] = max(sorted(set(kinds)), key=kinds.count)
    return result


def ratio(row, mine, other):
    """The median of the rounds' ratios, or None."""
    if not mine or not other or row.mode == "loops":
        return None
    pairs = [(figure(row, a), figure(row, b)) for a, b in zip(mine["samples"], other["samples"])]
    # Ten thousand connections may fit into pages that were there before.
    return statistics.median(a / b for a, b in pairs) if all(b > 0 for _, b in pairs) else None


def verdict(row, result, reference, to_reference):
    """What is wanted of ours, and whether it is so; empty for a row that wants nothing measurable here."""
    found = []
    if row.mode == "loops":
        found.append((result["median"] >= row.at_least, f">= {row.at_least}"))
    elif row.at_least and to_reference is not None:
        found.append((to_reference >= row.at_least, f">= {row.at_least} x uWS"))
        if row.compression != "off":
            # Fewer bytes cost more time: a comparison counts at the same bytes only.
            found.append((result["reply_bytes"] <= 1.01 * reference["reply_bytes"], "as few bytes back"))
    if row.at_most:
        found.append((result["median"] <= row.at_most, f"<= {row.at_most:,.0f}"))
    if row.user_at_most:
        found.append((result["user_ns"] <= row.user_at_most, f"user <= {row.user_at_most:.0f} ns"))
    return found


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def table(header, lines):
    widths = [max(len(line[i]) for line in [header] + lines) for i in range(len(header))]
    for line in [header] + lines:
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:])]
        print("  " + "  ".join(cells + [line[-1]]).rstrip())


def report(row, results, skipped, failed):
    reference, limit = results.get("uwebsockets"), results.get("epoll")
    unit = {"echo": "messages/CPU-s", "idle": "bytes/connection", "accept": "µs/connection", "loops": "scaling"}
    header = ["contestant", unit[row.mode], "spread", "/uWS", "/C"]
    header += {"echo": ["user ns", "p50 µs", "p99 µs", "bytes back", "messages/s", "bottleneck"], "loops":
               ["user ns, 1 loop", "2 loops", "all CPU"]}.get(row.mode, []) + ["wanted"]
    lines = []
    for name, result in results.items():
        to_reference = ratio(row, result, reference)
        cells = [name, number(result["median"]), f"{100 * result['spread']:.0f} %"]
        cells += [f"{r:.2f}" if r is not None else "-" for r in (to_reference, ratio(row, result, limit))]
        if row.mode == "echo":
            cells += [number(result["user_ns"]), f"{result['p50'] / 1e3:,.0f}", f"{result['p99'] / 1e3:,.0f}",
                      number(result["reply_bytes"]), number(result["messages_per_second"]), result["bottleneck"]]
        if row.mode == "loops":
            cells += [number(result["user_ns"]), number(result["user_ns_two_loops"]), f"{result['cpu_scaling']:.2f}"]
        wishes = []
        if name == "ours":  # What the async face costs is shown, not judged.
            result["wanted"] = [
                {"wish": wish, "met": bool(met)} for met, wish in verdict(row, result, reference, to_reference)]
            wishes = [f"{w['wish']}: {'met' if w['met'] else 'MISSED'}" for w in result["wanted"]]
        result["to_uwebsockets"], result["to_epoll"] = to_reference, ratio(row, result, limit)
        lines.append(cells + ["; ".join(wishes)])
    print(f"\n{row.title}  [{row.name}]")
    if lines:
        table(header, lines)
    for name, reason in {**skipped, **failed}.items():
        print(f"  {name}: {'FAILED' if name in failed else 'skipped'}: {reason}")
    sys.stdout.flush()


def build(arguments):
    swift = os.environ.get("SWIFT", "swift")
    for product in ("ws-load", "websocket-echo"):
        subprocess.run([swift, "build", "-c", "release", "--product", product], cwd=ROOT, check=True, stdout=sys.stderr)
    shown = subprocess.run(
        [swift, "build", "-c", "release", "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    folder = pathlib.Path(shown.stdout.strip())
    arguments.generator = str(folder / "ws-load")
    program = arguments.ours or str(folder / "websocket-echo")
    options = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    return program, options


def parse():
    parser = argparse.ArgumentParser(prog="make bench-peers BENCH_FLAGS=...", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default="", help="only these, by name, separated by commas")
    parser.add_argument("--peers", default="", help="only these contestants, separated by commas")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contestant has its turn (5)")
    parser.add_argument("--duration", type=float, default=3, help="seconds that are measured each time (3)")
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds before that (0.5)")
    parser.add_argument("--quick", action="store_true", help="one second, three rounds: a first impression")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    parser.add_argument("--check", action="store_true", help="exit with 1 if something wanted is missed")
    parser.add_argument("--list", action="store_true", help="print the rows' and contestants' names")
    parser.add_argument("--ours", metavar="PROGRAM", help="measure this websocket-echo instead of this build's")
    parser.add_argument("--no-install", action="store_true", help="take the peers as they are")
    parser.add_argument(
        "--server", action="append", default=[], metavar="NAME=COMMAND",
        help="one more contestant, which prints its URL as the last word of a line")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.duration, arguments.rounds = 1, 3
    if arguments.rounds < 1 or arguments.duration <= 0 or arguments.warmup < 0:
        parser.error("--rounds is at least 1, --duration more than 0, --warmup not negative")
    return parser, arguments


def chosen(parser, names, known, what):
    wanted = [name for name in names.split(",") if name]
    for name in wanted:
        if name not in [item.name for item in known]:
            parser.error(f"no {what} is called {name}; there are {', '.join(item.name for item in known)}")
    return [item for item in known if not wanted or item.name in wanted]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def progress(text):
    """Shows where the run is, to people only."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


def main():
    parser, arguments = parse()
    contestants = list(CONTESTANTS)
    for text in arguments.server:
        name, equals, command = text.partition("=")
        if not equals or not command:
            parser.error(f"--server takes NAME=COMMAND, not {text}")
        contestants.append(Contestant(name, "", command=tuple(shlex.split(command))))
    rows = chosen(parser, arguments.rows, ROWS, "row")
    contestants = chosen(parser, arguments.peers, contestants, "contestant")
    if arguments.list:
        print("rows:", *(row.name for row in rows))
        print("contestants:", *(contestant.name for contestant in contestants))
        return 0
    peers = ROOT / os.environ.get("LIFELINE_PEERS", ".build/peers")
    if not arguments.no_install:
        subprocess.run([str(SOURCES / "install.sh"), str(peers)], check=True, stdout=sys.stderr)
    ours = build(arguments)
    available = sorted(os.sched_getaffinity(0))
    cores = ({available[0]}, available[-1])
    print(f"{processor()}, {len(available)} cores: servers on {available[0]}, generator on {available[-1]}"
          + ("" if len(available) > 1 else ", WHICH IS THE SAME: ratios are of little use"))
    print(f"{arguments.rounds} rounds of {arguments.duration:g} s each; load average {os.getloadavg()[0]:.1f}")
    everything = {"processor": processor(), "cores": len(available), "rounds": arguments.rounds,
                  "duration": arguments.duration, "rows": {}}
    all_met = True
    for row in rows:
        samples, skipped, failed, lines = {}, {}, {}, []
        for contestant in contestants:
            try:
                contestant.line(row, peers, ours)
                lines.append(contestant)
            except Unavailable as reason:
                if str(reason) != "not a row for peers":
                    skipped[contestant.name] = str(reason)
        for turn in range(arguments.rounds):
            # Whoever begins finds other caches than whoever follows; so everyone begins once.
            start = turn % max(1, len(lines))
            for contestant in lines[start:] + lines[:start]:
                if contestant.name in failed:
                    continue
                progress(f"{row.name}: round {turn + 1} of {arguments.rounds}: {contestant.name}")
                try:
                    sample = one_round(contestant, row, arguments, peers, ours, cores)
                    samples.setdefault(contestant.name, []).append(sample)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failed[contestant.name] = str(error)
                    samples.pop(contestant.name, None)
        progress("")
        results = {c.name: summary(row, samples[c.name]) for c in lines if c.name in samples}
        report(row, results, skipped, failed)
        for name in ("ours", "ours-async"):
            if name in failed:
                all_met = False
            all_met &= all(wish["met"] for wish in results.get(name, {}).get("wanted", []))
        everything["rows"][row.name] = {"title": row.title, "results": results, "skipped": skipped, "failed": failed}
    print("\nspread: (largest - smallest) / median of the rounds. /uWS, /C: medians of the rounds' ratios to uWebSockets\n"
          "and to the C epoll echo. user ns: over all rounds together. bottleneck: who was busy at least 95 % of the time.")
    if "loops" in everything["rows"]:
        print("scaling: what two loops on two cores do compared with one, by user-mode cost: 2 x (ns of one / ns of two).")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(everything, indent=1) + "\n")
    return 1 if arguments.check and not all_met else 0


if __name__ == "__main__":
    sys.exit(main())
