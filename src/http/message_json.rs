//! A chat's messages as JSON, by the hundred thousand: what they share is written once, and no text is looked at twice.

use std::ops::BitOr;

use serde::Serialize;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::domain::ChatId;
use crate::model::Message;

/// Writes what [`MessageBody`](super::messages::MessageBody) stands for, in a third of the time.
pub(super) struct MessageJson {
    chat: [u8; Hyphenated::LENGTH],
}

impl MessageJson {
    pub(super) fn of(chat: ChatId) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::from(chat).hyphenated().encode_lower(&mut text);
        Self { chat: text }
    }

    pub(super) fn push(&self, out: &mut Vec<u8>, message: &Message<'_>) {
        out.extend_from_slice(b"{\"id\":\"");
        push_id(out, message.id.into());
        out.extend_from_slice(b"\",\"chat\":\"");
        out.extend_from_slice(&self.chat);
        out.extend_from_slice(b"\",\"author\":\"");
        push_id(out, message.author.into());
        out.extend_from_slice(b"\",\"text\":");
        push_text(out, message.text);
        out.extend_from_slice(b",\"created_at\":\"");
        message.created_at.write_to(out);
        out.extend_from_slice(b"\",\"seq\":");
        push_json(out, &message.seq);
        out.push(b'}');
    }
}

fn push_id(out: &mut Vec<u8>, id: Uuid) {
    out.extend_from_slice(id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]).as_bytes());
}

fn push_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("numbers and text are JSON");
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    if must_be_escaped(text) {
        push_json(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Looks at all of the text, without a branch: so it looks at many bytes at a time.
fn must_be_escaped(text: &str) -> bool {
    let special = |byte| u8::from(byte < b' ' || byte == b'"' || byte == b'\\');
    text.bytes().map(special).fold(0, BitOr::bitor) != 0
}

#[cfg(test)]
mod tests {
    use super::super::messages::MessageBody;
    use super::*;
    use crate::domain::{Seq, Timestamp};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_the_body_says(
            ids in any::<[u128; 3]>(),
            text in prop_oneof!["[ -~]{0,80}", "\\PC{0,80}", "(?s).{0,40}"],
            micros in 0..253_402_207_200_000_000u64,
            seq in 1..u64::MAX,
        ) {
            let [id, chat, author] = ids.map(Uuid::from_u128);
            let chat = chat.into();
            let created_at = Timestamp::from_micros(micros).expect("in range");
            let message = Message { id: id.into(), author: author.into(), text: &text, created_at, seq: Seq(seq) };
            let mut written = Vec::new();
            MessageJson::of(chat).push(&mut written, &message);
            let said = serde_json::to_string(&MessageBody::new(chat, &message)).expect("JSON");
            prop_assert_eq!(String::from_utf8(written).expect("text"), said);
        }
    }
}
