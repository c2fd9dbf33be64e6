// A standard EventSource client outside a browser, which receives every event.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { EventSource } from "eventsource";
import { Server } from "./server.js";

const ROUNDS = 8;

let server;
/** Whether all background work must stop, even after a failure. */
let isOver = false;
let following;

before(async () => {
  server = await Server.start();
});
after(async () => {
  isOver = true;
  following?.close();
  await server.stop();
});

/**
 * Follows a user's events until it is closed. The client reconnects by itself after a broken connection. At an answer
 * that is not a stream (our 503 during a replay) the standard wants it to stop: then a new one continues from the last
 * event.
 */
function follow(user, take) {
  let last = "0";
  let stream;
  let again;
  const followed = { begun: 0, close };
  const begin = () => {
    followed.begun += 1;
    stream = new EventSource(`${server.url}events?user=${user}&after=${last}`);
    stream.addEventListener("message", (event) => {
      last = event.lastEventId;
      take(Number.parseInt(last, 10), JSON.parse(event.data).text);
    });
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CLOSED) again = setTimeout(begin, 100);
    });
  };
  function close() {
    clearTimeout(again);
    stream.close();
  }
  begin();
  return followed;
}

/** Answers as a server does during its replay. The replay of a test's log is too short for a client to notice. */
async function starting(until) {
  const replaying = createServer((_, response) => {
    response.writeHead(503, { "Content-Type": "application/problem+json", "Retry-After": "1" }).end("{}");
  });
  replaying.listen(server.port, "127.0.0.1");
  await until();
  const closed = new Promise((resolve) => replaying.close(resolve));
  replaying.closeAllConnections();
  await closed;
}

/** Waits until `check` holds, for at most 20 s. */
async function until(check) {
  for (const end = Date.now() + 20_000; !check() && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Sends a message under a key, and retries until it is answered. */
async function send(chat, author, text) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": text };
  while (!isOver) {
    try {
      const body = JSON.stringify({ chat, author, text });
      const response = await fetch(`${server.url}messages/add`, { method: "POST", headers, body });
      if (response.status === 201) return;
      assert.equal(response.status, 503, await response.text());
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      // The server is down.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a standard client sees every message once, in order, across kills", { timeout: 60_000 }, async () => {
  const { id: user } = await server.post("users/add", { username: "ann" });
  const { id: chat } = await server.post("chats/add", { name: "tea", users: [user] });
  const seen = [];
  following = follow(user, (position, text) => seen.push({ position, text }));
  const sent = [];
  let writes = true;
  const writers = [0, 1, 2, 3].map(async (writer) => {
    for (let number = 0; writes && !isOver; number++) {
      const text = `${writer}-${number}`;
      await send(chat, user, text);
      sent.push(text);
    }
  });
  for (let round = 0; round < ROUNDS; round++) {
    const { length } = seen;
    await until(() => seen.length > length);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await server.kill();
    if (round % 2 === 1) {
      const { begun } = following;
      await starting(() => until(() => following.begun > begun));
    }
    await server.run();
  }
  writes = false;
  await Promise.all(writers);
  await until(() => seen.length >= sent.length);
  assert.ok(following.begun > ROUNDS / 2, `${following.begun} streams were begun`);
  assert.ok(sent.length > 10 * ROUNDS, `${sent.length} sent`);
  assert.deepEqual(seen.map(({ text }) => text).sort(), sent.sort());
  assert.ok(seen.every(({ position }, index) => index === 0 || position > seen[index - 1].position), "in order");
});
