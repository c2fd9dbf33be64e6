"""How does a server run as a process? On a free port of loopback, in a temporary directory."""

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
    """A measurement that failed, or whose result is not valid."""


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


def answers(port, request, expected):
    """Returns whether a server on this port answers these bytes with the expected start."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(len(expected)) == expected
    except OSError:
        return False


def output(command, **options):
    """Returns the output of a command, and raises Failed if it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)[:200]}: exit {done.returncode}\n{done.stdout}{done.stderr}"[:3000])
    return done.stdout


def stat(pid):
    """Returns the fields of /proc/PID/stat from the state on, or None if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name before these fields may hold spaces.
    return text.rsplit(")", 1)[1].split()


def children(pid):
    """Returns the fields of the processes that a process has started, and that have not ended."""
    everything = (stat(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [fields for fields in everything if fields and int(fields[1]) == pid]


def processor_seconds(pid):
    """Returns the processor time, user and system, of a process and its children, also of those that have ended."""
    own_and_ended = stat(pid)[11:15]
    of_children = (time for fields in children(pid) for time in fields[11:13])
    return sum(map(int, [*own_and_ended, *of_children])) / os.sysconf("SC_CLK_TCK")


class Cost:
    """The processor time that a server takes during a block."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        self.children = len(children(self.pid))
        self.seconds = -processor_seconds(self.pid)
        return self

    def __exit__(self, failure, *_):
        if failure is None:
            # PostgreSQL has a process for each connection. One that ends while the times are read would be missed.
            wait_until(lambda: len(children(self.pid)) <= self.children, "the processes of connections have ended")
            self.seconds += processor_seconds(self.pid)

    def of(self, sample):
        """Returns the sample with `processor_us`, the processor time per answer."""
        return {**sample, "processor_us": self.seconds * 1e6 / sample["answers"]}


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no memory")


class Directory:
    """An empty directory on the measured disk, removed at the end."""

    def __init__(self, name):
        self.path = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=WORK))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


class Server:
    """A process with a directory. Subclasses define how it starts and when it is ready.

    `user` is the name of the user that a server other than Chinwag runs as, instead of root.
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
        """Returns the command, to run as the server's user and to be killed with this program."""
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
        """Stops the server, and kills it if it does not end in time."""
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

    def cost(self):
        """Measures the processor time that this server takes during the block."""
        return Cost(self.pid)

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
