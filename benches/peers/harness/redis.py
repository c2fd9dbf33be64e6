"""Redis: a stream a chat, every command on disk before it is answered."""

import csv
import itertools
import subprocess

from process import Failed, Server, answers, output
from settings import TEXT, TOOLS

# Redis has nothing like a chat's members to look up; an author is what `-r` makes.
ADD = ["XADD", "chat:__rand_int__", "*", "author", "__rand_int__", "text", TEXT]
CHATS = 100
# What may make it faster: threads of the server's for reading and writing, and of the client's.
IO_THREADS = (1, 2)
CLIENT_THREADS = (0, 2)


class Redis(Server):
    """`sync` is `always` or, to fill it, `no`."""

    name = "redis"
    user = "nobody"

    def __init__(self, io_threads=1, sync="always"):
        super().__init__()
        self.io_threads = io_threads
        self.sync = sync
        self.rates = {}

    def start(self):
        self.own()
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self.dir,
            "appendonly": "yes",
            "appendfsync": self.sync,
            # No snapshots, and no rewriting of the log while it is measured.
            "save": "",
            "auto-aof-rewrite-percentage": 0,
            "aof-use-rdb-preamble": "no",
            "io-threads": self.io_threads,
            "io-threads-do-reads": "yes",
            "maxclients": 10_000,
        }
        words = itertools.chain.from_iterable((f"--{name}", value) for name, value in options.items())
        self.spawn(["redis-server", *words], self.is_ready)

    def is_ready(self):
        return answers(self.port, b"PING\r\n", b"+PONG")

    def cli(self, *words):
        return output(["redis-cli", "-p", self.port, *words])

    def benchmark(self, command, connections, seconds, client_threads=0):
        """Runs a command for about so long: redis-benchmark wants a number of requests."""
        rate = self.rates.get((command[0], connections))
        if rate is None:
            rate = self.requests(command, connections, 2_000, client_threads)["per_s"]
        sample = self.requests(command, connections, max(int(rate * seconds), 1_000), client_threads)
        self.rates[command[0], connections] = sample["per_s"]
        return sample

    def add(self, connections, seconds):
        """Messages, by a client of one thread."""
        return self.benchmark(ADD, connections, seconds)

    def requests(self, command, connections, requests, client_threads):
        words = ["redis-benchmark", "-p", self.port, "-c", connections, "-n", requests, "-r", CHATS, "--csv"]
        if client_threads:
            words += ["--threads", client_threads]
        before = self.calls(command[0])
        printed = output([*words, *command])
        calls, failed = (now - then for now, then in zip(self.calls(command[0]), before))
        if failed or calls < requests:
            raise Failed(f"{requests} requests, but {calls} calls, of which {failed} failed")
        (told,) = csv.DictReader(line for line in printed.splitlines() if line.startswith('"'))
        micros = {f"p{n}_us": float(told[f"p{n}_latency_ms"]) * 1000 for n in (50, 99)}
        return {"answers": calls, "per_s": float(told["rps"]), **micros}

    def calls(self, command):
        """How often the server was asked this, and how often it failed."""
        for line in self.cli("INFO", "commandstats").splitlines():
            if line.startswith(f"cmdstat_{command.lower()}:"):
                told = dict(part.split("=") for part in line.split(":")[1].split(","))
                return int(told["calls"]), int(told["failed_calls"]) + int(told["rejected_calls"])
        return 0, 0

    def fill(self, chats, messages):
        """Has it hold the conversation that `chinwag.Filled` makes."""
        words = [TOOLS, "redis-commands", "--chats", chats, "--messages", messages]
        with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE) as commands:
            with commands.stdout as pipe:
                printed = output(["redis-cli", "-p", self.port, "--pipe"], stdin=pipe)
        if commands.returncode != 0 or f"errors: 0, replies: {messages}" not in printed:
            raise Failed(f"filling: {commands.returncode}, {printed}")


class BestRedis:
    """Redis with the number of threads that makes it fastest, at each number of connections."""

    name = "redis"

    def __init__(self, stack, try_seconds, **options):
        self.servers = [stack.enter_context(Redis(io_threads, **options)) for io_threads in IO_THREADS]
        self.try_seconds = try_seconds
        self.best = {}

    def send(self, connections, seconds):
        return self.run(ADD, connections, seconds)

    def run(self, command, connections, seconds):
        key = command[0], connections
        if key not in self.best:
            variants = list(itertools.product(self.servers, CLIENT_THREADS))
            tried = [
                server.benchmark(command, connections, self.try_seconds, threads)["per_s"]
                for server, threads in variants
            ]
            self.best[key] = variants[tried.index(max(tried))]
        server, threads = self.best[key]
        sample = server.benchmark(command, connections, seconds, threads)
        return {**sample, "variant": f"io-threads {server.io_threads}, client threads {threads or 1}"}


def versions():
    return {"redis": output(["redis-server", "--version"]).split()[2].removeprefix("v=")}
