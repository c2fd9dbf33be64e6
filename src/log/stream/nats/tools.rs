//! What an operator does with a stream.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ask::{ANSWER_TIMEOUT, ask_within, publish, said};
use super::{NatsStream, Unanswered};
use crate::log::LogError;
use crate::log::stream::{CreateStream, Created, Stream, StreamError, monitors, wanted};

/// Time for the nodes to elect the one that leads a new stream.
const ELECTION: Duration = Duration::from_secs(20);

impl NatsStream {
    /// Creates the stream, and publishes its first message, unless it has one.
    ///
    /// # Errors
    ///
    /// The nodes cannot be reached, or refuse; or the stream was there and is not as it must be, or not wanted.
    pub fn create(&mut self, create: CreateStream, genesis: &[u8]) -> Result<Created, LogError> {
        let connection = &*self.connect_now()?;
        connection.check_node().map_err(|what| self.unfit(what))?;
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
        let deadline = Instant::now() + ELECTION;
        loop {
            let info = self.info(connection).map_err(|unanswered| self.failed(unanswered));
            match info {
                Ok(Some(info)) if info["state"]["last_seq"].as_u64() > Some(0) => break,
                Ok(Some(_)) => {
                    let stream = &self.settings.stream;
                    connection.run(publish(&connection.client, stream, 0, genesis, ANSWER_TIMEOUT));
                }
                Err(error) if Instant::now() >= deadline => return Err(error.into()),
                Ok(None) | Err(_) => {}
            }
            if Instant::now() >= deadline {
                let what = "its first message was not stored in time; try again with --if-missing";
                return Err(self.unreachable(what.to_owned()).into());
            }
            sleep(Duration::from_millis(100));
        }
        let info = self.look(connection).map_err(|unanswered| self.failed(unanswered))?;
        Ok(Created { is_new, warnings: wanted::warnings(&self.settings.stream, &info["config"]) })
    }

    /// Names the format of this release's messages in the stream's metadata. Returns `false` if it was named there.
    ///
    /// # Errors
    ///
    /// The nodes cannot be reached, or refuse; or the stream is not as it must be, or of a later format.
    pub fn upgrade(&mut self) -> Result<bool, LogError> {
        let connection = &*self.connect_now()?;
        let info = self.look(connection).map_err(|unanswered| self.failed(unanswered))?;
        let mut config = info["config"].clone();
        wanted::set_format(&mut config);
        if config == info["config"] {
            return Ok(false);
        }
        let subject = format!("$JS.API.STREAM.UPDATE.{}", self.settings.stream);
        let asked = ask_within(&connection.client, &subject, config.to_string().into_bytes(), ELECTION);
        let answer = connection.run(asked).map_err(|what| self.unreachable(what))?;
        if answer["error"].is_object() {
            return Err(self.unfit(format!("it cannot be upgraded: {}", said(&answer))).into());
        }
        Ok(true)
    }

    /// Describes the stream, after it was checked as a server does.
    ///
    /// # Errors
    ///
    /// The nodes cannot be reached, or the stream is not as it must be.
    pub fn describe(&mut self) -> Result<Vec<(&'static str, String)>, LogError> {
        let connection = &*self.connect_now()?;
        let info = self.look(connection).map_err(|unanswered| self.failed(unanswered))?;
        let silent = monitors::check(&self.settings.monitors).map_err(|what| self.unfit(what))?;
        let (config, state) = (&info["config"], &info["state"]);
        let mut found = vec![
            ("stream", self.settings.stream.clone()),
            ("release", connection.client.server_info().version),
            ("leader", info["cluster"]["leader"].as_str().unwrap_or("the only node").to_owned()),
            ("replicas", config["num_replicas"].to_string()),
            ("format", wanted::format(config).unwrap_or("not named: see `stream upgrade`").to_owned()),
            ("messages", state["last_seq"].to_string()),
            ("bytes", format!("{}, {}", state["bytes"], wanted::bytes_max_text(config))),
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
