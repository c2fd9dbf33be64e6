//! The model: the in-memory indexes that the events add up to and that every read is served from.
//!
//! | module | contents |
//! | --- | --- |
//! | `index` | what rules and tools consult; it rests on `directory`, `activity`, `keys`, `epochs`, `rewrites` and `subjects` |
//! | `histories`, `addition` | the history of each chat; what an event adds to one |
//! | `history` | the events of a chat; it rests on `chunk`, `timeline` and `extras` |
//! | `views`, `person` | what readers see; what is held of one person |
//! | `recall` | the results of requests |
//! | `pieces`, `table`, `members`, `names` | collections that grow without a pause |

mod activity;
mod addition;
mod chunk;
mod directory;
mod epochs;
mod extras;
mod facts;
mod histories;
mod history;
mod index;
mod keys;
mod members;
mod names;
mod person;
mod pieces;
mod recall;
mod rewrites;
mod subjects;
mod table;
mod timeline;
mod views;

use crate::domain::{ChatId, Epoch, KeyDigest, Position, Record, Seq, Timestamp};
pub use activity::{ListedChat, Rank, highest};
pub use addition::Addition;
pub use chunk::{AddedMessage, Message, MessageRun};
pub use directory::{ChatIndex, Stay, UserIndex};
pub use extras::{EmojiIndex, Extras, REVISIONS_MAX, ReactionKey, Revision};
pub use histories::Histories;
pub use index::Index;
pub use keys::KeyReused;
pub use members::Members;
pub use person::OwnReaction;
pub use recall::{Outcome, Receipt, SentMessage};
pub use subjects::Subject;
pub use timeline::{ChatEvent, TimelineEntry};
pub use views::{ChatView, Counts, ErasedUser, OwnReactions, ReactionView, UserView};

/// Everything that the events add up to.
#[derive(Debug, PartialEq)]
pub struct Model {
    index: Index,
    histories: Histories,
}

impl Default for Model {
    fn default() -> Self {
        Self::from_parts(Index::default(), Histories::default())
    }
}

impl Model {
    /// Makes a model of an index and of histories that have all additions of the index. Ranks all chats,
    /// which an index does not do by itself.
    #[must_use]
    pub fn from_parts(mut index: Index, histories: Histories) -> Self {
        index.activity.rank_all();
        Self { index, histories }
    }

    /// Applies the next event, which was decided on this model.
    ///
    /// **Invariant:** applying an event cannot fail and holds no rule. [`decide`](crate::domain::decide)
    /// refuses a command whose event would fail here. Two replays of one log give equal models.
    ///
    /// # Panics
    ///
    /// Panics if the event [contradicts](Index::try_apply) those before it: then it was not decided on this
    /// model.
    pub fn apply(&mut self, record: &Record<'_>) -> Receipt {
        self.try_apply(record).expect("decided on this model")
    }

    /// Applies the next event of a log. Returns `None` if it [contradicts](Index::try_apply) those before it; then the
    /// model must not be used again.
    #[must_use]
    pub fn try_apply(&mut self, record: &Record<'_>) -> Option<Receipt> {
        let (receipt, addition) = self.index.try_apply(record)?;
        self.histories.add(addition);
        Some(receipt)
    }

    /// Begins an [epoch](Index::enter_epoch) with the next event.
    pub fn enter_epoch(&mut self, epoch: Epoch) {
        self.index.enter_epoch(epoch);
    }

    /// Forgets the fingerprints of requests, by their keys. A request that has one of these keys is a different one then.
    pub fn forget_fingerprints(&mut self, keys: &[KeyDigest]) {
        for key in keys {
            self.index.keys.forget_fingerprint(*key);
        }
    }

    /// Forgets what was replaced up to this time of the earlier texts of these messages.
    pub fn forget_replaced(&mut self, messages: &[(ChatId, Seq)], until: Timestamp) {
        for (chat, seq) in messages {
            if let Some(chat) = self.index.directory.chat(*chat) {
                self.histories.forget_replaced(chat, *seq, until);
            }
        }
    }

    /// Returns the part of the model that rules rest on.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the position of the last event, or 0 before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.index.position
    }
}
