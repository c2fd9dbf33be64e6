// Does the chat page work in a real browser, on the real server?

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { launch } from "./browser.js";
import { Server } from "./server.js";

const SCREENSHOTS = process.env.CHINWAG_SCREENSHOTS ?? "/tmp/chinwag-screenshots";
const PHONE = { width: 360, height: 640 };

let browser;
let server;
/** Errors of all pages. */
let complaints;

before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  browser = await launch();
});
after(() => browser.close());
beforeEach(async () => {
  server = await Server.start();
  complaints = [];
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await server.stop();
  assert.deepEqual(complaints, []);
});

/** Returns a page in a new browser context, signed in under this name. */
async function enter(name, options = {}) {
  return enterIn(await browser.newContext(options), name);
}

async function enterIn(context, name) {
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
  page.on("console", (message) => {
    if (/Content.Security.Policy|TrustedHTML/i.test(message.text())) complaints.push(message.text());
  });
  await page.goto(server.url);
  await page.getByLabel("Your username").fill(name);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "New chat" }).waitFor();
  return page;
}

async function makeChat(page, name, users) {
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByLabel("Chat name").fill(name);
  await page.getByLabel("Other members").fill(users);
  await page.getByRole("button", { name: "Create chat" }).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
  // As long as the dialog is open, what is typed goes to it.
  await page.getByRole("dialog").waitFor({ state: "hidden" });
}

async function open(page, name) {
  await page.locator(".listed", { hasText: name }).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
}

async function say(page, text) {
  await page.getByLabel("Your message").fill(text);
  await page.keyboard.press("Enter");
}

const texts = (page) => page.locator(".message:not(.waiting) .text").allTextContents();
const shown = (page, text) => page.locator(".message:not(.waiting) .text", { hasText: text }).last().waitFor();

const shownMessage = (page, text) => page.locator(".message:not(.waiting)", { hasText: text }).last();

/** Opens the dialog of the last message with this text. */
async function more(page, text) {
  await shownMessage(page, text).getByRole("button", { name: "More" }).click();
  await page.getByRole("dialog", { name: "Message" }).waitFor();
}

async function choose(page, text, choice) {
  await more(page, text);
  await page.getByRole("dialog").getByRole("button", { name: choice }).click();
  await page.getByRole("dialog", { name: choice }).waitFor();
}

/** Adds users of these names, and returns their ids. */
async function addUsers(...names) {
  const ids = [];
  for (const username of names) ids.push((await server.post("users/add", { username })).id);
  return ids;
}

/** Adds users of these names, and a chat of them. */
async function addTea(...names) {
  const ids = await addUsers(...names);
  const { id: chat } = await server.post("chats/add", { name: "tea", users: ids });
  const add = (author, text, more) => server.post("messages/add", { chat, author, text, ...more });
  return { ids, chat, add };
}

/** Returns what a page shows, of the chats and of the open one. */
const picture = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll(".listed, .chat main h2, .members, .message")].map((each) => each.innerText));

/** Waits until `check` holds. */
async function until(check, what) {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`not in time: ${what}`);
}

test("two users see each other's messages at once", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  await open(bob, "tea");
  await say(ann, "hello bob");
  await shown(bob, "hello bob");
  await say(bob, "hello ann");
  await shown(ann, "hello ann");
  assert.deepEqual(await texts(ann), ["hello bob", "hello ann"]);
  assert.deepEqual(await texts(bob), ["hello bob", "hello ann"]);
});

test("chats are listed by last message, with unread counts", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "first", "bob");
  await makeChat(ann, "second", "bob");
  const names = () => bob.locator(".listed .name").allTextContents();
  await until(async () => String(await names()) === "second,first", "the newest chat first");
  await open(ann, "first");
  await say(ann, "one");
  await say(ann, "two");
  await until(async () => String(await names()) === "first,second", "the last message first");
  await until(async () => (await bob.locator(".unread").allTextContents()).join() === "2", "two are unread");
  const marks = [];
  bob.on("request", (request) => request.url().endsWith("/chats/read") && marks.push(request.postDataJSON().seq));
  await open(bob, "first");
  await bob.locator(".unread").waitFor({ state: "detached" });
  assert.deepEqual(marks, [2]);
  await bob.reload();
  await bob.locator(".listed", { hasText: "first" }).waitFor();
  assert.equal(await bob.locator(".unread").count(), 0);
});

