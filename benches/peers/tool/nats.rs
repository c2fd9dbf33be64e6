//! A publisher that speaks NATS. Every message asks the stream for an acknowledgement.

use std::io::{self, Write as _};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::wire::{Answer, malformed, number, read_line};

/// Number of subjects, which the messages use in turn.
const SUBJECTS: usize = 100;

pub(crate) struct Requests {
    subject: String,
    bodies: Vec<String>,
}

impl Requests {
    pub(crate) fn new(subject: &str, bodies: &[&str]) -> Self {
        Self { subject: subject.to_owned(), bodies: bodies.iter().map(|body| (*body).to_owned()).collect() }
    }

    pub(crate) fn render(&self, number: usize, connection: usize, out: &mut Vec<u8>) {
        let body = &self.bodies[number % self.bodies.len()];
        let (subject, chat) = (&self.subject, number % SUBJECTS);
        write!(out, "PUB {subject}.{chat} inbox.{connection} {}\r\n{body}\r\n", body.len())
            .expect("a write to memory cannot fail");
    }
}

/// Subscribes to the acknowledgements of this connection.
pub(crate) async fn greet(stream: &mut BufReader<TcpStream>, connection: usize) -> io::Result<()> {
    // The server begins with a description of itself.
    read_line(stream, &mut Vec::new()).await?;
    let greeting = format!("CONNECT {{\"verbose\":false}}\r\nSUB inbox.{connection} 1\r\n");
    stream.get_mut().write_all(greeting.as_bytes()).await
}

/// Reads one acknowledgement. An error counts as status 500.
pub(crate) async fn read_answer(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        read_line(stream, line).await?;
        if line == b"PING" {
            stream.get_mut().write_all(b"PONG\r\n").await?;
            continue;
        }
        if !line.starts_with(b"MSG ") {
            return Err(malformed("message", line));
        }
        let length = line.rsplit(|byte| *byte == b' ').next().and_then(number);
        let mut message = vec![0; length.ok_or_else(|| malformed("length", line))?];
        stream.read_exact(&mut message).await?;
        read_line(stream, line).await?;
        let message: Value = serde_json::from_slice(&message)?;
        let status = if message["seq"].is_u64() { 201 } else { 500 };
        return Ok(Answer { status, retry_after: None });
    }
}
