"""Ourselves, and axum without us."""

import http.client
import itertools
import json

from load import load, statuses
from process import Failed, Server, output
from settings import CHINWAG, TEXT, TOOLS

CHATS = 100
KEY = "Idempotency-Key"


class Listening(Server):
    """A server that prints where it listens when it is ready."""

    def listen(self, command):
        printed = self.dir / "stdout"
        with printed.open("wb") as out:
            self.spawn(command, lambda: printed.read_bytes().endswith(b"\n"), stdout=out)
        self.port = int(printed.read_text(encoding="utf-8").rsplit(":", 1)[1])


class Chinwag(Listening):
    """Ourselves, with or without a log on disk."""

    def __init__(self, *flags):
        self.name = "chinwag" + "".join(flags)
        super().__init__()
        self.flags = flags
        self.data = self.dir / "data"
        self.bodies = self.dir / "bodies"
        self.keys = itertools.count()

    def start(self):
        self.listen([CHINWAG, "serve", "--listen", "127.0.0.1:0", "--data", self.data, *self.flags])

    def call(self, path, body):
        """What the server answers, by one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def make(self, path, body):
        status, answer = self.call(path, body)
        if status != 201:
            raise Failed(f"{path}: {status} {answer.decode()}")
        return json.loads(answer)

    def position(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/health")
            return json.loads(connection.getresponse().read())["position"]
        finally:
            connection.close()

    def befriend(self):
        """Makes chats of two members each; returns who can write where."""
        users = [self.make("/users/add", {"username": f"user {n}"})["id"] for n in range(CHATS)]
        members = []
        for number, user in enumerate(users):
            other = users[(number + 1) % CHATS]
            chat = self.make("/chats/add", {"name": f"chat {number}", "users": [user, other]})["id"]
            members += [(chat, user), (chat, other)]
        return members

    def will_send(self, members=None):
        """Has `send` send as these members; without, as new ones."""
        bodies = [
            {"chat": chat, "author": author, "text": TEXT} for chat, author in members or self.befriend()
        ]
        # Chats take turns.
        bodies.sort(key=lambda body: body["author"])
        self.bodies.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        return self

    def send(self, connections, seconds, *options):
        """Messages, one a request. Each that was answered must be in the log."""
        before = self.position()
        sample = load(self.port, self.bodies, "/messages/add", connections, seconds, *options)
        if self.position() - before != sample["answers"]:
            raise Failed(f"{sample['answers']} answers, but {self.position() - before} events")
        return sample

    def send_keyed(self, connections, seconds):
        """The same, every request under an idempotency key that was never used."""
        return self.send_with(KEY, connections, seconds)

    def send_labelled(self, connections, seconds):
        """The same, the header under another name: it is sent and parsed, but is no key."""
        return self.send_with("Idempotency-Lab", connections, seconds)

    def send_with(self, header, connections, seconds):
        return self.send(connections, seconds, "--numbered", f"{header}: run-{next(self.keys)}-")

    def send_with_refusals(self, connections, seconds, *options):
        """The same, where some may be refused: what each status was answered."""
        before = self.position()
        answers = statuses(self.port, self.bodies, "/messages/add", connections, seconds, *options)
        if self.position() - before != answers["201"]["answers"]:
            raise Failed(f"{answers['201']['answers']} answers, but {self.position() - before} events")
        return answers


class Bare(Listening):
    """A handler of axum's that does nothing but parse."""

    name = "bare-axum"

    def __init__(self, page=None):
        super().__init__()
        self.page = page

    def start(self):
        page = []
        if self.page is not None:
            (self.dir / "page").write_bytes(self.page)
            page = ["--page", self.dir / "page"]
        self.listen([TOOLS, "bare", *page])

    def load(self, bodies, to, connections, seconds):
        return load(self.port, bodies, to, connections, seconds)


class Filled(Chinwag):
    """Ourselves on a log that holds a conversation already. `members` names some who may write, and where."""

    def __init__(self, chats, messages, named=1000):
        super().__init__()
        command = [TOOLS, "fill", self.data, "--chats", chats, "--messages", messages, "--named", named]
        told = json.loads(output(command))
        self.members, self.text_bytes, self.log_bytes = (
            told[key] for key in ("members", "text_bytes", "log_bytes")
        )


class FilledLists(Chinwag):
    """Ourselves with a user who is in so many chats, and one who is in 20: `users`."""

    def __init__(self, chats):
        super().__init__()
        self.users = json.loads(output([TOOLS, "fill-lists", self.data, "--chats", chats]))


def versions():
    return {"chinwag": output([CHINWAG, "--version"]).split()[-1]}
