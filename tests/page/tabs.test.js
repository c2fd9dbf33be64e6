// The tabs of one user, which share one stream and stay current through failures.

import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  addTea, browser, enterIn, heading, network, newTab, open, say, serveEach, server, shown, texts, until,
} from "./pages.js";

serveEach();

const numbered = (what, count) => Array.from({ length: count }, (_, index) => `${what} ${index + 1}`);

/** Returns tabs of one user, in which a chat is open. */
async function openTabs(context, name, chat, count) {
  const tabs = [];
  while (tabs.length < count) {
    tabs.push(await enterIn(context, name));
    await open(tabs.at(-1), chat);
  }
  return tabs;
}

/** Waits until each page shows these messages and no others, in this order. */
async function showExactly(pages, wanted) {
  await Promise.all(pages.map((page) => shown(page, wanted.at(-1))));
  const all = async () => JSON.stringify(await Promise.all(pages.map(texts)));
  const expected = JSON.stringify(pages.map(() => wanted));
  const isShown = async () => (await all()) === expected;
  await until(isShown, `${wanted}`).catch(async () => assert.equal(await all(), expected));
}

const streamsAre = (count) => until(() => network.streams() === count, `${count} streams, not ${network.streams()}`);

const connecting = (page) => page.getByText("Connecting …");

/** Tells a tab that it is hidden, or visible again. A browser without a window hides none by itself. */
const setHidden = (page, isHidden) =>
  page.evaluate((isHidden) => {
    const be = (name, value) => Object.defineProperty(document, name, { configurable: true, get: () => value });
    be("hidden", isHidden);
    be("visibilityState", isHidden ? "hidden" : "visible");
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);

test("eight tabs share one stream", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  const tabs = await openTabs(await browser.newContext(), "ann", "tea", 8);
  await streamsAre(1);
  await add(bob, "from bob");
  await showExactly(tabs, ["from bob"]);
  const said = ["from bob"];
  for (const [number, tab] of tabs.entries()) {
    said.push(`from tab ${number}`);
    await say(tab, said.at(-1));
    await shown(tab, said.at(-1));
  }
  await showExactly(tabs, said);
  // The first one has begun the stream.
  for (const closed of [1, 4, 2]) {
    for (const tab of tabs.splice(0, closed)) await tab.close();
    said.push(`after the next ${closed}`);
    await add(bob, said.at(-1));
    await showExactly(tabs, said);
    await streamsAre(1);
  }
  await tabs[0].close();
  await streamsAre(0);
});

test("each tab sends what is typed in it", async () => {
  const { chat } = await addTea("ann", "bob");
  const [one, other] = await openTabs(await browser.newContext(), "ann", "tea", 2);
  await one.getByLabel("Your message").fill("typed in one");
  await other.getByLabel("Your message").fill("typed in the other");
  await one.getByLabel("Your message").press("Enter");
  await showExactly([one, other], ["typed in one"]);
  assert.equal(await other.getByLabel("Your message").inputValue(), "typed in the other");
  await other.getByLabel("Your message").press("Enter");
  await showExactly([one, other], ["typed in one", "typed in the other"]);
  assert.equal((await server.post("messages/get", { chat })).length, 2);
});

test("tabs of two users have a stream each", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  const { id: hers } = await server.post("chats/add", { name: "hers", users: [ann] });
  const context = await browser.newContext();
  const [anns, bobs] = [await openTabs(context, "ann", "tea", 2), await openTabs(context, "bob", "tea", 2)];
  await streamsAre(2);
  await add(bob, "for both");
  await showExactly([...anns, ...bobs], ["for both"]);
  await server.post("messages/add", { chat: hers, author: ann, text: "for ann" });
  await anns[1].locator(".listed", { hasText: "for ann" }).waitFor();
  assert.equal(await bobs[1].getByText("for ann").count(), 0);
  for (const tab of anns) await tab.close();
  await streamsAre(1);
  await server.post("messages/add", { chat, author: ann, text: "for bob" });
  await showExactly(bobs, ["for both", "for bob"]);
});

