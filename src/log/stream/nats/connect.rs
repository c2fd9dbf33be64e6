//! How to connect to the nodes.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{ConnectOptions, Event, ReconnectToServer};
use parking_lot::Mutex;

use super::ask::ANSWER_TIMEOUT;
use crate::log::stream::{NatsLogin, NatsSettings, StreamError};

/// Deadline for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the options of a connection, which is first tried to the node of this number, and then to the next ones. Files
/// are read now, and those of TLS again at each connection.
pub(super) fn connect_options(settings: &NatsSettings, first: usize) -> Result<ConnectOptions, StreamError> {
    let bad = |flag, path: &Path, source| StreamError::File { flag, path: path.to_owned(), source };
    let read = |flag, path: &Path| fs::read_to_string(path).map_err(|source| bad(flag, path, source));
    let last_event = Mutex::new(String::new());
    let next = AtomicUsize::new(first);
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
            let number = next.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
            let node =
                nodes.get(number).map(|node| ReconnectToServer { addr: node.addr.clone(), delay: None });
            std::future::ready(node)
        })
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
pub(super) fn log_event(event: &Event, last: &Mutex<String>) {
    let text = event.to_string();
    let is_same = std::mem::replace(&mut *last.lock(), text.clone()) == text;
    match event {
        Event::Connected => tracing::info!("connected to a node"),
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
