//! The events of a feed, as a follower gets them.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::{ChatId, Epoch, Position, Seq, UserId};
use crate::engine::ReadMarks;
use crate::model::{ChatEvent, ChatIndex, ChatView, MessageRun, Model, UserIndex, UserView};

/// Names an event, and the place after it. A position alone is good only in one history of the log: a log that
/// was restored from an older copy goes on with other events at the same positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// The position of the event, or 0 for the place before the first.
    pub position: Position,
    /// The epoch of the event.
    pub epoch: Epoch,
}

/// An event of a feed. It shares what is large with the model, and holds no lock.
#[derive(Debug)]
pub struct FeedEvent {
    /// The event's id.
    pub id: EventId,
    /// The event, as the follower sees it.
    pub kind: FeedEventKind,
}

/// The kinds of events of a feed.
#[derive(Debug)]
pub enum FeedEventKind {
    /// A message was sent to a chat.
    Message {
        /// The chat.
        chat: ChatId,
        /// A run of one: the message.
        run: MessageRun,
    },
    /// The followed user joined this chat, which is shown as it is now. A user who has left it since sees neither
    /// its members nor its messages.
    Entered(ChatView),
    /// Another user joined a chat. A feed of all events has this for every user who joins.
    Joined {
        /// The chat.
        chat: ChatId,
        /// The user who joined.
        user: UserId,
    },
    /// A user left a chat. The user who left sees this also.
    Left {
        /// The chat.
        chat: ChatId,
        /// The user who left.
        user: UserId,
    },
    /// A member has read a chat up to `seq`.
    Read {
        /// The chat.
        chat: ChatId,
        /// The member.
        user: UserId,
        /// The last message that the member has read.
        seq: Seq,
    },
    /// A user was added. Only a feed of all events has this.
    UserAdded(UserView),
    /// A chat was added, which is shown as it is now. Only a feed of all events has this.
    ChatAdded {
        /// The chat.
        chat: ChatView,
        /// The members' read marks.
        read_marks: ReadMarks,
    },
}

/// An event of a feed, before it is [looked up](look_up).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedEntry {
    /// The followed user joined the chat, and sees from now on what happens in it.
    Entered {
        /// The chat.
        chat: ChatIndex,
        /// The followed user.
        user: UserIndex,
    },
    /// Something happened in a chat.
    Happened {
        /// The chat.
        chat: ChatIndex,
        /// The event.
        event: ChatEvent,
    },
    /// The user was added.
    UserAdded(UserIndex),
    /// The chat was added.
    ChatAdded(ChatIndex),
}

/// Returns the event with all that is shown of it. `shared` is the lock that the caller holds.
pub(super) fn look_up(shared: &Arc<RwLock<Model>>, model: &Model, entry: FeedEntry) -> FeedEventKind {
    let (index, event) = match entry {
        FeedEntry::Entered { chat, user } => {
            let view = model.view(Some(user), model.listed(chat));
            return FeedEventKind::Entered(if model.has_member(chat, user) {
                view
            } else {
                ChatView { users: Arc::default(), last_message: None, unread: 0, ..view }
            });
        }
        FeedEntry::UserAdded(user) => return FeedEventKind::UserAdded(model.user_view(user)),
        FeedEntry::ChatAdded(index) => {
            let chat = model.view(None, model.listed(index));
            return FeedEventKind::ChatAdded { chat, read_marks: ReadMarks::of(shared, index) };
        }
        FeedEntry::Happened { chat, event } => (chat, event),
    };
    let chat = model.chat_id(index);
    match event {
        ChatEvent::Message(seq) => FeedEventKind::Message { chat, run: model.message_at(index, seq) },
        ChatEvent::Joined(user) => FeedEventKind::Joined { chat, user: model.user_id(user) },
        ChatEvent::Left(user) => FeedEventKind::Left { chat, user: model.user_id(user) },
        ChatEvent::Read { user, seq } => FeedEventKind::Read { chat, user: model.user_id(user), seq },
    }
}

/// Returns the approximate size of an event on a stream.
pub(super) fn streamed_bytes(kind: &FeedEventKind) -> usize {
    const ID_BYTES: usize = 39;
    /// All fields but the large one.
    const OTHER_BYTES: usize = 6 * ID_BYTES;
    const READ_MARK_BYTES: usize = 60;
    let large = match kind {
        FeedEventKind::Message { run, .. } => run.messages().map(|message| message.text.len()).sum(),
        FeedEventKind::Entered(chat) => chat.users.len() * ID_BYTES,
        FeedEventKind::ChatAdded { chat, .. } => chat.users.len() * (ID_BYTES + READ_MARK_BYTES),
        FeedEventKind::Joined { .. }
        | FeedEventKind::Left { .. }
        | FeedEventKind::Read { .. }
        | FeedEventKind::UserAdded(_) => 0,
    };
    OTHER_BYTES + large
}