test("read marks are set at most every two seconds", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  await open(bob, "tea");
  const marks = [];
  bob.on("request", (request) => request.url().endsWith("/chats/read") && marks.push(request.postDataJSON().seq));
  const began = Date.now();
  for (let number = 1; number <= 30; number += 1) await say(ann, `message ${number}`);
  await shown(bob, "message 30");
  await until(() => marks.at(-1) === 30, "all is marked as read");
  const most = 2 + Math.floor((Date.now() - began) / 2000);
  assert.ok(marks.length <= most, `${marks.length} marks: ${marks}`);
  await bob.locator(".unread").waitFor({ state: "detached" });
});

test("an added member sees the chat", async () => {
  const cy = await enter("cy");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "");
  await say(ann, "before");
  await ann.getByRole("button", { name: "Add", exact: true }).click();
  await ann.getByLabel("Username").fill("nobody");
  await ann.getByRole("button", { name: "Add member" }).click();
  await ann.getByRole("alert").getByText("nobody").waitFor();
  await ann.getByLabel("Username").fill("cy");
  await ann.getByRole("button", { name: "Add member" }).click();
  await open(cy, "tea");
  await shown(cy, "before");
  await ann.locator(".members", { hasText: "cy" }).waitFor();
});

test("a kill neither loses nor duplicates messages", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  await open(bob, "tea");
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
  await bob.reload();
  await open(bob, "tea");
  await shown(bob, "afterwards 2");
  assert.deepEqual(await texts(bob), said);
});

test("two pages of one user neither lose nor duplicate messages", async () => {
  const one = await enter("ann");
  await makeChat(one, "tea", "");
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
  await ann.route("**/events?*", () => {});
  await server.kill();
  await server.run();
  await server.post("messages/add", { chat, author: bob, text: "second" });
  await say(ann, "third");
  await shown(ann, "third");
  assert.deepEqual(await texts(ann), ["first", "second", "third"]);
});

test("an edit is shown at once, with a mark", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  await open(bob, "tea");
  await say(ann, "tea?");
  await shown(bob, "tea?");
  assert.equal(await bob.locator(".edited").count(), 0);
  await choose(ann, "tea?", "Edit");
  assert.equal(await ann.getByLabel("Text").inputValue(), "tea?");
  await ann.getByLabel("Text").fill("coffee?");
  await ann.keyboard.press("Shift+Enter");
  await ann.keyboard.type("or milk?");
  await ann.keyboard.press("Enter");
  for (const page of [ann, bob]) {
    await shownMessage(page, "coffee?").getByText("edited", { exact: true }).waitFor();
    assert.deepEqual(await texts(page), ["coffee?\nor milk?"]);
    await page.locator(".listed", { hasText: "ann: coffee?" }).waitFor();
  }
  // Only the author can change it.
  await more(bob, "coffee?");
  const choices = bob.getByRole("dialog").locator(".buttons button");
  assert.deepEqual(await choices.allTextContents(), ["Cancel", "Reply"]);
});

test("a deleted message leaves a quiet place", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  for (const text of ["one", "two", "three"]) await say(ann, text);
  await until(async () => (await bob.locator(".unread").allTextContents()).join() === "3", "three are unread");
  await choose(ann, "three", "Delete");
  await ann.getByText("ann: three").last().waitFor();
  await ann.getByRole("button", { name: "Delete" }).click();
  await until(async () => (await bob.locator(".unread").allTextContents()).join() === "2", "two are unread");
  await bob.locator(".listed", { hasText: "ann: Message deleted" }).waitFor();
  await open(bob, "tea");
  for (const page of [ann, bob]) {
    await shownMessage(page, "Message deleted").waitFor();
    assert.deepEqual(await texts(page), ["one", "two"]);
    assert.equal(await shownMessage(page, "Message deleted").getByRole("button").count(), 0);
  }
  // A cancelled deletion is none.
  await choose(ann, "two", "Delete");
  await ann.getByRole("button", { name: "Cancel" }).click();
  await ann.getByRole("dialog").waitFor({ state: "hidden" });
  assert.deepEqual(await texts(ann), ["one", "two"]);
});

