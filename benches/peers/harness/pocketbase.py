"""How is PocketBase measured? SQLite behind JSON over HTTP, with a sync at every commit, unlike its default."""

import shutil
import uuid
from contextlib import ExitStack

from load import body_file, load
from process import Server, answers, output
from settings import HERE, TEXT, VENV

PROGRAM = VENV / "bin" / "pocketbase"
CHATS = 100


class PocketBase(Server):
    """One record per message. Membership is not stored or checked."""

    name = "pocketbase"
    user = "nobody"

    def __init__(self):
        super().__init__()
        self.files = ExitStack()

    def start(self):
        shutil.copytree(HERE / "pocketbase", self.dir, dirs_exist_ok=True)
        self.own()
        scripts = [f"--{kind}Dir={self.dir / kind}" for kind in ("hooks", "migrations")]
        self.spawn(
            [PROGRAM, "serve", f"--http=127.0.0.1:{self.port}", f"--dir={self.dir / 'data'}", *scripts],
            lambda: answers(self.port, b"GET /api/health HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"),
        )
        members = [(uuid.uuid4(), uuid.uuid4()) for _ in range(2 * CHATS)]
        bodies = [{"chat": str(chat), "author": str(author), "text": TEXT} for chat, author in members]
        self.bodies = self.files.enter_context(body_file(bodies))

    def stop(self):
        super().stop()
        self.files.close()

    def send(self, connections, seconds):
        with self.cost() as cost:
            sample = load(self.port, self.bodies, "/api/collections/messages/records", connections, seconds)
        return cost.of(sample)


def versions():
    return {"pocketbase": output([PROGRAM, "--version"]).split()[-1]}