test("a long hidden tab rests, then catches up", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  const context = await browser.newContext();
  await context.clock.install();
  const [first, second] = await openTabs(context, "ann", "tea", 2);
  const said = ["while visible"];
  await add(bob, said[0]);
  await showExactly([first, second], said);
  const passTime = async (tab, ms) => {
    await setHidden(tab, true);
    await tab.clock.fastForward(ms);
  };
  // A short time is nothing.
  for (const tab of [first, second]) await passTime(tab, 9 * 60_000);
  await streamsAre(1);
  for (const tab of [first, second]) {
    await setHidden(tab, false);
    await passTime(tab, 9 * 60_000);
  }
  await streamsAre(1);
  for (const tab of [first, second]) await tab.clock.fastForward(2 * 60_000);
  await streamsAre(0);
  const sayWhileHidden = async (text) => {
    said.push(text);
    await add(bob, text);
  };
  for (const text of numbered("while hidden", 70)) await sayWhileHidden(text);
  await setHidden(first, false);
  await showExactly([first], said);
  assert.equal(await second.getByText("while hidden").count(), 0);
  // The second one asks the stream for what the first one has already.
  await sayWhileHidden("while one is hidden");
  await showExactly([first], said);
  await setHidden(second, false);
  await showExactly([first, second], said);
  await sayWhileHidden("while both are visible");
  await showExactly([first, second], said);
  await streamsAre(1);
});

test("without shared workers, each tab has a stream", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  const context = await browser.newContext();
  await context.addInitScript(() => delete globalThis.SharedWorker);
  const tabs = await openTabs(context, "ann", "tea", 3);
  await streamsAre(3);
  await add(bob, "one");
  await showExactly(tabs, ["one"]);
  await tabs.shift().close();
  await streamsAre(2);
  await add(bob, "two");
  await say(tabs[0], "three");
  await showExactly(tabs, ["one", "two", "three"]);
});

test("later tabs miss and repeat nothing", async () => {
  const { ids: [ann, bob], chat, add } = await addTea("ann", "bob");
  const { id: news } = await server.post("chats/add", { name: "news", users: [ann, bob] });
  const context = await browser.newContext();
  const said = [];
  let isOver = false;
  const talk = async () => {
    while (!isOver) {
      said.push(`message ${said.length + 1}`);
      // What she has written elsewhere is not unread, so the chat opens at its end.
      await add(ann, said.at(-1));
      await server.post("messages/add", { chat: news, author: bob, text: `news ${said.length}` });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const talking = talk();
  // No clicks: the chats of the list change places all the time.
  const link = `#chat=${chat}`;
  const tabs = [await enterIn(context, "ann", link)];
  while (tabs.length < 4) tabs.push(await newTab(context, link));
  for (const tab of tabs) await heading(tab, "tea").waitFor();
  isOver = true;
  await talking;
  for (const tab of tabs) {
    await shown(tab, said.at(-1));
    const has = await texts(tab);
    assert.deepEqual(has, said.slice(said.indexOf(has[0])));
    const listed = tab.locator(".listed", { hasText: "news" });
    await listed.getByText(`news ${said.length}`, { exact: false }).waitFor();
    assert.equal(await listed.locator(".unread").textContent(), String(said.length));
  }
  await streamsAre(1);
});

test("a silent network is noticed, and nothing lost", async () => {
  const { ids: [, bob], chat, add } = await addTea("ann", "bob");
  const [ann, other] = await openTabs(await browser.newContext(), "ann", "tea", 2);
  await add(bob, "before");
  await showExactly([ann, other], ["before"]);
  const began = Date.now();
  network.drop();
  const said = ["before", ...numbered("from bob", 3), ...numbered("from ann", 3)];
  for (const text of said.slice(4)) {
    await say(ann, text);
    await ann.locator(".message.waiting", { hasText: text }).waitFor();
  }
  for (const text of said.slice(1, 4)) await add(bob, text);
  for (const page of [ann, other]) await connecting(page).waitFor({ timeout: 25_000 - (Date.now() - began) });
  assert.deepEqual(await texts(ann), ["before"]);
  assert.equal(await ann.locator(".message.waiting").count(), 3);
  network.resume();
  for (const page of [ann, other]) await connecting(page).waitFor({ state: "detached", timeout: 25_000 });
  await showExactly([ann, other], said);
  assert.equal(await ann.locator(".message.waiting").count(), 0);
  assert.equal((await server.post("messages/get", { chat })).length, said.length);
  await streamsAre(1);
});

test("a cut network is noticed at once", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  const [ann, other] = await openTabs(await browser.newContext(), "ann", "tea", 2);
  const said = [];
  for (const round of [1, 2]) {
    network.cut();
    for (const page of [ann, other]) await connecting(page).waitFor({ timeout: 5_000 });
    said.push(`from bob ${round}`, `from ann ${round}`, `again from ann ${round}`);
    for (const text of said.slice(-2)) await say(ann, text);
    await ann.locator(".message.waiting").nth(1).waitFor();
    await add(bob, said.at(-3));
    network.resume();
    for (const page of [ann, other]) await connecting(page).waitFor({ state: "hidden" });
    await showExactly([ann, other], said);
    await ann.locator(".message.waiting").first().waitFor({ state: "detached" });
  }
  await streamsAre(1);
});

test("tabs follow again after a server restart", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  const [ann, other] = await openTabs(await browser.newContext(), "ann", "tea", 2);
  const said = ["before"];
  await say(ann, "before");
  await showExactly([ann, other], said);
  await server.kill();
  await connecting(other).waitFor();
  for (const [tab, text] of [[ann, "while it is down"], [ann, "still down"]]) {
    await say(tab, text);
    await tab.locator(".message.waiting", { hasText: text }).waitFor();
    said.push(text);
  }
  await server.run();
  await showExactly([ann, other], said);
  said.push("afterwards");
  await add(bob, "afterwards");
  await showExactly([ann, other], said);
  for (const page of [ann, other]) await connecting(page).waitFor({ state: "hidden" });
  await streamsAre(1);
});

