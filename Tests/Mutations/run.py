#!/usr/bin/env python3
"""Breaks the cores on purpose, one rule at a time, and shows that seeds of the simulation notice.

All mutants of mutants.txt are put into one copy of the sources, each behind a choice made at run time, so that there is one
build. Every mutant must be noticed within --seeds seeds; the unmutated copy must pass them all.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BOUND = 120  # Seconds that a mutant may compute.
MODULES = ["CZlib", "COpenSSL", "Primitives", "Cryptography", "Authentication", "CoordinationCore", "History", "Simulation"]

PACKAGE = """// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
]
let package = Package(
  name: "lifeline",
  targets: [
    .systemLibrary(name: "CZlib"), .systemLibrary(name: "COpenSSL"),
    .target(name: "Primitives", swiftSettings: settings, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Cryptography", dependencies: ["COpenSSL"], swiftSettings: settings),
    .target(name: "Authentication", dependencies: ["Primitives", "Cryptography"], swiftSettings: settings),
    .target(
      name: "CoordinationCore", dependencies: ["Primitives", "Cryptography", "Authentication", "CZlib"],
      swiftSettings: settings),
    .target(name: "History", dependencies: ["Primitives", "CoordinationCore"], swiftSettings: settings),
    .target(name: "Simulation", dependencies: ["Primitives", "Authentication", "CoordinationCore", "History"], swiftSettings: settings),
    .executableTarget(name: "runner", dependencies: ["CoordinationCore", "Simulation"], swiftSettings: settings),
  ])
"""

SWITCH = """/// Which mutant is at work; 0: none.
public enum Mutation {
  nonisolated(unsafe) public static var active = 0
}
"""


def read_mutants(text):
    mutants = []
    for block in text.split("\n## ")[1:]:
        lines = block.rstrip("\n").split("\n")
        title, path, parts = lines[0], lines[1], {"-": None, "+": None}
        mark = None
        for line in lines[2:]:
            if line[:2] in ("- ", "+ "):
                mark = line[0]
                parts[mark] = line[2:]
            elif mark and (line.strip() or mark == "-" or parts["+"] is not None):
                parts[mark] += "\n" + line
        old, new = parts["-"], parts["+"]
        if old is None or new is None or "MUTANT" not in new:
            sys.exit(f"mutants.txt: {title}: wants a line of old text and one of new text with MUTANT in it")
        mutants.append((title, path, old.rstrip("\n"), new.rstrip("\n")))
    return mutants


def write(path, text):
    """Leaves an unchanged file alone, so that building again is quick."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def prepare(folder, mutants):
    sources = {}
    for module in MODULES:
        for file in sorted((ROOT / "Sources" / module).rglob("*")):
            if file.is_file() and file.suffix in (".swift", ".h", ".modulemap"):
                sources[str(file.relative_to(ROOT))] = file.read_text()
    for number, (title, path, old, new) in enumerate(mutants, 1):
        if sources.get(path, "").count(old) != 1:
            sys.exit(f"mutants.txt: {title}: its text is in {path} {sources.get(path, '').count(old)} times, not once; "
                     "the code has changed: say anew what is to be broken")
        sources[path] = sources[path].replace(old, new.replace("MUTANT", f"(Mutation.active == {number})"))
    shutil.rmtree(folder / "Sources", ignore_errors=True) if not (folder / "Package.swift").exists() else None
    for path, text in sources.items():
        write(folder / path, text)
    write(folder / "Sources/CoordinationCore/Mutation.swift", SWITCH)
    write(folder / "Sources/runner/runner.swift", (HERE / "runner.swift").read_text())
    write(folder / "Package.swift", PACKAGE)
    wanted = set(sources) | {"Sources/CoordinationCore/Mutation.swift", "Sources/runner/runner.swift"}
    for file in (folder / "Sources").rglob("*"):
        if file.is_file() and str(file.relative_to(folder)) not in wanted:
            file.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2_000, help="how many seeds a mutant may outlive (2000)")
    parser.add_argument("--seed", type=int, default=1, help="the first one (1)")
    parser.add_argument("--clean-seeds", type=int, default=500, help="how many the unmutated copy must pass (500)")
    parser.add_argument("--only", help="only mutants with this text in their title")
    options = parser.parse_args()
    mutants = read_mutants((HERE / "mutants.txt").read_text())
    folder = ROOT / ".build" / "mutants"
    prepare(folder, mutants)
    swift = os.environ.get("SWIFT", "swift")
    build = subprocess.run([swift, "build", "-c", "release", "--package-path", folder], capture_output=True, text=True)
    if build.returncode != 0:
        sys.exit("the mutated sources cannot be built:\n" + build.stdout[-4_000:] + build.stderr[-2_000:])
    runner = folder / ".build" / "release" / "runner"

    def run(number, seeds):
        began = time.monotonic()
        # Time of the processor's: how much else the machine does makes no difference.
        command = ["sh", "-c", f'ulimit -S -t {BOUND} && exec "$0" "$@"', runner, str(number), str(options.seed), str(seeds)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == -signal.SIGXCPU:
            return f"no seed within {BOUND} s", time.monotonic() - began
        text = done.stdout.strip() or f"ended with {done.returncode}: {done.stderr.strip()[-200:]}"
        return text, time.monotonic() - began

    passed = failed = 0
    wanted = [(number, title) for number, (title, _, _, _) in enumerate(mutants, 1)
              if not options.only or options.only in title]
    # Each is one computation in a process of its own.
    workers = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    clean = workers.submit(run, 0, options.clean_seeds)
    running = [workers.submit(run, number, options.seeds) for number, _ in wanted]
    try:
        text, took = clean.result()
        isGood = text.startswith("no seed of")
        passed, failed = passed + isGood, failed + (not isGood)
        print(f"{'ok ' if isGood else 'BAD'} {took:6.1f} s  nothing is broken: {text}", flush=True)
        for (_, title), mutant in zip(wanted, running):
            text, took = mutant.result()
            # A trap notices as well as a rule does, but says less.
            isGood = not text.startswith("no seed")
            passed, failed = passed + isGood, failed + (not isGood)
            print(f"{'ok ' if isGood else 'BAD'} {took:6.1f} s  {title}: {text[:160]}", flush=True)
    finally:
        workers.shutdown(cancel_futures=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
