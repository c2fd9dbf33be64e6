//! Clients that follow users over servers that go away.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::streams::History;
use crate::support::{Client, Event};

/// Clients at work, each of which follows one user.
pub struct Readers {
    is_over: Arc<AtomicBool>,
    readers: Vec<JoinHandle<Reader>>,
}

impl Readers {
    /// Starts one for each of these users. It goes from one server to the next.
    pub fn start(clients: &[Client], users: &[String]) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let start = |(next, user): (usize, &String)| {
            let (clients, user, read) = (clients.to_vec(), user.clone(), Vec::new());
            let mut reader = Reader { clients, user, next, last_id: "0".to_owned(), read };
            let is_over = Arc::clone(&is_over);
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    reader.read().await;
                }
                reader
            })
        };
        Self { readers: users.iter().enumerate().map(start).collect(), is_over }
    }

    /// Checks that each has read the history that is in this copy of the log.
    pub async fn finish(self, data: &Path) {
        self.is_over.store(true, Ordering::Relaxed);
        let history = History::exported(data);
        for reader in self.readers {
            let mut reader = reader.await.expect("no reader panics");
            let asked = Instant::now();
            while reader.last_id() < history.last_id(&reader.user) {
                assert!(asked.elapsed() < Duration::from_mins(1), "the last events do not come");
                reader.read().await;
            }
            history.check_read(&reader.user, reader.read);
        }
    }
}

/// A client that follows a user, on one server after the other.
struct Reader {
    clients: Vec<Client>,
    user: String,
    next: usize,
    /// The id of the last event.
    last_id: String,
    read: Vec<Event>,
}

impl Reader {
    /// Reads until a stream ends, or nothing comes for some time.
    async fn read(&mut self) {
        const SILENCE: Duration = Duration::from_secs(3);
        let client = &self.clients[self.next % self.clients.len()];
        self.next += 1;
        let path = format!("/events?user={}", self.user);
        let stream = tokio::time::timeout(SILENCE, client.get_stream(&path, Some(&self.last_id))).await;
        let Ok(Ok(mut stream)) = stream else {
            // The server is away, or has not come as far as this reader.
            return tokio::time::sleep(Duration::from_millis(50)).await;
        };
        while let Ok(Some(event)) = tokio::time::timeout(SILENCE, stream.next_ever()).await {
            assert_ne!(event.kind, "reset", "{}: an id is good on every server", self.last_id);
            stream.last_id.clone_into(&mut self.last_id);
            self.read.push(event);
        }
    }

    fn last_id(&self) -> u64 {
        self.read.last().map_or(0, |event| event.id)
    }
}
