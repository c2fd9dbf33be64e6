//! Writers under keys over several servers, which send everything unanswered again until it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::crash::{Retrier, Tally, check_all_there_once};
use crate::support::{Client, Reply};

/// Time after which a writer turns to another server. A stopped server still holds the write, and may do it later.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time for any server to answer again, after any fault.
const PROGRESS_DEADLINE: Duration = Duration::from_mins(1);
/// Answers of each server that show that it works again.
const ANSWERS: usize = 6;

/// Writers at work.
pub struct Load {
    /// Where the writes go: to the servers, or to their balancer.
    entries: Vec<Client>,
    servers: Vec<Client>,
    pub chats: Vec<String>,
    pub users: Vec<String>,
    /// The position before the writers began.
    begun_at: u64,
    /// The number of writes that each entry has answered.
    answered: Arc<[AtomicUsize]>,
    is_over: Arc<AtomicBool>,
    writers: Vec<JoinHandle<(Retrier, Duration)>>,
    rivals: Vec<JoinHandle<Vec<(String, String)>>>,
}

impl Load {
    /// Starts these writers, each of which goes from server to server, and one rival for each server: rivals want the
    /// same names.
    pub async fn start(servers: &[Client], writers: usize) -> Self {
        Self::start_by(servers, servers, writers).await
    }

    /// Starts writers and rivals that reach these servers by way of a balancer, which sends writes to the first.
    pub async fn start_behind(balancer: &Client, servers: &[Client], writers: usize) -> Self {
        Self::start_by(std::slice::from_ref(balancer), servers, writers).await
    }

    async fn start_by(entries: &[Client], servers: &[Client], writers: usize) -> Self {
        let setup = &servers[0];
        let (mut chats, mut users) = (Vec::new(), Vec::new());
        for number in 0..writers {
            users.push(setup.add_user(&format!("writer-{number}")).await);
        }
        let members: Vec<_> = users.iter().map(String::as_str).collect();
        for number in 0..3 {
            chats.push(setup.add_chat(&format!("chat {number}"), &members).await);
        }
        let mut load = Self {
            entries: entries.to_vec(),
            servers: servers.to_vec(),
            begun_at: setup.position().await,
            answered: entries.iter().map(|_| AtomicUsize::new(0)).collect(),
            is_over: Arc::default(),
            writers: Vec::new(),
            rivals: Vec::new(),
            chats,
            users,
        };
        for (number, user) in load.users.iter().enumerate() {
            let chat = load.chats[number % load.chats.len()].clone();
            let retrier = Retrier::new(format!("writer-{number}"), chat, user.clone());
            load.writers.push(tokio::spawn(write(retrier, load.sender(number), Arc::clone(&load.is_over))));
        }
        for number in 0..servers.len() {
            load.rivals.push(tokio::spawn(rival(number, load.sender(number), Arc::clone(&load.is_over))));
        }
        load
    }

    fn sender(&self, first: usize) -> Sender {
        Sender { entries: self.entries.clone(), answered: Arc::clone(&self.answered), next: first }
    }

