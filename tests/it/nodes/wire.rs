//! One request to a node, in the protocol of NATS.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The time within which a node must answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// Sends a request over a connection of its own, and returns the answer.
pub fn request(address: &str, subject: &str, body: &str) -> io::Result<Value> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_read_timeout(Some(ANSWER_DEADLINE))?;
    let hello = r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;
    let request =
        format!("{hello}\r\nSUB _INBOX.it 1\r\nPUB {subject} _INBOX.it {}\r\n{body}\r\n", body.len());
    stream.get_mut().write_all(request.as_bytes())?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: Option<&&str>| word.and_then(|word| word.parse().ok()).expect("a length");
        match words.first().copied() {
            Some("PING") => stream.get_mut().write_all(b"PONG\r\n")?,
            Some("MSG") => {
                let mut answer = vec![0; number(words.last())];
                stream.read_exact(&mut answer)?;
                return Ok(serde_json::from_slice(&answer)?);
            }
            // Only headers: the status 503, no responders.
            Some("HMSG") => return Err(io::Error::new(ErrorKind::NotConnected, "no node answers")),
            Some("-ERR") => return Err(io::Error::other(line)),
            _ => {}
        }
    }
}
