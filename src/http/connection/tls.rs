//! TLS: the handshakes, and the connection above the socket.
//!
//! The [deadlines](super::deadline) of requests and the drain at a stop are above TLS, so that they see requests
//! and not records. The [pacing](super::pacing) of answers is below it, so that it sees what a client takes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::LINGER;
use super::record::Records;
use super::socket::PacedSocket;
use super::stream::Transport;
use crate::http::limits::{HANDSHAKE_TIME_CROWDED_MAX, HANDSHAKE_TIME_MAX, HANDSHAKES_MAX};

/// The certificate and the settings of TLS that new connections get. Clones share them.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// Returns TLS with these settings.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Replaces the settings. Connections that are open keep theirs; no session of before is resumed, so that
    /// each new connection sees the new certificate.
    pub fn replace(&self, config: ServerConfig) {
        *self.0.write() = Arc::new(config);
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read())
    }
}

/// The handshakes that are in progress, up to a maximum.
pub(super) struct Handshakes {
    tls: Tls,
    slots: Arc<Semaphore>,
    /// Maximum time of a handshake.
    time_max: Duration,
    /// Maximum time of a handshake while all slots are taken.
    time_crowded_max: Duration,
}

impl Handshakes {
    /// Returns the handshakes of a server with this maximum of connections. Handshakes take an eighth of them
    /// at most, unless there are very few.
    pub(super) fn new(tls: Tls, connections_max: u32) -> Self {
        let slots = (connections_max as usize / 8).clamp(HANDSHAKES_MAX / 128, HANDSHAKES_MAX);
        Self::within(tls, slots, HANDSHAKE_TIME_MAX, HANDSHAKE_TIME_CROWDED_MAX)
    }

    fn within(tls: Tls, slots: usize, time_max: Duration, time_crowded_max: Duration) -> Self {
        Self { tls, slots: Arc::new(Semaphore::new(slots)), time_max, time_crowded_max }
    }

    /// Waits for a slot.
    pub(super) async fn slot(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Returns a slot, if one is free.
    ///
    /// # Errors
    ///
    /// All slots are taken.
    pub(super) fn try_slot(&self) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        Arc::clone(&self.slots).try_acquire_owned()
    }

    /// Shakes hands with a client, and gives the slot back. A client that is slow while all slots are taken
    /// gives way: otherwise a few thousand clients that say nothing would keep out all others.
    ///
    /// # Errors
    ///
    /// The client does not speak TLS, is too slow, or the server stops.
    pub(super) async fn shake(
        &self,
        socket: PacedSocket,
        slot: OwnedSemaphorePermit,
        mut drain: watch::Receiver<()>,
    ) -> io::Result<TlsStream<RecordSocket>> {
        let began = Instant::now();
        let mut deadline = began + self.time_max;
        let mut look = began + self.time_crowded_max;
        let mut is_draining = false;
        let socket = RecordSocket { socket, records: Records::default() };
        let mut shaken = TlsAcceptor::from(self.tls.current()).accept(socket);
        let shaken = loop {
            tokio::select! {
                biased;
                shaken = &mut shaken => break shaken,
                _ = drain.changed(), if !is_draining => {
                    // The last message of the client's handshake may be on its way, with a request behind it.
                    is_draining = true;
                    deadline = deadline.min(Instant::now() + LINGER);
                }
                () = sleep_until(deadline.min(look)) => {
                    if Instant::now() >= deadline || self.slots.available_permits() == 0 {
                        break Err(io::ErrorKind::TimedOut.into());
                    }
                    look += self.time_crowded_max;
                }
            }
        };
        drop(slot);
        shaken
    }
}

/// A socket below TLS, which knows whether the bytes so far end within a record.
pub(super) struct RecordSocket {
    socket: PacedSocket,
    records: Records,
}

impl AsyncRead for RecordSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.records.pass(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for RecordSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Transport for TlsStream<RecordSocket> {
    /// A record that has arrived in part may be a request's.
    fn has_unread(&self) -> bool {
        let (below, _) = self.get_ref();
        below.records.is_within_one() || below.socket.has_unread()
    }

    /// Reads what the client has sent, because its end stands in a record. A request stays where it is.
    fn is_closed(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(Pin::new(self).poll_fill_buf(cx), Poll::Ready(Ok([]) | Err(_)))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_mins(10);

    fn tls() -> Tls {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["a".to_owned()]).expect("a name").self_signed(&key);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("signed").der().clone()], key);
        Tls::new(config.expect("a certificate and its key"))
    }

    /// Shakes hands with a client that says nothing. Returns the error, if it comes within a fraction of the long
    /// time.
    async fn shake_with_a_silent_client(
        handshakes: &Handshakes,
        drain: watch::Receiver<()>,
    ) -> Option<io::ErrorKind> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let (socket, slot) = (PacedSocket::new(stream, LONG), handshakes.slot().await);
        let shaken = tokio::time::timeout(SHORT * 20, handshakes.shake(socket, slot, drain)).await;
        shaken.ok().map(|shaken| shaken.err().expect("a silent client").kind())
    }

    #[tokio::test]
    async fn a_handshake_that_stalls_ends_in_time() {
        let (drain, tls) = (watch::Sender::new(()), tls());
        let ended = Some(io::ErrorKind::TimedOut);
        let handshakes = Handshakes::within(tls.clone(), 10, SHORT, LONG);
        assert_eq!(shake_with_a_silent_client(&handshakes, drain.subscribe()).await, ended);
        // While slots are free, it does not have to give way.
        let handshakes = Handshakes::within(tls.clone(), 10, LONG, SHORT);
        assert_eq!(shake_with_a_silent_client(&handshakes, drain.subscribe()).await, None);
        // While none is, it has.
        let handshakes = Handshakes::within(tls.clone(), 1, LONG, SHORT);
        assert_eq!(shake_with_a_silent_client(&handshakes, drain.subscribe()).await, ended);
        assert_eq!(handshakes.slots.available_permits(), 1, "its slot is free again");
        // When the server stops, there is little time.
        let (handshakes, receiver) = (Handshakes::within(tls, 10, LONG, LONG), drain.subscribe());
        drain.send_replace(());
        assert_eq!(shake_with_a_silent_client(&handshakes, receiver).await, ended);
    }

    #[test]
    fn few_connections_have_few_handshakes() {
        let tls = tls();
        for (connections_max, slots) in [(1, 8), (64, 8), (800, 100), (16_384, 1024), (1_000_000, 1024)] {
            let handshakes = Handshakes::new(tls.clone(), connections_max);
            assert_eq!(handshakes.slots.available_permits(), slots);
        }
    }
}
