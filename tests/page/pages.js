// A user's steps on the page, such as signing in, opening a chat and writing, for the tests.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach } from "node:test";
import { launch } from "./browser.js";
import { Network } from "./network.js";
import { Server } from "./server.js";

export const PHONE = { width: 360, height: 640 };
export const TOUCH = { viewport: PHONE, hasTouch: true, isMobile: true };

export let browser;
export let server;
/** What is between the browsers and the server. */
export let network;
/** Errors of all pages. */
let complaints;

/** Gives each test of a file a new server, and all of them one browser. */
export function serveEach() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());
  beforeEach(async () => {
    server = await Server.start();
    network = await Network.start(server.port);
    complaints = [];
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    await network.stop();
    await server.stop();
    assert.deepEqual(complaints, []);
  });
}

/** Returns a page in a new browser context, signed in under this name. */
export async function enter(name, options = {}) {
  return enterIn(await browser.newContext(options), name);
}

/** Returns a new tab, signed in under this name. */
export async function enterIn(context, name, path = "") {
  const page = await newTab(context, path);
  await page.getByLabel("Your username").fill(name);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "New chat" }).waitFor();
  return page;
}

export async function newTab(context, path = "") {
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
  page.on("console", (message) => {
    if (/Content.Security.Policy|TrustedHTML|TrustedScript/i.test(message.text())) complaints.push(message.text());
  });
  await page.goto(network.url + path);
  return page;
}

export async function makeChat(page, name, ...people) {
  await page.getByRole("button", { name: "New chat" }).click();
  for (const person of people) {
    await page.getByLabel("Find people").fill(person);
    await page.keyboard.press("Enter");
    await page.getByRole("list", { name: "Chosen" }).getByText(person, { exact: true }).waitFor();
  }
  await page.getByLabel("Chat name").fill(name);
  await page.getByRole("button", { name: "Create chat" }).click();
  // As long as the dialog is open, what is typed goes to it.
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  if (name) await page.getByRole("heading", { name, level: 2 }).waitFor();
}

export async function open(page, name) {
  await page.locator(".listed", { hasText: name }).first().click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
}

export async function say(page, text) {
  await page.getByLabel("Your message").fill(text);
  await page.keyboard.press("Enter");
}

/** Returns the texts of the messages that the page holds and the server has. */
export const texts = (page) => page.locator(".message:not(.waiting) .text").allTextContents();

export const shown = (page, text) => page.locator(".message:not(.waiting) .text", { hasText: text }).last().waitFor();

export const shownMessage = (page, text) => page.locator(".message:not(.waiting)", { hasText: text }).last();

/** Opens the dialog of the last message with this text. */
export async function more(page, text) {
  await shownMessage(page, text).hover();
  await shownMessage(page, text).getByRole("button", { name: "More" }).click();
  await page.getByRole("dialog", { name: "Message" }).waitFor();
}

export async function choose(page, text, choice) {
  await more(page, text);
  await page.getByRole("dialog").getByRole("button", { name: choice, exact: true }).click();
}

/** Returns the pages of ann and bob, on which a chat is open that she has made. */
export async function enterTea() {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  await open(bob, "tea");
  return { ann, bob };
}

/** Adds users of these names, and returns their ids. */
export async function addUsers(...names) {
  const ids = [];
  for (const username of names) ids.push((await server.post("users/add", { username })).id);
  return ids;
}

/** Adds users of these names, and a chat of them. */
export async function addTea(...names) {
  const ids = await addUsers(...names);
  const { id: chat } = await server.post("chats/add", { name: "tea", users: ids });
  const add = (author, text, more) => server.post("messages/add", { chat, author, text, ...more });
  return { ids, chat, add };
}

/** Adds messages with these texts to a chat. */
export async function addAll(chat, author, texts) {
  for (let from = 0; from < texts.length; from += 1000) {
    const messages = texts.slice(from, from + 1000).map((text) => ({ chat, author, text }));
    await server.post("messages/batch", { messages });
  }
}

/** Returns the line that sums up another's message. Its name is isolated, since it may be of another direction. */
export const by = (name, text) => `\u2068${name}\u2069: ${text}`;

/** Returns what a page shows, of the chats and of the open one. */
export const picture = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll(".listed, .chat main h2, .members, .message")].map((each) => each.innerText));

/** Waits until `check` holds. */
export async function until(check, what) {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`not in time: ${what}`);
}

/** Returns texts of some lines each, so that few messages fill the view. */
export const numbered = (from, to) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)
    .map((number) => `message ${number}${"\nand more".repeat(number % 3)}`);

/** Waits until what has this label has the focus. */
export async function focusIs(page, name) {
  const focused = () => {
    const { activeElement: element } = document;
    return element.ariaLabel ?? element.querySelector(".name")?.textContent ?? element.tagName;
  };
  await until(async () => (await page.evaluate(focused)) === name, `the focus is on ${name}`);
}

export const composer = (page) => page.getByLabel("Your message");

export const listed = (page, name) => page.locator(".listed", { hasText: name });

export const list = (page) => page.locator(".messages");

export const newest = (page) => page.getByRole("button", { name: "Newest messages" });

export const notice = (page, text) => page.getByRole("status").getByText(text).waitFor();

export const heading = (page, name) => page.getByRole("heading", { name, level: 2 });

/** Adds a chat of these users. */
export const addChat = async (name, ...users) => (await server.post("chats/add", { name, users })).id;

export const addTo = (chat, author, text, more) => server.post("messages/add", { chat, author, text, ...more });

/** Returns the read marks that the page has set. */
export const marks = () => network.bodies("/chats/read").map(({ seq }) => seq);

/** Returns what is in view: each message with its distance from the top, and whether all of it is in view. */
export const inView = (page) =>
  list(page).evaluate((list) => {
    const frame = list.getBoundingClientRect();
    return [...list.querySelectorAll("[data-seq]")]
      .map((each) => ({ seq: Number(each.dataset.seq), box: each.getBoundingClientRect() }))
      .filter(({ box }) => box.bottom > frame.top && box.top < frame.bottom)
      .map(({ seq, box }) => ({
        seq, top: Math.round(box.top - frame.top), isWhole: box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1,
      }));
  });

/** Waits until the view has not moved for some frames, and returns what is in it. */
export async function restingView(page) {
  let before;
  let view = await inView(page);
  for (let still = 0; still < 3; still = JSON.stringify(view) === JSON.stringify(before) ? still + 1 : 0) {
    before = view;
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    view = await inView(page);
  }
  return view;
}

export const isAtEnd = (page) =>
  list(page).evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight < 2);
