"""Sends, pages and follows with the client that OpenAPI Generator makes for Python."""

import json
import sys

from openapi_client import (
    AddChat,
    AddMessage,
    AddUser,
    ApiClient,
    ChatsApi,
    Code,
    Configuration,
    EventsApi,
    GetChats,
    GetMessages,
    GetUser,
    MessagesApi,
    UsersApi,
)
from openapi_client.exceptions import ConflictException

TEXTS = ["Kettle is on.", "On my way!", "Milk?"]

with ApiClient(Configuration(host=sys.argv[1])) as client:
    users, chats, messages = UsersApi(client), ChatsApi(client), MessagesApi(client)
    ann = users.users_add(AddUser(username="ann of python")).id
    bob = users.users_add(AddUser(username="bob of python")).id
    tea = chats.chats_add(AddChat(name="tea of python", users=[ann, bob])).id
    [chat] = chats.chats_get(GetChats(user=bob))
    assert (chat.id, chat.last_message) == (tea, None)
    assert users.users_get(GetUser(username="ann of python")).actual_instance.id == ann
    assert [user.id for user in users.users_get(GetUser(users=[ann])).actual_instance] == [ann]
    try:
        users.users_add(AddUser(username="ann of python"))
    except ConflictException as conflict:
        assert conflict.data.code == Code.USERNAME_TAKEN
    else:
        raise AssertionError("two users have one name")

    # `events` would read up to the stream's end, which does not come. This form leaves the reading to the program.
    stream = EventsApi(client).events_without_preload_content(bob)

    for text in TEXTS:
        message = AddMessage(chat=tea, author=ann, text=text)
        sent = messages.messages_add(message, idempotency_key=f"python: {text}".replace(" ", "_"))
        again = messages.messages_add(message, idempotency_key=f"python: {text}".replace(" ", "_"))
        assert again == sent

    read, after = [], 0
    while page := messages.messages_get(GetMessages(chat=tea, after=after, limit=2)):
        read += [message.text for message in page]
        after = page[-1].seq
    assert read == TEXTS

    followed = []
    for line in stream:
        if line.startswith(b"data: "):
            data = json.loads(line.removeprefix(b"data: "))
            # The first event, `begin`, is not a message.
            if "text" in data:
                followed.append(data["text"])
            if followed == TEXTS:
                break
    stream.close()
    assert followed == TEXTS
