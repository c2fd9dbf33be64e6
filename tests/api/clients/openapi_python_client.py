"""Sends, pages and follows with the client that openapi-python-client makes."""

import json
import sys

from chinwag_client import Client
from chinwag_client.api.chats import chats_add, chats_get
from chinwag_client.api.events import events
from chinwag_client.api.messages import messages_add, messages_get
from chinwag_client.api.users import users_add, users_get
from chinwag_client.models import AddChat, AddMessage, AddUser, Code, GetChats, GetMessages, GetUser, Problem

TEXTS = ["Kettle is on.", "On my way!", "Milk?"]

with Client(base_url=sys.argv[1]) as client:
    ann = users_add.sync(client=client, body=AddUser(username="ann of httpx")).id
    bob = users_add.sync(client=client, body=AddUser(username="bob of httpx")).id
    tea = chats_add.sync(client=client, body=AddChat(name="tea of httpx", users=[ann, bob])).id
    [chat] = chats_get.sync(client=client, body=GetChats(user=bob))
    assert (chat.id, chat.last_message) == (tea, None)
    assert users_get.sync(client=client, body=GetUser(username="ann of httpx")).id == ann
    assert [user.id for user in users_get.sync(client=client, body=GetUser(users=[ann]))] == [ann]
    taken = users_add.sync(client=client, body=AddUser(username="ann of httpx"))
    assert isinstance(taken, Problem) and taken.code == Code.USERNAME_TAKEN

    # The client's own calls read an answer up to its end, which a stream does not have. So the client makes the
    # request, and its httpx reads the answer.
    with client.get_httpx_client().stream(**events._get_kwargs(user=bob)) as stream:
        for text in TEXTS:
            message = AddMessage(chat=tea, author=ann, text=text)
            key = f"httpx: {text}".replace(" ", "_")
            sent = messages_add.sync(client=client, body=message, idempotency_key=key)
            assert messages_add.sync(client=client, body=message, idempotency_key=key) == sent

        read, after = [], 0
        while page := messages_get.sync(client=client, body=GetMessages(chat=tea, after=after, limit=2)):
            read += [message.text for message in page]
            after = page[-1].seq
        assert read == TEXTS

        followed = []
        for line in stream.iter_lines():
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                # The first event, `begin`, is not a message.
                if "text" in data:
                    followed.append(data["text"])
                if followed == TEXTS:
                    break
        assert followed == TEXTS
