//! How to connect to the nodes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ClientError, ConnectOptions, Event, ReconnectToServer, Server};
use parking_lot::Mutex;

use super::ask::ANSWER_TIMEOUT;
use crate::log::stream::{NatsLogin, NatsSettings, StreamError};

/// Deadline for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the options of a connection. The node of this number is tried first, and then the next ones. Files are read
/// now, and those of TLS again at each connection.
pub(super) fn connect_options(settings: &NatsSettings, first: usize) -> Result<ConnectOptions, StreamError> {
    let bad = |flag, path: &Path, source| StreamError::File { flag, path: path.to_owned(), source };
    let read = |flag, path: &Path| fs::read_to_string(path).map_err(|source| bad(flag, path, source));
    let last_event = Mutex::new(String::new());
    let attempts = Arc::new(Mutex::new(Attempts { next: first, ..Attempts::default() }));
    let connected = Arc::clone(&attempts);
    let mut options = ConnectOptions::new()
        .name("chinwag")
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(Duration::from_secs(1))
        .request_timeout(Some(ANSWER_TIMEOUT))
        // What waits here while the connection is lost is sent afterwards.
        .client_capacity(64)
        .subscription_capacity(4096)
        // The client itself prefers nodes that it has never failed to reach. One that is cut off from the others may be the
        // only one of these, and it would be connected to again and again.
        .reconnect_to_server_callback(move |nodes, _| {
            let node = attempts.lock().next(&nodes);
            std::future::ready(node.map(|node| ReconnectToServer { addr: node.addr.clone(), delay: None }))
        })
        .reconnect_delay_callback(|attempt| Duration::from_millis(50 << attempt.min(4)))
        .event_callback(move |event| {
            if event == Event::Connected {
                connected.lock().is_connected = true;
            }
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

/// The attempts to connect. The client shows why one failed only in its list of nodes.
#[derive(Default)]
struct Attempts {
    /// The number of the node that is tried next.
    next: usize,
    /// The node that was tried last, and the attempts that had failed before.
    tried: Option<(String, usize)>,
    /// Whether that attempt has succeeded.
    is_connected: bool,
    /// The reasons that were logged since the last connection, each of a node.
    reasons: HashMap<String, String>,
}

impl Attempts {
    /// Logs how the last attempt has failed, if it has. Returns the node for the next one.
    fn next<'n>(&mut self, nodes: &'n [Server]) -> Option<&'n Server> {
        if let Some((node, reason)) = self.take_failure(nodes)
            && self.reasons.get(&node) != Some(&reason)
        {
            tracing::warn!(node, "failed to connect to a node: {reason}");
            self.reasons.insert(node, reason);
        }
        let node = nodes.get(self.next % nodes.len().max(1))?;
        self.next = self.next.wrapping_add(1);
        self.tried = Some((node.to_string(), node.failed_attempts));
        Some(node)
    }

    /// Returns the node of the last attempt, and the reason of its failure. Returns `None` if it has succeeded.
    fn take_failure(&mut self, nodes: &[Server]) -> Option<(String, String)> {
        let (tried, failed_before) = self.tried.take()?;
        if std::mem::take(&mut self.is_connected) {
            self.reasons.clear();
            return None;
        }
        let node = nodes.iter().find(|node| node.to_string() == tried)?;
        // The client does not count an attempt that finds no address.
        let has_address = node.failed_attempts > failed_before;
        let reason = node.last_error.clone().filter(|_| has_address);
        Some((tried, reason.unwrap_or_else(|| "its name does not resolve".to_owned())))
    }
}

/// Logs what happens to the connection. While it is tried again and again, each reason is logged once.
pub(super) fn log_event(event: &Event, last: &Mutex<String>) {
    let text = event.to_string();
    let is_same = std::mem::replace(&mut *last.lock(), text.clone()) == text;
    match event {
        Event::Connected => tracing::info!("connected to a node"),
        // Attempts log how they fail.
        Event::ClientError(ClientError::Other(_)) => {}
        _ if is_same => {}
        Event::Disconnected => tracing::warn!("lost the connection to a node"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::info!("the connection to a node: {text}");
        }
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!("the connection to a node: {text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(failed_attempts: usize, last_error: Option<&str>) -> Vec<Server> {
        let (addr, last_error) = ("nats://n1:4222".parse().expect("a URL"), last_error.map(str::to_owned));
        vec![Server { addr, failed_attempts, last_error, did_connect: false, is_discovered: false }]
    }

    #[test]
    fn a_failed_attempt_has_its_own_reason() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.take_failure(&node(0, None)), None, "nothing was tried");
        attempts.next(&node(0, None));
        let failed = attempts.take_failure(&node(1, Some("refused")));
        assert_eq!(failed, Some(("nats://n1:4222".to_owned(), "refused".to_owned())));
        // The client notes nothing of a look-up that fails, and keeps the reason of an earlier attempt.
        attempts.next(&node(1, Some("refused")));
        let failed = attempts.take_failure(&node(1, Some("refused")));
        assert!(failed.is_some_and(|(_, reason)| reason.contains("does not resolve")));
        attempts.next(&node(1, Some("refused")));
        attempts.is_connected = true;
        assert_eq!(attempts.take_failure(&node(0, None)), None);
    }
}
