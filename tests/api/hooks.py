"""What Schemathesis needs beside the API's document: ids that exist, and which part of an answer goes into which request.

The latter would be valid as links in the document, but OpenAPI Generator refuses links with such bodies.
"""

import json
import os
import re

import schemathesis

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
USERS = os.environ["CHINWAG_USERS"].split()
# The members of one chat stay the same; those of the other change.
STEADY, CHANGING = os.environ["CHINWAG_CHATS"].split()


def known(path):
    chat = CHANGING if path.startswith("/chats/users/") else STEADY
    return {"user": USERS, "users": USERS, "author": USERS, "chat": [chat]}


METADATA_BYTES_MAX, METADATA_LEVELS_MAX = 4096, 8


def levels(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


def sent(value, known, name=None):
    """Returns the value to send in place of a generated one.

    Most generated ids are replaced by ids that exist, because a call only refuses the others. A number such as 64.0
    becomes 64: JSON Schema counts both as integers, our API only the latter. No schema can say how large metadata may be
    as a whole.
    """
    if name == "metadata":
        size = len(json.dumps(value))
        return {} if size > METADATA_BYTES_MAX or levels(value) > METADATA_LEVELS_MAX else value
    if isinstance(value, list):
        return [sent(item, known, name) for item in value]
    if isinstance(value, dict):
        return {name: sent(value, known, name) for name, value in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and name in known and ID.fullmatch(value):
        chosen = int(value[-1], 16)
        return known[name][chosen % len(known[name])] if chosen < 12 else value
    return value


NEW, CHAT, AUTHOR = "$response.body#/id", "$request.body#/chat", "$request.body#/author"
FIRST = "$request.body#/users/0"
# A call, the call that follows it, and the body of the latter.
LINKS = [
    ("/users/add", "/users/get", {"user": NEW}),
    ("/users/add", "/chats/add", {"users": [NEW]}),
    ("/users/add", "/chats/get", {"user": NEW}),
    ("/chats/add", "/chats/get", {"user": FIRST}),
    ("/chats/add", "/chats/users/add", {"chat": NEW, "user": FIRST}),
    ("/chats/add", "/chats/users/remove", {"chat": NEW, "user": FIRST}),
    ("/chats/add", "/messages/add", {"chat": NEW, "author": FIRST}),
    ("/chats/add", "/messages/get", {"chat": NEW}),
    ("/messages/add", "/messages/add", {"chat": CHAT, "author": AUTHOR}),
    ("/messages/add", "/messages/get", {"chat": CHAT}),
    ("/messages/add", "/chats/read", {"chat": CHAT, "user": AUTHOR, "seq": "$response.body#/seq"}),
    ("/messages/add", "/chats/get", {"user": AUTHOR}),
]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for call, following, body in LINKS:
        operation_id = raw_schema["paths"][following]["post"]["operationId"]
        links = raw_schema["paths"][call]["post"]["responses"]["201"].setdefault("links", {})
        links[operation_id] = {"operationId": operation_id, "requestBody": body}


MIN_POSITION = "Chinwag-Min-Position"
NOBODY = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10"
# A user's token may leave these out, and a server key, with which .ci/api calls, must name the user.
HAS_KEY = "CHINWAG_HAS_KEY" in os.environ
ACTING = {
    "/chats/get": "user",
    "/chats/read": "user",
    "/events/token": "user",
    "/messages/add": "author",
    "/messages/reactions/add": "user",
    "/messages/reactions/remove": "user",
    "/users/edit": "user",
}


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.operation.path
    case.body = sent(case.body, known(path))
    # A position may be beyond the log, which no schema can say.
    if re.fullmatch("[0-9]+", str((case.headers or {}).get(MIN_POSITION))):
        case.headers[MIN_POSITION] = "0"
    if HAS_KEY:
        if path in ACTING and isinstance(case.body, dict) and case.body.get(ACTING[path]) is None:
            case.body[ACTING[path]] = USERS[0]
            if path == "/users/edit":
                # The document says with `user` alone that something must be edited.
                case.body.setdefault("metadata", {})
        if path == "/events":
            # It cannot be given beside the header.
            case.query.pop("token", None)
            # Without a user, it is a stream without an end.
            case.query.setdefault("user", NOBODY)
