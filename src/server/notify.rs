//! Messages to a service manager such as systemd, on the socket that `NOTIFY_SOCKET` names (`sd_notify(3)`).

use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager that has started this process, if there is one.
pub(super) struct ServiceManager {
    socket: Option<OsString>,
}

impl ServiceManager {
    pub(super) fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) }
    }

    /// Sends a state. If it cannot be sent, the server logs that and goes on.
    pub(super) fn notify(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        let sent = address(socket).and_then(|address| {
            let sender = UnixDatagram::unbound()?;
            // A full queue must not block the server.
            sender.set_nonblocking(true)?;
            sender.send_to_addr(state.as_bytes(), &address)
        });
        if let Err(error) = sent {
            let socket = socket.display();
            tracing::warn!(%socket, %error, state, "failed to notify the service manager");
        }
    }
}

/// Returns the address of a socket: a path, or an abstract name after an `@`.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the socket is neither a path nor an abstract name",
        )),
    }
}