    /// Waits until each of these entries has answered some more writes.
    pub async fn wait_for_answers_of(&self, entries: &[usize]) {
        let before: Vec<_> = self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let asked = Instant::now();
        let missing = |&entry: &usize| self.answered[entry].load(Ordering::Relaxed) < before[entry] + ANSWERS;
        while entries.iter().any(missing) {
            assert!(!self.writers.iter().any(JoinHandle::is_finished), "a writer panicked");
            assert!(
                asked.elapsed() < PROGRESS_DEADLINE,
                "of {before:?} writes, it is at {:?}",
                self.answered
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the writers when each of their writes is answered, and checks that every server has each of them once.
    pub async fn finish(self) -> Done {
        self.is_over.store(true, Ordering::Relaxed);
        let (mut retriers, mut winners) = (Vec::new(), BTreeMap::new());
        let mut longest = Duration::ZERO;
        for writer in self.writers {
            let (retrier, its_longest) = writer.await.expect("no writer panics");
            retriers.push(retrier);
            longest = longest.max(its_longest);
        }
        for rival in self.rivals {
            for (name, id) in rival.await.expect("no rival panics") {
                let before = winners.insert(name.clone(), id);
                assert_eq!(before, None, "{name} was given to two users");
            }
        }
        assert!(!winners.is_empty(), "nothing was tried");
        for (number, client) in self.servers.iter().enumerate() {
            let writes: usize = retriers.iter().map(|retrier| retrier.number).sum();
            super::reached(client, self.begun_at + (winners.len() + writes) as u64).await;
            let (when, before) = (format!("server {}", number + 1), self.begun_at + winners.len() as u64);
            check_all_there_once(client, &self.chats, &retriers, before, &when).await;
            for (name, id) in &winners {
                let user = client.post("/users/get", &json!({ "username": name })).await;
                assert_eq!(user.json()["id"], *id, "{when}");
            }
        }
        super::check_same(&self.servers, &self.chats, &self.users).await;
        let sum = |of: fn(&Retrier) -> usize| retriers.iter().map(of).sum::<usize>();
        Done {
            writes: sum(|retrier| retrier.number),
            repeated: Tally {
                done_before: sum(|retrier| retrier.tally.done_before),
                done_now: sum(|retrier| retrier.tally.done_now),
            },
            names: winners.len(),
            longest,
        }
    }
}

/// What was written and checked.
#[derive(Debug)]
pub struct Done {
    pub writes: usize,
    /// The outcomes of writes that were sent again.
    pub repeated: Tally,
    /// Number of names that rivals wanted.
    pub names: usize,
    /// The longest time until a write was answered, with all that it was sent again.
    pub longest: Duration,
}

/// Sends writes to one entry after the other.
struct Sender {
    entries: Vec<Client>,
    answered: Arc<[AtomicUsize]>,
    next: usize,
}

impl Sender {
    /// Sends a write to the next entry. Returns `None` if it is to be sent again.
    async fn send(&mut self, key: &str, path: &str, body: &Value) -> Option<Reply> {
        let entry = self.next % self.entries.len();
        self.next += 1;
        let answer = self.entries[entry].try_post_under(key, path, body);
        match tokio::time::timeout(PATIENCE, answer).await {
            // A balancer's own answers: there is no server, or it went away.
            Ok(Ok(reply))
                if reply.status.is_server_error() && reply.header("content-type") == "text/html" =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
            Ok(Ok(reply)) if reply.status != 503 => {
                self.answered[entry].fetch_add(1, Ordering::Relaxed);
                Some(reply)
            }
            Ok(Ok(reply)) => {
                let code = reply.json()["code"].as_str().expect("a code").to_owned();
                let known = ["unavailable", "unconfirmed", "starting", "shutting_down", "overloaded"];
                assert!(known.contains(&code.as_str()), "{}", reply.text);
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
            Ok(Err(_)) | Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                None
            }
        }
    }

    /// Reads from the position of a write on, wherever the next entry leads.
    async fn read_own(&self, write: &Reply) {
        let (entry, asked) = (&self.entries[self.next % self.entries.len()], Instant::now());
        loop {
            let request = entry.json_request("/users/get").header("chinwag-min-position", write.position());
            let read = entry.try_send(request.body(r#"{"username":"writer-0"}"#)).await;
            match read {
                Ok(read) if read.status == 200 => {
                    assert!(
                        read.position() >= write.position(),
                        "{} after {}",
                        read.position(),
                        write.position()
                    );
                    return;
                }
                Ok(read) => assert!(read.status.is_server_error(), "{}", read.text),
                Err(_) => {}
            }
            assert!(asked.elapsed() < PROGRESS_DEADLINE, "what was written is not read");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Returns the longest time until a write was answered as well.
async fn write(mut retrier: Retrier, mut sender: Sender, is_over: Arc<AtomicBool>) -> (Retrier, Duration) {
    let (mut longest, mut begun) = (Duration::ZERO, Instant::now());
    while retrier.unanswered.is_some() || !is_over.load(Ordering::Relaxed) {
        if retrier.unanswered.is_none() {
            begun = Instant::now();
        }
        let write = retrier.begin();
        match sender.send(&write.key, write.path, &write.body).await {
            Some(reply) => {
                retrier.take(&write, &reply);
                longest = longest.max(begun.elapsed());
                sender.read_own(&reply).await;
            }
            None => retrier.unanswered = Some(write.again()),
        }
    }
    (retrier, longest)
}

/// Wants one name after the other, as the other rivals do. Returns the names that it was given, with the users' ids.
async fn rival(number: usize, mut sender: Sender, is_over: Arc<AtomicBool>) -> Vec<(String, String)> {
    let mut won = Vec::new();
    for step in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("rival-{step}");
        let (key, body) = (format!("rival-{number}-{step}"), json!({ "username": name }));
        let reply = loop {
            if let Some(reply) = sender.send(&key, "/users/add", &body).await {
                break reply;
            }
        };
        match reply.status.as_u16() {
            201 => won.push((name, reply.id())),
            409 => assert_eq!(reply.json()["code"], "username_taken", "{}", reply.text),
            _ => panic!("{}", reply.text),
        }
    }
    won
}
