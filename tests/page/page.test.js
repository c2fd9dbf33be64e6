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
  await open(bob, "first");
  await bob.locator(".unread").waitFor({ state: "detached" });
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

test("screenshots", async () => {
  const people = {};
  for (const username of ["ann", "bob", "cy"]) people[username] = (await server.post("users/add", { username })).id;
  const users = Object.values(people);
  for (const name of ["Lunch", "Release 1.0", "Tea"]) {
    const { id: chat } = await server.post("chats/add", { name, users });
    const add = (author, text) => server.post("messages/add", { chat, author: people[author], text });
    await add("bob", "Is anybody there?");
    await add("ann", "Always. What is it?");
    await add("cy", name === "Tea" ? "The kettle is on. Who wants a cup? ☕" : "Later, I have to run.");
  }
  for (const [file, options] of [
    ["light", { viewport: { width: 960, height: 560 }, colorScheme: "light" }],
    ["phone", { viewport: PHONE, colorScheme: "dark", deviceScaleFactor: 2 }],
  ]) {
    const ann = await enter("ann", options);
    await open(ann, "Tea");
    await shown(ann, "kettle");
    if (file === "light") await say(ann, "Me, please!");
    await shown(ann, "Me, please!");
    await ann.screenshot({ path: join(SCREENSHOTS, `${file}.png`) });
  }
});
