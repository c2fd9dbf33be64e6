// Conversations: sending, editing, deleting, replying, reacting, and what is new in the list.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addTea, addUsers, by, choose, enter, enterTea, makeChat, marks, more, open, say, serveEach, server, shown,
  shownMessage, texts, until,
} from "./pages.js";

serveEach();

const unread = (page) => page.locator(".listed .unread").allTextContents();

test("two users see each other's messages at once", async () => {
  const { ann, bob } = await enterTea();
  await say(ann, "hello bob");
  await shown(bob, "hello bob");
  await say(bob, "hello ann");
  await shown(ann, "hello ann");
  assert.deepEqual(await texts(ann), ["hello bob", "hello ann"]);
  assert.deepEqual(await texts(bob), ["hello bob", "hello ann"]);
  await ann.locator(".listed .last", { hasText: by("bob", "hello ann") }).waitFor();
  await bob.locator(".listed .last", { hasText: "You: hello ann" }).waitFor();
});

test("chats are listed by time, with unread counts", async () => {
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
  await until(async () => String(await unread(bob)) === "2", "two are unread");
  await open(bob, "first");
  await bob.locator(".listed .unread").waitFor({ state: "detached" });
  assert.deepEqual(marks(), [2]);
  await bob.reload();
  await bob.locator(".listed", { hasText: "first" }).waitFor();
  assert.equal(await bob.locator(".listed .unread").count(), 0);
});

test("read marks come at most every two seconds", async () => {
  const { ann, bob } = await enterTea();
  const began = Date.now();
  for (let number = 1; number <= 30; number += 1) await say(ann, `message ${number}`);
  await shown(bob, "message 30");
  await until(() => marks().at(-1) === 30, "all is marked as read");
  const most = 2 + Math.floor((Date.now() - began) / 2000);
  assert.ok(marks().length <= most, `${marks().length} marks: ${marks()}`);
  await bob.locator(".listed .unread").waitFor({ state: "detached" });
});

test("an added member sees the chat", async () => {
  const cy = await enter("cy");
  const ann = await enter("ann");
  await makeChat(ann, "tea");
  await say(ann, "before");
  await ann.locator(".members").getByText("1 member", { exact: true }).waitFor();
  await ann.getByRole("button", { name: "Members" }).click();
  await ann.getByRole("button", { name: "Add people" }).click();
  const dialog = ann.getByRole("dialog", { name: "Add people" });
  await dialog.getByLabel("Find people").fill("nobody");
  await ann.keyboard.press("Enter");
  await dialog.getByRole("alert").getByText("nobody").waitFor();
  await dialog.getByLabel("Find people").fill("cy");
  await ann.keyboard.press("Enter");
  await dialog.getByRole("list", { name: "Chosen" }).getByText("cy", { exact: true }).waitFor();
  await dialog.getByRole("button", { name: "Add people" }).click();
  await open(cy, "tea");
  await shown(cy, "before");
  await ann.locator(".members").getByText("2 members", { exact: true }).waitFor();
  await ann.getByRole("button", { name: "Members" }).click();
  await ann.getByRole("dialog", { name: "Members" }).getByRole("button", { name: "Remove cy" }).waitFor();
});

test("an edit shows at once, with a mark", async () => {
  const { ann, bob } = await enterTea();
  await say(ann, "tea?");
  await shown(bob, "tea?");
  assert.equal(await bob.locator(".edited").count(), 0);
  await choose(ann, "tea?", "Edit");
  const field = ann.getByLabel("Your message");
  await ann.locator(".write").getByText("Editing your message").waitFor();
  assert.equal(await field.inputValue(), "tea?");
  await ann.getByRole("button", { name: "Save" }).waitFor();
  await field.fill("coffee?");
  await ann.keyboard.press("Shift+Enter");
  await ann.keyboard.type("or milk?");
  await ann.keyboard.press("Enter");
  await ann.locator(".listed .last", { hasText: "You: coffee? or milk?" }).waitFor();
  await bob.locator(".listed .last", { hasText: by("ann", "coffee? or milk?") }).waitFor();
  for (const page of [ann, bob]) {
    await shownMessage(page, "coffee?").getByText("edited", { exact: true }).waitFor();
    assert.deepEqual(await texts(page), ["coffee?\nor milk?"]);
  }
  await ann.getByRole("button", { name: "Send" }).waitFor();
  // A cancelled edit is none.
  const button = ann.getByRole("button", { name: "Cancel" });
  for (const cancel of [() => ann.keyboard.press("Escape"), () => button.click()]) {
    assert.equal(await field.inputValue(), "");
    await ann.keyboard.press("ArrowUp");
    await ann.locator(".write").getByText("Editing").waitFor();
    assert.equal(await field.inputValue(), "coffee?\nor milk?");
    await field.fill("water?");
    await cancel();
    await ann.locator(".write").getByText("Editing").waitFor({ state: "detached" });
  }
  assert.equal(await field.inputValue(), "");
  assert.deepEqual(await texts(bob), ["coffee?\nor milk?"]);
  // Only the author can change it.
  const choices = (page) => page.getByRole("dialog").locator(".choices button").allTextContents();
  await more(ann, "coffee?");
  assert.deepEqual(await choices(ann), ["Reply", "Edit", "Delete", "Copy text", "Copy link"]);
  await more(bob, "coffee?");
  assert.deepEqual(await choices(bob), ["Reply", "Copy text", "Copy link"]);
});

