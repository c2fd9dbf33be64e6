"""How is the load generator of the tools called?"""

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from process import Failed, output
from settings import TOOLS, WORK


def command(port, bodies, to, connections, seconds, options):
    words = [TOOLS, "load", f"127.0.0.1:{port}", "--bodies", bodies, "--to", to]
    words += ["--connections", connections, "--seconds", seconds, *options]
    return [str(word) for word in words]


def statuses(port, bodies, to, connections, seconds, *options):
    """Runs the load, and returns count and latencies by status."""
    result = json.loads(output(command(port, bodies, to, connections, seconds, options)))
    if result["failed"]:
        raise Failed(f"{len(result['failed'])} connections failed: {result['failed'][0]}")
    return result["answers"]


def load(*args):
    """Runs a load whose answers must all be successes."""
    answers = statuses(*args)
    if len(answers) != 1 or not next(iter(answers)).startswith("2"):
        raise Failed(f"not all answers were successes: {answers}")
    return next(iter(answers.values()))


@contextmanager
def meanwhile(port, bodies, to, connections):
    """Runs a load during the block."""
    hours = 3600
    words = command(port, bodies, to, connections, hours, [])
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            yield
            if process.poll() is not None:
                raise Failed("the background load ended early")
        finally:
            process.kill()


@contextmanager
def body_file(bodies):
    """Provides a file with these values as JSON, one per line."""
    handle, path = tempfile.mkstemp(prefix="bodies.", dir=WORK)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(body, separators=(",", ":")) + "\n" for body in bodies)
        yield Path(path)
    finally:
        os.unlink(path)
