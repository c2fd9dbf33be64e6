import json, os, sys, time, urllib.request
import jwt  # pip install 'pyjwt[crypto]'

URL, SERVER_KEY = os.environ["CHINWAG_URL"], os.environ["CHINWAG_KEY"]
with open(os.environ["CHINWAG_PRIVATE_KEY"]) as file:
    PRIVATE_KEY = file.read()


def token_of(account: str, username: str) -> dict:
    """Returns the user of an account, who is created at the first call, and a token for an hour."""
    headers = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
    headers["Idempotency-Key"] = f"account-{account}"
    body = json.dumps({"username": username}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/users/add", body, headers)) as answer:
        user = json.load(answer)["id"]
    now = int(time.time())
    claims = {"sub": user, "aud": "chinwag", "iat": now, "exp": now + 3600, "scope": "read write chats"}
    return {"user": user, "token": jwt.encode(claims, PRIVATE_KEY, "EdDSA", {"kid": "2026-11"})}


print(json.dumps(token_of(account=sys.argv[1], username=sys.argv[2])))
