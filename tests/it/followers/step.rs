//! The steps of random histories.

use proptest::prelude::*;

use super::happened::EMOJI;

/// Users, chats and messages are given by a number of any size.
#[derive(Debug, Clone)]
pub enum Step {
    AddUser,
    AddChat { users: Vec<usize> },
    AddMessages { chat: usize, author: usize, count: usize },
    Join { chat: usize, user: usize },
    Leave { chat: usize, user: usize },
    Read { chat: usize, user: usize, seq: usize },
    Edit { chat: usize, seq: usize, text: usize },
    Delete { chat: usize, seq: usize },
    React { chat: usize, seq: usize, user: usize, emoji: &'static str, is_added: bool },
    EditChat { chat: usize, name: usize },
    EditUser { user: usize, name: usize },
}

pub fn step() -> impl Strategy<Value = Step> {
    // Mostly the first ones, so that more happens to each.
    let number = || prop_oneof![2 => 0..3_usize, 1 => 0..100_usize];
    let (chat, user, seq) = (number(), number(), number());
    let emoji = prop::sample::select(EMOJI.as_slice());
    prop_oneof![
        2 => Just(Step::AddUser),
        2 => prop::collection::vec(0..100_usize, 0..4).prop_map(|users| Step::AddChat { users }),
        6 => (chat.clone(), user.clone(), 1..5_usize)
            .prop_map(|(chat, author, count)| Step::AddMessages { chat, author, count }),
        3 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Step::Join { chat, user }),
        2 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Step::Leave { chat, user }),
        6 => (chat.clone(), user.clone(), seq.clone())
            .prop_map(|(chat, user, seq)| Step::Read { chat, user, seq }),
        4 => (chat.clone(), seq.clone(), 0..3_usize)
            .prop_map(|(chat, seq, text)| Step::Edit { chat, seq, text }),
        2 => (chat.clone(), seq.clone()).prop_map(|(chat, seq)| Step::Delete { chat, seq }),
        6 => (chat.clone(), seq, user.clone(), emoji, any::<bool>()).prop_map(
            |(chat, seq, user, emoji, is_added)| Step::React { chat, seq, user, emoji, is_added }
        ),
        2 => (chat, 0..2_usize).prop_map(|(chat, name)| Step::EditChat { chat, name }),
        2 => (user, 0..2_usize).prop_map(|(user, name)| Step::EditUser { user, name }),
    ]
}
