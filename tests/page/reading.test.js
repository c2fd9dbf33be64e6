// The user's place in a chat: what is unread, in view and marked as read, whatever arrives.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addAll, addChat, addTea, addTo, addUsers, browser, enter, enterIn, heading, isAtEnd, list, listed, marks, newest,
  numbered, open, restingView, serveEach, server, shown, shownMessage, texts, until,
} from "./pages.js";

serveEach();

/** Maximum number of messages that a page holds. */
const WINDOW_MAX = 300;

test("many unread messages open at the first", async () => {
  const { ids: [ann, bob], chat } = await addTea("ann", "bob");
  await addAll(chat, bob, numbered(1, 900));
  await server.post("chats/read", { chat, user: ann, seq: 42 });
  const page = await enter("ann");
  await listed(page, "tea").locator(".unread").getByText("858", { exact: true }).waitFor();
  await open(page, "tea");
  const divider = page.locator(".divider", { hasText: "New" });
  await divider.waitFor();
  assert.equal(await divider.evaluate((divider) => divider.nextElementSibling.dataset.seq), "43");
  await until(() => marks().length === 1, "what is in view is marked");
  const view = await restingView(page);
  assert.ok(view.some(({ seq, isWhole }) => seq === 43 && isWhole), JSON.stringify(view));
  const last = view.at(-1).seq;
  assert.ok(last - marks()[0] <= 1 && marks()[0] <= last, `${marks()} is marked, ${last} is in view`);
  await newest(page).getByText(String(900 - marks()[0]), { exact: true }).waitFor();
  // One view further.
  await list(page).evaluate((list) => list.scrollBy(0, list.clientHeight));
  const further = (await restingView(page)).at(-1).seq;
  assert.ok(further > last);
  await until(() => marks().length === 2, "what came into view is marked");
  assert.ok(further - marks()[1] <= 1 && marks()[1] <= further, `${marks()} is marked, ${further} is in view`);
  await newest(page).click();
  await shown(page, "message 900");
  await until(() => isAtEnd(page), "the end is in view");
  await until(() => marks().at(-1) === 900, "all is marked");
  await page.locator(".listed .unread").first().waitFor({ state: "detached" });
  assert.equal(await newest(page).count(), 0);
  // The divider is still where it was.
  await page.locator(`[data-seq="900"]`).waitFor();
  for (let times = 0; times < 60 && !(await page.locator('[data-seq="43"]').count()); times += 1) {
    await list(page).evaluate((list) => list.scrollTo(0, 0));
    await restingView(page);
  }
  assert.equal(await divider.evaluate((divider) => divider.nextElementSibling.dataset.seq), "43");
});

test("the divider is after one's own messages", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  await addAll(chat, ann, numbered(1, 100));
  await add(bob, "unread");
  await addChat("other", ann);
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "unread");
  const next = await page.locator(".divider").evaluate((divider) => divider.nextElementSibling.innerText);
  assert.match(next, /unread/);
});

test("the divider stays while one follows a quote", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  await addAll(chat, bob, numbered(1, 30));
  await server.post("chats/read", { chat, user: ann, seq: 28 });
  await add(bob, "as I said", { reply_to: 2 });
  const page = await enter("ann");
  await open(page, "tea");
  await until(() => marks().at(-1) === 31, "all is marked");
  const next = () => page.locator(".divider").evaluate((divider) => divider.nextElementSibling.dataset.seq);
  assert.equal(await next(), "29");
  await shownMessage(page, "as I said").locator(".quote").click();
  await page.locator(".message.aimed").getByText("message 2", { exact: false }).waitFor();
  assert.equal(await page.locator(".divider").count(), 1);
  assert.equal(await next(), "29");
});

test("a quote shows what its message is now", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  await addAll(chat, bob, numbered(1, 400));
  await add(bob, "a reply", { reply_to: 1 });
  await server.post("chats/read", { chat, user: ann, seq: 401 });
  const page = await enter("ann");
  await open(page, "tea");
  const quote = shownMessage(page, "a reply").locator(".quote");
  await quote.filter({ hasText: "message 1" }).click();
  await shown(page, "message 1");
  // It changes while it is in view, and is quoted outside of it afterwards.
  await server.post("messages/delete", { chat, seq: 1, user: bob });
  await page.locator("[data-seq='1'] .deleted").waitFor();
  await newest(page).click();
  await quote.filter({ hasText: "Message deleted" }).waitFor();
});

