// A page that stays current: after kills, times offline, late answers, and changes by others.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addTea, addUsers, browser, by, enter, enterIn, enterTea, makeChat, network, open, picture, say, serveEach, server,
  shown, texts, until,
} from "./pages.js";

serveEach();

test("a kill neither loses nor duplicates messages", async () => {
  const { ann, bob } = await enterTea();
  const said = [];
  const sayAll = async (words) => {
    for (const word of words) {
      await say(ann, word);
      said.push(word);
    }
  };
  await sayAll(["one", "two"]);
  await shown(bob, "two");
  for (const round of [1, 2]) {
    const talking = sayAll(Array.from({ length: 10 }, (_, index) => `while it goes down ${round} ${index}`));
    await server.kill();
    await talking;
    await sayAll([`while it is down ${round}`]);
    // A reloaded page still has its unsent messages. (The server must run to serve the page itself.)
    await server.run();
    if (round === 2) {
      await ann.reload();
      await open(ann, "tea");
    }
    await sayAll([`afterwards ${round}`]);
    await shown(bob, `afterwards ${round}`);
    await ann.locator(".waiting").first().waitFor({ state: "detached" });
    await shown(ann, `afterwards ${round}`);
  }
  assert.deepEqual(await texts(bob), said);
  assert.deepEqual(await texts(ann), said);
  // With unread messages, the chat would open at the first of them.
  await bob.locator(".listed .unread").waitFor({ state: "detached" });
  await bob.reload();
  await open(bob, "tea");
  await shown(bob, "afterwards 2");
  assert.deepEqual(await texts(bob), said);
});

test("two pages of a user send everything once", async () => {
  const one = await enter("ann");
  await makeChat(one, "tea");
  const other = await enterIn(one.context(), "ann");
  await open(other, "tea");
  await server.kill();
  for (const [page, text] of [[one, "from one"], [other, "from the other"], [one, "from one again"]]) {
    await say(page, text);
    await page.locator(".message.waiting .text", { hasText: text }).last().waitFor();
  }
  await server.run();
  // Every later page of the user sends the messages that an earlier page left.
  await other.close();
  await one.reload();
  await open(one, "tea");
  const all = ["from one", "from one again", "from the other"];
  await until(async () => String((await texts(one)).sort()) === String(all), "each is there once");
  await until(async () => (await one.locator(".message.waiting").count()) === 0, "all are sent");
  assert.equal(await one.evaluate(() => Object.keys(localStorage).filter((name) => name.includes("outbox")).length), 0);
});

test("missed messages are loaded before one's own", async () => {
  const { id: bob } = await server.post("users/add", { username: "bob" });
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  const { id: user } = await server.post("users/get", { username: "ann" });
  const [{ id: chat }] = await server.post("chats/get", { user });
  await say(ann, "first");
  await shown(ann, "first");
  // From here on, this page does not receive a stream of events.
  network.block("/events");
  await server.kill();
  await server.run();
  await server.post("messages/add", { chat, author: bob, text: "second" });
  await say(ann, "third");
  await shown(ann, "third");
  assert.deepEqual(await texts(ann), ["first", "second", "third"]);
  assert.equal(network.streams(), 0);
});

