"""A PostgreSQL server of one's own in a folder that is removed with it, and what it has done."""

import glob
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """A program is not installed."""


def find(program):
    """Debian keeps the server's programs outside of PATH."""
    found = shutil.which(program) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))[::-1]), None)
    if not found:
        raise Missing(f"{program} is missing; on Debian and Ubuntu: apt install postgresql")
    return found


def processor_time(pid):
    """Seconds that a process has used, and those that its ended children had; zeros once it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return own / TICKS, ended / TICKS


def children(pid):
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Server:
    """Listens on a Unix socket only. Durable as PostgreSQL is: `fsync` and `synchronous_commit` are on."""

    def __init__(self, settings=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeline-cluster-db-"))
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.settings = ["fsync=on", "synchronous_commit=on", *settings]
        self.process = None
        try:
            if self.prefix:
                shutil.chown(self.folder, "postgres")
            self._run(find("initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-instructions")
            self.start()
            self.query("CREATE DATABASE lifeline", database="postgres")
        except BaseException:
            self.remove()
            raise

    @property
    def url(self):
        return f"postgres://postgres@/lifeline?host={self.folder}"

    def _run(self, *words):
        done = subprocess.run([*self.prefix, *words], capture_output=True, text=True, cwd="/")
        if done.returncode:
            raise RuntimeError(f"{words[0]}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self):
        words = [find("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        for setting in self.settings:
            words += ["-c", setting]
        log = open(self.folder / "server.log", "a")
        # Its own session, so that Ctrl-C reaches it through us only.
        self.process = subprocess.Popen(
            [*self.prefix, *words], stdout=log, stderr=log, cwd="/", start_new_session=True)
        end = time.monotonic() + 60
        while True:
            try:
                self.query("SELECT 1", database="postgres")
                return
            except RuntimeError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def query(self, text, database="lifeline"):
        """The rows as psql prints them, without decoration."""
        return self._run(find("psql"), "-h", str(self.folder), "-U", "postgres", "-d", database, "-AtX", "-c", text).strip()

    @property
    def pid(self):
        """The server's first process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def processor_time(self):
        own, ended = processor_time(self.pid)
        return own + ended + sum(processor_time(child)[0] for child in children(self.pid))

    def work(self):
        """What it has done so far: commits, syncs of its log, and bytes of it."""
        # Sessions tell their numbers at most once a second.
        commits, syncs, size = self.query(
            "SELECT xact_commit, (SELECT wal_sync FROM pg_stat_wal), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
            " FROM pg_stat_database WHERE datname = 'lifeline'").split("|")
        return {"commits": int(commits), "syncs": int(syncs), "bytes": int(size)}

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            try:
                os.kill(self.pid, 2)  # SIGINT: a fast shutdown
                self.process.wait(timeout=30)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def bench(server, clients, script, seconds, variables=()):
    """pgbench's transactions a second for a script of one's own."""
    path = server.folder / "script.sql"
    path.write_text(script)
    path.chmod(0o644)
    words = [find("pgbench"), "-n", "-M", "prepared", "-h", str(server.folder), "-U", "postgres", "-c", str(clients), "-j",
             str(min(clients, 2)), "-T", str(seconds), "-f", str(path)]
    for variable in variables:
        words += ["-D", variable]
    text = server._run(*words, "lifeline")
    return next(float(line.split()[2]) for line in text.splitlines() if line.startswith("tps = "))