/**
 * Returns a context in which the server gets what is sent, and its answers are on their way until `window.answer()`.
 * `window.keys` has the idempotency keys of all attempts.
 */
async function newContextWithoutAnswers() {
  const context = await browser.newContext();
  await context.addInitScript(() => {
    const { fetch } = window;
    const isAnswered = new Promise((resolve) => (window.answer = resolve));
    window.keys = [];
    window.fetch = async (url, options) => {
      const answered = fetch(url, options);
      if (!String(url).endsWith("/messages/add")) return answered;
      window.keys.push(options.headers["Idempotency-Key"]);
      const { signal } = options;
      const isGivenUp = new Promise((_, refuse) => signal.addEventListener("abort", () => refuse(signal.reason)));
      await Promise.race([isAnswered, isGivenUp]);
      return answered;
    };
  });
  return context;
}

test("a repeated call stores one message", async () => {
  const { chat } = await addTea("ann", "bob");
  const context = await newContextWithoutAnswers();
  await context.clock.install();
  const [ann] = await openTabs(context, "ann", "tea", 1);
  const stored = async () => (await server.post("messages/get", { chat })).map(({ text }) => text);
  const keys = () => ann.evaluate(() => window.keys);
  await say(ann, "only once");
  await say(ann, "and then this");
  await until(async () => (await stored()).length === 1, "the server has it");
  for (const attempts of [2, 3]) {
    await until(async () => {
      await ann.clock.fastForward(1_000);
      return (await keys()).length >= attempts;
    }, `attempt ${attempts}`);
  }
  await ann.evaluate(() => window.answer());
  await showExactly([ann], ["only once", "and then this"]);
  await ann.locator(".message.waiting").first().waitFor({ state: "detached" });
  assert.deepEqual(await stored(), ["only once", "and then this"]);
  const [first, ...further] = await keys();
  assert.ok(first);
  assert.equal(further.filter((key) => key === first).length, further.length - 1);
  assert.notEqual(further.at(-1), first);
});

test("a message is not shown twice meanwhile", async () => {
  await addTea("ann", "bob");
  const [ann, other] = await openTabs(await newContextWithoutAnswers(), "ann", "tea", 2);
  await say(ann, "only once");
  // The stream has brought it, the answer is still under way.
  await showExactly([ann, other], ["only once"]);
  assert.equal(await ann.locator(".message", { hasText: "only once" }).count(), 1);
  await ann.evaluate(() => window.answer());
  await ann.locator(".message.waiting").waitFor({ state: "detached" });
  assert.deepEqual(await texts(ann), ["only once"]);
});

test("a tab that rested learns of a restored log", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  await add(bob, "in the backup");
  const backup = join(server.dir, "backup");
  const data = join(server.dir, "data");
  await server.kill();
  await cp(data, backup, { recursive: true });
  await server.run();
  const context = await browser.newContext();
  const [tab] = await openTabs(context, "ann", "tea", 1);
  for (const number of [1, 2, 3]) await add(bob, `lost ${number}`);
  await showExactly([tab], ["in the backup", "lost 1", "lost 2", "lost 3"]);
  await tab.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
  await streamsAre(0);
  await server.kill();
  await rm(data, { recursive: true });
  await cp(backup, data, { recursive: true });
  await server.run();
  const [other] = await openTabs(context, "ann", "tea", 1);
  await add(bob, "after it");
  await showExactly([other], ["in the backup", "after it"]);
  await tab.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await showExactly([tab], ["in the backup", "after it"]);
});