test("a deleted message leaves a quiet place", async () => {
  const bob = await enter("bob");
  const ann = await enter("ann");
  await makeChat(ann, "tea", "bob");
  for (const text of ["one", "two", "three"]) await say(ann, text);
  await until(async () => String(await unread(bob)) === "3", "three are unread");
  await choose(ann, "three", "Delete");
  const dialog = ann.getByRole("dialog", { name: "Delete" });
  await dialog.getByText("You: three").waitFor();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await until(async () => String(await unread(bob)) === "2", "two are unread");
  await bob.locator(".listed .last", { hasText: by("ann", "Message deleted") }).waitFor();
  await ann.locator(".listed .last", { hasText: "You: Message deleted" }).waitFor();
  await open(bob, "tea");
  for (const page of [ann, bob]) {
    await shownMessage(page, "Message deleted").waitFor();
    assert.deepEqual(await texts(page), ["one", "two"]);
    assert.equal(await shownMessage(page, "Message deleted").getByRole("button").count(), 0);
  }
  // A cancelled deletion is none.
  await choose(ann, "two", "Delete");
  await ann.getByRole("dialog", { name: "Delete" }).getByRole("button", { name: "Cancel" }).click();
  await ann.getByRole("dialog").waitFor({ state: "hidden" });
  assert.deepEqual(await texts(ann), ["one", "two"]);
});

test("a reply shows what it answers", async () => {
  const { ids, chat, add } = await addTea("ann", "bob");
  await add(ids[0], "milk?");
  for (let number = 2; number <= 100; number += 1) await add(ids[0], `message ${number}`);
  await server.post("chats/read", { chat, user: ids[1], seq: 100 });
  const bob = await enter("bob");
  await open(bob, "tea");
  const about = bob.locator(".write").getByText(`Replying to ${by("ann", "message 100")}`);
  await choose(bob, "message 100", "Reply");
  await about.waitFor();
  await bob.getByRole("button", { name: "Cancel" }).click();
  await about.waitFor({ state: "detached" });
  await choose(bob, "message 100", "Reply");
  await about.waitFor();
  await say(bob, "yes");
  await shownMessage(bob, "yes").locator(".quote", { hasText: by("ann", "message 100") }).waitFor();
  await about.waitFor({ state: "detached" });
  const replied = (await server.post("messages/get", { chat, limit: 1 }))[0];
  assert.deepEqual([replied.seq, replied.reply_to], [101, 100]);
  // What it answers may be far above.
  await add(ids[1], "no, thanks", { reply_to: 1 });
  const quote = shownMessage(bob, "no, thanks").locator(".quote");
  await quote.filter({ hasText: by("ann", "milk?") }).waitFor();
  assert.equal((await texts(bob)).length, 62);
  await bob.reload();
  await open(bob, "tea");
  await quote.filter({ hasText: by("ann", "milk?") }).waitFor();
  assert.equal((await texts(bob)).length, 60);
  // And it is shown as it is now.
  await server.post("messages/edit", { chat, seq: 1, user: ids[0], text: "sugar?" });
  await quote.filter({ hasText: by("ann", "sugar?") }).waitFor();
  await server.post("messages/delete", { chat, seq: 1, user: ids[0] });
  await quote.filter({ hasText: by("ann", "Message deleted") }).waitFor();
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
  await choose(bob, "tea?", "👍");
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
  await choose(ann, "tea?", "🎉");
  await ann.getByRole("alert").filter({ hasText: "20" }).waitFor();
});

test("a nameless chat is called after its members", async () => {
  const [annsId, bobsId, cysId] = await addUsers("ann", "bob", "cy");
  const [ann, bob] = [await enter("ann"), await enter("bob")];
  const names = (page) => page.locator(".listed .name").allTextContents();
  const listed = (page, expected) => until(async () => String(await names(page)) === expected, expected);
  await makeChat(ann, "", "bob");
  await ann.getByRole("heading", { name: "bob", level: 2 }).waitFor();
  await listed(bob, "ann");
  assert.equal((await server.post("chats/get", { user: annsId }))[0].direct, true);
  // Nobody can be added, and there is only one.
  await ann.locator(".members").getByText("Direct chat", { exact: true }).waitFor();
  assert.equal(await ann.getByRole("button", { name: "Members" }).count(), 0);
  await makeChat(ann, "", "bob");
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
  const own = bob.getByRole("button", { name: "Settings of bert" });
  await own.waitFor();
  await bob.reload();
  await own.waitFor();
  await listed(bob, "tea,ann");
});
