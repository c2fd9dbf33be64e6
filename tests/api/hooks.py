"""What Schemathesis must be told of our API beyond its document."""

import os
import re

import schemathesis

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
USERS = os.environ["CHINWAG_USERS"].split()
# Some users are in the one chat throughout; who is in the other changes.
STEADY, CHANGING = os.environ["CHINWAG_CHATS"].split()


def known(path):
    chat = CHANGING if path.startswith("/chats/users/") else STEADY
    return {"user": USERS, "users": USERS, "author": USERS, "chat": [chat]}


def sent(value, known, name=None):
    """What is sent in place of a value that was made up.

    Of ids that nobody has, most become ids of somebody: a call does little else with the others than say so. And a
    number is never 64.0, which to JSON Schema is an integer, and to us is none.
    """
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


@schemathesis.hook
def before_call(context, case, kwargs):
    case.body = sent(case.body, known(case.operation.path))
