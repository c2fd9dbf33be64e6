"""How is PostgreSQL measured? One prepared statement per message, committed to disk."""

import itertools
import math
import os
import re
import signal
from pathlib import Path

from process import Failed, Server, answers, output
from settings import TEXT

CHATS = 100
# Integer ids are shorter than Chinwag's UUIDs, and one sequence is cheaper than a count per chat.
SCHEMA = f"""
CREATE TABLE members (chat bigint, author bigint, PRIMARY KEY (chat, author));
CREATE TABLE messages (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat bigint NOT NULL, author bigint NOT NULL, text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON messages (chat, seq);
INSERT INTO members SELECT chat, (chat + place) % {CHATS}
    FROM generate_series(0, {CHATS - 1}) AS chat, generate_series(0, 1) AS place;
VACUUM ANALYZE members;
"""
ADD = f"""
\\set chat random(0, {CHATS - 1})
\\set author (:chat + random(0, 1)) % {CHATS}
INSERT INTO messages (chat, author, text)
    SELECT chat, author, :text FROM members WHERE chat = :chat AND author = :author
    RETURNING seq, created_at;
"""
# Variants that may be faster: the kind of socket, the client's threads, and a delay before a commit.
HOSTS = ("127.0.0.1", "socket")
CLIENT_THREADS = (1, 2)
COMMIT_DELAYS_US = (0, 100)
# Time to connect: a first estimate per client, and a maximum for all clients.
SECONDS_TO_CONNECT = 0.004
TO_CONNECT_SECONDS_MAX = 120


def programs():
    """Returns the directory of the newest PostgreSQL's programs, which Debian does not put on the PATH."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Postgres(Server):
    """`send` finds the fastest variant for each number of connections, once."""

    name = "postgres"
    user = "postgres"
    # SIGINT stops it without waiting for clients.
    stop_signal = signal.SIGINT

    def __init__(self, try_seconds):
        super().__init__()
        self.try_seconds = try_seconds
        self.best = {}
        self.programs = programs()
        self.script = self.dir / "add.sql"

    def start(self):
        self.own()
        data = self.dir / "data"
        init = [
            self.programs / "initdb",
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale",
            "C",
        ]
        output(self.as_user([*init, "--no-sync"]), cwd=self.dir)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.dir,
            "max_connections": 1100,
            "shared_buffers": "1GB",
            "fsync": "on",
            "synchronous_commit": "on",
            # One machine, and no maintenance during the measurement.
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "autovacuum": "off",
            "checkpoint_timeout": "1h",
            "max_wal_size": "16GB",
        }
        words = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in options.items())
        self.spawn([self.programs / "postgres", "-D", data, *words], self.is_ready)
        self.sql(SCHEMA)
        self.script.write_text(ADD, encoding="utf-8")

    def is_ready(self):
        # `N` declines a request for encryption.
        return answers(self.port, b"\0\0\0\x08\x04\xd2\x16\x2f", b"N") and self.accepts()

    def accepts(self):
        try:
            output([self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port])
        except Failed:
            return False
        return True

    def sql(self, statements):
        words = [self.programs / "psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"]
        words += ["-h", "127.0.0.1", "-p", self.port, "-U", "postgres"]
        return output(words, input=statements).strip()

    def send(self, connections, seconds, latencies=False):
        if connections not in self.best:
            variants = list(itertools.product(HOSTS, CLIENT_THREADS, COMMIT_DELAYS_US))
            variants = [variant for variant in variants if variant[1] <= connections]
            tried = [self.pgbench(variant, connections, self.try_seconds)["per_s"] for variant in variants]
            self.best[connections] = variants[tried.index(max(tried))]
        host, threads, delay = variant = self.best[connections]
        sample = self.pgbench(variant, connections, seconds, latencies)
        return {**sample, "variant": f"{host}, client threads {threads}, commit_delay {delay}"}

    def pgbench(self, variant, connections, seconds, latencies=False):
        """Runs pgbench. The time to connect counts as running time but not in the rate, so it is added."""
        host, threads, delay = variant
        words = [self.programs / "pgbench", "-n", "-M", "prepared", "-f", self.script, "-D", f"text={TEXT}"]
        words += ["-h", self.dir if host == "socket" else host, "-p", self.port, "-U", "postgres"]
        words += ["-c", connections, "-j", threads]
        if latencies:
            words += ["--log", "--sampling-rate", "0.2", "--log-prefix", self.dir / "latency"]
        environment = {**os.environ, "PGOPTIONS": f"-c commit_delay={delay}"}
        before = self.rows()
        transactions, to_connect = 0, connections * SECONDS_TO_CONNECT
        while transactions == 0 and to_connect < TO_CONNECT_SECONDS_MAX:
            with self.cost() as cost:
                printed = output([*words, "-T", math.ceil(seconds + to_connect), "postgres"], env=environment)
            transactions = int(find(r"transactions actually processed: (\d+)", printed))
            to_connect *= 4
        if transactions == 0 or self.rows() - before != transactions:
            raise Failed(f"{transactions} transactions, but {self.rows() - before} messages")
        sample = cost.of({"answers": transactions, "per_s": float(find(r"tps = ([\d.]+)", printed))})
        return {**sample, **self.latencies()} if latencies else sample

    def latencies(self):
        """Reads the latencies from pgbench's log of transactions: client, number, microseconds, …"""
        micros = []
        for path in self.dir.glob("latency*"):
            micros += [int(line.split()[2]) for line in path.read_text(encoding="utf-8").splitlines()]
            path.unlink()
        micros.sort()
        if not micros:
            raise Failed("pgbench logged no transactions")
        return {f"p{n}_us": micros[min(len(micros) * n // 100, len(micros) - 1)] for n in (50, 99)}

    def rows(self):
        return int(self.sql("SELECT count(*) FROM messages;"))


def find(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise Failed(f"no {pattern} in: {text}")
    return found.group(1)


def versions():
    return {"postgresql": output([programs() / "postgres", "--version"]).split()[2]}
