//! The life of a server: it starts, is ready, and stops.

mod key_files;
mod listen;
mod notify;
mod reload;
mod tls;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use self::key_files::{KeyFileError, Keys};
use self::notify::ServiceManager;
pub use self::tls::{Certificate, TlsError};
use crate::config::{AccessConfig, ScrubConfig, ServeConfig};
use crate::engine::{Engine, EngineSettings, ReplayProgress, ScrubSettings, WriterError};
pub use crate::http::log_panics;
use crate::http::{self, App, Router};
use crate::log::stream::{self, NatsStream, StreamLog};
use crate::log::{AppendError, EventLog, FileLog, LogError, MemoryLog, RealDisk};
use crate::system_clock::{self, OutOfRange};
use crate::thread::{SpawnError, spawn};

/// Deadline for requests in flight when the server stops.
const GRACE: Duration = Duration::from_secs(7);

/// Deadline for the last sync of the log, after [`GRACE`]: a disk may hang.
const LAST_SYNC: Duration = Duration::from_millis(1_500);

/// A reason why a server did not start, or ended before a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system's clock shows a time that neither an event nor an answer's `Date` can have.
    #[error(transparent)]
    Clock(#[from] OutOfRange),
    /// The system does not start the threads of the server.
    #[error(transparent)]
    Thread(#[from] SpawnError),
    /// The log could not be opened or replayed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server could not listen on its address.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Address that was configured, and those that it stands for.
        address: String,
        /// Error of the system.
        source: io::Error,
    },
    /// The server would serve everyone without credentials on an address that others may reach.
    #[error(
        "will not serve everyone without credentials on {address}, which is not loopback: give --api-keys or \
         --token-keys, and every call needs a credential; or --open (CHINWAG_OPEN=1), if everyone who reaches the \
         address may read and write everything; or a loopback address, as in --listen 127.0.0.1:{}",
        address.port()
    )]
    NotLoopback {
        /// Address that the server would listen on.
        address: SocketAddr,
    },
    /// The server is told both to serve everyone without credentials, and to want credentials.
    #[error(
        "--open (CHINWAG_OPEN) serves everyone without credentials, and {keys} wants credentials: give one of the two"
    )]
    OpenWithKeys {
        /// Flag of the file of keys.
        keys: &'static str,
    },
    /// The server is told both to share a log, of which it keeps a copy, and to keep its log in memory.
    #[error(
        "--nats (CHINWAG_NATS) and --ephemeral (CHINWAG_EPHEMERAL) cannot be combined: give one of the two"
    )]
    EphemeralCopy,
    /// A file of keys cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The runtime could not be started.
    #[error("failed to start the runtime: {0}")]
    Runtime(io::Error),
    /// The handlers of signals could not be installed.
    #[error("failed to wait for signals: {0}")]
    Signals(io::Error),
    /// The log failed at a write or a sync.
    #[error(transparent)]
    Writer(WriterError),
    /// The disk did not finish the last write before the server had to stop. That write was not answered.
    #[error("the log did not finish its last write in time")]
    Unfinished,
    /// The replay of the log panicked.
    #[error("the replay of the log panicked")]
    ReplayPanicked,
    /// A task of the server panicked.
    #[error("the server panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

impl From<WriterError> for ServeError {
    fn from(error: WriterError) -> Self {
        match error {
            // What a stream holds decides about the exit code, whether it is found at the start or later.
            WriterError::Log(AppendError::Failed(error @ LogError::Stream(_))) => Self::Log(error),
            WriterError::Log(_) | WriterError::Panicked => Self::Writer(error),
        }
    }
}

/// Runs a server as configured until SIGTERM or SIGINT, and prints its address when it is ready.
///
/// # Errors
///
/// See [`ServeError`]. The process must end then, because requests in flight are never answered.
pub fn run(config: ServeConfig) -> Result<(), ServeError> {
    // hyper panics at each request if it cannot write the date.
    system_clock::check()?;
    let runtime = listen::runtime()?;
    let ended = runtime.block_on(run_until_signal(config));
    // The grace period of clients that are still connected is over.
    runtime.shutdown_background();
    ended
}

