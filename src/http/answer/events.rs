//! Events in the form of a stream (WHATWG HTML, "Server-sent events").

use axum::body::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{ChatBody, MessageBody};
use super::event_cache::EventCache;
use crate::domain::{ChatId, Position, Seq, UserId};
use crate::engine::{FeedEvent, FeedEventKind};

/// The first block of a stream: a client that was disconnected reconnects after a second.
pub(crate) const OPENING: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// A comment, which keeps a stream open.
pub(crate) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// A chat, and a user who has joined or left it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberEvent {
    chat: ChatId,
    user: UserId,
}

/// A user's read mark in a chat.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadEvent {
    chat: ChatId,
    user: UserId,
    seq: Seq,
}

/// Returns the bytes of an event. An event that is the same for all users is shared with the other streams
/// that send it.
pub(crate) fn render(cache: &EventCache, &FeedEvent { position, ref kind }: &FeedEvent) -> Bytes {
    let shared = |render: &dyn Fn() -> Vec<u8>| cache.get_or_render(position, render);
    match *kind {
        FeedEventKind::Message { chat, ref run } => shared(&|| {
            let message = run.messages().next().expect("a run of one");
            block(position, "message", &MessageBody::new(chat, &message))
        }),
        // The chat as this user sees it, and as it is now.
        FeedEventKind::Entered(ref chat) => block(position, "chat", &ChatBody::from(chat)).into(),
        FeedEventKind::Joined { chat, user } => {
            shared(&|| block(position, "member", &MemberEvent { chat, user }))
        }
        FeedEventKind::Left { chat, user } => {
            shared(&|| block(position, "member_removed", &MemberEvent { chat, user }))
        }
        FeedEventKind::Read { chat, user, seq } => {
            shared(&|| block(position, "read", &ReadEvent { chat, user, seq }))
        }
    }
}

/// Returns the block of one event. JSON on one line holds no line ends, which would end the field `data`.
fn block(position: Position, event: &str, data: &impl Serialize) -> Vec<u8> {
    let mut block = format!("id: {position}\nevent: {event}\ndata: ").into_bytes();
    serde_json::to_writer(&mut block, data).expect("answers hold nothing that JSON cannot");
    block.extend_from_slice(b"\n\n");
    block
}