test("a reply shows what it answers", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "milk?");
  for (let number = 2; number <= 60; number += 1) await add(ids[0], `message ${number}`);
  const bob = await enter("bob");
  await open(bob, "tea");
  await choose(bob, "message 60", "Reply");
  await bob.getByText("ann: message 60").last().waitFor();
  await bob.getByLabel("Your reply").fill("yes");
  await bob.keyboard.press("Enter");
  await shownMessage(bob, "yes").locator("blockquote", { hasText: "ann: message 60" }).waitFor();
  const replied = (await server.post("messages/get", { chat, limit: 1 }))[0];
  assert.deepEqual([replied.seq, replied.reply_to], [61, 60]);
  // What it answers may be far above.
  await add(ids[1], "no, thanks", { reply_to: 1 });
  const quote = shownMessage(bob, "no, thanks").locator("blockquote");
  await quote.filter({ hasText: "ann: milk?" }).waitFor();
  assert.equal((await texts(bob)).length, 52);
  await bob.reload();
  await open(bob, "tea");
  await quote.filter({ hasText: "ann: milk?" }).waitFor();
  // And it is shown as it is now.
  await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "sugar?" });
  await quote.filter({ hasText: "ann: sugar?" }).waitFor();
  await server.post("messages/delete", { chat, seq: 1, user: ids[0] });
  await quote.filter({ hasText: "ann: Message deleted" }).waitFor();
});

test("reactions are counted, and one's own are marked", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "tea?");
  const [ann, bob] = [await enter("ann"), await enter("bob")];
  const reactions = async (page) => {
    const of = shownMessage(page, "tea?").getByRole("group", { name: "Reactions" }).getByRole("button");
    const state = (buttons) => buttons.map((each) => `${each.innerText.trim()} ${each.ariaPressed}`);
    return (await of.evaluateAll(state)).join(", ");
  };
  const both = (anns, bobs) =>
    until(async () => (await reactions(ann)) === anns && (await reactions(bob)) === bobs, `${anns} and ${bobs}`);
  for (const page of [ann, bob]) await open(page, "tea");
  await more(bob, "tea?");
  await bob.getByRole("dialog").getByRole("button", { name: "👍" }).click();
  await both("👍 1 false", "👍 1 true");
  // A click on what is there adds to it.
  await shownMessage(ann, "tea?").getByRole("button", { name: "👍" }).click();
  await server.post("messages/reactions/add", { chat, seq: 1, user: ids[0], emoji: "+1" });
  await both("👍 2 true, +1 1 true", "👍 2 true, +1 1 false");
  // And on one's own takes it back.
  await shownMessage(bob, "tea?").getByRole("button", { name: "👍" }).click();
  await both("👍 1 true, +1 1 true", "👍 1 false, +1 1 false");
  await ann.reload();
  await open(ann, "tea");
  await both("👍 1 true, +1 1 true", "👍 1 false, +1 1 false");
  await more(ann, "tea?");
  await ann.getByRole("dialog").getByRole("button", { name: "👍", pressed: true }).click();
  await server.post("messages/reactions/remove", { chat, seq: 1, user: ids[0], emoji: "+1" });
  await both("", "");
  // A refusal has a reason.
  for (let number = 0; number < 20; number += 1) {
    await server.post("messages/reactions/add", { chat, seq: 1, user: ids[0], emoji: `${number}` });
  }
  await more(ann, "tea?");
  await ann.getByRole("dialog").getByRole("button", { name: "🎉" }).click();
  await ann.getByRole("alert").filter({ hasText: "20" }).waitFor();
});

test("a chat without a name has those of its members", async () => {
  const [annsId, bobsId, cysId] = await addUsers("ann", "bob", "cy");
  const [ann, bob] = [await enter("ann"), await enter("bob")];
  const names = (page) => page.locator(".listed .name").allTextContents();
  const listed = (page, expected) => until(async () => String(await names(page)) === expected, expected);
  const create = async () => {
    await ann.getByRole("button", { name: "New chat" }).click();
    await ann.getByLabel("Other members").fill("bob");
    await ann.getByRole("button", { name: "Create chat" }).click();
    await ann.getByRole("dialog").waitFor({ state: "hidden" });
  };
  await create();
  await ann.getByRole("heading", { name: "bob", level: 2 }).waitFor();
  await listed(bob, "ann");
  assert.equal((await server.post("chats/get", { user: annsId }))[0].direct, true);
  // Nobody can be added, and there is only one.
  assert.equal(await ann.getByRole("button", { name: "Add", exact: true }).count(), 0);
  await create();
  await listed(ann, "bob");
  const { id: many } = await server.post("chats/add", { users: [annsId, bobsId, cysId] });
  await server.post("chats/add", { users: [annsId] });
  await listed(ann, "Just you,bob, cy,bob");
  await listed(bob, "ann, cy,ann");
  // Names change.
  await server.post("users/edit", { user: bobsId, username: "bert" });
  await listed(ann, "Just you,bert, cy,bert");
  await ann.getByRole("heading", { name: "bert", level: 2 }).waitFor();
  await server.post("chats/edit", { chat: many, name: "tea" });
  await listed(ann, "Just you,tea,bert");
  await listed(bob, "tea,ann");
  // A renamed user is the same after a reload.
  await bob.getByRole("heading", { name: "bert", level: 1 }).waitFor();
  await bob.reload();
  await listed(bob, "tea,ann");
});

