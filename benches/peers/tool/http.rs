//! HTTP/1.1 from the client's side, as far as a load needs it: statuses and where answers end.

use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::load::Answer;

pub(crate) struct Requests {
    /// Up to what differs.
    head: Vec<u8>,
    /// From the length on, of each body.
    tails: Vec<Vec<u8>>,
    /// A header that says so before a number of each request.
    numbered: Option<String>,
}

impl Requests {
    pub(crate) fn new(address: SocketAddr, path: &str, bodies: &[&str], numbered: Option<&str>) -> Self {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        let tail = |body: &&str| format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
        Self {
            head: head.into_bytes(),
            tails: bodies.iter().map(tail).collect(),
            numbered: numbered.map(str::to_owned),
        }
    }

    pub(crate) fn render(&self, number: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if let Some(header) = &self.numbered {
            write!(out, "{header}{number}\r\n").expect("memory takes it");
        }
        out.extend_from_slice(&self.tails[number % self.tails.len()]);
    }
}

/// Reads one answer to its end. `line` is room to read lines into.
pub(crate) async fn answer(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<Answer> {
    read_line(stream, line).await?;
    let status = line.get(9..12).and_then(number).ok_or_else(|| odd("status line", line))?;
    let status = u16::try_from(status).map_err(|_| odd("status", line))?;
    let (mut length, mut chunked, mut retry_after) = (0, false, None);
    loop {
        read_line(stream, line).await?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| odd("header", line))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = number(value).ok_or_else(|| odd("length", line))?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"retry-after") {
            retry_after = number(value).map(|seconds| Duration::from_secs(seconds as u64));
        }
    }
    if chunked {
        skip_chunks(stream, line).await?;
    } else {
        skip(stream, length).await?;
    }
    Ok(Answer { status, retry_after })
}

async fn skip_chunks(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<()> {
    loop {
        read_line(stream, line).await?;
        let length = std::str::from_utf8(line).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let length = length.ok_or_else(|| odd("chunk", line))?;
        skip(stream, length).await?;
        // The line end behind a chunk; none of our peers sends trailers.
        read_line(stream, line).await?;
        if length == 0 {
            return Ok(());
        }
    }
}

/// Reads a line, and takes its end off.
pub(crate) async fn read_line(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    stream.read_until(b'\n', line).await?;
    line.pop_if(|byte| *byte == b'\n').ok_or(ErrorKind::UnexpectedEof)?;
    line.pop_if(|byte| *byte == b'\r');
    Ok(())
}

pub(crate) async fn skip(stream: &mut BufReader<TcpStream>, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        let here = stream.fill_buf().await?.len().min(bytes);
        if here == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        stream.consume(here);
        bytes -= here;
    }
    Ok(())
}

pub(crate) fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(crate) fn odd(what: &str, line: &[u8]) -> io::Error {
    io::Error::other(format!("no sound {what}: {}", String::from_utf8_lossy(line)))
}
