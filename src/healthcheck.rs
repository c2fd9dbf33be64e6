//! The command `healthcheck`: asks a running server whether it is ready. It is for containers
//! without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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
    /// The server does not answer in time.
    #[error("{address} did not answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// Address of the server.
        address: SocketAddr,
    },
}

/// Deadline for the connection and the answer together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Requests `/health` from the server that listens on this address.
///
/// # Errors
///
/// See [`Unhealthy`]: every answer but 200 is an error.
pub async fn healthcheck(listen: SocketAddr) -> Result<(), Unhealthy> {
    let address = reachable(listen);
    let status = tokio::time::timeout(TIMEOUT, request_health(address)).await;
    match status.map_err(|_| Unhealthy::Timeout { address })?? {
        StatusCode::OK => Ok(()),
        status => Err(Unhealthy::Answer { address, status }),
    }
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

async fn request_health(address: SocketAddr) -> Result<StatusCode, Unhealthy> {
    let failed = |source| Unhealthy::Http { address, source };
    let stream =
        TcpStream::connect(address).await.map_err(|source| Unhealthy::Connect { address, source })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // The request below also fails with the connection's error.
    tokio::spawn(async { drop(connection.await) });
    let request = Request::get("/health").header("host", address.to_string()).body(Body::empty());
    let response = sender.send_request(request.expect("a well-formed request")).await.map_err(failed)?;
    Ok(response.status())
}