test("a page is current after a time offline", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  const [annsId, bobsId] = ids;
  for (const text of ["one", "two", "three", "four", "five"]) await add(annsId, text);
  const react = (seq, user, emoji) => server.post("messages/reactions/add", { chat, seq, user, emoji });
  for (const user of ids) await react(5, user, "👍");
  const { id: direct } = await server.post("chats/direct", { users: ids });
  await server.post("messages/add", { chat: direct, author: annsId, text: "psst" });
  const bob = await enter("bob");
  await open(bob, "tea");
  await shown(bob, "five");
  await bob.locator(".listed", { hasText: "psst" }).locator(".unread").waitFor();
  network.block("/events");
  await server.kill();
  await server.run();
  await server.post("messages/edit", { chat, seq: 2, user: annsId, text: "due" });
  await server.post("messages/delete", { chat, seq: 3, user: annsId });
  await server.post("messages/reactions/remove", { chat, seq: 5, user: bobsId, emoji: "👍" });
  await react(4, annsId, "🎉");
  await react(4, bobsId, "🎉");
  await react(5, annsId, "😮");
  await server.post("messages/reactions/remove", { chat, seq: 5, user: annsId, emoji: "😮" });
  await add(annsId, "six", { reply_to: 1 });
  await server.post("messages/edit", { chat, seq: 1, user: annsId, text: "uno" });
  await server.post("messages/delete", { chat: direct, seq: 1, user: annsId });
  await server.post("users/edit", { user: annsId, username: "anna" });
  await server.post("chats/edit", { chat, name: "coffee" });
  assert.deepEqual(await texts(bob), ["one", "two", "three", "four", "five"]);
  assert.equal(network.streams(), 0);
  network.unblock("/events");
  await shown(bob, "six");
  await bob.getByRole("heading", { name: "coffee", level: 2 }).waitFor();
  await bob.locator(".listed .unread").waitFor({ state: "detached" });
  assert.deepEqual(await texts(bob), ["uno", "due", "four", "five", "six"]);
  assert.equal(await bob.locator(".listed", { hasText: "Message deleted" }).count(), 1);
  const live = await picture(bob);
  await bob.reload();
  await open(bob, "coffee");
  await shown(bob, "six");
  assert.deepEqual(await picture(bob), live);
});

test("an overtaken answer does not hide an event", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "secret");
  const bob = await enter("bob");
  await bob.locator(".listed", { hasText: by("ann", "secret") }).waitFor();
  // The page gets the answer only when it is let go.
  await bob.evaluate(() => {
    const { fetch } = window;
    const isReleased = new Promise((resolve) => (window.release = resolve));
    window.fetch = async (url, options) => {
      const response = await fetch(url, options);
      if (String(url).endsWith("/messages/get")) {
        window.isHeld = true;
        await isReleased;
      }
      return response;
    };
  });
  await open(bob, "tea");
  await until(() => bob.evaluate(() => window.isHeld), "the answer is held");
  await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "public" });
  await bob.locator(".listed", { hasText: by("ann", "public") }).waitFor();
  assert.deepEqual(await texts(bob), []);
  await bob.evaluate(() => window.release());
  await shown(bob, "public");
  assert.deepEqual(await texts(bob), ["public"]);
});

test("what is deleted stays so", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "secret");
  const context = await browser.newContext();
  // A page without shared workers follows by itself, and so Playwright can answer for the stream.
  await context.addInitScript(() => delete globalThis.SharedWorker);
  let events = null;
  let streams = 0;
  await context.route("**/events?*", (route) => {
    if (!events) return route.abort();
    streams += 1;
    const body = events;
    events = null;
    return route.fulfill({ contentType: "text/event-stream", body });
  });
  const bob = await enterIn(context, "bob");
  await bob.locator(".listed", { hasText: by("ann", "secret") }).waitFor();
  const position = async () => (await (await fetch(`${server.url}health`)).json()).position;
  const event = async (kind, data) => `event: ${kind}\ndata: ${JSON.stringify(data)}\nid: ${await position()}\n\n`;
  await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "a secret" });
  const edited = await event("message_edited", (await server.post("messages/get", { chat }))[0]);
  await server.post("users/edit", { user: ids[0], username: "anna" });
  const renamed = await event("user_edited", { id: ids[0], username: "anna" });
  await server.post("messages/delete", { chat, seq: 1, user: ids[0] });
  await open(bob, "tea");
  await bob.locator(".message .deleted").waitFor();
  // The stream is late: it has the edit, and not yet the deletion that the page has loaded.
  events = edited + renamed;
  await bob.locator(".listed", { hasText: "Message deleted" }).waitFor();
  await bob.locator(".message .author", { hasText: "anna" }).waitFor();
  assert.equal(streams, 1);
  assert.equal(await bob.locator(".message .deleted").count(), 1);
  assert.equal(await bob.getByText("secret").count(), 0);
});

