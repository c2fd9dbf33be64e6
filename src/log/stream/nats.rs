//! A stream of NATS JetStream. This is the only file that knows its client.
//!
//! JetStream's own interface is JSON over requests. The connection has a thread of its own, so that it does not wait
//! behind the requests of the server's clients; the writer's thread waits for it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{
    Client, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind, ServerAddr, StatusCode,
    Subscriber,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::wanted::{self, stored_subject, subject};
use super::{
    CreateStream, Heard, NatsLogin, NatsSettings, Published, Stream, StreamError, Told, Unreachable,
    monitors, new_genesis,
};
use crate::log::LogError;
use crate::thread;

/// The earliest release of the nodes: earlier ones let a leader of an earlier term propose messages.
const RELEASE_MIN: (u64, u64) = (2, 15);
/// Deadline for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Deadline for the answer to a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Deadline for the next message of those that were asked for together.
const READ_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum messages that are read together.
const READ_MESSAGES_MAX: u32 = 256;
/// Time between two questions about the stream.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Questions without an answer after which another node is connected to.
const SILENT_HEARTBEATS_MAX: u32 = 3;
/// Bytes of a message that are left for the headers of NATS.
const HEADERS_BYTES: usize = 1024;
/// The shortest longest message with which every single call can be stored but the longest batches.
const MESSAGE_BYTES_MIN: usize = 64 * 1024;

/// A stream of NATS JetStream.
pub struct NatsStream {
    settings: NatsSettings,
    nodes: Vec<ServerAddr>,
    options: ConnectOptions,
    /// There is one after the first [check](Stream::check).
    connection: Option<Connection>,
    news: Arc<News>,
    /// Whether the tasks run that keep [`News`].
    is_listening: bool,
    /// The reason why the stream could not be used last, which is logged once.
    waits_for: Option<String>,
    /// The sequence from which on messages were read last, and the number of times in a row.
    read_from: (u64, u32),
    began: Instant,
}

/// A connection, which is made again when it is lost, and the thread that it runs in.
struct Connection {
    client: Client,
    runtime: Option<Runtime>,
}

