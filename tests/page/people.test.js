// People: members, names, readers, and the user's own settings.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addChat, addTea, addTo, addUsers, browser, by, enter, enterIn, heading, list, listed, makeChat, more, network,
  newTab, notice, open, say, serveEach, server, shown, shownMessage, until,
} from "./pages.js";

serveEach();

test("a removed member is told so", async () => {
  const { ids: [ann, bob], chat } = await addTea("ann", "bob");
  const page = await enter("ann");
  await open(page, "tea");
  await server.post("chats/users/remove", { chat, user: ann });
  await notice(page, "You are no longer a member of “tea”.");
  await page.getByText("Select a chat, or create one.").waitFor();
  assert.equal(await listed(page, "tea").count(), 0);
  // Elsewhere than in the open chat, nothing else changes.
  await addTo(chat, bob, "without her");
  await server.post("chats/users/add", { chat, user: ann });
  await open(page, "tea");
  await shown(page, "without her");
});

test("leaving a chat is asked first", async () => {
  const { ids: [ann, bob], chat } = await addTea("ann", "bob");
  const page = await enter("ann");
  await open(page, "tea");
  const members = async () => (await server.post("chats/show", { chat })).users;
  for (const answer of ["Cancel", "Leave chat"]) {
    await page.getByRole("button", { name: "Members" }).click();
    await page.getByRole("dialog", { name: "Members" }).getByRole("button", { name: "Leave chat" }).click();
    const dialog = page.getByRole("dialog", { name: "Leave “tea”?" });
    await dialog.getByText("Leave “tea”?").waitFor();
    assert.deepEqual((await members()).sort(), [ann, bob].sort());
    await dialog.getByRole("button", { name: answer }).click();
    await dialog.waitFor({ state: "hidden" });
  }
  await listed(page, "tea").waitFor({ state: "detached" });
  assert.deepEqual(await members(), [bob]);
});

test("one signs out in the settings", async () => {
  const page = await enter("ann");
  await page.getByRole("button", { name: "Settings of ann" }).click();
  await page.getByRole("dialog", { name: "Settings" }).getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Your username").waitFor();
  assert.equal(await page.getByLabel("Your username").inputValue(), "");
  await page.reload();
  await page.getByLabel("Your username").waitFor();
});

test("people with commas in their names are found", async () => {
  const [jane] = await addUsers("Doe, Jane", "Doe, John");
  const page = await enter("ann");
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByLabel("Find people").fill("Doe");
  const matches = page.getByRole("list", { name: "Matches" });
  await matches.getByText("Doe, John").waitFor();
  await matches.getByText("Doe, Jane").click();
  await page.getByRole("list", { name: "Chosen" }).getByText("Doe, Jane").waitFor();
  await page.getByLabel("Chat name").fill("tea");
  await page.getByRole("button", { name: "Create chat" }).click();
  await heading(page, "tea").waitFor();
  const { id: ann } = await server.post("users/get", { username: "ann" });
  const [{ users }] = await server.post("chats/get", { user: ann });
  assert.deepEqual(users.sort(), [ann, jane].sort());
  // And typed in full, by the keyboard alone.
  await makeChat(page, "more tea", "Doe, John");
  await page.getByText("2 members").waitFor();
});

test("a chat of nobody is not made", async () => {
  const page = await enter("ann");
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByRole("button", { name: "Create chat" }).click();
  await page.getByRole("alert").getByText("Choose people, or give the chat a name.").waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("You are not in a chat yet.").waitFor();
});

test("names that mislead are marked", async () => {
  const { ids, chat } = await addTea("me", "ann", "аnn", "e\u202Evil", "bob");
  for (const author of ids) await addTo(chat, author, `from ${ids.indexOf(author)}`);
  const page = await enter("me");
  await open(page, "tea");
  const author = (number) => shownMessage(page, `from ${number}`).locator(".author");
  for (const number of [1, 2]) {
    await author(number).getByRole("img", { name: "Another person has a name that looks like this one." }).waitFor();
  }
  await author(3).getByRole("img", { name: "This name contains characters that cannot be seen." }).waitFor();
  assert.equal(await author(3).locator(".name").textContent(), "e⟨202E⟩vil");
  assert.equal(await author(4).locator(".caution").count(), 0);
  await page.getByRole("button", { name: "Members" }).click();
  const members = page.locator(".members-list li");
  await members.nth(4).waitFor();
  const marked = async () => members.evaluateAll((all) => all.map((each) => each.querySelectorAll(".caution").length));
  assert.deepEqual(await marked(), [0, 1, 1, 1, 0]);
});

