//! A server of one's own for each test: the real binary on a free port, its log in a directory that goes with it.

mod client;
mod events;
mod raw;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use client::{Client, Reply, assert_id, assert_time, problem};
pub use events::Event;
pub use raw::{RawConnection, head, post, post_bytes, post_many, post_under};

/// Segments this small make every test with some hundreds of messages rotate them.
const SEGMENT_BYTES: &str = "65536";

/// A running server. It is killed when dropped; the directory is removed with its last user.
pub struct TestServer {
    process: Child,
    stderr: Option<JoinHandle<String>>,
    /// Where it listens: `127.0.0.1:PORT`.
    pub address: String,
    /// Where its log is.
    pub data: PathBuf,
    flags: Vec<String>,
    /// Removes the directory at the end, if it is the fixture's own.
    dir: Option<Arc<TempDir>>,
    client: Client,
}

/// How a server that was stopped, or never came up, ended.
#[derive(Debug)]
pub struct Ended {
    /// None where a signal ended it.
    pub code: Option<i32>,
    /// All that it logged.
    pub stderr: String,
}

impl TestServer {
    /// A server on an empty directory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server on an empty directory, with these flags too.
    pub fn start_with(flags: &[&str]) -> Self {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let data = dir.path().join("data");
        Self::start_on(Some(dir), &data, owned(flags), binary())
    }

    /// A server on a copy of the files in this directory.
    pub fn start_on_copy_of(files: &Path) -> Self {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("made");
        for entry in std::fs::read_dir(files).expect("a directory") {
            let file = entry.expect("an entry");
            std::fs::copy(file.path(), data.join(file.file_name())).expect("copied");
        }
        Self::start_on(Some(dir), &data, Vec::new(), binary())
    }

    /// A server on this directory, which stays when the server goes.
    pub fn start_at(data: &Path, flags: &[&str]) -> Self {
        Self::start_on(None, data, owned(flags), binary())
    }

    /// The same, with the binary run by another program.
    pub fn start_under(wrapper: &[&str], data: &Path, flags: &[&str]) -> Self {
        Self::start_on(None, data, owned(flags), binary_under(wrapper))
    }

    /// A server on this directory, which stays; it may take its time to be ready.
    pub fn starting_at(data: &Path, flags: &[&str]) -> StartingServer {
        Self::starting_on(None, data, owned(flags), binary())
    }

    fn start_on(dir: Option<Arc<TempDir>>, data: &Path, flags: Vec<String>, command: Command) -> Self {
        Self::starting_on(dir, data, flags, command).ready()
    }

    fn starting_on(
        dir: Option<Arc<TempDir>>,
        data: &Path,
        flags: Vec<String>,
        mut command: Command,
    ) -> StartingServer {
        command.args(["serve", "--data"]).arg(data).args(&flags);
        for (flag, value) in [("--listen", "127.0.0.1:0"), ("--segment-bytes", SEGMENT_BYTES)] {
            if !flags.iter().any(|given| given == flag) {
                command.args([flag, value]);
            }
        }
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = Some(drain(process.stderr.take().expect("piped")));
        let stdout = process.stdout.take().expect("piped");
        let (address, data, client) = (String::new(), data.to_owned(), Client::new(""));
        StartingServer { server: Self { process, stderr, address, data, flags, dir, client }, stdout }
    }

    /// Ends it as a power cut would end a process: no chance to say goodbye.
    pub fn kill(mut self) -> StoppedServer {
        self.process.kill().expect("killed");
        self.process.wait().expect("waited for");
        self.stopped()
    }

    /// Asks it to stop, and waits until it has.
    pub fn terminate(self) -> (StoppedServer, Ended) {
        self.signal(Signal::TERM);
        self.ended(Duration::from_secs(15))
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self, patience: Duration) -> (StoppedServer, Ended) {
        let status = self.wait_at_most(patience);
        let stderr = self.stderr.take().expect("taken once").join().expect("read");
        (self.stopped(), Ended { code: status.code(), stderr })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signalled");
    }

    /// A client for a task of its own.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Waits until it has ended by itself.
    pub fn wait_at_most(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("waited for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server still runs after {patience:?}");
    }

    fn stopped(&self) -> StoppedServer {
        StoppedServer { dir: self.dir.clone(), data: self.data.clone(), flags: self.flags.clone() }
    }
}

/// A server that has not yet said that it is ready, nor where it listens.
pub struct StartingServer {
    server: TestServer,
    stdout: ChildStdout,
}

impl StartingServer {
    /// Waits until it says so.
    pub fn ready(self) -> TestServer {
        let Self { mut server, stdout } = self;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout is text");
        let Some(address) = line.trim_end().strip_prefix("chinwag listening on http://") else {
            let status = server.process.wait().expect("waited for");
            let stderr = server.stderr.take().expect("taken once").join().expect("read");
            panic!("not ready, {status}: {line:?}\n{stderr}");
        };
        server.client = Client::new(address);
        address.clone_into(&mut server.address);
        server
    }
}

/// The server's calls, by way of one client.
impl std::ops::Deref for TestServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What is left of a server: its directory.
pub struct StoppedServer {
    dir: Option<Arc<TempDir>>,
    /// Where its log is.
    pub data: PathBuf,
    flags: Vec<String>,
}

impl StoppedServer {
    /// Starts it again on the same directory, with the same flags; on another port, if they do not name one.
    pub fn restart(self) -> TestServer {
        TestServer::start_on(self.dir, &self.data, self.flags, binary())
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        segments(&self.data)
    }
}

/// The segments in a data directory, oldest first.
pub fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    segments.sort();
    segments
}

fn owned(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|&flag| flag.to_owned()).collect()
}

/// The binary under test, deaf to the environment's settings.
pub fn binary() -> Command {
    binary_under(&[])
}

/// The same, run by another program.
fn binary_under(wrapper: &[&str]) -> Command {
    let words = [wrapper, &[env!("CARGO_BIN_EXE_chinwag")]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHINWAG_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary to its end, which must come by itself and soon.
pub fn run_to_end(command: &mut Command) -> Ended {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stderr = drain(process.stderr.take().expect("piped"));
    let deadline = Instant::now() + Duration::from_secs(15);
    let status = loop {
        if let Some(status) = process.try_wait().expect("waited for") {
            break status;
        }
        if Instant::now() > deadline {
            process.kill().expect("killed");
            panic!("it does not end by itself: {}", stderr.join().expect("read"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ended { code: status.code(), stderr: stderr.join().expect("read") }
}

/// Reads in the background, so that the writer is never held up by a full pipe.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("logs are text");
        text
    })
}
