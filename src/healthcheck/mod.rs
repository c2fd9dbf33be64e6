//! The command `healthcheck`: asks a running server whether it is ready. It is for containers
//! without curl.

mod pinned;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use self::pinned::client_config;

/// A reason why a server is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// The address does not accept a connection.
    #[error("failed to connect to {address}: {source}")]
    Connect {
        /// Address of the server.
        address: SocketAddr,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The file of the certificate cannot be used.
    #[error("failed to read a certificate in PEM from {}: {problem}", path.display())]
    Certificate {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The listening process does not speak TLS, or not with this certificate.
    #[error("failed to begin TLS with {address}: {source}")]
    Tls {
        /// Address of the server.
        address: SocketAddr,
        /// Error of the handshake.
        source: std::io::Error,
    },
    /// The listening process does not answer in HTTP.
    #[error("failed to get an HTTP answer from {address}: {source}")]
    Http {
        /// Address of the server.
        address: SocketAddr,
        /// Error of the HTTP client.
        source: hyper::Error,
    },
    /// The server is starting or failing.
    #[error("{address} answered {status}")]
    Answer {
        /// Address of the server.
        address: SocketAddr,
        /// Status of its answer.
        status: StatusCode,
    },
    /// The server refuses writes.
    #[error("{address} refuses writes: there is no room for them")]
    NotWritable {
        /// Address of the server.
        address: SocketAddr,
    },
    /// The answer has no `writable`, or cannot be read.
    #[error("{address} does not say whether it accepts writes")]
    WritableUnknown {
        /// Address of the server.
        address: SocketAddr,
    },
    /// The server does not answer in time.
    #[error("{addresses} did not answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// Addresses that were tried.
        addresses: String,
    },
}

/// Deadline for the connection and the answer together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Requests `/health` from the server that listens on one of these addresses: the first that accepts a
/// connection. With the file of a certificate, it speaks TLS, and only a server with this certificate is healthy.
/// With `must_be_writable`, a server that refuses writes is not healthy.
///
/// # Errors
///
/// See [`Unhealthy`]: every answer but 200 is an error.
///
/// # Panics
///
/// Panics if there is no address.
pub async fn healthcheck(
    listen: &[SocketAddr],
    certificate: Option<&Path>,
    must_be_writable: bool,
) -> Result<(), Unhealthy> {
    let addresses: Vec<_> = listen.iter().copied().map(reachable).collect();
    let tls = certificate.map(client_config).transpose()?;
    let checked = async {
        let (stream, address) = connect(&addresses).await?;
        let (status, body) = match tls {
            None => request_health(stream, address).await?,
            Some(tls) => {
                // The name does not matter, but there has to be one.
                let connecting = TlsConnector::from(Arc::new(tls)).connect(address.ip().into(), stream);
                let stream = connecting.await.map_err(|source| Unhealthy::Tls { address, source })?;
                request_health(stream, address).await?
            }
        };
        match status {
            StatusCode::OK if must_be_writable => match says_writable(&body) {
                Some(true) => Ok(()),
                Some(false) => Err(Unhealthy::NotWritable { address }),
                None => Err(Unhealthy::WritableUnknown { address }),
            },
            StatusCode::OK => Ok(()),
            status => Err(Unhealthy::Answer { address, status }),
        }
    };
    let timeout = |_| {
        let addresses = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        Unhealthy::Timeout { addresses }
    };
    tokio::time::timeout(TIMEOUT, checked).await.map_err(timeout)?
}

/// Returns an address that a client can connect to: loopback for a server that listens on every address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn connect(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Unhealthy> {
    let mut first_error = None;
    for &address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(source) => {
                first_error.get_or_insert(Unhealthy::Connect { address, source });
            }
        }
    }
    Err(first_error.expect("there is an address"))
}

async fn request_health<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    address: SocketAddr,
) -> Result<(StatusCode, Vec<u8>), Unhealthy> {
    /// Maximum bytes of the answer that are read. It has some hundred.
    const BODY_BYTES_MAX: usize = 64 * 1024;
    let failed = |source| Unhealthy::Http { address, source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // The request below also fails with the connection's error.
    tokio::spawn(async { drop(connection.await) });
    let request = Request::get("/health").header("host", address.to_string()).body(Body::empty());
    let response = sender.send_request(request.expect("a well-formed request")).await.map_err(failed)?;
    let status = response.status();
    // A body that cannot be read says nothing.
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    Ok((status, body.map_or_else(|_| Vec::new(), |body| body.to_bytes().to_vec())))
}

/// Returns whether the server accepts writes, if the body says so.
fn says_writable(body: &[u8]) -> Option<bool> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?["writable"].as_bool()
}
