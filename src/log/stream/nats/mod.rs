//! A stream of NATS JetStream. Only this directory knows its client.
//!
//! | module | contents |
//! | --- | --- |
//! | `connect` | how to connect to the nodes |
//! | `ask` | questions to the nodes, and their answers |
//! | `listen`, `news` | what is heard without asking |
//! | `peers` | questions to other servers |
//! | `tools` | what an operator does with a stream |
//!
//! JetStream's own interface is JSON over requests. The connection has a thread of its own, so that it does not wait
//! behind the requests of the server's clients; the writer's thread waits for it.

mod ask;
mod connect;
mod listen;
mod news;
mod peers;
mod tools;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, ServerAddr};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use self::ask::{NO_STREAM, ask, is_led, probe, publish, read_many, read_one, said};
use self::connect::{CONNECT_TIMEOUT, connect_options};
use self::listen::{ask_each_second, hear_stored};
use self::news::{BeforeAsking, News};
use self::peers::NatsPeers;
use super::wanted::{self, subject};
use super::{Heard, NatsSettings, Peers, Published, Stream, StreamError, Unreachable, WriterId, monitors};
use crate::log::LogError;
use crate::thread;

/// The earliest release of the nodes: earlier ones let a leader of an earlier term propose messages.
const RELEASE_MIN: (u64, u64) = (2, 15);
/// Bytes of a message that are left for the headers of NATS.
const HEADERS_BYTES: usize = 1024;
/// Minimum of the nodes' `max_payload`. Every message of a chat fits; a long batch needs more.
const MAX_PAYLOAD_MIN: usize = 64 * 1024;

/// A stream of NATS JetStream.
pub struct NatsStream {
    settings: NatsSettings,
    nodes: Vec<ServerAddr>,
    options: ConnectOptions,
    /// There is one after the first [check](Stream::check).
    connection: Option<Arc<Connection>>,
    news: Arc<News>,
    /// Whether the tasks run that keep [`News`].
    is_listening: bool,
    /// The reason why the stream could not be used last, which is logged once.
    waits_for: Option<String>,
    /// The sequence from which on messages were read last, from any node.
    read_from: Option<u64>,
}

/// A connection, which is made again when it is lost, and the thread that it runs in.
struct Connection {
    client: Client,
    runtime: Option<Runtime>,
}

impl Connection {
    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken at the end only")
    }

    /// Runs this to its end, in the thread that calls.
    fn run<F: Future>(&self, run: F) -> F::Output {
        self.runtime().block_on(run)
    }

    /// Checks the node. Returns a sentence if it is not as it must be.
    fn check_node(&self) -> Result<(), String> {
        let release = self.client.server_info().version;
        if release_of(&release) < RELEASE_MIN {
            let (major, minor) = RELEASE_MIN;
            return Err(format!("a node is of release {release}, and must be of {major}.{minor} or later"));
        }
        let bytes_max = self.client.max_payload();
        if bytes_max < MAX_PAYLOAD_MIN {
            return Err(format!(
                "the nodes' max_payload is {bytes_max}, and must be {MAX_PAYLOAD_MIN} at least"
            ));
        }
        Ok(())
    }

    fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It would wait for the look-up of a name.
            runtime.shutdown_background();
        }
    }
}

/// The reason why a question to the nodes was of no use.
enum Unanswered {
    /// Nobody answers, or not in time.
    Silent(String),
    Failed(StreamError),
}

impl NatsStream {
    /// Creates a stream with these settings. It connects when it is [checked](Stream::check).
    ///
    /// # Errors
    ///
    /// A file of the settings cannot be used.
    pub fn new(settings: NatsSettings) -> Result<Self, StreamError> {
        let unfit = |what: String| StreamError::Unfit { stream: settings.stream.clone(), what };
        let nodes = settings.nodes.iter().map(|node| node.parse::<ServerAddr>());
        let nodes = nodes.collect::<io::Result<Vec<_>>>().map_err(|error| unfit(error.to_string()))?;
        let (options, news) = (connect_options(&settings)?, Arc::default());
        Ok(Self {
            settings,
            nodes,
            options,
            connection: None,
            news,
            is_listening: false,
            waits_for: None,
            read_from: None,
        })
    }