test("capitals and reserved words mislead no more", async () => {
  const names = ["me", "BOB", "ВОВ", "hannah", "НANNAH", "bo\u034Fb", "You", "plain"];
  const { ids, chat } = await addTea(...names);
  for (const author of ids) await addTo(chat, author, `from ${ids.indexOf(author)}`);
  const page = await enter("me");
  await open(page, "tea");
  await shown(page, "from 7");
  const marked = await page.locator(".message:not(.own)").evaluateAll((all) =>
    all.map((each) => each.querySelectorAll(".caution").length));
  assert.deepEqual(marked, [1, 1, 1, 1, 1, 1, 0]);
});

test("a renamed user is still signed in", async () => {
  const [ann] = await addUsers("ann");
  const page = await enter("ann");
  network.cut();
  await server.post("users/edit", { user: ann, username: "anna" });
  await addUsers("ann");
  network.resume();
  await page.reload();
  await page.getByRole("button", { name: "Settings of anna" }).waitFor();
});

test("one sees who has reacted", async () => {
  const { ids, chat, add } = await addTea("ann", "bob", "cy");
  await add(ids[0], "tea?");
  for (const user of ids.slice(1)) await server.post("messages/reactions/add", { chat, seq: 1, user, emoji: "🎉" });
  const page = await enter("ann");
  await open(page, "tea");
  await more(page, "tea?");
  await page.getByRole("dialog").getByText("🎉 bob, cy").waitFor();
});

test("a hidden page notifies of messages, once", async () => {
  const { ids: [, bob], add } = await addTea("ann", "bob");
  const context = await browser.newContext();
  await context.addInitScript(() => {
    window.notified = [];
    window.Notification = class {
      static requestPermission = async () => "granted";
      constructor(title, { body, tag }) {
        window.notified.push([title, body, tag]);
      }
      close() {}
    };
  });
  const [page, other] = [await enterIn(context, "ann"), await enterIn(context, "ann")];
  await page.getByRole("button", { name: "Settings of ann" }).click();
  await page.getByLabel("Notify me").check();
  await page.keyboard.press("Escape");
  const notified = (tab) => tab.evaluate(() => window.notified.map(([title, body]) => `${title} ${body}`));
  // The page shows that it can.
  assert.equal((await notified(page)).length, 1);
  const hide = (tab) =>
    tab.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
  await hide(page);
  await add(bob, "while one tab is visible");
  await listed(other, "while one tab is visible").waitFor();
  await hide(other);
  await add(bob, "while none is");
  await until(async () => (await notified(page)).length === 2, "a notification");
  assert.equal((await notified(page))[1], `tea ${by("bob", "while none is")}`);
  // Both have the same tag, and the browser shows one of them.
  await until(async () => (await notified(other)).length === 1, "the same notification");
  const tags = await Promise.all([page, other].map((tab) => tab.evaluate(() => window.notified.at(-1)[2])));
  assert.equal(tags[0], tags[1]);
});

test("errors are told in people's words", async () => {
  const { ids: [ann] } = await addTea("ann", "bob");
  await addChat("coffee", ann);
  const page = await enter("ann");
  await open(page, "tea");
  await page.getByRole("button", { name: "Members" }).click();
  await page.getByRole("button", { name: "Rename" }).click();
  const dialog = page.getByRole("dialog", { name: "Rename" });
  const refused = async (name, words) => {
    await dialog.getByLabel("Name").fill(name);
    await dialog.getByRole("button", { name: "Rename" }).click();
    await dialog.getByRole("alert").getByText(words, { exact: true }).waitFor();
  };
  await refused("coffee", "Another chat has this name already.");
  await refused("x".repeat(129), "A chat's name has 1 to 128 characters, without spaces at its ends.");
  await dialog.getByLabel("Name").fill("green tea");
  await page.keyboard.press("Enter");
  await heading(page, "green tea").waitFor();
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByLabel("Find people").fill("nobody");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("Nobody is named “nobody”.", { exact: true }).waitFor();
});

