const KINDS = [
  "begin", "reset", "message", "message_edited", "message_deleted", "reaction", "reaction_removed", "chat",
  "chat_edited", "member", "member_removed", "read", "user_edited", "user_erased",
];

/** Returns a client of the server. `newToken` asks your back end for a token of the user who is signed in. */
export function client(server, newToken) {
  let token = null;

  async function call(path, body, isRetry = false) {
    token ??= await newToken();
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const answer = await fetch(server + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (answer.status === 401 && !isRetry) {
      // It has expired, or was revoked. Whether there is another one is for the back end to decide.
      token = null;
      return call(path, body, true);
    }
    if (!answer.ok) throw new Error((await answer.json()).detail);
    return answer.status === 204 ? null : answer.json();
  }

  /** Calls `onEvent` for each event after the one with the id `last`, and returns a function that ends that. */
  function follow(last, onEvent) {
    let source = null;
    let isOver = false;
    const again = () => isOver || setTimeout(connect, 1000);
    async function connect() {
      try {
        const bought = await call("/events/token", {});
        const after = last ? `&after=${last}` : "";
        source = new EventSource(`${server}/events?token=${bought.token}${after}`);
      } catch {
        return again();
      }
      for (const kind of KINDS) {
        source.addEventListener(kind, (event) => {
          last = event.lastEventId;
          onEvent(kind, JSON.parse(event.data));
        });
      }
      // It reconnects by itself after a broken connection, and not after a refusal, as when its token has expired.
      source.onerror = () => source.readyState === EventSource.CLOSED && again();
      if (isOver) source.close();
    }
    connect();
    return () => {
      isOver = true;
      source?.close();
    };
  }

  return { call, follow };
}
