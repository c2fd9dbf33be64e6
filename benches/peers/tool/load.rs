//! Measures a server under load in a closed loop. Every connection sends a request, waits for the
//! answer, and sends the next.
//!
//! One thread does as little as possible: the server cannot use the processor time that the load generator
//! uses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::wire::Answer;
use crate::{http, nats};

#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Address and port of the server
    address: SocketAddr,
    /// File with one body per line; the requests use them in turn
    #[arg(long)]
    bodies: PathBuf,
    #[arg(long, value_enum, default_value = "http")]
    protocol: Protocol,
    /// HTTP path, or first token of the NATS subject
    #[arg(long)]
    to: String,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    seconds: f64,
    /// Requests that a connection sends before it reads the first answer
    #[arg(long, default_value_t = 1)]
    pipeline: usize,
    /// Requests per second of all connections together; without it, each answer is followed by the next
    /// request
    #[arg(long)]
    rate: Option<f64>,
    /// Header for every request; the request's number is appended to its value
    #[arg(long, value_name = "NAME: VALUE")]
    numbered: Option<String>,
    /// Wait for the time in a refusal's `Retry-After` before the next request
    #[arg(long)]
    retry_after: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Http,
    Nats,
}

/// Renders requests, which use the bodies in turn.
enum Requests {
    Http(http::Requests),
    Nats(nats::Requests),
}

impl Requests {
    fn new(args: &LoadArgs) -> Self {
        let bodies = std::fs::read_to_string(&args.bodies).expect("a file of bodies");
        let bodies: Vec<&str> = bodies.lines().collect();
        assert!(!bodies.is_empty(), "no bodies");
        match args.protocol {
            Protocol::Http => {
                Self::Http(http::Requests::new(args.address, &args.to, &bodies, args.numbered.as_deref()))
            }
            Protocol::Nats => Self::Nats(nats::Requests::new(&args.to, &bodies)),
        }
    }

    fn render(&self, number: usize, connection: usize, out: &mut Vec<u8>) {
        match self {
            Self::Http(requests) => requests.render(number, out),
            Self::Nats(requests) => requests.render(number, connection, out),
        }
    }

    async fn greet(&self, stream: &mut BufReader<TcpStream>, connection: usize) -> io::Result<()> {
        match self {
            Self::Http(_) => Ok(()),
            Self::Nats(_) => nats::greet(stream, connection).await,
        }
    }

    async fn read_answer(&self, stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<Answer> {
        match self {
            Self::Http(_) => http::read_answer(stream, line).await,
            Self::Nats(_) => nats::read_answer(stream, line).await,
        }
    }
}

/// Count and latencies of the answers with one status.
struct Tally {
    /// Answers that arrived before the end of the run.
    in_time: u64,
    latency_us: Histogram<u64>,
}

/// State that all connections share.
struct Run {
    requests: Requests,
    sent: RefCell<usize>,
    tallies: RefCell<BTreeMap<u16, Tally>>,
    failed: RefCell<Vec<String>>,
    ends: Instant,
    pipeline: usize,
    /// Time between two requests of a connection.
    interval: Option<Duration>,
    retry_after: bool,
}

pub(crate) fn run(args: LoadArgs) {
    rlimit::increase_nofile_limit(u64::MAX).expect("enough open files");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, load(args));
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
async fn load(args: LoadArgs) {
    const LINE_BYTES: usize = 16 * 1024;
    let requests = Requests::new(&args);
    let mut streams = Vec::with_capacity(args.connections);
    for connection in 0..args.connections {
        let stream = TcpStream::connect(args.address).await.expect("connected");
        stream.set_nodelay(true).expect("a sound connection");
        let mut stream = BufReader::with_capacity(LINE_BYTES, stream);
        requests.greet(&mut stream, connection).await.expect("greeted");
        streams.push(stream);
    }
    let began = Instant::now();
    let run = Rc::new(Run {
        requests,
        sent: RefCell::default(),
        tallies: RefCell::default(),
        failed: RefCell::default(),
        ends: began + Duration::from_secs_f64(args.seconds),
        pipeline: args.pipeline,
        interval: args.rate.map(|rate| Duration::from_secs_f64(args.connections as f64 / rate)),
        retry_after: args.retry_after,
    });
    let connections = streams.into_iter().enumerate().map(|(connection, stream)| {
        let run = Rc::clone(&run);
        let offset = run.interval.unwrap_or_default().mul_f64(connection as f64 / args.connections as f64);
        tokio::task::spawn_local(async move {
            if let Err(error) = run.converse(stream, connection, began + offset).await {
                run.failed.borrow_mut().push(error.to_string());
            }
        })
    });
    for connection in connections.collect::<Vec<_>>() {
        connection.await.expect("no panic");
    }
    run.print(args.seconds);
}

impl Run {
    /// Sends one connection's requests. With a rate, `due` is the time of the first.
    async fn converse(
        &self,
        mut stream: BufReader<TcpStream>,
        connection: usize,
        mut due: Instant,
    ) -> io::Result<()> {
        let (mut out, mut line) = (Vec::new(), Vec::new());
        loop {
            let mut started = Instant::now();
            if let Some(interval) = self.interval {
                if started < due {
                    sleep_until(due).await;
                    started = Instant::now();
                } else {
                    // The last answer was late, so this request is late: its latency counts from when it was
                    // due.
                    started = due;
                }
                due += interval;
            }
            if started >= self.ends {
                return Ok(());
            }
            out.clear();
            for _ in 0..self.pipeline {
                let number = self.sent.replace_with(|sent| *sent + 1);
                self.requests.render(number, connection, &mut out);
            }
            stream.get_mut().write_all(&out).await?;
            let mut wait = Duration::ZERO;
            for _ in 0..self.pipeline {
                let answer = self.requests.read_answer(&mut stream, &mut line).await?;
                self.count(answer.status, started);
                wait = wait.max(answer.retry_after.unwrap_or_default());
            }
            if self.retry_after && !wait.is_zero() {
                sleep_until(self.ends.min(Instant::now() + wait)).await;
            }
        }
    }

    fn count(&self, status: u16, started: Instant) {
        let ended = Instant::now();
        let mut tallies = self.tallies.borrow_mut();
        let tally = tallies.entry(status).or_insert_with(|| Tally {
            in_time: 0,
            latency_us: Histogram::new(3).expect("three digits are possible"),
        });
        tally.in_time += u64::from(ended <= self.ends);
        let micros = u64::try_from((ended - started).as_micros()).expect("not a million years");
        tally.latency_us.record(micros).expect("it grows as needed");
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    fn print(&self, seconds: f64) {
        let tallies = self.tallies.borrow();
        let answers = tallies.iter().map(|(status, Tally { in_time, latency_us })| {
            let summary = json!({
                "answers": latency_us.len(),
                "per_s": *in_time as f64 / seconds,
                "p50_us": latency_us.value_at_quantile(0.5),
                "p99_us": latency_us.value_at_quantile(0.99),
                "max_us": latency_us.max(),
            });
            (status.to_string(), summary)
        });
        let answers: serde_json::Map<_, _> = answers.collect();
        println!("{}", json!({ "answers": answers, "failed": *self.failed.borrow() }));
    }
}