test("a returning member sees what has changed meanwhile", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "before");
  const bob = await enter("bob");
  await open(bob, "tea");
  await shown(bob, "before");
  await server.post("chats/users/remove", { chat, user: ids[1] });
  await bob.getByText("You are not in a chat yet").waitFor();
  await bob.getByRole("status").getByText("You are no longer a member of “tea”.").waitFor();
  assert.equal(await bob.getByText("before").count(), 0);
  await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "after" });
  await server.post("chats/users/add", { chat, user: ids[1] });
  await open(bob, "tea");
  await shown(bob, "after");
  assert.deepEqual(await texts(bob), ["after"]);
});

test("a browser's EventSource resumes without gaps after restarts", async () => {
  const { id: user } = await server.post("users/add", { username: "ann" });
  const { id: chat } = await server.post("chats/add", { name: "tea", users: [user] });
  const page = await enter("somebody");
  await page.evaluate((user) => {
    window.seen = [];
    let last = "0";
    const follow = () => {
      const stream = new EventSource(`events?user=${user}&after=${last}`);
      stream.addEventListener("message", (event) => {
        last = event.lastEventId;
        window.seen.push([last, JSON.parse(event.data).text]);
      });
      // The browser reconnects by itself, but not after the 503 of a server that is starting.
      stream.onerror = () => stream.readyState === EventSource.CLOSED && setTimeout(follow, 100);
    };
    follow();
  }, user);
  const expected = [];
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 5; number++) {
      const text = `${round} ${number}`;
      await server.post("messages/add", { chat, author: user, text });
      expected.push(text);
    }
    await server.kill();
    await server.run();
    await server.post("messages/add", { chat, author: user, text: `after ${round}` });
    expected.push(`after ${round}`);
    await until(async () => (await page.evaluate(() => window.seen.length)) >= expected.length, "all messages arrived");
  }
  const seen = await page.evaluate(() => window.seen);
  assert.deepEqual(seen.map(([, text]) => text), expected);
  const ids = seen.map(([id]) => Number.parseInt(id, 10));
  assert.ok(ids.every((id, index) => index === 0 || id > ids[index - 1]), String(ids));
});

test("an erased user has no name or messages", async () => {
  const [ann, bob] = await addUsers("erika", "erased bob");
  const { id: chat } = await server.post("chats/add", { name: "Erasure", users: [ann, bob] });
  await server.post("messages/add", { chat, author: bob, text: "what he said" });
  const [hers, his] = [await enter("erika"), await enter("erased bob")];
  await open(hers, "Erasure");
  await shown(hers, "what he said");
  // What she is writing is not lost.
  await hers.getByLabel("Your message").fill("hers");
  await hers.evaluate(() => (window.isSamePage = true));
  await server.post("users/erase", { user: bob, messages: "erase" });
  await until(async () => (await hers.getByText("what he said").count()) === 0, "it is gone");
  await open(hers, "Erasure");
  await hers.locator(".message .author", { hasText: "Erased user" }).waitFor();
  await hers.locator(".message", { hasText: "Message deleted" }).waitFor();
  await hers.locator(".listed", { hasText: by("Erased user", "Message deleted") }).waitFor();
  assert.equal(await hers.getByText("erased bob").count(), 0);
  assert.equal(await hers.getByText("what he said").count(), 0);
  assert.equal(await hers.getByLabel("Your message").inputValue(), "hers");
  assert.equal(await hers.evaluate(() => window.isSamePage), true);
  // His page asks who he is.
  await his.getByLabel("Your username").waitFor();
  await hers.close();
  await his.close();
});
