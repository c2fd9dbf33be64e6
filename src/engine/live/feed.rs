//! The events of a feed, as a follower gets them.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::{ChatId, Epoch, Position, Seq, Timestamp, UserId};
use crate::engine::ReadMarks;
use crate::model::{
    ChatEvent, ChatIndex, ChatView, ErasedUser, Extras, MessageRun, Model, OwnReactions, UserIndex, UserView,
};

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
    Message(ShownMessage),
    /// A message was edited.
    Edited(ShownMessage),
    /// A message was deleted.
    Deleted {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// The time.
        deleted_at: Timestamp,
    },
    /// A member reacted to a message.
    Reacted(ShownReaction),
    /// A member took back a reaction to a message.
    TookBack(ShownReaction),
    /// The followed user joined this chat, which is shown as it is now. A user who has left it since sees neither its
    /// members nor its messages and, if the chat was edited after that, neither its name nor its metadata.
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
    /// A chat was edited, which is shown as it is now.
    ChatEdited(ChatView),
    /// A user was edited, who is shown as they are now.
    UserEdited(UserView),
    /// A user was erased.
    UserErased(ErasedUser),
}

/// A message, as it is now.
#[derive(Debug)]
pub struct ShownMessage {
    /// The chat.
    pub chat: ChatId,
    /// A run of one: the message.
    pub run: MessageRun,
    /// The reader's own reactions, if there is a reader.
    pub own: Option<OwnReactions>,
}

impl ShownMessage {
    /// Returns whether the message has nothing but its text, so that all readers see the same.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.run.messages().all(|message| message.extras.is_none())
    }
}

/// A reaction that was added or taken back.
#[derive(Debug)]
pub struct ShownReaction {
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub seq: Seq,
    /// The user.
    pub user: UserId,
    /// The emoji.
    pub emoji: Arc<str>,
    /// The number of users who react with it now.
    pub count: u32,
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
        /// The position at which the user left it again, or one that is never reached.
        left: Position,
    },
    /// Something happened in a chat.
    Happened {
        /// The chat.
        chat: ChatIndex,
        /// The event.
        event: ChatEvent,
        /// The reader, if it is a user.
        reader: Option<UserIndex>,
    },
    /// The user was added.
    UserAdded(UserIndex),
    /// The user was edited or erased.
    UserChanged(UserIndex),
    /// The chat was added.
    ChatAdded(ChatIndex),
}

/// Returns the event with all that is shown of it. `shared` is the lock that the caller holds.
pub(super) fn look_up(shared: &Arc<RwLock<Model>>, model: &Model, entry: FeedEntry) -> FeedEventKind {
    match entry {
        FeedEntry::Entered { chat, user, left } => {
            let view = view_of(model, chat, Some(user));
            let is_edited_since = model.last_edit_of_chat(chat).is_some_and(|edited| edited > left);
            FeedEventKind::Entered(if is_edited_since && !model.has_member(chat, user) {
                ChatView { name: None, metadata: None, ..view }
            } else {
                view
            })
        }
        FeedEntry::Happened { chat, event, reader } => happened(model, chat, event, reader),
        FeedEntry::UserAdded(user) => FeedEventKind::UserAdded(model.user_view(user)),
        FeedEntry::UserChanged(user) => match model.erased_user(user) {
            Some(erased) => FeedEventKind::UserErased(erased),
            None => FeedEventKind::UserEdited(model.user_view(user)),
        },
        FeedEntry::ChatAdded(index) => {
            let chat = model.view(None, model.listed(index));
            FeedEventKind::ChatAdded { chat, read_marks: ReadMarks::of(shared, index) }
        }
    }
}

fn happened(model: &Model, index: ChatIndex, event: ChatEvent, reader: Option<UserIndex>) -> FeedEventKind {
    let chat = model.chat_id(index);
    let message = |seq| {
        let run = model.message_at(index, seq);
        let own = reader.map(|reader| model.own_reactions(index, &run, reader));
        ShownMessage { chat, run, own }
    };
    let reaction = |seq, user, emoji| {
        let (emoji, count) = model.reaction_count(index, seq, emoji);
        ShownReaction { chat, seq, user: model.user_id(user), emoji, count }
    };
    match event {
        ChatEvent::Message(seq) => FeedEventKind::Message(message(seq)),
        ChatEvent::Edited(seq) => FeedEventKind::Edited(message(seq)),
        ChatEvent::Deleted(seq) => {
            let deleted_at = model.deleted_at(index, seq).expect("what is deleted stays so");
            FeedEventKind::Deleted { chat, seq, deleted_at }
        }
        ChatEvent::Reacted { seq, user, emoji } => FeedEventKind::Reacted(reaction(seq.into(), user, emoji)),
        ChatEvent::TookBack { seq, user, emoji } => {
            FeedEventKind::TookBack(reaction(seq.into(), user, emoji))
        }
        ChatEvent::Joined(user) => FeedEventKind::Joined { chat, user: model.user_id(user) },
        ChatEvent::Left(user) => FeedEventKind::Left { chat, user: model.user_id(user) },
        ChatEvent::Read { user, seq } => FeedEventKind::Read { chat, user: model.user_id(user), seq },
        ChatEvent::ChatEdited => FeedEventKind::ChatEdited(view_of(model, index, reader)),
    }
}

/// Returns the chat as the reader sees it: one who has left sees neither its members nor its messages.
fn view_of(model: &Model, chat: ChatIndex, reader: Option<UserIndex>) -> ChatView {
    let view = model.view(reader, model.listed(chat));
    if reader.is_none_or(|reader| model.has_member(chat, reader)) {
        view
    } else {
        ChatView { users: Arc::default(), last_message: None, own: None, unread: 0, ..view }
    }
}

/// Returns the approximate size of an event on a stream.
pub(super) fn streamed_bytes(kind: &FeedEventKind) -> usize {
    const ID_BYTES: usize = 39;
    /// All fields but the large one.
    const OTHER_BYTES: usize = 6 * ID_BYTES;
    const READ_MARK_BYTES: usize = 60;
    let large = match kind {
        FeedEventKind::Message(ShownMessage { run, .. })
        | FeedEventKind::Edited(ShownMessage { run, .. }) => {
            run.messages().map(|message| message.text.len() + extras_bytes(message.extras)).sum()
        }
        FeedEventKind::Entered(chat) | FeedEventKind::ChatEdited(chat) => chat.users.len() * ID_BYTES,
        FeedEventKind::ChatAdded { chat, .. } => chat.users.len() * (ID_BYTES + READ_MARK_BYTES),
        FeedEventKind::Joined { .. }
        | FeedEventKind::Left { .. }
        | FeedEventKind::Read { .. }
        | FeedEventKind::Deleted { .. }
        | FeedEventKind::Reacted(_)
        | FeedEventKind::TookBack(_)
        | FeedEventKind::UserAdded(_)
        | FeedEventKind::UserEdited(_)
        | FeedEventKind::UserErased(_) => 0,
    };
    OTHER_BYTES + large
}

fn extras_bytes(extras: Option<&Extras>) -> usize {
    const REACTION_BYTES: usize = 60;
    extras.map_or(0, |extras| {
        extras.metadata.as_ref().map_or(0, |json| json.len()) + extras.reactions.len() * REACTION_BYTES
    })
}
