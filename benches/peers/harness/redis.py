"""How is Redis measured? One stream per chat; every command is on disk before its answer."""

import csv
import itertools
import subprocess

from process import Failed, Server, answers, output
from settings import TEXT, TOOLS

# Redis does not check membership. `-r` generates the authors.
ADD = ["XADD", "chat:__rand_int__", "*", "author", "__rand_int__", "text", TEXT]
CHATS = 100
# Variants that may be faster: I/O threads of the server, and threads of the client.
IO_THREADS = (1, 2)
CLIENT_THREADS = (0, 2)


class Redis(Server):
    """A Redis server. `sync` is `always`, or `no` to fill it."""

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
            # No snapshots, and no rewriting of the log during the measurement.
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
        """Runs a command for about this long, as a number of requests, which redis-benchmark requires."""
        rate = self.rates.get((command[0], connections))
        if rate is None:
            rate = self.requests(command, connections, 2_000, client_threads)["per_s"]
        sample = self.requests(command, connections, max(int(rate * seconds), 1_000), client_threads)
        self.rates[command[0], connections] = sample["per_s"]
        return sample

    def add(self, connections, seconds):
        """Adds messages, with a client of one thread."""
        return self.benchmark(ADD, connections, seconds)

    def requests(self, command, connections, requests, client_threads):
        words = ["redis-benchmark", "-p", self.port, "-c", connections, "-n", requests, "-r", CHATS, "--csv"]
        if client_threads:
            words += ["--threads", client_threads]
        before = self.calls(command[0])
        with self.cost() as cost:
            printed = output([*words, *command])
        calls, failed = (now - then for now, then in zip(self.calls(command[0]), before))
        if failed or calls < requests:
            raise Failed(f"{requests} requests, but {calls} calls, of which {failed} failed")
        (row,) = csv.DictReader(line for line in printed.splitlines() if line.startswith('"'))
        micros = {f"p{n}_us": float(row[f"p{n}_latency_ms"]) * 1000 for n in (50, 99)}
        return cost.of({"answers": calls, "per_s": float(row["rps"]), **micros})

    def calls(self, command):
        """Returns the numbers of calls and of failed calls of a command."""
        for line in self.cli("INFO", "commandstats").splitlines():
            if line.startswith(f"cmdstat_{command.lower()}:"):
                counts = dict(part.split("=") for part in line.split(":")[1].split(","))
                return int(counts["calls"]), int(counts["failed_calls"]) + int(counts["rejected_calls"])
        return 0, 0

    def fill(self, chats, messages):
        """Adds the conversation that `chinwag.Filled` writes."""
        words = [TOOLS, "redis-commands", "--chats", chats, "--messages", messages]
        with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE) as commands:
            with commands.stdout as pipe:
                printed = output(["redis-cli", "-p", self.port, "--pipe"], stdin=pipe)
        if commands.returncode != 0 or f"errors: 0, replies: {messages}" not in printed:
            raise Failed(f"filling: {commands.returncode}, {printed}")


class BestRedis:
    """Redis with the fastest numbers of threads for each number of connections."""

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
