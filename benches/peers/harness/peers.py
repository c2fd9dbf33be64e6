"""Do all servers sync, and how fast is each?"""

import re
import signal
import subprocess

from chinwag import Chinwag
from nats import Nats
from pocketbase import PocketBase
from postgres import Postgres
from redis import BestRedis, Redis
from results import Line
from settings import WORK

CONNECTIONS = (1, 4, 16, 64, 256, 1024)


def syncs(recorder, stack):
    """Counts each server's syncs under one connection that waits for every answer."""
    try_seconds = recorder.settings.warm_up_seconds
    for peer in (Chinwag(), Redis(), Postgres(try_seconds), PocketBase(), Nats(try_seconds)):
        server = stack.enter_context(peer)
        if isinstance(server, Chinwag):
            server.will_send()
        send = server.add if isinstance(server, Redis) else server.send
        line = Line(f"{server.name}, one connection: syncs : answers", "in all", 1)
        for _ in range(recorder.settings.pairs):
            send(1, try_seconds)
            with Syncs(server.pid) as counted:
                sample = send(1, recorder.settings.seconds_each)
            recorder.pair(line, {"answers": counted.syncs}, sample, figure="answers")
        server.stop()


class Syncs:
    """Counts a server's calls to fsync and fdatasync."""

    def __init__(self, pid):
        self.trace = WORK / "strace"
        self.command = [
            "strace",
            "-f",
            "-e",
            "trace=fsync,fdatasync,sync_file_range",
            "-o",
            self.trace,
            "-p",
            pid,
        ]
        self.syncs = 0

    def __enter__(self):
        self.process = subprocess.Popen(
            [str(word) for word in self.command], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        # strace prints a line for each thread that it attaches to. The first line is enough.
        attached = self.process.stderr.readline()
        if "attached" not in attached:
            raise RuntimeError(attached)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate()
        calls = self.trace.read_text(encoding="utf-8", errors="replace")
        self.syncs = len(re.findall(r"\b(?:fsync|fdatasync)\(", calls))
        self.trace.unlink()


def curves(recorder, stack):
    """Measures the points of the charts: all servers in turns, at every number of connections."""
    try_seconds = recorder.settings.warm_up_seconds
    durable = stack.enter_context(Chinwag()).will_send()
    memory = stack.enter_context(Chinwag("--ephemeral")).will_send()
    postgres = stack.enter_context(Postgres(try_seconds))
    pocketbase = stack.enter_context(PocketBase())
    nats = stack.enter_context(Nats(try_seconds))
    redis = BestRedis(stack, try_seconds)
    peers = {
        "Chinwag": durable.send,
        "Chinwag, in memory": memory.send,
        "Redis": redis.send,
        "PostgreSQL": lambda connections, seconds: postgres.send(connections, seconds, latencies=True),
        "PocketBase": pocketbase.send,
        "NATS JetStream": nats.send,
    }
    for connections in CONNECTIONS:
        for send in peers.values():
            send(connections, try_seconds)
        for _ in range(recorder.settings.pairs):
            for peer, send in peers.items():
                recorder.point(peer, connections, send(connections, recorder.settings.seconds_each))
