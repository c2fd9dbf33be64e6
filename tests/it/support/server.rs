//! The real binary as a test runs it: started on a free port, signalled, killed, and restarted on the same
//! directory.
//!
//! ```ignore
//! let server = TestServer::start();                      // an empty log in a temporary directory
//! let ann = server.add_user("ann").await;                // a `TestServer` derefs to a `Client`
//! let server = server.kill().restart();                  // SIGKILL, then a new process on the same log
//! assert_eq!(server.get("/health").await.status, 200);
//! let (stopped, ended) = server.terminate();             // SIGTERM; `ended` has the exit code and stderr
//! ```
//!
//! A process costs a test about 100 ms: a test that needs neither a restart nor a socket uses `TestRouter`.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::client::Client;
use super::tls::tunnel_to;

/// Segment length, small enough that a test with a few hundred messages rotates segments.
const SEGMENT_BYTES: &str = "65536";

/// A running server. It is killed when dropped; its temporary directory is removed with the last value that
/// uses it.
pub struct TestServer {
    process: Child,
    stderr: Option<JoinHandle<String>>,
    /// The address it listens on: `127.0.0.1:PORT`.
    pub address: String,
    /// The directory of its log.
    pub data: PathBuf,
    flags: Vec<String>,
    /// The temporary directory, if the fixture made one: dropping it removes it.
    dir: Option<Arc<TempDir>>,
    client: Client,
}

/// The end of a server that was stopped or that failed to start.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// Everything that it logged.
    pub stderr: String,
}

impl Ended {
    /// Expects this exit code, and each of these words in what it logged.
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }
}

impl TestServer {
    /// Starts a server on an empty directory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server on an empty directory, with these additional flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let data = dir.path().join("data");
        Self::start_on(Some(dir), &data, owned(flags), binary())
    }

    /// Starts a server on a copy of the files in this directory.
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

    /// Starts a server on this directory, which the fixture does not remove.
    pub fn start_at(data: &Path, flags: &[&str]) -> Self {
        Self::start_on(None, data, owned(flags), binary())
    }

    /// Starts a server on this directory, with the binary run by another program.
    pub fn start_under(wrapper: &[&str], data: &Path, flags: &[&str]) -> Self {
        Self::start_on(None, data, owned(flags), binary_under(wrapper))
    }

    /// Starts a server on this directory, but does not wait until it is ready.
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

    /// Kills it with SIGKILL, so that it cannot finish anything.
    pub fn kill(mut self) -> StoppedServer {
        self.process.kill().expect("killed");
        self.process.wait().expect("waited for");
        self.stopped()
    }

    /// Sends it SIGTERM and waits until it has ended.
    pub fn terminate(self) -> (StoppedServer, Ended) {
        self.signal(Signal::TERM);
        self.ended(Duration::from_secs(15))
    }

    /// Waits until the server has ended by itself. Returns its directory and its flags.
    pub fn ended(mut self, limit: Duration) -> (StoppedServer, Ended) {
        let status = self.wait_at_most(limit);
        let stderr = self.stderr.take().expect("taken once").join().expect("read");
        (self.stopped(), Ended { code: status.code(), stderr })
    }

    /// Sends it this signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signalled");
    }

    /// Returns a client that another task can own.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Waits until it has ended by itself; panics when this time has passed.
    pub fn wait_at_most(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("waited for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server still runs after {limit:?}");
    }

    /// Returns whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("waited for").is_none()
    }

    fn stopped(&self) -> StoppedServer {
        StoppedServer { dir: self.dir.clone(), data: self.data.clone(), flags: self.flags.clone() }
    }
}

/// A server that has not yet printed its ready line, which names its address.
pub struct StartingServer {
    server: TestServer,
    stdout: ChildStdout,
}

impl StartingServer {
    /// Waits for the ready line.
    pub fn ready(self) -> TestServer {
        self.ready_or_ended().unwrap_or_else(|ended| panic!("not ready: {ended:?}"))
    }

    /// Waits for the ready line, or for the end of a server that does not start.
    pub fn ready_or_ended(self) -> Result<TestServer, Ended> {
        let Self { mut server, stdout } = self;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout is text");
        let scheme = if server.flags.iter().any(|flag| flag == "--tls-cert") { "https" } else { "http" };
        let prefix = format!("chinwag listening on {scheme}://");
        let Some(address) = line.trim_end().strip_prefix(&prefix) else {
            assert_eq!(line, "", "the ready line comes first");
            let status = server.process.wait().expect("waited for");
            let stderr = server.stderr.take().expect("taken once").join().expect("read");
            return Err(Ended { code: status.code(), stderr });
        };
        server.client = match scheme {
            "https" => Client::new(&tunnel_to(address)),
            _ => Client::new(address),
        };
        address.clone_into(&mut server.address);
        Ok(server)
    }
}

/// A server is called through its client.
impl std::ops::Deref for TestServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Both calls fail harmlessly if it has already ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A server that has ended: its directory and its flags.
pub struct StoppedServer {
    dir: Option<Arc<TempDir>>,
    /// The directory of its log.
    pub data: PathBuf,
    flags: Vec<String>,
}

impl StoppedServer {
    /// Starts it again on the same directory, with the same flags. Its port changes unless the flags name
    /// one.
    pub fn restart(self) -> TestServer {
        TestServer::start_on(self.dir, &self.data, self.flags, binary())
    }

    /// Returns the segments of its log, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        segments(&self.data)
    }
}

/// Returns a port that no process listens on, and that the kernel assigns only on request.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", 10_000 + number % 20_000);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// Returns the segments in a data directory, oldest first.
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

/// Returns the command for the binary under test, without the `CHINWAG_*` settings of the environment.
pub fn binary() -> Command {
    binary_under(&[])
}

/// Returns the same command, with the binary run by another program.
pub fn binary_under(wrapper: &[&str]) -> Command {
    let words = [wrapper, &[env!("CARGO_BIN_EXE_chinwag")]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHINWAG_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a server on this directory that is expected to end by itself.
pub fn serve_to_end(data: &Path, flags: &[&str]) -> Ended {
    run_to_end(binary().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(flags))
}

/// Runs the command until it ends by itself, which must be within 15 s.
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

/// Reads in the background, so that a full pipe never blocks the process.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("logs are text");
        text
    })
}
