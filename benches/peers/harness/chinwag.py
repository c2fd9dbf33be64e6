"""How are Chinwag, and axum without it, started and loaded?"""

import http.client
import itertools
import json

from load import load, statuses
from process import Failed, Server, output
from settings import CHINWAG, TEXT, TOOLS

CHATS = 100
KEY = "Idempotency-Key"


class Listening(Server):
    """A server that prints its address when it is ready."""

    def listen(self, command):
        printed = self.dir / "stdout"
        with printed.open("wb") as out:
            self.spawn(command, lambda: printed.read_bytes().endswith(b"\n"), stdout=out)
        self.port = int(printed.read_text(encoding="utf-8").rsplit(":", 1)[1])


class Chinwag(Listening):
    """Chinwag, with its log on disk or in memory."""

    def __init__(self, *flags):
        self.name = "chinwag" + "".join(flag for flag in flags if flag.startswith("--ephemeral"))
        super().__init__()
        self.flags = flags
        self.data = self.dir / "data"
        self.bodies = self.dir / "bodies"
        self.keys = itertools.count()

    def start(self):
        self.listen([CHINWAG, "serve", "--listen", "127.0.0.1:0", "--data", self.data, *self.flags])

    def call(self, path, body):
        """Sends one request on a new connection, and returns status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def create(self, path, body):
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

    def create_members(self):
        """Creates chats of two members each, and returns the pairs of chat and member."""
        users = [self.create("/users/add", {"username": f"user {n}"})["id"] for n in range(CHATS)]
        members = []
        for number, user in enumerate(users):
            other = users[(number + 1) % CHATS]
            chat = self.create("/chats/add", {"name": f"chat {number}", "users": [user, other]})["id"]
            members += [(chat, user), (chat, other)]
        return members

    def will_send(self, members=None):
        """Sets the members that `send` writes as; by default, new ones."""
        bodies = [
            {"chat": chat, "author": author, "text": TEXT} for chat, author in members or self.create_members()
        ]
        # Consecutive messages go to different chats.
        bodies.sort(key=lambda body: body["author"])
        self.bodies.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        return self

    def send(self, connections, seconds, *options):
        """Sends messages, one per request. Each answered message must be in the log."""
        before = self.position()
        with self.cost() as cost:
            sample = load(self.port, self.bodies, "/messages/add", connections, seconds, *options)
        if self.position() - before != sample["answers"]:
            raise Failed(f"{sample['answers']} answers, but {self.position() - before} events")
        return cost.of(sample)

    def send_keyed(self, connections, seconds):
        """Sends messages, each under a new idempotency key."""
        return self.send_with(KEY, connections, seconds)

    def send_labelled(self, connections, seconds):
        """Sends messages with a header of another name, which is sent and parsed but is not a key."""
        return self.send_with("Idempotency-Lab", connections, seconds)

    def send_with(self, header, connections, seconds):
        return self.send(connections, seconds, "--numbered", f"{header}: run-{next(self.keys)}-")

    def send_with_refusals(self, connections, seconds, *options):
        """Sends messages that may be refused, and returns the answers by status."""
        before = self.position()
        answers = statuses(self.port, self.bodies, "/messages/add", connections, seconds, *options)
        if self.position() - before != answers["201"]["answers"]:
            raise Failed(f"{answers['201']['answers']} answers, but {self.position() - before} events")
        return answers


class Bare(Listening):
    """An axum server whose handlers only parse."""

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
        with self.cost() as cost:
            sample = load(self.port, bodies, to, connections, seconds)
        return cost.of(sample)


class Filled(Chinwag):
    """Chinwag on a log that holds a conversation. `members` lists pairs of chat and member."""

    def __init__(self, chats, messages, named=1000):
        super().__init__()
        command = [TOOLS, "fill", self.data, "--chats", chats, "--messages", messages, "--named", named]
        filled = json.loads(output(command))
        self.members, self.text_bytes, self.log_bytes = (
            filled[key] for key in ("members", "text_bytes", "log_bytes")
        )


class FilledLists(Chinwag):
    """Chinwag with two `users`: a member of `chats` chats, and a member of 20."""

    def __init__(self, chats):
        super().__init__()
        self.users = json.loads(output([TOOLS, "fill-lists", self.data, "--chats", chats]))


def versions():
    return {"chinwag": output([CHINWAG, "--version"]).split()[-1]}
