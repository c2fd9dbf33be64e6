//! `chinwag healthcheck`: for containers without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why the server does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody listens there.
    #[error("failed to connect to {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Whoever listens does not answer HTTP.
    #[error("failed to ask {address}: {source}")]
    Ask {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: hyper::Error,
    },
    /// It is starting, or failing.
    #[error("{address} answered {status}")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// What it answered.
        status: StatusCode,
    },
    /// It does not answer.
    #[error("{address} did not answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// Where.
        address: SocketAddr,
    },
}

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server that listens there for `/health`.
///
/// # Errors
///
/// It is anything but ready.
pub async fn healthcheck(listen: SocketAddr) -> Result<(), Unhealthy> {
    let address = reachable(listen);
    let asked = tokio::time::timeout(TIMEOUT, ask(address)).await;
    match asked.map_err(|_| Unhealthy::Timeout { address })?? {
        StatusCode::OK => Ok(()),
        status => Err(Unhealthy::Answer { address, status }),
    }
}

/// A server that listens on every address is asked on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> Result<StatusCode, Unhealthy> {
    let failed = |source| Unhealthy::Ask { address, source };
    let stream =
        TcpStream::connect(address).await.map_err(|source| Unhealthy::Connect { address, source })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors show in the answer, too.
    tokio::spawn(async { drop(connection.await) });
    let request = Request::get("/health").header("host", address.to_string()).body(Body::empty());
    let response = sender.send_request(request.expect("a well-formed request")).await.map_err(failed)?;
    Ok(response.status())
}
