//! The socket of a connection, with the [pacing](super::pacing) of its answers. A short answer is sent in one
//! piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pacing::Pacing;
use super::stream::Transport;

/// A socket whose writes are paced. It fails when an answer is not read in time.
pub(super) struct PacedSocket {
    stream: TcpStream,
    pacing: Pacing,
}

impl PacedSocket {
    /// Returns the socket of a client that must read something within this time.
    pub(super) fn new(stream: TcpStream, write_timeout: Duration) -> Self {
        Self { stream, pacing: Pacing::new(write_timeout) }
    }
}

impl Transport for PacedSocket {
    /// Asks the system, because the runtime may not know yet what has arrived.
    fn has_unread(&self) -> bool {
        recv(&self.stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
    }

    /// Costs a system call only if something has arrived.
    fn is_closed(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0; 1];
        let peeked = self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte));
        matches!(peeked, Poll::Ready(Ok(0) | Err(_)))
    }
}

impl AsyncRead for PacedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pacing.has_read();
        }
        read
    }
}

impl AsyncWrite for PacedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.pacing.poll_ready(cx));
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pacing.poll_written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Joins the head and the body of a short answer, because one piece costs the kernel less than two.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        const SHORT_BYTES_MAX: usize = 1024;
        let bytes = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if bytes > SHORT_BYTES_MAX {
            ready!(self.pacing.poll_ready(cx));
            let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
            return self.pacing.poll_written(cx, written);
        }
        let mut joined = [0; SHORT_BYTES_MAX];
        let mut end = 0;
        for slice in slices {
            joined[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        self.poll_write(cx, &joined[..end])
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Returns a served socket whose client reads all that is sent.
    async fn socket_that_is_read() -> PacedSocket {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; 1024 * 1024];
            while client.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {}
        });
        let (stream, _) = listener.accept().await.unwrap();
        PacedSocket::new(stream, Duration::from_secs(30))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_answer_is_interrupted() {
        static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
        /// A burst ends with the chunk that exceeds its 256 KiB.
        const BETWEEN_PAUSES_MAX: usize = (256 + 64) * 1024;
        for vectored in [false, true] {
            let mut stream = socket_that_is_read().await;
            let (mut sent, mut burst) = (0, 0);
            while sent < 16 * 1024 * 1024 {
                let write = poll_fn(|cx| {
                    let began = Instant::now();
                    let stream = Pin::new(&mut stream);
                    let written = if vectored {
                        stream.poll_write_vectored(cx, &[IoSlice::new(&CHUNK)])
                    } else {
                        stream.poll_write(cx, &CHUNK)
                    };
                    // On a busy machine, a pause may be over before it is waited for.
                    if written.is_pending() || began.elapsed() >= Duration::from_millis(1) {
                        burst = 0;
                    }
                    written
                });
                let bytes = write.await.unwrap();
                sent += bytes;
                burst += bytes;
                assert!(burst <= BETWEEN_PAUSES_MAX, "{burst} bytes without a pause");
            }
        }
    }
}