test("two chats are read one after the other", async () => {
  const { ids: [ann, bob], add } = await addTea("ann", "bob");
  const coffee = await addChat("coffee", ann, bob);
  await add(bob, "one");
  await addTo(coffee, bob, "two");
  const page = await enter("ann");
  for (const chat of ["tea", "coffee"]) {
    await listed(page, chat).locator(".unread").waitFor();
    await open(page, chat);
  }
  for (const chat of ["tea", "coffee"]) await listed(page, chat).locator(".unread").waitFor({ state: "detached" });
});

test("a late quote does not move the view", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  await addAll(chat, bob, numbered(1, 100));
  await server.post("chats/read", { chat, user: ann, seq: 90 });
  await add(bob, "as I said", { reply_to: 2 });
  await addAll(chat, bob, numbered(102, 140));
  const context = await browser.newContext();
  await context.addInitScript(() => {
    const { fetch } = window;
    const isOver = new Promise((resolve) => (window.answer = resolve));
    window.fetch = async (url, options) => {
      if (options.body && "seqs" in JSON.parse(options.body)) await isOver;
      return fetch(url, options);
    };
  });
  const page = await enterIn(context, "ann");
  await open(page, "tea");
  await shown(page, "message 92");
  const isAtFirst = (view) => view.some(({ seq, isWhole }) => seq === 91 && isWhole);
  const early = await restingView(page);
  await page.evaluate(() => window.answer());
  await page.locator(".quote", { hasText: "message 2" }).waitFor();
  const late = await restingView(page);
  assert.ok(isAtFirst(late), JSON.stringify(late));
  assert.ok(isAtFirst(early), JSON.stringify(early));
});

test("the place in a chat is kept", async () => {
  const { ids: [ann, bob], chat } = await addTea("ann", "bob");
  await addAll(chat, bob, numbered(1, 500));
  await server.post("chats/read", { chat, user: ann, seq: 500 });
  await addChat("other", ann);
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "message 500");
  for (let times = 0; times < 4; times += 1) {
    await list(page).evaluate((list) => list.scrollTo(0, 0));
    await restingView(page);
  }
  await list(page).evaluate((list) => list.scrollBy(0, 333));
  const before = await restingView(page);
  assert.ok(before[0].seq > 1 && before.at(-1).seq < 400, JSON.stringify(before));
  await open(page, "other");
  await page.getByText("No messages yet.").waitFor();
  await open(page, "tea");
  await page.locator(`[data-seq="${before[0].seq}"]`).waitFor();
  assert.deepEqual(await restingView(page), before);
  await newest(page).click();
  await until(() => isAtEnd(page), "the end is in view");
  await restingView(page);
  await open(page, "other");
  await page.getByText("No messages yet.").waitFor();
  await open(page, "tea");
  await shown(page, "message 500");
  await until(() => isAtEnd(page), "the end is in view again");
});

test("what moves while a chat opens is its", async () => {
  const [ann, bob] = await addUsers("ann", "bob");
  const [long, short] = [await addChat("long", ann, bob), await addChat("short", ann, bob)];
  await addAll(long, bob, numbered(1, 60));
  await addAll(short, bob, numbered(1, 40));
  for (const [chat, seq] of [[long, 60], [short, 40]]) await server.post("chats/read", { chat, user: ann, seq });
  const page = await enter("ann");
  await open(page, "short");
  await shown(page, "message 40");
  await open(page, "long");
  await shown(page, "message 60");
  await restingView(page);
  await addAll(short, bob, numbered(41, 80));
  await listed(page, "short").locator(".unread").getByText("40", { exact: true }).waitFor();
  // The list still scrolls when another chat is opened: the event comes with the next frame.
  await page.evaluate((chat) => requestAnimationFrame(() => {
    document.querySelector(".messages").scrollTop -= 100;
    location.hash = `chat=${chat}`;
  }), short);
  await heading(page, "short").waitFor();
  const view = await restingView(page);
  assert.ok(view.some(({ seq, isWhole }) => seq === 41 && isWhole), JSON.stringify(view));
  await until(() => marks().length === 1, "what is in view is marked");
  assert.ok(marks()[0] <= view.at(-1).seq, `${marks()} is marked, ${view.at(-1).seq} is in view`);
});

