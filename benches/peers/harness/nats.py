"""How is NATS JetStream measured? One stream on disk; every message is synced before its acknowledgement."""

import json
import socket
from contextlib import ExitStack

from load import body_file, load
from process import Failed, Server, answers, output
from settings import TEXT, VENV

PROGRAM = VENV / "bin" / "nats-server"
CONFIG = """
listen: "127.0.0.1:{port}"
jetstream {{
  store_dir: "{dir}"
  sync_interval: always
}}
"""
STREAM = {
    "name": "messages",
    "subjects": ["chat.*"],
    "storage": "file",
    "retention": "limits",
    "num_replicas": 1,
}
# Variants that may be faster: fewer connections, each with more messages in flight.
CONNECTIONS_OF_64 = (64, 16, 4, 1)


class Nats(Server):
    """`send` finds the fastest variant for each number of messages in flight, once."""

    name = "nats"
    user = "nobody"

    def __init__(self, try_seconds):
        super().__init__()
        self.try_seconds = try_seconds
        self.best = {}
        self.files = ExitStack()

    def start(self):
        config = self.dir / "config"
        config.write_text(CONFIG.format(port=self.port, dir=self.dir / "data"), encoding="utf-8")
        self.own()
        self.spawn([PROGRAM, "-c", config], lambda: answers(self.port, b"", b"INFO "))
        self.ask("$JS.API.STREAM.CREATE.messages", STREAM)
        self.bodies = self.files.enter_context(body_file([{"author": "0a1b2c3d", "text": TEXT}]))

    def stop(self):
        super().stop()
        self.files.close()

    def ask(self, subject, body=None):
        """Sends one request to the server's own API."""
        text = json.dumps(body).encode() if body else b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            request = f'CONNECT {{"verbose":false}}\r\nSUB answer 1\r\nPUB {subject} answer {len(text)}\r\n'
            connection.sendall(request.encode() + text + b"\r\n")
            with connection.makefile("rb") as lines:
                head = next(line for line in lines if line.startswith((b"MSG ", b"-ERR")))
                answer = (
                    json.loads(lines.read(int(head.split()[-1])))
                    if head.startswith(b"MSG")
                    else {"error": head}
                )
        if "error" in answer:
            raise Failed(f"{subject}: {answer['error']}")
        return answer

    def messages(self):
        return self.ask("$JS.API.STREAM.INFO.messages")["state"]["messages"]

    def send(self, in_flight, seconds):
        if in_flight not in self.best:
            variants = [in_flight * part // 64 for part in CONNECTIONS_OF_64 if in_flight * part % 64 == 0]
            tried = [
                self.publish(connections, in_flight, self.try_seconds)["per_s"] for connections in variants
            ]
            self.best[in_flight] = variants[tried.index(max(tried))]
        connections = self.best[in_flight]
        sample = self.publish(connections, in_flight, seconds)
        return {
            **sample,
            "variant": f"{connections} connections, {in_flight // connections} in flight on each",
        }

    def publish(self, connections, in_flight, seconds):
        before = self.messages()
        options = ["--protocol", "nats", "--pipeline", in_flight // connections]
        with self.cost() as cost:
            sample = load(self.port, self.bodies, "chat", connections, seconds, *options)
        if self.messages() - before != sample["answers"]:
            raise Failed(f"{sample['answers']} acknowledgements, but {self.messages() - before} messages")
        return cost.of(sample)


def versions():
    return {"nats-server": output([PROGRAM, "--version"]).split()[-1].lstrip("v")}
