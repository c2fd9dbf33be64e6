"""How does Schemathesis get ids that exist, which the API's document cannot contain?"""

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


def sent(value, known, name=None):
    """Returns the value to send in place of a generated one.

    Most generated ids are replaced by ids that exist, because a call only refuses the others. A number such as 64.0
    becomes 64: JSON Schema counts both as integers, our API only the latter.
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
