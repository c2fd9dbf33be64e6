//! The histories of all chats, to which events are added.

use super::addition::{Addition, Rare};
use super::directory::ChatIndex;
use super::extras::EmojiTable;
use super::history::ChatHistory;
use super::history::changing::UserErasure;
use super::pieces::Pieces;
use crate::domain::{Seq, Timestamp};

/// The histories of all chats.
#[derive(Debug, Default, PartialEq)]
pub struct Histories {
    chats: Pieces<ChatHistory>,
    emoji: EmojiTable,
}

impl Histories {
    /// Adds the addition of an event. The index must have applied the event before, without a contradiction.
    pub fn add(&mut self, addition: Addition<&str>) {
        match addition {
            Addition::Nothing => {}
            Addition::Chat => self.chats.push(ChatHistory::default()),
            Addition::Message(message) => self.chats[message.chat.as_usize()].push(message),
            Addition::Event { chat, entry, overtaken } => {
                self.chats[chat.as_usize()].push_event(entry, overtaken);
            }
            Addition::Rare(rare) => self.add_rare(*rare),
        }
    }

    fn add_rare(&mut self, rare: Rare<&str>) {
        match rare {
            Rare::MessageWith { message, reply_to, metadata } => {
                let history = &mut self.chats[message.chat.as_usize()];
                history.push(message);
                history.add_extras_to_last(reply_to, metadata);
            }
            Rare::Edited { change, text, metadata } => {
                self.chats[change.chat.as_usize()].edit(change, text, metadata);
            }
            Rare::Deleted { change, deletion } => self.chats[change.chat.as_usize()].delete(change, deletion),
            Rare::Reaction { change, user, emoji: "", .. } => {
                self.chats[change.chat.as_usize()].note_erased_reaction(user, change.seq);
            }
            Rare::Reaction { change, user, emoji, is_added } => {
                let index = self.emoji.find_or_add(emoji);
                let text = self.emoji.text(index);
                let history = &mut self.chats[change.chat.as_usize()];
                if is_added {
                    history.react(change, user, index, text);
                } else {
                    history.take_back(change, user, index, text);
                }
            }
            Rare::UserErased { user, position, at, chats, messages } => {
                for (chat, mark) in chats {
                    let erasure = UserErasure { mark, position, at, messages };
                    self.chats[chat.as_usize()].erase(user, &erasure, &self.emoji);
                }
            }
        }
    }

    /// Forgets what was replaced up to this time of the earlier texts of a message, which must exist.
    pub(super) fn forget_replaced(&mut self, chat: ChatIndex, seq: Seq, until: Timestamp) {
        self.chats[chat.as_usize()].forget_replaced(seq, until);
    }

    pub(super) fn of(&self, chat: ChatIndex) -> &ChatHistory {
        &self.chats[chat.as_usize()]
    }

    pub(super) fn emoji(&self) -> &EmojiTable {
        &self.emoji
    }
}