async fn run_until_signal(mut config: ServeConfig) -> Result<(), ServeError> {
    check_open(&config.access)?;
    if config.ephemeral && !config.nats.nats.is_empty() {
        return Err(ServeError::EphemeralCopy);
    }
    warn_of_settings_without_effect(&config.access);
    warn_of_own_secret(&config);
    let keys = Keys::read(&config.access)?;
    let version = env!("CARGO_PKG_VERSION");
    if config.ephemeral {
        tracing::info!(version, "starting, with the log in memory");
    } else {
        let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
        tracing::info!(version, data = %data.display(), "starting");
    }
    let allowed = listen::fit_open_files(config.limits.connections_max);
    config.limits.fit_connections(allowed);
    let certificate = Certificate::read(&config.tls)?;
    let bound = listen::bind(&config.listen);
    // Before the directory is touched, and before a client can connect.
    if let Ok(bound) = &bound {
        check_address(&config.access, bound.address)?;
    }
    // A directory that exists is locked before the server listens, or fails to. So a second server on it is refused
    // because of the directory, even if it is given the same address. A missing one is created only after the server
    // listens, so that a server that cannot listen leaves nothing behind.
    let opened = if config.ephemeral || config.data.exists() { Some(open_log(&config)?) } else { None };
    let (listener, address) = bound?.listen()?;
    let log = opened.map_or_else(|| open_log(&config), Ok)?;
    let manager = ServiceManager::from_environment();
    let ready = || {
        // A closed stdout does not stop the server.
        let scheme = if config.tls.files().is_some() { "https" } else { "http" };
        drop(writeln!(io::stdout(), "chinwag listening on {scheme}://{address}"));
        tracing::info!(%address, "ready");
        manager.notify("READY=1");
    };
    let signal = listen::stop_signal().map_err(ServeError::Signals)?;
    let shutdown = async {
        signal.await;
        manager.notify("STOPPING=1");
    };
    serve(listener, log, &config, Files { keys, certificate }, ready, shutdown).await
}

/// Refuses a server that is told both to be open and to want credentials.
fn check_open(access: &AccessConfig) -> Result<(), ServeError> {
    let files = [("--api-keys", &access.api_keys), ("--token-keys", &access.token_keys)];
    match files.iter().find(|(_, file)| file.is_some()) {
        Some(&(keys, _)) if access.open => Err(ServeError::OpenWithKeys { keys }),
        Some(_) | None => Ok(()),
    }
}

/// Warns of settings that a server with keys, or one without, does not look at.
fn warn_of_settings_without_effect(access: &AccessConfig) {
    let AccessConfig { secret, hosts, trusted_proxies, .. } = access;
    let (without_effect, why) = if access.is_keyed() {
        (vec![("--hosts", !hosts.is_empty())], "every call needs a credential")
    } else {
        let of_keys =
            vec![("--secret", secret.is_some()), ("--trusted-proxies", !trusted_proxies.is_empty())];
        (of_keys, "no call needs a credential")
    };
    for (flag, _) in without_effect.into_iter().filter(|(_, is_given)| *is_given) {
        tracing::warn!("{flag} has no effect, because {why}");
    }
}

/// Warns of a server on a stream whose tokens for streams of events the other servers refuse.
fn warn_of_own_secret(config: &ServeConfig) {
    if !config.nats.nats.is_empty() && config.access.is_keyed() && config.access.secret.is_none() {
        tracing::warn!(
            "without --secret, a token of /events/token is good only on this server, and only until it restarts: give \
             all servers the same file"
        );
    }
}

/// Refuses to serve everyone on an address that others may reach, unless that is wanted.
fn check_address(access: &AccessConfig, address: SocketAddr) -> Result<(), ServeError> {
    if access.is_keyed() || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if !access.open {
        return Err(ServeError::NotLoopback { address });
    }
    tracing::warn!(%address, "everyone who reaches this address may read and write everything: the server is open");
    Ok(())
}

