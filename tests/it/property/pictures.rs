//! Two clients of one user: the first follows all along, the second is away for some time, again and again. In the end, both
//! have the picture that a client gets which loads everything.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::message::set;
use super::streamed::{Stream, StreamedEvent};
use super::{Burst, Naive, Request, Server, Step, opening, send, step};

/// The way in which a client comes back.
#[derive(Debug, Clone)]
enum Return {
    /// It resumes its stream.
    Resume,
    /// It asks for what has changed, in pages.
    AskForChanges { limit: usize },
}

fn a_return() -> impl Strategy<Value = Return> {
    prop_oneof![Just(Return::Resume), (1..6_usize).prop_map(|limit| Return::AskForChanges { limit })]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_client_that_was_away_has_the_same_picture(
        bursts in prop::collection::vec(
            (prop::collection::vec(step(), 1..12), prop::option::weighted(0.4, a_return())),
            1..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(bursts));
    }
}

async fn run(bursts: Vec<(Burst, Option<Return>)>) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::open(dir.path());
    let mut naive = Naive::default();
    for burst in opening() {
        send(&server, dir.path(), &mut naive, &burst).await;
    }
    let mut present = Client::of(&naive.users[0].id);
    present.ask_for_changes(&server, 10).await;
    let mut away = present.clone();
    let mut stream = present.follow(&server).await;
    for (burst, way) in bursts {
        send(&server, dir.path(), &mut naive, &burst).await;
        stream.take_all();
        present.take(&server, &mut stream).await;
        if burst.iter().any(|step| matches!(step, Step::Restart)) {
            server.close().await;
            server = Server::open(dir.path());
            stream = present.follow(&server).await;
        }
        if let Some(way) = way {
            away.come_back(&server, way).await;
        }
    }
    let mut fresh = Client::of(&present.user);
    for chat in server.list("/chats/get", json!({ "user": fresh.user })).await {
        fresh.load(&server, &chat["id"]).await;
    }
    while present.picture() != fresh.picture() {
        let piece = tokio::time::timeout(Duration::from_secs(10), stream.take_next()).await;
        piece.unwrap_or_else(|_| panic!("{:#?} is not {:#?}", present.picture(), fresh.picture()));
        present.take(&server, &mut stream).await;
    }
    for way in [Return::AskForChanges { limit: 3 }, Return::Resume] {
        let mut away = away.clone();
        away.come_back(&server, way).await;
        assert_eq!(away.picture(), fresh.picture());
    }
}

/// A client, which has the messages of its user's chats by their seqs.
#[derive(Clone)]
struct Client {
    user: Value,
    /// The position up to which it has seen everything.
    position: usize,
    chats: BTreeMap<String, BTreeMap<u64, Value>>,
}

fn key(id: &Value) -> String {
    id.as_str().expect("an id").to_owned()
}

impl Client {
    fn of(user: &Value) -> Self {
        Self { user: user.clone(), position: 0, chats: BTreeMap::new() }
    }

    async fn follow(&self, server: &Server) -> Stream {
        Stream::open(server, &key(&self.user), self.position).await
    }

    async fn come_back(&mut self, server: &Server, way: Return) {
        match way {
            Return::AskForChanges { limit } => self.ask_for_changes(server, limit).await,
            Return::Resume => {
                let mut stream = self.follow(server).await;
                stream.take_all();
                self.take(server, &mut stream).await;
            }
        }
    }

    /// Asks each chat of the user for what has changed: of a chat that is not loaded, that is everything.
    async fn ask_for_changes(&mut self, server: &Server, limit: usize) {
        let chats = server.send(&Request::new("/chats/get", json!({ "user": self.user }))).await;
        let ids: Vec<_> = chats.body.as_array().expect("a list").iter().map(|chat| &chat["id"]).collect();
        self.chats.retain(|chat, _| ids.iter().any(|id| *id == chat));
        for id in ids {
            let mut after = json!(if self.chats.contains_key(&key(id)) { self.position } else { 0 });
            self.chats.entry(key(id)).or_default();
            loop {
                let body = json!({ "chat": id, "user": self.user, "changed_after": after, "limit": limit });
                let page = server.list("/messages/get", body).await;
                let Some(last) = page.last() else { break };
                after = last["position"].clone();
                self.show(id, page);
            }
        }
        self.position = chats.position.expect("every answer has one");
    }

    async fn load(&mut self, server: &Server, chat: &Value) {
        self.chats.insert(key(chat), BTreeMap::new());
        self.show(chat, server.list("/messages/get", json!({ "chat": chat, "user": self.user })).await);
    }

    /// Shows messages, if their chat is loaded.
    fn show(&mut self, chat: &Value, messages: Vec<Value>) {
        let Some(chat) = self.chats.get_mut(&key(chat)) else { return };
        for mut message in messages {
            set(&mut message, "position", Value::Null);
            chat.insert(message["seq"].as_u64().expect("a number"), message);
        }
    }

    /// Applies what the stream has sent.
    async fn take(&mut self, server: &Server, stream: &mut Stream) {
        for StreamedEvent { position, event, data } in std::mem::take(&mut stream.told) {
            match event {
                "chat" => self.load(server, &data["id"]).await,
                "member_removed" if data["user"] == self.user => {
                    self.chats.remove(&key(&data["chat"]));
                }
                "message" | "message_edited" => self.show(&data["chat"].clone(), vec![data]),
                "message_deleted" | "reaction" | "reaction_removed" => self.change(event, &data),
                _ => {}
            }
            self.position = position;
        }
    }

    /// Applies an event that does not show the whole message.
    fn change(&mut self, event: &str, data: &Value) {
        let chat = self.chats.get_mut(&key(&data["chat"]));
        let seq = data["seq"].as_u64().expect("a number");
        let Some(message) = chat.and_then(|chat| chat.get_mut(&seq)) else { return };
        if event == "message_deleted" {
            for member in ["metadata", "edited_at", "reactions"] {
                set(message, member, Value::Null);
            }
            (message["text"], message["deleted_at"]) = (json!(""), data["deleted_at"].clone());
            return;
        }
        let reactions = message.get("reactions").and_then(Value::as_array).cloned().unwrap_or_default();
        let (same, mut others): (Vec<_>, Vec<_>) =
            reactions.into_iter().partition(|reaction| reaction["emoji"] == data["emoji"]);
        let was_own = same.first().is_some_and(|reaction| reaction["own"] == true);
        let own = if data["user"] == self.user { event == "reaction" } else { was_own };
        if data["count"] != 0 {
            others.push(json!({ "emoji": data["emoji"], "count": data["count"], "own": own }));
        }
        set(message, "reactions", if others.is_empty() { Value::Null } else { json!(others) });
    }

    /// Returns all messages. Reactions have no order.
    fn picture(&self) -> BTreeMap<String, BTreeMap<u64, Value>> {
        let mut chats = self.chats.clone();
        for message in chats.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some(reactions) = message.get_mut("reactions").and_then(Value::as_array_mut) {
                reactions.sort_by_key(|reaction| reaction["emoji"].to_string());
            }
        }
        chats
    }
}