impl Connection {
    /// Runs this to its end, or to the end of `ANSWER_TIMEOUT` twice: the connection may be lost.
    fn run<F: Future>(&self, run: F) -> F::Output {
        self.runtime.as_ref().expect("it is taken at the end only").block_on(run)
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
            read_from: (0, 0),
            began: Instant::now(),
        })
    }

    /// Connects, now or later.
    fn connect(&mut self, options: ConnectOptions) -> Result<&Connection, LogError> {
        if self.connection.is_none() {
            // The one of the connection, and one that looks up names.
            thread::check_room(2)?;
            let runtime =
                Builder::new_multi_thread().worker_threads(1).thread_name("nats").enable_all().build();
            let runtime = runtime.map_err(|error| self.unreachable(format!("failed to start: {error}")))?;
            let connected = runtime.block_on(options.connect(self.nodes.clone()));
            match connected {
                Ok(client) => {
                    self.connection = Some(Connection { client, runtime: Some(runtime) });
                }
                Err(error) => {
                    runtime.shutdown_background();
                    let nodes = self.settings.nodes.join(", ");
                    return Err(self.unreachable(format!("failed to connect to {nodes}: {error}")).into());
                }
            }
        }
        Ok(self.connection.as_ref().expect("it was made"))
    }

    fn unreachable(&self, what: String) -> StreamError {
        StreamError::Unreachable { stream: self.settings.stream.clone(), what }
    }

    fn unfit(&self, what: String) -> StreamError {
        StreamError::Unfit { stream: self.settings.stream.clone(), what }
    }

    /// Asks the nodes about the stream. Returns `None` if there is no such stream.
    fn info(&self, connection: &Connection) -> Result<Option<Value>, Unanswered> {
        let Client { .. } = connection.client;
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
        self.check_node(connection).map_err(failed)?;
        let info = self
            .info(connection)?
            .ok_or_else(|| failed("it does not exist; `chinwag stream create` creates it".to_owned()))?;
        let faults = wanted::faults(&self.settings.stream, &info["config"]);
        if !faults.is_empty() {
            return Err(failed(faults.join("; ")));
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

    fn check_node(&self, connection: &Connection) -> Result<(), String> {
        let release = connection.client.server_info().version;
        if release_of(&release) < RELEASE_MIN {
            let (major, minor) = RELEASE_MIN;
            return Err(format!("a node is of release {release}, and must be of {major}.{minor} or later"));
        }
        let bytes_max = connection.client.max_payload();
        if bytes_max < MESSAGE_BYTES_MIN {
            return Err(format!(
                "the nodes' max_payload is {bytes_max}, and must be {MESSAGE_BYTES_MIN} at least"
            ));
        }
        Ok(())
    }

    /// Logs why the stream is not used yet, once.
    fn wait_for(&mut self, what: String) {
        if self.waits_for.as_ref() != Some(&what) {
            tracing::warn!(stream = self.settings.stream, "waiting for the stream: {what}");
            self.waits_for = Some(what);
        }
    }

    /// Begins to listen for news, and logs what the stream is.
    fn listen(&mut self, info: &Value) {
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
        self.news.tell(0, info);
        if let Some(connection) = &self.connection {
            let runtime = connection.runtime.as_ref().expect("it is taken at the end only");
            let (client, news) = (&connection.client, &self.news);
            runtime.spawn(hear_stored(client.clone(), stream.to_owned(), Arc::clone(news)));
            runtime.spawn(ask_each_second(client.clone(), stream.to_owned(), Arc::clone(news)));
        }
    }

    /// Connects for a tool, which does not wait until that succeeds.
    fn connect_now(&mut self) -> Result<(), LogError> {
        self.connect(self.options.clone()).map(|_| ())
    }

    /// Creates the stream, and publishes its first message. Returns `false` if it was there.
    ///
    /// # Errors
    ///
    /// The nodes cannot be reached, or refuse; or the stream was there and is not as it must be, or not wanted.
    pub fn create(&mut self, create: CreateStream) -> Result<bool, LogError> {
        /// Time for the nodes to elect the one that leads the new stream.
        const ELECTION: Duration = Duration::from_secs(20);
        self.connect_now()?;
        let connection = self.connection.as_ref().expect("connected");
        self.check_node(connection).map_err(|what| self.unfit(what))?;
        let found = self.info(connection).map_err(|unanswered| self.failed(unanswered))?;
        let is_new = found.is_none();
        if is_new {
            let config = wanted::config(&self.settings.stream, create.replicas, create.bytes_max);
            let subject = format!("$JS.API.STREAM.CREATE.{}", self.settings.stream);
            let asked = ask_within(&connection.client, &subject, config.to_string().into_bytes(), ELECTION);
            let answer = connection.run(asked).map_err(|what| self.unreachable(what))?;
            if answer["error"].is_object() {
                return Err(self.unfit(format!("it cannot be created: {}", said(&answer))).into());
            }
        } else if !create.if_missing {
            return Err(self.unfit("it exists; --if-missing accepts that".to_owned()).into());
        }
        let (genesis, deadline) = (new_genesis(), Instant::now() + ELECTION);
        loop {
            let info = self.info(connection).map_err(|unanswered| self.failed(unanswered));
            match info {
                Ok(Some(info)) if info["state"]["last_seq"].as_u64() > Some(0) => break,
                Ok(Some(_)) => {
                    let stream = &self.settings.stream;
                    connection.run(publish(&connection.client, stream, 0, &genesis, ANSWER_TIMEOUT));
                }
                Err(error) if Instant::now() >= deadline => return Err(error.into()),
                Ok(None) | Err(_) => {}
            }
            if Instant::now() >= deadline {
                let what = "its first message was not stored in time; try again with --if-missing";
                return Err(self.unreachable(what.to_owned()).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.look(connection).map_err(|unanswered| self.failed(unanswered))?;
        Ok(is_new)
    }

    /// Describes the stream, after it was checked as a server does.
    ///
    /// # Errors
    ///
    /// The nodes cannot be reached, or the stream is not as it must be.
    pub fn describe(&mut self) -> Result<Vec<(&'static str, String)>, LogError> {
        self.connect_now()?;
        let connection = self.connection.as_ref().expect("connected");
        let info = self.look(connection).map_err(|unanswered| self.failed(unanswered))?;
        let silent = monitors::check(&self.settings.monitors).map_err(|what| self.unfit(what))?;
        let (config, state) = (&info["config"], &info["state"]);
        let mut found = vec![
            ("stream", self.settings.stream.clone()),
            ("release", connection.client.server_info().version),
            ("leader", info["cluster"]["leader"].as_str().unwrap_or("the only node").to_owned()),
            ("replicas", config["num_replicas"].to_string()),
            ("messages", state["last_seq"].to_string()),
            ("bytes", format!("{} of {}", state["bytes"], config["max_bytes"])),
            ("message", format!("{} bytes at most", self.message_bytes_max())),
        ];
        let is_synced = match (self.settings.monitors.len(), silent.len()) {
            (0, _) => "not checked: give --nats-monitor".to_owned(),
            (all, silent) => format!("on {} of {all} nodes, before each acknowledgement", all - silent),
        };
        found.push(("synced", is_synced));
        let warnings = wanted::warnings(&self.settings.stream, config).into_iter().chain(silent);
        found.extend(warnings.map(|warning| ("warning", warning)));
        Ok(found)
    }

    fn failed(&self, unanswered: Unanswered) -> StreamError {
        match unanswered {
            Unanswered::Silent(what) => self.unreachable(what),
            Unanswered::Failed(error) => error,
        }
    }
}

/// Returns the options of a connection. Files are read now, and those of TLS again at each connection.
fn connect_options(settings: &NatsSettings) -> Result<ConnectOptions, StreamError> {
    let bad = |flag, path: &Path, source| StreamError::File { flag, path: path.to_owned(), source };
    let read = |flag, path: &Path| fs::read_to_string(path).map_err(|source| bad(flag, path, source));
    let last_event = Mutex::new(String::new());
    let mut options = ConnectOptions::new()
        .name("chinwag")
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(Duration::from_secs(1))
        .request_timeout(Some(ANSWER_TIMEOUT))
        // What waits here while the connection is lost is sent afterwards.
        .client_capacity(64)
        .subscription_capacity(4096)
        .reconnect_delay_callback(|attempt| Duration::from_millis(50 << attempt.min(4)))
        .event_callback(move |event| {
            log_event(&event, &last_event);
            std::future::ready(())
        });
    options = match &settings.login {
        NatsLogin::Nobody => options,
        NatsLogin::Credentials(path) => {
            let credentials = read("--nats-creds", path)?;
            options.credentials(&credentials).map_err(|source| bad("--nats-creds", path, source))?
        }
        NatsLogin::Password(user, path) => {
            let password = read("--nats-password-file", path)?;
            options.user_and_password(user.clone(), password.trim_end().to_owned())
        }
        NatsLogin::Token(path) => options.token(read("--nats-token-file", path)?.trim_end().to_owned()),
    };
    if let Some(ca) = &settings.tls.ca {
        read("--nats-ca", ca)?;
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &settings.tls.certificate {
        read("--nats-cert", certificate)?;
        read("--nats-key", key)?;
        options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    Ok(options)
}

/// Logs what happens to the connection. While it is tried again and again, each reason is logged once.
fn log_event(event: &Event, last: &Mutex<String>) {
    let text = event.to_string();
    let is_same = std::mem::replace(&mut *last.lock(), text.clone()) == text;
    match event {
        Event::Connected => tracing::info!("connected to a node"),
        _ if is_same => {}
        Event::Disconnected => tracing::warn!("lost the connection to a node"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::info!("the connection to a node: {text}")
        }
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!("the connection to a node: {text}");
        }
    }
}

/// Returns the first two numbers of a release, as of `2.15.1`.
fn release_of(text: &str) -> (u64, u64) {
    let mut numbers = text.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The code of JetStream for a stream that does not exist.
const NO_STREAM: u64 = 10059;
/// The code for a message that does not exist.
const NO_MESSAGE: u64 = 10037;
/// The code for an expected sequence that is not the last one.
const WRONG_LAST_SEQUENCE: u64 = 10071;

/// Returns what an answer says of an error.
fn said(answer: &Value) -> String {
    let error = &answer["error"];
    format!("{} ({})", error["description"].as_str().unwrap_or("an error"), error["err_code"])
}

/// Sends a request, and waits for its answer.
async fn request(
    client: &Client,
    subject: &str,
    headers: HeaderMap,
    payload: Vec<u8>,
    patience: Duration,
) -> Result<Message, RequestErrorKind> {
    let request = Request::new().headers(headers).payload(payload.into()).timeout(Some(patience));
    // The client's own deadline begins when the request is sent, which a lost connection may delay.
    let answered = timeout(patience, client.send_request(subject.to_owned(), request)).await;
    answered.map_err(|_| RequestErrorKind::TimedOut)?.map_err(|error| error.kind())
}

/// Asks JetStream. Returns a sentence if there is no answer.
async fn ask(client: &Client, subject: &str, question: Vec<u8>) -> Result<Value, String> {
    ask_within(client, subject, question, ANSWER_TIMEOUT).await
}

async fn ask_within(
    client: &Client,
    subject: &str,
    question: Vec<u8>,
    patience: Duration,
) -> Result<Value, String> {
    let answered = request(client, subject, HeaderMap::new(), question, patience).await;
    let answer = answered.map_err(|kind| format!("no answer to {subject}: {kind}"))?;
    serde_json::from_slice(&answer.payload).map_err(|_| format!("the answer to {subject} is not JSON"))
}

async fn publish(
    client: &Client,
    stream: &str,
    expected: u64,
    message: &[u8],
    patience: Duration,
) -> Published {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", expected.to_string().as_str());
    headers.insert("Nats-Expected-Stream", stream);
    match request(client, &subject(stream), headers, message.to_vec(), patience).await {
        Ok(answer) => published(&answer.payload),
        // Nobody has received it.
        Err(
            RequestErrorKind::NoResponders
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::InvalidSubject,
        ) => Published::Nowhere,
        Err(RequestErrorKind::TimedOut | RequestErrorKind::Other) => Published::Unknown,
    }
}

/// Returns the outcome that the answer to a publication tells.
fn published(answer: &[u8]) -> Published {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return Published::Unknown };
    let error = &answer["error"];
    match (answer["seq"].as_u64(), error["err_code"].as_u64()) {
        (Some(sequence), None) => Published::At(sequence),
        (_, Some(WRONG_LAST_SEQUENCE)) => Published::Conflict,
        // A leader that could not store what was committed uses the same code with other words.
        (_, Some(10077))
            if error["description"]
                .as_str()
                .is_some_and(|what| what.starts_with("maximum bytes exceeded")) =>
        {
            Published::Full
        }
        // The limits of the account and of the nodes' storage.
        (_, Some(10047 | 10023 | 10002)) => Published::Full,
        // Not the leader, not available, too large, sealed: said before anything is proposed.
        (_, Some(10008 | 10009 | 10054 | 10109)) => Published::Nowhere,
        _ => Published::Unknown,
    }
}

/// Asks for the last sequence by a publication that cannot succeed.
async fn probe(client: &Client, stream: &str) -> Option<u64> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", u64::MAX.to_string().as_str());
    let answer = request(client, &subject(stream), headers, Vec::new(), ANSWER_TIMEOUT).await.ok()?;
    last_of_refusal(&answer.payload)
}

/// Returns the last sequence, which the refusal of a publication names.
fn last_of_refusal(answer: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let error = &answer["error"];
    let is_refused = error["err_code"].as_u64() == Some(WRONG_LAST_SEQUENCE);
    error["description"].as_str().filter(|_| is_refused)?.rsplit(' ').next()?.parse().ok()
}

/// Reads messages together, from any node that has them.
async fn read_many(
    client: &Client,
    stream: &str,
    from: u64,
    bytes_max: usize,
) -> Option<Vec<(u64, Vec<u8>)>> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.ok()?;
    let question = format!("{{\"seq\":{from},\"batch\":{READ_MESSAGES_MAX},\"max_bytes\":{bytes_max}}}");
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    client.publish_with_reply(subject, inbox, question.into()).await.ok()?;
    let mut read = Vec::new();
    loop {
        match timeout(READ_TIMEOUT, answers.next()).await {
            Ok(Some(Message { status: Some(StatusCode::NO_RESPONDERS), .. })) => return None,
            // That was all, or there is nothing.
            Ok(Some(Message { status: Some(_), .. })) => return Some(read),
            Ok(Some(message)) => read.push((sequence_of(&message)?, message.payload.into())),
            // The connection is lost, or the node is silent.
            Ok(None) | Err(_) => return Some(read).filter(|read| !read.is_empty()),
        }
    }
}

fn sequence_of(message: &Message) -> Option<u64> {
    message.headers.as_ref()?.get("Nats-Sequence")?.as_str().parse().ok()
}

/// Reads a message from the node that leads.
async fn read_one(client: &Client, stream: &str, sequence: u64) -> Option<Vec<(u64, Vec<u8>)>> {
    let question = format!("{{\"seq\":{sequence}}}");
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let answer = ask(client, &subject, question.into()).await.ok()?;
    match answer["error"]["err_code"].as_u64() {
        None => {
            let message = BASE64_STANDARD.decode(answer["message"]["data"].as_str()?).ok()?;
            Some(vec![(answer["message"]["seq"].as_u64()?, message)])
        }
        Some(NO_MESSAGE) => Some(Vec::new()),
        Some(_) => None,
    }
}

/// Notes each message that the nodes say is stored.
async fn hear_stored(client: Client, stream: String, news: Arc<News>) {
    loop {
        let stored = timeout(ANSWER_TIMEOUT, client.subscribe(stored_subject(&stream))).await;
        if let Ok(Ok(stored)) = stored {
            note_all(stored, &news).await;
        }
        sleep(HEARTBEAT).await;
    }
}

async fn note_all(mut stored: Subscriber, news: &News) {
    while let Some(message) = stored.next().await {
        if let Some(sequence) = sequence_of(&message) {
            news.note(sequence);
        }
    }
}

/// Asks the node that leads what the stream is. If there is no answer, another node is connected to: the one that is
/// connected to may be cut off from the others.
async fn ask_each_second(client: Client, stream: String, news: Arc<News>) {
    let subject = format!("$JS.API.STREAM.INFO.{stream}");
    let (mut beats, mut silent) = (interval(HEARTBEAT), 0);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if client.connection_state() != State::Connected {
            continue;
        }
        let seen = news.last();
        match ask(&client, &subject, Vec::new()).await {
            Ok(info) if info["state"].is_object() => {
                silent = 0;
                news.tell(seen, &info);
            }
            Ok(_) | Err(_) => silent += 1,
        }
        if silent >= SILENT_HEARTBEATS_MAX {
            silent = 0;
            tracing::warn!(stream, "no node says what the stream is; connecting to another one");
            // A full queue of commands is that of a lost connection.
            drop(timeout(ANSWER_TIMEOUT, client.force_reconnect()).await);
        }
    }
}

/// What was heard of the stream.
#[derive(Default)]
struct News {
    state: Mutex<NewsState>,
    heard: Condvar,
}

#[derive(Default)]
struct NewsState {
    last: u64,
    told: Option<Told>,
    /// The sequence of this server's own publication, of which nobody has to be woken.
    own: u64,
    /// Whether something was heard since somebody last waited for that.
    is_new: bool,
    /// Whether the one who is woken has not looked yet.
    is_woken: bool,
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

impl News {
    fn last(&self) -> u64 {
        self.state.lock().last
    }

    /// Notes that the stream holds a message of this sequence.
    fn note(&self, sequence: u64) {
        let mut state = self.state.lock();
        if sequence <= state.last {
            return;
        }
        state.last = sequence;
        if let Some(told) = &mut state.told {
            told.last = sequence;
        }
        state.is_new = true;
        self.heard.notify_all();
        if sequence != state.own && !std::mem::replace(&mut state.is_woken, true) {
            if let Some(wake) = &state.wake {
                wake();
            }
        }
    }

    /// Notes what the node that leads says. `seen` was the last sequence when it was asked: the stream is shorter than
    /// it was only if it is said to be shorter than that.
    fn tell(&self, seen: u64, info: &Value) {
        let last = info["state"]["last_seq"].as_u64().unwrap_or(0);
        let created = info["created"].as_str().and_then(|created| created.parse::<jiff::Timestamp>().ok());
        let created = created.and_then(|created| u64::try_from(created.as_nanosecond()).ok()).unwrap_or(0);
        {
            let mut state = self.state.lock();
            let last = if last < seen { last } else { last.max(state.last) };
            state.told = Some(Told { last, created });
        }
        self.note(last);
    }

    fn heard(&self) -> Heard {
        let mut state = self.state.lock();
        state.is_woken = false;
        Heard { last: state.last, told: state.told }
    }

    fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        if !state.is_new {
            self.heard.wait_for(&mut state, time);
        }
        state.is_new = false;
    }
}

impl Stream for NatsStream {
    fn check(&mut self) -> Result<bool, LogError> {
        let options = self.options.clone().retry_on_initial_connect();
        self.connect(options)?;
        let connection = self.connection.as_ref().expect("connected");
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        while !connection.is_up() {
            if Instant::now() >= deadline {
                let nodes = self.settings.nodes.join(", ");
                self.wait_for(format!("not connected to {nodes}"));
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        match self.look(connection) {
            Ok(info) => {
                if !self.is_listening {
                    let silent = monitors::check(&self.settings.monitors).map_err(|what| self.unfit(what))?;
                    for silent in silent {
                        tracing::warn!("a node that --nats-monitor names is not checked: {silent}");
                    }
                }
                self.listen(&info);
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
        self.news.state.lock().own = expected + 1;
        let published =
            connection.run(publish(&connection.client, &self.settings.stream, expected, message, patience));
        if let Published::At(sequence) = published {
            self.news.note(sequence);
        }
        published
    }

    fn read(&mut self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Unreachable> {
        /// Reads of one message, in vain, after which another node is connected to.
        const READS_PER_NODE: u32 = 6;
        let connection =
            self.connection.as_ref().filter(|connection| connection.is_up()).ok_or(Unreachable)?;
        let (client, stream) = (&connection.client, &self.settings.stream);
        let times = if self.read_from.0 == from { self.read_from.1 + 1 } else { 0 };
        self.read_from = (from, times);
        // The node that is connected to answers by itself if it keeps the stream. It may have lost a message, which the
        // others have.
        if times > 0 && times % READS_PER_NODE == 0 && from <= self.news.last() {
            tracing::warn!(
                stream,
                sequence = from,
                "a message is missing on a node; connecting to another one"
            );
            drop(connection.run(async { timeout(ANSWER_TIMEOUT, client.force_reconnect()).await }));
            return Ok(Vec::new());
        }
        let read = if times % 2 == 0 {
            connection.run(read_many(client, stream, from, bytes_max))
        } else {
            connection.run(read_one(client, stream, from))
        };
        read.ok_or(Unreachable)
    }

    fn probe(&mut self) -> Option<u64> {
        let connection = self.connection.as_ref().filter(|connection| connection.is_up())?;
        connection.run(probe(&connection.client, &self.settings.stream))
    }

    fn heard(&self) -> Heard {
        self.news.heard()
    }

    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.news.state.lock().wake = Some(wake);
    }

    fn time(&self) -> Duration {
        self.began.elapsed()
    }

    fn wait(&mut self, time: Duration) {
        self.news.wait(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn an_answer_tells_what_became_of_a_message() {
        let error = |code: u64, what: &str| json!({ "error": { "code": 400, "err_code": code, "description": what } });
        for (answer, outcome) in [
            (json!({ "stream": "tea", "seq": 5 }), Published::At(5)),
            (error(10071, "wrong last sequence: 9"), Published::Conflict),
            (error(10077, "maximum bytes exceeded"), Published::Full),
            (error(10077, "failed to store"), Published::Unknown),
            (error(10047, "insufficient storage"), Published::Full),
            (error(10008, "no leader"), Published::Nowhere),
            (error(1, "new"), Published::Unknown),
            (json!({}), Published::Unknown),
        ] {
            assert_eq!(published(answer.to_string().as_bytes()), outcome, "{answer}");
        }
        assert_eq!(published(b"no JSON"), Published::Unknown);
        let refused = error(10071, "wrong last sequence: 923").to_string();
        assert_eq!(last_of_refusal(refused.as_bytes()), Some(923));
        assert_eq!(last_of_refusal(json!({ "stream": "tea", "seq": 5 }).to_string().as_bytes()), None);
    }

    #[test]
    fn a_release_has_two_numbers() {
        for (text, release) in [("2.15.1", (2, 15)), ("2.14.9-RC.1", (2, 14)), ("3.0", (3, 0)), ("", (0, 0))]
        {
            assert_eq!(release_of(text), release, "{text}");
        }
        assert!(release_of("2.15.0-RC.1") >= RELEASE_MIN && release_of("2.14.9") < RELEASE_MIN);
    }

    fn info(last: u64) -> Value {
        json!({ "created": "2026-11-27T21:50:00.5Z", "state": { "last_seq": last } })
    }

    /// What a leader says is old when it arrives.
    #[test]
    fn a_stream_that_grows_is_not_told_to_be_shorter() {
        let news = News::default();
        news.tell(0, &info(5));
        // When messages are stored while the leader is asked, and after that.
        let seen = news.last();
        news.note(8);
        news.tell(seen, &info(5));
        assert_eq!(news.heard().told.map(|told| told.last), Some(8));
        news.note(9);
        assert_eq!(news.heard().told.map(|told| told.last), Some(9));
        // When the leader says fewer than there were when it was asked, that is what is told.
        news.tell(news.last(), &info(3));
        assert_eq!((news.heard().last, news.heard().told.map(|told| told.last)), (9, Some(3)));
    }

    #[test]
    fn only_what_others_wrote_wakes_and_only_once() {
        let (news, woken) = (News::default(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&woken);
        news.state.lock().wake = Some(Box::new(move || drop(count.fetch_add(1, Ordering::Relaxed))));
        // Given a message of this server's own.
        news.state.lock().own = 2;
        news.note(2);
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        // When others write two before it looks, it is woken once; and again after it has looked.
        news.note(3);
        news.note(4);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert_eq!(news.heard().last, 4);
        news.note(5);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
