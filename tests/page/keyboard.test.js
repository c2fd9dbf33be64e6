// The page by keyboard alone, on wide and narrow screens.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  PHONE, addChat, addTea, addUsers, enter, focusIs, heading, listed, makeChat, open, say, serveEach, server, shown,
  shownMessage, texts, until,
} from "./pages.js";

serveEach();

/** Returns what the focusedLabel element is called. */
const focusedLabel = (page) =>
  page.evaluate(() => {
    const { ariaLabel, textContent } = document.activeElement;
    return (ariaLabel ?? textContent).trim();
  });

const press = async (page, ...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};

/** Presses Tab until what has this name has the focus. */
async function reach(page, name) {
  for (let presses = 0; !(await focusedLabel(page)).startsWith(name); presses += 1) {
    assert.ok(presses < 20, `${name} cannot be reached`);
    await press(page, "Tab");
  }
}

async function assertFits(page) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `${width} pixels wide`);
}

test("the keyboard leads between chats", async () => {
  const [ann] = await addUsers("ann");
  for (const name of ["third", "second", "first"]) await addChat(name, ann);
  const page = await enter("ann");
  await open(page, "second");
  await focusIs(page, "Your message");
  await page.keyboard.press("Control+k");
  await focusIs(page, "Find a chat");
  const down = ["first", "second", "third", "third"].map((name) => ["Down", name]);
  const up = ["second", "first", "Find a chat"].map((name) => ["Up", name]);
  for (const [way, name] of [...down, ...up, down[0]]) {
    await page.keyboard.press(`Arrow${way}`);
    await focusIs(page, name);
  }
  await page.keyboard.press("Enter");
  await heading(page, "first").waitFor();
  await focusIs(page, "Your message");
  await page.keyboard.press("Escape");
  await heading(page, "first").waitFor({ state: "detached" });
  await focusIs(page, "first");
  // A dialog gives the focus back.
  await page.keyboard.press("Enter");
  await focusIs(page, "Your message");
  await page.getByRole("button", { name: "Members" }).press("Enter");
  await page.getByRole("dialog", { name: "Members" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await focusIs(page, "BUTTON");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Members");
  await heading(page, "first").waitFor();
});

test("Enter opens the first chat found", async () => {
  const { ids } = await addTea("ann", "bob");
  await addChat("lunch", ...ids);
  const page = await enter("ann");
  await listed(page, "lunch").waitFor();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("te");
  await listed(page, "lunch").waitFor({ state: "detached" });
  await page.keyboard.press("Enter");
  await heading(page, "tea").waitFor();
  await listed(page, "lunch").waitFor();
});

test("Esc and Ctrl+K lead back on a narrow page", async () => {
  const [ann] = await addUsers("ann");
  for (const name of ["second", "first"]) await addChat(name, ann);
  const page = await enter("ann", { viewport: PHONE });
  for (const [key, place] of [["Escape", "second"], ["Control+k", "Find a chat"]]) {
    await open(page, "second");
    await focusIs(page, "Your message");
    await page.keyboard.press(key);
    await page.locator("nav").waitFor();
    await focusIs(page, place);
  }
});

test("the page works on phones, by keyboard alone", async () => {
  await server.post("users/add", { username: "bob" });
  const ann = await enter("ann", { viewport: PHONE, colorScheme: "dark" });
  const type = (text) => ann.keyboard.type(text);
  await reach(ann, "New chat");
  await press(ann, "Enter");
  await ann.getByLabel("Find people").waitFor();
  await type("bob");
  await press(ann, "Enter");
  await ann.getByRole("list", { name: "Chosen" }).getByText("bob", { exact: true }).waitFor();
  await press(ann, "Tab");
  await type("tea");
  await press(ann, "Enter");
  await ann.getByRole("heading", { name: "tea", level: 2 }).waitFor();
  await ann.getByRole("dialog").waitFor({ state: "hidden" });
  assert.ok(await ann.locator("nav").isHidden());
  await reach(ann, "Your message");
  await type("hello");
  await press(ann, "Shift+Enter");
  await type("again");
  await press(ann, "Enter");
  await shown(ann, "again");
  assert.deepEqual(await texts(ann), ["hello\nagain"]);
  await assertFits(ann);
  await press(ann, "Escape");
  await ann.locator("nav").waitFor();
  await reach(ann, "tea");
  await press(ann, "Enter");
  await shown(ann, "again");
  await assertFits(ann);
});

test("messages change on phones, by keyboard alone", async () => {
  const ann = await enter("ann", { viewport: PHONE });
  await makeChat(ann, "tea");
  await say(ann, "one");
  await say(ann, "two");
  await shown(ann, "two");
  await ann.locator(".waiting").waitFor({ state: "detached" });
  // The last message comes right before the next one.
  const goToLast = async () => {
    await press(ann, "Shift+Tab");
    assert.equal(await focusedLabel(ann), "More");
    const last = shownMessage(ann, "two");
    assert.ok(await last.evaluate((message) => message.contains(document.activeElement)), "it is the last message");
  };
  await ann.getByLabel("Your message").focus();
  await goToLast();
  assert.equal(await ann.locator(".more:focus").evaluate((button) => getComputedStyle(button).opacity), "1");
  await press(ann, "Enter");
  const dialog = ann.getByRole("dialog", { name: "Message" });
  await dialog.waitFor();
  assert.ok(await dialog.evaluate((dialog) => dialog.scrollWidth <= dialog.clientWidth), "all fits");
  await reach(ann, "Edit");
  await press(ann, "Enter");
  await ann.locator(".write").getByText("Editing").waitFor();
  await dialog.waitFor({ state: "hidden" });
  await until(async () => (await focusedLabel(ann)) === "Your message", "the text has the focus");
  await assertFits(ann);
  await ann.keyboard.type(" and more");
  await press(ann, "Enter");
  await shown(ann, "two and more");
  assert.deepEqual(await texts(ann), ["one", "two and more"]);
  assert.equal(await focusedLabel(ann), "Your message");
  await goToLast();
  await press(ann, "Enter");
  await dialog.waitFor();
  await press(ann, "Escape");
  await ann.getByRole("dialog").waitFor({ state: "hidden" });
  await until(async () => (await focusedLabel(ann)) === "More", "the focus is where it was");
  await ann.getByRole("heading", { name: "tea", level: 2 }).waitFor();
});