test("after a time offline the page shows what is now", async () => {
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
  await bob.route("**/events?*", (route) => route.abort());
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
  await bob.unroute("**/events?*");
  await shown(bob, "six");
  await bob.getByRole("heading", { name: "coffee", level: 2 }).waitFor();
  await bob.locator(".unread").waitFor({ state: "detached" });
  assert.deepEqual(await texts(bob), ["uno", "due", "four", "five", "six"]);
  const live = await picture(bob);
  assert.ok(live.some((text) => text.includes("anna: Message deleted")), String(live));
  await bob.reload();
  await open(bob, "coffee");
  await shown(bob, "six");
  assert.deepEqual(await picture(bob), live);
});

test("an answer that an event has overtaken is not shown", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "secret");
  const bob = await enter("bob");
  await bob.locator(".listed", { hasText: "ann: secret" }).waitFor();
  let isLate = false;
  await bob.route("**/messages/get", async (route) => {
    const response = await route.fetch();
    if (!isLate) {
      isLate = true;
      await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "public" });
      await bob.locator(".listed", { hasText: "ann: public" }).waitFor();
    }
    await route.fulfill({ response });
  });
  await open(bob, "tea");
  await shown(bob, "public");
  assert.deepEqual(await texts(bob), ["public"]);
});

test("what is deleted stays so", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "secret");
  const [message] = await server.post("messages/get", { chat });
  await server.post("messages/delete", { chat, seq: 1, user: ids[0] });
  const { position } = await (await fetch(`${server.url}health`)).json();
  // A stream with an edit that was on its way when the page loaded the chats.
  const event = (kind, data) => `event: ${kind}\ndata: ${JSON.stringify(data)}\nid: ${position}\n\n`;
  const body = event("message_edited", message) + event("user_edited", { id: ids[0], username: "anna" });
  const context = await browser.newContext();
  const late = (route) => route.fulfill({ contentType: "text/event-stream", body });
  await context.route("**/events?*", late, { times: 1 });
  const bob = await enterIn(context, "bob");
  await bob.locator(".listed", { hasText: "anna: Message deleted" }).waitFor();
});

test("a member who returns sees what has changed meanwhile", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "before");
  const bob = await enter("bob");
  await open(bob, "tea");
  await shown(bob, "before");
  await server.post("chats/users/remove", { chat, user: ids[1] });
  await bob.getByText("You are not in a chat yet").waitFor();
  await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "after" });
  await server.post("chats/users/add", { chat, user: ids[1] });
  await open(bob, "tea");
  await shown(bob, "after");
  assert.deepEqual(await texts(bob), ["after"]);
});

test("messages are changed on a phone, by keyboard alone", async () => {
  const ann = await enter("ann", { viewport: PHONE });
  await makeChat(ann, "tea", "");
  await say(ann, "one");
  await say(ann, "two");
  await shown(ann, "two");
  const focused = () => ann.evaluate(() => document.activeElement.textContent.trim());
  const press = async (...keys) => {
    for (const key of keys) await ann.keyboard.press(key);
  };
  // The last message comes right before the next one.
  await ann.getByLabel("Your message").focus();
  await press("Shift+Tab");
  assert.equal(await focused(), "⋯");
  await press("Enter");
  const dialog = ann.getByRole("dialog", { name: "Message" });
  await dialog.waitFor();
  assert.ok(await dialog.evaluate((dialog) => dialog.scrollWidth <= dialog.clientWidth), "all fits");
  for (let presses = 0; (await focused()) !== "Edit"; presses += 1) {
    assert.ok(presses < 20, "an edit cannot be reached");
    await press("Tab");
  }
  await press("Enter");
  await ann.getByLabel("Text").waitFor();
  await ann.keyboard.type(" and more");
  await press("Enter");
  await shown(ann, "two and more");
  await ann.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal(await focused(), "⋯");
  await press("Enter", "Escape");
  await ann.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal(await focused(), "⋯");
  await ann.getByRole("heading", { name: "tea", level: 2 }).waitFor();
});

