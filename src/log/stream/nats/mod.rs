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
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
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
use crate::system_clock;
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

    /// Returns whether the node has said what it is. The client is connected a moment before it shows that.
    fn knows_node(&self) -> bool {
        !self.client.server_info().version.is_empty()
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
        // Servers that start together begin with different nodes.
        let first = usize::from(system_clock::uuid().as_bytes()[15]);
        let (options, news) = (connect_options(&settings, first)?, Arc::default());
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

    /// Connects, now or later, to whichever node lets it.
    fn connect(&mut self) -> Result<Arc<Connection>, LogError> {
        if let Some(connection) = &self.connection {
            return Ok(Arc::clone(connection));
        }
        let runtime = self.runtime()?;
        let options = self.options.clone().retry_on_initial_connect();
        match runtime.block_on(options.connect(self.nodes.clone())) {
            Ok(client) => Ok(self.connected(client, runtime)),
            Err(error) => {
                runtime.shutdown_background();
                Err(self.unreachable(format!("failed to connect: {error}")).into())
            }
        }
    }

    /// Connects to the first node that accepts, in the order of `--nats`, and waits for none.
    fn connect_now(&mut self) -> Result<Arc<Connection>, LogError> {
        let runtime = self.runtime()?;
        let mut failures = Vec::new();
        for (number, node) in self.settings.nodes.iter().enumerate() {
            // The attempt begins with this node. The others are for a connection that is lost later.
            let options = connect_options(&self.settings, number)?;
            match runtime.block_on(options.connect(self.nodes.clone())) {
                Ok(client) => return Ok(self.connected(client, runtime)),
                Err(error) => failures.push((node, error)),
            }
        }
        runtime.shutdown_background();
        let is_login_error = |kind| {
            matches!(kind, ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication)
        };
        let is_login_wrong = failures.iter().all(|(_, error)| is_login_error(error.kind()));
        let each: Vec<_> = failures.iter().map(|(node, error)| format!("{node} ({error})")).collect();
        let each = each.join(", ");
        Err(if is_login_wrong {
            self.unfit(format!("every node refuses the login: {each}"))
        } else {
            self.unreachable(format!("no node accepts a connection: {each}"))
        }
        .into())
    }

    fn runtime(&self) -> Result<Runtime, LogError> {
        // The one of the connection, and one that looks up names.
        thread::check_room(2)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("nats").enable_all().build();
        Ok(runtime.map_err(|error| self.unreachable(format!("failed to start: {error}")))?)
    }

    fn connected(&mut self, client: Client, runtime: Runtime) -> Arc<Connection> {
        let connection = Arc::new(Connection { client, runtime: Some(runtime) });
        Arc::clone(self.connection.insert(connection))
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
        let missing = || StreamError::Missing { stream: self.settings.stream.clone() };
        let info = self.info(connection)?.ok_or_else(|| Unanswered::Failed(missing()))?;
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
        let connection = self.connect()?;
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !connection.is_up() || !connection.knows_node() {
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
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::log::stream::{NatsLogin, NatsTls};

    /// Returns the URL of a node that answers this to each connection. Its id is its URL.
    fn node(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("nats://{}", listener.local_addr().expect("bound"));
        let said = answer.replace("URL", &url);
        std::thread::spawn(move || {
            let connections: Vec<_> = listener
                .incoming()
                .map(|connection| {
                    let mut connection = connection.expect("accepted");
                    connection.write_all(said.as_bytes()).expect("written");
                    connection
                })
                .collect();
            drop(connections);
        });
        url
    }

    const ACCEPTS: &str = "INFO {\"server_id\":\"URL\",\"max_payload\":1048576}\r\nPONG\r\n";
    const REFUSES: &str =
        "INFO {\"server_id\":\"URL\",\"max_payload\":1048576}\r\n-ERR 'Authorization Violation'\r\n";
    const SAYS_NOTHING: &str = "";

    /// Connects as a tool does. Returns the id of the node.
    fn connect_now(nodes: &[&str]) -> Result<String, StreamError> {
        let mut stream = NatsStream::new(NatsSettings {
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
            stream: "tea".to_owned(),
            login: NatsLogin::Nobody,
            tls: NatsTls::default(),
            monitors: Vec::new(),
        })?;
        match stream.connect_now() {
            Ok(connection) => Ok(connection.client.server_info().server_id),
            Err(LogError::Stream(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_tool_tries_every_node_in_order() {
        let nodes = [ACCEPTS, ACCEPTS, REFUSES, SAYS_NOTHING].map(node);
        let [first, second, refusing, silent] = nodes.each_ref().map(String::as_str);
        let gone = "nats://127.0.0.1:1";
        for nodes in [&[first][..], &[first, second], &[gone, refusing, first, second], &[gone, gone, first]]
        {
            assert_eq!(connect_now(nodes).expect("one of them accepts"), first, "{nodes:?}");
        }
        // If none does, each has its own reason.
        let refused = connect_now(&[gone, silent, refusing]).expect_err("none accepts");
        assert!(matches!(refused, StreamError::Unreachable { .. }), "{refused}");
        let refused = refused.to_string();
        for (node, why) in
            [(gone, "Connection refused"), (silent, "timed out"), (refusing, "authorization violation")]
        {
            let of_node = refused.split(", ").find(|text| text.contains(node));
            assert!(of_node.is_some_and(|text| text.contains(why)), "{refused}");
        }
        assert!(!refused.contains('\n'), "{refused}");
        // A login that every node refuses is wrong.
        let refused = connect_now(&[refusing, refusing]).expect_err("none accepts");
        assert!(matches!(refused, StreamError::Unfit { .. }), "{refused}");
        assert!(refused.to_string().contains("every node refuses the login"), "{refused}");
    }

    #[test]
    fn a_release_has_two_numbers() {
        for (text, release) in [("2.15.1", (2, 15)), ("2.14.9-RC.1", (2, 14)), ("3.0", (3, 0)), ("", (0, 0))]
        {
            assert_eq!(release_of(text), release, "{text}");
        }
        assert!(release_of("2.15.0-RC.1") >= RELEASE_MIN && release_of("2.14.9") < RELEASE_MIN);
    }
}