test("few of many messages are on the page", async () => {
  const { ids: [ann], chat } = await addTea("ann", "bob");
  const all = numbered(1, 2000);
  await addAll(chat, ann, all);
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "message 2000");
  // Scrolls as far as it goes, in each frame, until this message is there.
  const scroll = (top, last) =>
    page.evaluate(async ([top, last]) => {
      const list = document.querySelector(".messages");
      const seen = new Set();
      let most = 0;
      let areInOrder = true;
      for (const end = Date.now() + 30_000; Date.now() < end && !seen.has(last); list.scrollTo(0, top)) {
        await new Promise(requestAnimationFrame);
        const seqs = [...list.querySelectorAll("[data-seq]")].map(({ dataset }) => Number(dataset.seq));
        for (const seq of seqs) seen.add(seq);
        most = Math.max(most, seqs.length);
        areInOrder &&= seqs.every((seq, index) => seq === seqs[0] + index);
      }
      return { seen: seen.size, most, areInOrder };
    }, [top, last]);
  for (const [top, last] of [[0, 1], [1e9, 2000]]) {
    assert.deepEqual(await scroll(top, last), { seen: 2000, most: 300, areInOrder: true });
  }
  assert.deepEqual(await texts(page), all.slice(-300));
});

test("new messages move only a view at the end", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  await addAll(chat, ann, numbered(1, 200));
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "message 200");
  await until(() => isAtEnd(page), "the end is in view");
  await add(bob, "comes into view");
  await shown(page, "comes into view");
  assert.equal((await restingView(page)).at(-1).seq, 201);
  assert.ok(await isAtEnd(page));
  await list(page).evaluate((list) => list.scrollBy(0, -500));
  const before = await restingView(page);
  for (const text of numbered(1, 5)) await add(bob, `${text} below`);
  await newest(page).getByText("5", { exact: true }).waitFor();
  assert.deepEqual(await restingView(page), before);
  await newest(page).click();
  await until(() => isAtEnd(page), "the end is in view");
  await until(() => marks().at(-1) === 206, "all is marked");
});

test("a thousand messages load while scrolling", async () => {
  const [user] = await addUsers("ann");
  const { id: chat } = await server.post("chats/add", { name: "tea", users: [user] });
  const all = Array.from({ length: 1000 }, (_, index) => `message ${index + 1}`);
  await addAll(chat, user, all);
  const ann = await enter("ann");
  await open(ann, "tea");
  await shown(ann, "message 1000");
  assert.deepEqual(await texts(ann), all.slice(-60));
  const list = ann.locator(".messages");
  /** Scrolls that way until this message is there, and asserts that all were, without gaps, and never too many. */
  const scroll = async (end, last) => {
    const seen = new Set();
    await until(async () => {
      const now = await texts(ann);
      assert.ok(now.length <= WINDOW_MAX, `${now.length} messages`);
      assert.deepEqual(now, all.slice(all.indexOf(now[0])).slice(0, now.length));
      for (const text of now) seen.add(text);
      await list.evaluate((messages, end) => messages.scrollTo(0, end ? messages.scrollHeight : 0), end);
      return seen.has(last);
    }, `all were loaded up to ${last}`);
    return all.filter((text) => seen.has(text));
  };
  assert.deepEqual(await scroll(false, "message 1"), all);
  // A new message does not move the reader's view.
  await list.evaluate((messages) => messages.scrollTo(0, 200));
  await server.post("messages/add", { chat, author: user, text: "the newest" });
  all.push("the newest");
  await ann.locator(".listed", { hasText: "You: the newest" }).waitFor();
  await ann.getByRole("button", { name: "Newest messages" }).waitFor();
  assert.equal(await list.evaluate((messages) => messages.scrollTop), 200);
  assert.equal((await texts(ann))[0], "message 1");
  // And back to the end.
  assert.deepEqual(await scroll(true, "the newest"), all);
  // Nor does it near the end, where the page shows it.
  await ann.getByRole("button", { name: "Newest messages" }).waitFor({ state: "detached" });
  await list.evaluate((messages) => messages.scrollBy(0, -300));
  await ann.getByRole("button", { name: "Newest messages" }).waitFor();
  const place = () => shownMessage(ann, "message 999").evaluate((message) => message.getBoundingClientRect().top);
  const before = await place();
  await server.post("messages/add", { chat, author: user, text: "even newer" });
  await shown(ann, "even newer");
  assert.ok(Math.abs((await place()) - before) < 1, `moved from ${before} to ${await place()}`);
  await ann.getByRole("button", { name: "Newest messages" }).click();
  await ann.getByRole("button", { name: "Newest messages" }).waitFor({ state: "detached" });
  assert.deepEqual((await texts(ann)).slice(-2), ["the newest", "even newer"]);
});
