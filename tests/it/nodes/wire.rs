//! One request to a node, in the protocol of NATS.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The time within which a node must answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// Sends a request over a connection of its own, and returns the answer's body. An answer with a status is an error.
pub fn request(address: &str, subject: &str, body: &str) -> io::Result<Vec<u8>> {
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
            Some(kind @ ("MSG" | "HMSG")) => {
                let mut answer = vec![0; number(words.last())];
                stream.read_exact(&mut answer)?;
                let headers = if kind == "HMSG" { number(words.iter().nth_back(1)) } else { 0 };
                let body = answer.split_off(headers);
                return match String::from_utf8_lossy(&answer).strip_prefix("NATS/1.0 ") {
                    Some(status) => Err(io::Error::new(ErrorKind::NotFound, status)),
                    None => Ok(body),
                };
            }
            Some("-ERR") => return Err(io::Error::other(line)),
            _ => {}
        }
    }
}