test("text has contrast in light and dark mode", async () => {
  const page = await enter("ann");
  const brightness = () =>
    page.evaluate(() => {
      const { color, backgroundColor } = getComputedStyle(document.body);
      const of = (colour) => {
        const context = new OffscreenCanvas(1, 1).getContext("2d");
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
        return (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
      };
      return { text: of(color), ground: of(backgroundColor) };
    });
  await page.emulateMedia({ colorScheme: "light" });
  const light = await brightness();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await brightness();
  assert.ok(light.ground - light.text > 0.6, JSON.stringify(light));
  assert.ok(dark.text - dark.ground > 0.6, JSON.stringify(dark));
});

test("user input is never HTML", async () => {
  const hostile = [
    `<img src=x onerror="alert('img')">`,
    `<script>alert("script")</script>`,
    `"><svg onload=alert(1)>`,
    `\${alert(1)} {{alert(1)}} <!-- ?lit$ -->`,
    `javascript:alert(1)`,
    `&lt;b&gt; &amp; <b>bold</b>`,
    `line one\n  line two`,
    "\u202Eright to left\u202C e\u0301 👩‍👩‍👧‍👦",
  ];
  const name = `<b onmouseover=alert(1)>ann</b>`;
  const ann = await enter(name);
  await makeChat(ann, `<i>tea</i>`, "");
  for (const text of hostile) {
    await ann.getByLabel("Your message").fill(text);
    await ann.getByRole("button", { name: "Send" }).click();
  }
  await shown(ann, "right to left");
  assert.deepEqual(await texts(ann), hostile);
  const { id: user } = await server.post("users/get", { username: name });
  const [{ id: chat }] = await server.post("chats/get", { user });
  for (const seq of [1, 2]) {
    await server.post("messages/reactions/add", { chat, seq, user, emoji: hostile[seq] });
    await server.post("messages/add", { chat, author: user, text: `reply ${seq}`, reply_to: seq });
    hostile.push(`reply ${seq}`);
  }
  await shownMessage(ann, "reply 2").locator("blockquote", { hasText: hostile[1] }).waitFor();
  await ann.getByRole("button", { name: hostile[1] }).waitFor();
  await more(ann, hostile[0]);
  await ann.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(await ann.locator(".chat h1").textContent(), name);
  assert.equal(await ann.locator(".chat img, .chat svg, .chat b, .chat i, .chat script").count(), 0);
  await ann.reload();
  await open(ann, "tea");
  await shown(ann, "right to left");
  assert.deepEqual(await texts(ann), hostile);
});

test("a thousand messages load while scrolling back", async () => {
  const { id: user } = await server.post("users/add", { username: "ann" });
  const { id: chat } = await server.post("chats/add", { name: "tea", users: [user] });
  const all = Array.from({ length: 1000 }, (_, index) => `message ${index + 1}`);
  await server.post("messages/batch", { messages: all.map((text) => ({ chat, author: user, text })) });
  const ann = await enter("ann");
  await open(ann, "tea");
  await shown(ann, "message 1000");
  assert.equal((await texts(ann)).length, 50);
  const list = ann.locator(".messages");
  await until(async () => {
    const length = (await texts(ann)).length;
    await list.evaluate((messages) => messages.scrollTo(0, 0));
    return length === 1000;
  }, "all were loaded");
  assert.deepEqual(await texts(ann), all);
  // A new message does not move the reader's view.
  await list.evaluate((messages) => messages.scrollTo(0, 200));
  await server.post("messages/add", { chat, author: user, text: "the newest" });
  await shown(ann, "the newest");
  assert.equal(await list.evaluate((messages) => messages.scrollTop), 200);
});

test("the page works on a phone, by keyboard alone", async () => {
  await server.post("users/add", { username: "bob" });
  const ann = await enter("ann", { viewport: PHONE, colorScheme: "dark" });
  const press = async (...keys) => {
    for (const key of keys) await ann.keyboard.press(key);
  };
  const type = (text) => ann.keyboard.type(text);
  const focus = async (name) => {
    const focused = () => ann.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.ariaLabel);
    for (let presses = 0; !(await focused())?.startsWith(name); presses++) {
      assert.ok(presses < 20, `${name} cannot be reached`);
      await press("Tab");
    }
  };
  await focus("New chat");
  await press("Enter");
  await ann.getByLabel("Chat name").waitFor();
  await type("tea");
  await press("Tab");
  await type("bob");
  await press("Enter");
  await ann.getByRole("heading", { name: "tea", level: 2 }).waitFor();
  assert.ok(await ann.locator("nav").isHidden());
  await focus("Your message");
  await type("hello");
  await press("Shift+Enter");
  await type("again");
  await press("Enter");
  await shown(ann, "again");
  assert.deepEqual(await texts(ann), ["hello\nagain"]);
  await press("Escape");
  await ann.locator("nav").waitFor();
  await focus("tea");
  await press("Enter");
  await shown(ann, "again");
  const width = await ann.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `${width} pixels wide`);
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

test("an erased user has no name and no messages", async () => {
  const [ann, bob] = await addUsers("erika", "erased bob");
  const { id: chat } = await server.post("chats/add", { name: "Erasure", users: [ann, bob] });
  await server.post("messages/add", { chat, author: bob, text: "what he said" });
  const [hers, his] = [await enter("erika"), await enter("erased bob")];
  await open(hers, "Erasure");
  await shown(hers, "what he said");
  await server.post("users/erase", { user: bob, messages: "erase" });
  await hers.getByText("what he said").waitFor({ state: "detached" });
  await open(hers, "Erasure");
  await hers.getByText("erased user").first().waitFor();
  // His page asks who he is.
  await his.getByLabel("Your username").waitFor();
  await hers.close();
  await his.close();
});

test("screenshots", async () => {
  const names = ["ann", "bob", "cy"];
  const users = await addUsers(...names);
  const person = (name) => users[names.indexOf(name)];
  const adding = (chat) => (author, text) => server.post("messages/add", { chat, author: person(author), text });
  const { id: direct } = await server.post("chats/direct", { users: [person("ann"), person("bob")] });
  await adding(direct)("bob", "Did you hear?");
  for (const name of ["Lunch", "Release 1.0", "Tea"]) {
    const { id: chat } = await server.post("chats/add", { name, users });
    const add = adding(chat);
    await add("bob", "Is anybody there?");
    await add("ann", "Always. What is it?");
    if (name !== "Tea") {
      await add("cy", "Later, I have to run.");
      continue;
    }
    await add("bob", "Coffee?");
    await server.post("messages/delete", { chat, seq: 3, user: person("bob") });
    await add("cy", "The kettle is on. Who wants a cup?");
    const text = "The kettle is on. Who wants a cup? ☕";
    await server.post("messages/edit", { chat, seq: 4, user: person("cy"), text });
    for (const [user, emoji] of [["bob", "🎉"], ["ann", "🎉"], ["bob", "👍"]]) {
      await server.post("messages/reactions/add", { chat, seq: 4, user: person(user), emoji });
    }
  }
  for (const [file, options] of [
    ["light", { viewport: { width: 960, height: 560 }, colorScheme: "light" }],
    ["phone", { viewport: PHONE, colorScheme: "dark", deviceScaleFactor: 2 }],
  ]) {
    const ann = await enter("ann", options);
    await open(ann, "Tea");
    await shown(ann, "kettle");
    if (file === "light") {
      await choose(ann, "kettle", "Reply");
      await ann.getByLabel("Your reply").fill("Me, please!");
      await ann.keyboard.press("Enter");
      await ann.getByRole("dialog").waitFor({ state: "hidden" });
    }
    await shown(ann, "Me, please!");
    await ann.locator("[aria-current=true] .unread").waitFor({ state: "detached" });
    await ann.getByLabel("Your message").focus();
    await ann.screenshot({ path: join(SCREENSHOTS, `${file}.png`) });
    await more(ann, "Me, please!");
    await ann.screenshot({ path: join(SCREENSHOTS, `${file}-more.png`) });
  }
});