test("names are asked for together", async () => {
  const names = Array.from({ length: 300 }, (_, number) => `user ${number}`);
  const ids = await addUsers("ann", ...names);
  const chat = await addChat("crowd", ...ids);
  const messages = ids.map((author, number) => ({ chat, author, text: `from ${number}` }));
  await server.post("messages/batch", { messages });
  const page = await enter("ann");
  await listed(page, "crowd").getByText("user 299").waitFor();
  await open(page, "crowd");
  await page.locator(".author", { hasText: /user \d/ }).first().waitFor();
  await page.getByRole("button", { name: "Members" }).click();
  await page.locator(".members-list").getByText("user 98", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.locator(".members-list").getByText("user 198", { exact: true }).waitFor();
  const asked = network.bodies("/users/get").filter(({ users }) => users).map(({ users }) => users);
  assert.ok(asked.length <= 6, `asked ${asked.length} times: ${asked.map(({ length }) => length)}`);
  assert.equal(new Set(asked.flat()).size, asked.flat().length, "nobody is asked for twice");
});

test("one sees who has seen one's message", async () => {
  const { ids: [ann, bob, cy], chat, add } = await addTea("ann", "bob", "cy");
  const page = await enter("ann");
  await open(page, "tea");
  await say(page, "tea?");
  await shown(page, "tea?");
  const seen = page.locator(".seen");
  assert.equal(await seen.count(), 0);
  await server.post("chats/read", { chat, user: bob, seq: 1 });
  await seen.getByText("bob", { exact: true }).waitFor();
  assert.equal(await seen.textContent(), "Seen by bob");
  await server.post("chats/read", { chat, user: cy, seq: 1 });
  await until(async () => (await seen.textContent()) === "Seen by all", "all have seen it");
  await more(page, "tea?");
  await page.getByRole("dialog").getByText("Seen by bob, cy").waitFor();
  await page.keyboard.press("Escape");
  await add(ann, "and coffee?");
  await shown(page, "and coffee?");
  await seen.waitFor({ state: "detached" });
});

test("settings survive a reload", async () => {
  const context = await browser.newContext({ colorScheme: "light" });
  const page = await enterIn(context, "ann");
  const look = (page) =>
    page.evaluate(() => {
      const { fontSize } = getComputedStyle(document.documentElement);
      return { paper: getComputedStyle(document.body).backgroundColor, fontSize };
    });
  const before = await look(page);
  await page.getByRole("button", { name: "Settings of ann" }).click();
  await page.getByRole("radio", { name: "Dark" }).check();
  await page.getByRole("radio", { name: "Compact" }).check();
  const after = await look(page);
  assert.notEqual(after.paper, before.paper);
  assert.ok(Number.parseFloat(after.fontSize) < Number.parseFloat(before.fontSize));
  await page.reload();
  await page.getByRole("button", { name: "Settings of ann" }).click();
  assert.deepEqual(await look(page), after);
  assert.ok(await page.getByRole("radio", { name: "Dark" }).isChecked());
  assert.ok(await page.getByRole("radio", { name: "Compact" }).isChecked());
  // They are there before one signs in.
  assert.deepEqual(await look(await newTab(context)), after);
});

test("chats are found by their names", async () => {
  const [ann, bob] = await addUsers("ann", "bob");
  for (const name of ["Green tea", "Black TEA", "Coffee"]) await addChat(name, ann);
  await server.post("chats/direct", { users: [ann, bob] });
  const page = await enter("ann");
  const filter = page.getByLabel("Find a chat");
  const names = async () => (await page.locator(".listed .name").allTextContents()).sort().join();
  const finds = async (typed, found) => {
    await filter.fill(typed);
    await until(async () => (await names()) === found, `${found} for “${typed}”`);
  };
  await finds("tea", "Black TEA,Green tea");
  await finds("BO", "bob");
  await finds("milk", "");
  await page.getByText("No chat's name contains this text.").waitFor();
  await finds("", "Black TEA,Coffee,Green tea,bob");
});