/// Opens the log, and creates its directory if it is missing.
fn open_log(config: &ServeConfig) -> Result<Box<dyn EventLog>, LogError> {
    if config.ephemeral {
        tracing::warn!("all data is lost when this process ends, because the log is kept in memory only");
        return Ok(Box::new(MemoryLog::default()));
    }
    // Before the directory is touched.
    let settings = config.nats.settings();
    let stream =
        settings.map(|settings| Ok::<_, LogError>((settings.stream.clone(), NatsStream::new(settings)?)));
    let stream = stream.transpose()?;
    let disk = RealDisk::lock(&config.data)?;
    disk.warn_if_others_may_open_it()?;
    match stream {
        None => {
            stream::check_is_own(&disk)?;
            Ok(Box::new(FileLog::new(disk, config.segment_bytes)))
        }
        Some((name, stream)) => {
            stream::check_is_copy(&disk, &name)?;
            let copy = FileLog::new(disk, config.segment_bytes);
            let write_timeout = Duration::from_millis(config.stream_timeouts.write_timeout_ms.into());
            Ok(Box::new(StreamLog::new(stream, name, copy, write_timeout)))
        }
    }
}

/// Files that are read before the server starts, and again when they change.
#[derive(Default)]
pub struct Files {
    /// The keys of callers. Without them, everyone may call.
    pub keys: Option<Keys>,
    /// The certificate for TLS.
    pub certificate: Option<Certificate>,
}

/// Serves the log on the listener until `shutdown` resolves. Answers 503 during the replay, and calls `ready`
/// after it. Before it returns, requests in flight are answered and their writes synced.
///
/// # Errors
///
/// See [`ServeError`]. The process must end then, because requests in flight are never answered.
pub async fn serve(
    listener: TcpListener,
    log: Box<dyn EventLog>,
    config: &ServeConfig,
    files: Files,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (progress, began) = (Arc::new(ReplayProgress::default()), Instant::now());
    let Files { keys, certificate } = files;
    let app = App::starting(Arc::clone(&progress), config);
    let app = Arc::new(match &keys {
        Some(keys) => app.with_credentials(keys.keyed()),
        None => app,
    });
    let tls = certificate.as_ref().map(Certificate::tls);
    if let Some(keys) = keys {
        keys.keep_fresh(Arc::clone(&app))?;
    }
    if let Some(certificate) = certificate {
        certificate.watch(Arc::clone(&app))?;
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new(Arc::clone(&app));
    let connections = tokio::spawn(async move {
        let stop = async { drop(stopped.await) };
        http::serve_connections(listener, tls, router, stop, GRACE).await
    });

    let mut shutdown = std::pin::pin!(shutdown);
    let settings = EngineSettings {
        queue_max: config.limits.queue_max as usize,
        // Only servers follow everything.
        can_follow_all: config.access.api_keys.is_some(),
        scrub: Some(scrub_settings(&config.scrub)),
    };
    let (started, starting) = oneshot::channel();
    // It is not a blocking task of the runtime, which would wait for ever for a thread that does not start.
    let replayed = Arc::clone(&progress);
    spawn("replay", move || {
        // At a signal, the server ends without waiting for the replay.
        drop(started.send(Engine::start(log, settings, &replayed)));
    })?;
    let (engine, mut writer) = tokio::select! {
        started = starting => started.map_err(|_| ServeError::ReplayPanicked)??,
        // The server has accepted no write yet, so nothing is lost.
        () = &mut shutdown => {
            tracing::info!("stopped during the replay");
            return Ok(());
        }
    };
    log_replay(&progress, began.elapsed());
    let engine = Arc::new(engine);
    engine.answer_others();
    app.ready(Arc::clone(&engine));
    ready();
    tokio::spawn(end_revoked_streams(Arc::clone(&app), Arc::clone(&engine)));

    tokio::select! {
        ended = writer.wait() => return Ok(ended?),
        () = &mut shutdown => {}
    }
    let drain = Drain::begin(&app, &engine);
    // An event stream would otherwise stay open for the whole grace period.
    engine.end_following();
    // Dropping the sender resolves `stopped`.
    drop(stop);
    // Before the log is closed, the other servers learn that this one ends; else their writes would be unconfirmed.
    let others = tokio::time::timeout(GRACE, engine.end_answering_others());
    let (is_drained, _) = tokio::join!(connections, others);
    let is_drained = is_drained?;
    engine.close();
    match tokio::time::timeout(LAST_SYNC, writer.wait()).await {
        Ok(ended) => ended?,
        // It waits for the nodes of a stream, which it has asked for what others have written.
        Err(_) if engine.is_idle() => {}
        Err(_) => return Err(ServeError::Unfinished),
    }
    drain.log(&app, &engine, is_drained);
    Ok(())
}

fn scrub_settings(config: &ScrubConfig) -> ScrubSettings {
    ScrubSettings {
        keep_deleted: config.keep.time(),
        interval: Duration::from_secs(config.scrub_every_s.into()),
        bytes_per_s: u64::from(config.scrub_mib_per_s) * 1024 * 1024,
    }
}

/// Makes the streams of revoked tokens end, on a server whose callers need credentials.
async fn end_revoked_streams(app: Arc<App>, engine: Arc<Engine>) {
    /// Time between two looks. A stream ends within a second.
    const INTERVAL: Duration = Duration::from_millis(250);
    let Some(keyed) = app.keyed() else { return };
    // Not the number of revocations by now: a stream may have been opened before the latest one.
    let mut seen = 0;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let revocations = engine.revocations();
        if revocations != seen {
            seen = revocations;
            keyed.note_change();
        }
    }
}

