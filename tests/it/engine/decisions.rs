//! Commands that are decided in one batch.

use chinwag::domain::{ChatName, Command, Refusal, Seq};
use chinwag::engine::SubmitError;
use chinwag::model::Receipt;

use super::{add_user, id, message, start, submit, submit_as_one_batch};
use crate::support::AppendOutcome;

#[tokio::test]
async fn within_a_batch_a_name_is_taken_once() {
    let (engine, _end, script) = start(100);
    let ann = {
        script.give([AppendOutcome::Stored]);
        id(&submit(&engine, add_user("ann")).await.unwrap()).into()
    };
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let add_chat = Command::AddChat { name: Some(name), users: vec![ann] };
    let commands = [add_user("bob"), add_user("bob"), add_chat.clone(), add_chat];
    let answers = submit_as_one_batch(&engine, &script, &commands, AppendOutcome::Stored).await;
    assert!(
        matches!(
            answers.as_slice(),
            [
                Ok(_),
                Err(SubmitError::Refused(Refusal::UsernameTaken { .. })),
                Ok(_),
                Err(SubmitError::Refused(Refusal::ChatNameTaken { .. })),
            ]
        ),
        "{answers:?}"
    );
    engine.read(|model| assert_eq!(model.position().0, 4));
}

#[tokio::test]
async fn a_batch_without_room_leaves_no_trace() {
    let (engine, _end, script) = start(100);
    let commands = [add_user("bob"), add_user("bob"), add_user("plug")];
    let answers = submit_as_one_batch(&engine, &script, &commands, AppendOutcome::NoRoom).await;
    // The second bob was refused because of the first, who does not exist now.
    assert!(
        matches!(
            answers.as_slice(),
            [
                Err(SubmitError::StorageFull),
                Err(SubmitError::StorageFull),
                Err(SubmitError::Refused(Refusal::UsernameTaken { .. })),
            ]
        ),
        "{answers:?}"
    );
    engine.read(|model| assert!(model.user_named("bob").is_none() && model.position().0 == 1));
    script.give([AppendOutcome::Stored]);
    assert_eq!(submit(&engine, add_user("bob")).await.expect("stored").position.0, 2);
}

#[tokio::test]
async fn within_a_batch_joins_and_marks_happen_once() {
    let (engine, _end, script) = start(100);
    script.give((0..3).map(|_| AppendOutcome::Stored));
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let bob = id(&submit(&engine, add_user("bob")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat =
        id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap()).into();
    let said = message(chat, ann, "hi");
    script.give([AppendOutcome::Stored]);
    submit(&engine, said).await.unwrap();
    script.wait_for_appends(4);

    let (join, leave) = (Command::AddMember { chat, user: bob }, Command::RemoveMember { chat, user: bob });
    let read = Command::MarkRead { chat, user: bob, seq: Seq(1) };
    let batch = [join.clone(), join.clone(), read.clone(), read.clone(), leave, read, join];
    let answers = submit_as_one_batch(&engine, &script, &batch, AppendOutcome::Stored).await;
    let positions: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().ok().map(|receipt| receipt.position.0)).collect();
    assert_eq!(positions, [Some(6), Some(6), Some(7), Some(7), Some(8), None, Some(9)], "{answers:?}");
    let not_a_member = |answer: &Result<Receipt, SubmitError>| {
        matches!(answer, Err(SubmitError::Refused(Refusal::NotAMember { .. })))
    };
    assert!(not_a_member(&answers[5]), "{answers:?}");
}

#[tokio::test]
async fn within_a_batch_a_mark_sees_earlier_messages() {
    let (engine, _end, script) = start(100);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat =
        id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap()).into();
    script.wait_for_appends(2);

    let read = |seq| Command::MarkRead { chat, user: ann, seq: Seq(seq) };
    let batch = [read(1), message(chat, ann, "hi"), read(1), read(2)];
    let answers = submit_as_one_batch(&engine, &script, &batch, AppendOutcome::Stored).await;
    let is_beyond = |answer: &Result<Receipt, SubmitError>| {
        matches!(answer, Err(SubmitError::Refused(Refusal::BeyondLastMessage { .. })))
    };
    assert_eq!(answers.iter().map(is_beyond).collect::<Vec<_>>(), [true, false, false, true], "{answers:?}");
    assert!(answers[1].is_ok() && answers[2].is_ok(), "{answers:?}");
}