    /// Connects, now or later.
    fn connect(&mut self, options: ConnectOptions) -> Result<Arc<Connection>, LogError> {
        if let Some(connection) = &self.connection {
            return Ok(Arc::clone(connection));
        }
        // The one of the connection, and one that looks up names.
        thread::check_room(2)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("nats").enable_all().build();
        let runtime = runtime.map_err(|error| self.unreachable(format!("failed to start: {error}")))?;
        match runtime.block_on(options.connect(self.nodes.clone())) {
            Ok(client) => {
                let connection = Arc::new(Connection { client, runtime: Some(runtime) });
                self.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                runtime.shutdown_background();
                let nodes = self.settings.nodes.join(", ");
                Err(self.unreachable(format!("failed to connect to {nodes}: {error}")).into())
            }
        }
    }

    fn unreachable(&self, what: String) -> StreamError {
        StreamError::Unreachable { stream: self.settings.stream.clone(), what }
    }

    fn unfit(&self, what: String) -> StreamError {
        StreamError::Unfit { stream: self.settings.stream.clone(), what }
    }

    /// Asks the nodes about the stream. Returns `None` if there is no such stream.
    fn info(&self, connection: &Connection) -> Result<Option<Value>, Unanswered> {
        let stream = &self.settings.stream;
        match connection.run(ask(&connection.client, &format!("$JS.API.STREAM.INFO.{stream}"), Vec::new())) {
            Ok(answer) => match answer["error"]["err_code"].as_u64() {
                None => Ok(Some(answer)),
                Some(NO_STREAM) => Ok(None),
                Some(_) => Err(Unanswered::Silent(said(&answer))),
            },
            Err(silent) => Err(Unanswered::Silent(silent)),
        }
    }

    /// Checks the nodes and the stream. Returns what the leader says of the stream.
    fn look(&self, connection: &Connection) -> Result<Value, Unanswered> {
        let failed = |what| Unanswered::Failed(self.unfit(what));
        connection.check_node().map_err(failed)?;
        let info = self
            .info(connection)?
            .ok_or_else(|| failed("it does not exist; `chinwag stream create` creates it".to_owned()))?;
        if let Some(format) = wanted::later_format(&info["config"]) {
            let (stream, known) = (self.settings.stream.clone(), wanted::FORMAT);
            return Err(Unanswered::Failed(StreamError::LaterFormat { stream, format, known }));
        }
        let faults = wanted::faults(&self.settings.stream, &info["config"]);
        if !faults.is_empty() {
            return Err(failed(faults.join("; ")));
        }
        if !is_led(&info) {
            return Err(Unanswered::Silent(
                "no node leads it, as far as the node knows that answers".to_owned(),
            ));
        }
        if info["state"]["last_seq"] == 0 {
            let what = "it is empty; `chinwag stream create --if-missing` publishes its first message";
            return Err(failed(what.to_owned()));
        }
        if connection.run(probe(&connection.client, &self.settings.stream)).is_none() {
            let subject = subject(&self.settings.stream);
            return Err(Unanswered::Silent(format!(
                "nobody answers what is published as {subject}: no node leads, or this user may not publish it"
            )));
        }
        Ok(info)
    }

    /// Logs why the stream is not used yet, once.
    fn wait_for(&mut self, what: String) {
        if self.waits_for.as_ref() != Some(&what) {
            tracing::warn!(stream = self.settings.stream, "waiting for the stream: {what}");
            self.waits_for = Some(what);
        }
    }

    /// Begins to listen for news, and logs what the stream is.
    fn listen(&mut self, connection: &Connection, asked: BeforeAsking, info: &Value) {
        if std::mem::replace(&mut self.is_listening, true) {
            return;
        }
        let stream = self.settings.stream.as_str();
        for warning in wanted::warnings(stream, &info["config"]) {
            tracing::warn!(stream, "{warning}");
        }
        let (replicas, message_bytes_max) =
            (info["config"]["num_replicas"].as_u64(), self.message_bytes_max());
        let messages = info["state"]["last_seq"].as_u64();
        tracing::info!(stream, messages, replicas, message_bytes_max, "found the stream");
        self.news.tell(asked, info);
        let runtime = connection.runtime();
        let (client, news) = (&connection.client, &self.news);
        runtime.spawn(hear_stored(client.clone(), stream.to_owned(), Arc::clone(news)));
        runtime.spawn(ask_each_second(client.clone(), stream.to_owned(), Arc::clone(news)));
    }
}