fn log_replay(progress: &ReplayProgress, took: Duration) {
    let (events, bytes, took_ms) = (progress.events(), progress.bytes(), whole_ms(took));
    let events_per_s = u128::from(events) * 1_000_000 / took.as_micros().max(1);
    let events_per_s = u64::try_from(events_per_s).unwrap_or(u64::MAX);
    tracing::info!(events, bytes, took_ms, events_per_s, "replayed the log");
}

/// The state of a server when it begins to stop.
struct Drain {
    began: Instant,
    connections: u64,
    streams: usize,
    answered: u64,
    position: u64,
}

impl Drain {
    fn begin(app: &App, engine: &Engine) -> Self {
        Self {
            began: Instant::now(),
            connections: app.connections(),
            streams: engine.followers(),
            answered: app.answered(),
            position: engine.position().0,
        }
    }

    /// Logs what was in flight. It is finished now, unless the time was too short.
    fn log(&self, app: &App, engine: &Engine, is_drained: bool) {
        let (requests, events) = (app.answered() - self.answered, engine.position().0 - self.position);
        let (connections, streams, took_ms) =
            (self.connections, self.streams, whole_ms(self.began.elapsed()));
        let outcome = if is_drained { ": what had arrived is answered and stored" } else { "" };
        tracing::info!(connections, streams, requests, events, took_ms, "stopped{outcome}");
    }
}

/// Returns whole milliseconds as a number that a log message shows as one.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(open: bool, keyed: bool) -> AccessConfig {
        let api_keys = keyed.then(|| "keys".into());
        AccessConfig { open, api_keys, token_keys: None, ..ServeConfig::default().access }
    }

    #[test]
    fn only_loopback_is_open_by_itself() {
        let refuses = |address: &str, access: &AccessConfig| {
            check_address(access, address.parse().expect(address)).is_err()
        };
        for address in ["127.0.0.1:9000", "127.9.9.9:1", "[::1]:9000", "[::ffff:127.0.0.1]:9000"] {
            assert!(!refuses(address, &access(false, false)), "{address}");
        }
        let others = ["0.0.0.0:9000", "[::]:9000", "192.168.0.7:80", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"];
        for address in others.into_iter().chain(["[::127.0.0.1]:1", "[::ffff:0.0.0.0]:1"]) {
            assert!(refuses(address, &access(false, false)), "{address}");
            assert!(!refuses(address, &access(true, false)), "{address}");
            assert!(!refuses(address, &access(false, true)), "{address}");
        }
    }
}
