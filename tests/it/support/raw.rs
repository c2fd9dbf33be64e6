//! Requests written byte by byte, for what a client library would never send: bad framing, half a request, a
//! body that stops.
//!
//! ```ignore
//! let mut connection = RawConnection::open(&server.address);
//! connection.send(head("POST", "/users/add", &["Content-Length: 9"]));     // announced, but never sent
//! assert_eq!(connection.reply().status, 415);
//! ```

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::client::Reply;

/// One TCP connection. It speaks HTTP/1.1 and blocks.
pub struct RawConnection(BufReader<TcpStream>);

impl RawConnection {
    pub fn open(address: &str) -> Self {
        Self::try_open(address).expect("connected")
    }

    /// Connects to a server that may not listen.
    pub fn try_open(address: &str) -> io::Result<Self> {
        Ok(Self::over(TcpStream::connect(address)?))
    }

    /// Speaks over a socket that is connected.
    pub fn over(stream: TcpStream) -> Self {
        /// The time within which each answer must arrive.
        const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
        stream.set_nodelay(true).expect("set");
        stream.set_read_timeout(Some(ANSWER_DEADLINE)).expect("set");
        stream.set_write_timeout(Some(ANSWER_DEADLINE)).expect("set");
        Self(BufReader::new(stream))
    }

    /// Writes exactly these bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("sent");
    }

    /// Writes exactly these bytes to a server that may have closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the next answer.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let (status, headers) = self.head().expect("answered");
        let length = headers.get("content-length").map_or(0, |length| {
            length.to_str().ok().and_then(|length| length.parse().ok()).expect("a length")
        });
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a whole body");
        Reply { status, headers, text: String::from_utf8(body).expect("a body of text") }
    }

    /// Reads the next answer, which must be whole. Returns `None` if the server closes the connection before
    /// its first byte.
    #[track_caller]
    pub fn reply_or_end(&mut self) -> Option<Reply> {
        match self.0.fill_buf() {
            Ok([]) => None,
            Ok(_) => Some(self.reply()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
                None
            }
        }
    }

    /// Reads the status and the headers of the next answer, and leaves its body to be read.
    pub fn head(&mut self) -> io::Result<(StatusCode, HeaderMap)> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "", "a header without a colon");
                return Ok((status, headers));
            };
            let name: HeaderName = name.parse().expect("a header's name");
            headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Returns whether the server sends nothing during this time and keeps the connection open.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        let before = self.0.get_ref().read_timeout().expect("got");
        self.0.get_ref().set_read_timeout(Some(time)).expect("set");
        let silent = self
            .0
            .fill_buf()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        self.0.get_ref().set_read_timeout(before).expect("set");
        silent
    }

    /// Waits until the server closes the connection, and returns what it sent until then.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        rest
    }

    /// Closes the connection for writing, but not for reading.
    pub fn finish(&mut self) {
        self.0.get_ref().shutdown(Shutdown::Write).expect("shut down");
    }

    /// Sends all requests at once, then reads their answers.
    pub fn pipeline(mut self, requests: &[Vec<u8>]) -> Vec<Reply> {
        let mut stream = self.0.get_ref().try_clone().expect("a second handle");
        std::thread::scope(|scope| {
            scope.spawn(move || stream.write_all(&requests.concat()).expect("sent"));
            requests.iter().map(|_| self.reply()).collect()
        })
    }
}

/// Returns the head of a request with these headers, each `Name: value`.
pub fn head(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// Returns a whole request that posts these bytes as JSON.
pub fn post_bytes(path: &str, body: &[u8]) -> Vec<u8> {
    post_with(path, body, &[])
}

/// Returns a whole request that posts JSON under an idempotency key.
pub fn post_under(key: &str, path: &str, body: &Value) -> Vec<u8> {
    post_with(path, body.to_string().as_bytes(), &[&format!("Idempotency-Key: {key}")])
}

fn post_with(path: &str, body: &[u8], headers: &[&str]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let head = head("POST", path, &[&["Content-Type: application/json", &length], headers].concat());
    [head.as_bytes(), body].concat()
}

/// Returns a whole request that posts JSON.
pub fn post(path: &str, body: &Value) -> Vec<u8> {
    post_bytes(path, body.to_string().as_bytes())
}

/// Posts each body to the path, over up to 32 connections at once. Returns the answers in the order of the
/// bodies.
pub fn post_many(address: &str, path: &str, bodies: &[Value]) -> Vec<Reply> {
    const CONNECTIONS: usize = 32;
    let requests: Vec<_> = bodies.iter().map(|body| post(path, body)).collect();
    let share = requests.len().div_ceil(CONNECTIONS).max(1);
    std::thread::scope(|scope| {
        let send = |requests| scope.spawn(move || RawConnection::open(address).pipeline(requests));
        let threads: Vec<_> = requests.chunks(share).map(send).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("answered")).collect()
    })
}