/// Returns the first two numbers of a release, as of `2.15.1`.
fn release_of(text: &str) -> (u64, u64) {
    let mut numbers = text.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

impl Stream for NatsStream {
    fn check(&mut self) -> Result<bool, LogError> {
        let options = self.options.clone().retry_on_initial_connect();
        let connection = self.connect(options)?;
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !connection.is_up() {
            if Instant::now() >= deadline {
                let nodes = self.settings.nodes.join(", ");
                self.wait_for(format!("not connected to {nodes}"));
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let asked = self.news.ask();
        match self.look(&connection) {
            Ok(info) => {
                if !self.is_listening {
                    let silent = monitors::check(&self.settings.monitors).map_err(|what| self.unfit(what))?;
                    for silent in silent {
                        tracing::warn!("a node that --nats-monitor names is not checked: {silent}");
                    }
                }
                self.listen(&connection, asked, &info);
                Ok(true)
            }
            Err(Unanswered::Silent(what)) => {
                self.wait_for(what);
                Ok(false)
            }
            Err(Unanswered::Failed(error)) => Err(error.into()),
        }
    }

    fn message_bytes_max(&self) -> usize {
        let connection = self.connection.as_ref();
        connection.map_or(0, |connection| connection.client.max_payload().saturating_sub(HEADERS_BYTES))
    }

    fn publish(&mut self, expected: u64, message: &[u8], patience: Duration) -> Published {
        let Some(connection) = self.connection.as_ref().filter(|connection| connection.is_up()) else {
            return Published::Nowhere;
        };
        self.news.expect_own(expected + 1);
        let published =
            connection.run(publish(&connection.client, &self.settings.stream, expected, message, patience));
        if let Published::At(sequence) = published {
            self.news.note(sequence);
        }
        published
    }

    fn read(&mut self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Unreachable> {
        let connection =
            self.connection.as_ref().filter(|connection| connection.is_up()).ok_or(Unreachable)?;
        let (client, stream) = (&connection.client, &self.settings.stream);
        // Any node answers, and may have lost the message. The one that leads may have it.
        let is_repeated = self.read_from == Some(from);
        self.read_from = (!is_repeated).then_some(from);
        let read = if is_repeated {
            connection.run(read_one(client, stream, from))
        } else {
            connection.run(read_many(client, stream, from, bytes_max))
        };
        read.ok_or(Unreachable)
    }

    fn probe(&mut self) -> Option<u64> {
        let connection = self.connection.as_ref().filter(|connection| connection.is_up())?;
        let last = connection.run(probe(&connection.client, &self.settings.stream))?;
        // A node that is cut off refuses as the leader that it was. Another one is elected 4 s after the others have heard
        // of it for the last time, at the earliest.
        let info = self.info(connection).ok()??;
        is_led(&info).then_some(last)
    }

    fn heard(&self) -> Heard {
        self.news.heard()
    }

    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.news.wake_by(wake);
    }

    fn time(&self) -> Duration {
        self.news.time()
    }

    fn wait(&mut self, time: Duration) {
        self.news.wait(time);
    }

    fn peers(&self, writer: WriterId, answer_timeout: Duration) -> Option<Arc<dyn Peers>> {
        let (connection, stream) = (Arc::clone(self.connection.as_ref()?), self.settings.stream.clone());
        Some(Arc::new(NatsPeers { connection, stream, own: writer, answer_timeout, can_ask: Arc::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_two_numbers() {
        for (text, release) in [("2.15.1", (2, 15)), ("2.14.9-RC.1", (2, 14)), ("3.0", (3, 0)), ("", (0, 0))]
        {
            assert_eq!(release_of(text), release, "{text}");
        }
        assert!(release_of("2.15.0-RC.1") >= RELEASE_MIN && release_of("2.14.9") < RELEASE_MIN);
    }
}
