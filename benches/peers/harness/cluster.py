"""How are three nodes of NATS started, and several of our servers on their stream?"""

import json
import socket
import subprocess
from contextlib import ExitStack, contextmanager

from chinwag import Chinwag
from load import command
from process import Failed, Server, answers, free_port, output, wait_until
from settings import CHINWAG, VENV

CREATE_ATTEMPTS_MAX = 20
CONFIG = """
server_name: {name}
listen: "127.0.0.1:{port}"
max_payload: 8MB
jetstream {{
  store_dir: "{dir}"
  sync_interval: always
}}
cluster {{
  name: chinwag
  listen: "127.0.0.1:{routes[0]}"
  routes: [{urls}]
}}
"""


class Node(Server):
    """One of the nodes. It listens for the others on the first of `routes`."""

    user = "nobody"

    def __init__(self, name, routes):
        self.name = name
        super().__init__()
        self.routes = routes

    def start(self):
        urls = ", ".join(f'"nats://127.0.0.1:{route}"' for route in self.routes)
        values = {"name": self.name, "port": self.port, "dir": self.dir / "data", "urls": urls}
        config = self.dir / "config"
        config.write_text(CONFIG.format(routes=self.routes, **values), encoding="utf-8")
        self.own()
        program = VENV / "bin" / "nats-server"
        self.spawn([program, "-c", config], lambda: answers(self.port, b"", b"INFO "))


class Nodes:
    """Three nodes with an empty stream."""

    def __init__(self, stack):
        routes = [free_port() for _ in range(3)]
        self.nodes = [Node(f"node{n}", routes[n:] + routes[:n]) for n in range(3)]
        for node in self.nodes:
            stack.enter_context(node)
        self.urls = ",".join(f"nats://127.0.0.1:{node.port}" for node in self.nodes)

    def tool(self, name, *flags):
        """Runs `chinwag stream NAME`."""
        return output([CHINWAG, "stream", name, "--nats", self.urls, *flags])

    def create(self, *flags):
        """Creates the stream. The nodes need some time to find each other."""

        refused = []

        def created():
            try:
                self.tool("create", "--replicas", "3", "--max-bytes", "8GiB", *flags)
            except Failed as failed:
                refused.append(failed)
                if len(refused) > CREATE_ATTEMPTS_MAX:
                    raise
                return False
            return True

        wait_until(created, "the stream is created", every=1)
        return self

    def server(self, stack, *flags):
        """Starts a server on the stream."""
        server = Chinwag("--nats", self.urls, *flags)
        return stack.enter_context(server)


def caught_up(servers, position):
    """Waits until every server is at this position."""
    wait_until(lambda: all(server.position() >= position for server in servers), "the others have caught up")


def spread(servers, bodies, to, connections, seconds):
    """Loads several servers at a time with these connections together, and returns the sum of their rates."""
    shares = [connections // len(servers) + (n < connections % len(servers)) for n in range(len(servers))]
    with ExitStack() as stack:
        loads = []
        for server, share in zip(servers, shares):
            words = command(server.port, bodies, to, share, seconds, [])
            process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            loads.append(stack.enter_context(process))
        results = [json.loads(process.communicate()[0]) for process in loads]
    samples = []
    for result in results:
        if result["failed"] or set(result["answers"]) - {"200", "201"}:
            raise Failed(f"not all answers were successes: {str(result)[:500]}")
        samples += result["answers"].values()
    return {
        "per_s": sum(sample["per_s"] for sample in samples),
        "answers": sum(sample["answers"] for sample in samples),
        "p99_us": max(sample["p99_us"] for sample in samples),
    }


@contextmanager
def connected(server):
    """Provides what sends a request on a connection that stays, and returns status and headers."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with connection.makefile("rb") as lines:

            def call(path, body, headers=""):
                head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
                request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
                connection.sendall(request.encode())
                status = int(next(lines).split()[1])
                found = {}
                for line in iter(lambda: next(lines).strip(), b""):
                    name, _, value = line.decode().partition(":")
                    found[name.lower()] = value.strip()
                lines.read(int(found["content-length"]))
                return status, found

            yield call
