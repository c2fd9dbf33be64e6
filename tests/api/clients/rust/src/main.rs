//! Sends, pages and follows with the client that OpenAPI Generator makes for Rust.

use openapi::apis::configuration::Configuration;
use openapi::apis::users_api::UsersAddError;
use openapi::apis::{Error, chats_api, messages_api, users_api};
use openapi::models::{
    AddChat, AddMessage, AddUser, Code, GetChats, GetMessages, GetUser, UsersGet200Response,
};

const TEXTS: [&str; 3] = ["Kettle is on.", "On my way!", "Milk?"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base_path = std::env::args().nth(1).expect("the server's address");
    let server = Configuration { base_path, ..Configuration::default() };
    let add = |name: &str| users_api::users_add(&server, AddUser::new(name.to_owned()), None, None, None);
    let ann = add("ann of rust").await?.id;
    let bob = add("bob of rust").await?.id;
    let tea = AddChat { name: Some(Some("tea of rust".to_owned())), ..AddChat::new(vec![ann, bob]) };
    let tea = chats_api::chats_add(&server, tea, None, None, None).await?.id;
    let chats = chats_api::chats_get(&server, GetChats::new(bob), None, None).await?;
    assert_eq!((chats[0].id, &chats[0].last_message), (tea, &None));
    let named = GetUser { username: Some(Some("ann of rust".to_owned())), ..GetUser::new() };
    let UsersGet200Response::User(found) = users_api::users_get(&server, named, None, None).await? else {
        panic!("one user is asked for")
    };
    assert_eq!(found.id, ann);
    let Err(Error::ResponseError(taken)) = add("ann of rust").await else {
        panic!("two users have one name")
    };
    // The generated enum is untagged, so its first variant holds every problem.
    let Some(UsersAddError::Status400(problem)) = taken.entity else { panic!("not a problem: {taken:?}") };
    assert_eq!((taken.status.as_u16(), problem.code), (409, Code::UsernameTaken));

    // The client's `events` reads an answer up to its end, which a stream does not have. So its reqwest follows.
    let mut stream = server.client.get(format!("{}/events?user={bob}", server.base_path)).send().await?;

    for text in TEXTS {
        let key = format!("rust:{}", text.len());
        let send = || {
            let message = AddMessage::new(tea, ann, text.to_owned());
            messages_api::messages_add(&server, message, Some(&key), None, None)
        };
        assert_eq!(send().await?, send().await?);
    }

    let (mut read, mut after) = (Vec::new(), 0_i64);
    loop {
        let page = GetMessages { after: Some(Some(after)), limit: Some(Some(2)), ..GetMessages::new(tea) };
        let page = messages_api::messages_get(&server, page, None, None).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        read.extend(page.into_iter().map(|message| message.text));
    }
    assert_eq!(read, TEXTS);

    let (mut followed, mut begun) = (Vec::new(), Vec::new());
    while followed.len() < TEXTS.len() {
        begun.extend(stream.chunk().await?.expect("the stream does not end"));
        while let Some(end) = begun.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = begun.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data: ") {
                let message: serde_json::Value = serde_json::from_slice(data)?;
                // The first event, `begin`, is not a message.
                followed.extend(message["text"].as_str().map(str::to_owned));
            }
        }
    }
    assert_eq!(followed, TEXTS);
    Ok(())
}
