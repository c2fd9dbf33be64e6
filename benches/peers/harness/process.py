"""Servers as processes: each on a free port of loopback, in a directory of its own, gone at the end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from settings import WORK

READY_SECONDS_MAX = 600
STOP_SECONDS_MAX = 60


class Failed(Exception):
    """A measurement that cannot be believed, or that could not be made."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(true, what, seconds=READY_SECONDS_MAX, process=None, every=0.02):
    ends = time.monotonic() + seconds
    while not true():
        if process is not None and process.poll() is not None:
            raise Failed(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > ends:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(every)


def answers(port, say, expected):
    """Whether a server on this port, told this, begins its answer so."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(say)
            return connection.recv(len(expected)) == expected
    except OSError:
        return False


def output(command, **options):
    """What a command prints; its failure is ours."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)[:200]}: exit {done.returncode}\n{done.stdout}{done.stderr}"[:3000])
    return done.stdout


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no memory")


class Directory:
    """An empty directory on the disk that is measured, removed at the end."""

    def __init__(self, name):
        self.path = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=WORK))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


class Server:
    """A process with a directory. Peers say how they are started, and how to tell that they are ready.

    A server that is not ours runs as another user than root, whose name is in `user`.
    """

    name = "server"
    user = None
    stop_signal = signal.SIGTERM

    def __init__(self, directory=None):
        self._own_directory = Directory(self.name) if directory is None else None
        self.dir = directory or self._own_directory.path
        self.port = free_port()
        self.process = None

    def as_user(self, command):
        """The command, run as the server's user, and ended by the kernel if this program is killed."""
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if self.user and os.geteuid() == 0:
            prefix += ["--reuid", self.user, "--regid", str(pwd.getpwnam(self.user).pw_gid), "--init-groups"]
        return [str(word) for word in [*prefix, *command]]

    def own(self):
        """Gives the directory to the server's user."""
        if self.user and os.geteuid() == 0:
            shutil.chown(self.dir, self.user, pwd.getpwnam(self.user).pw_gid)

    def spawn(self, command, ready, **options):
        log = (self.dir / "stderr").open("ab")
        with log:
            self.process = subprocess.Popen(
                self.as_user(command),
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                cwd=self.dir,
                **{"stdout": log, **options},
            )
        try:
            wait_until(ready, f"{self.name} is ready", process=self.process, every=0.005)
        except Failed as failed:
            raise Failed(f"{failed}\n{(self.dir / 'stderr').read_text(errors='replace')[-2000:]}") from None

    def start(self):
        raise NotImplementedError

    def stop(self):
        """Asks it to end, and waits; does not take no for an answer."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        if self._own_directory:
            self._own_directory.__exit__()
