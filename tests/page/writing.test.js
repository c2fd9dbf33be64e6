// What a user writes: drafts, the composer, and texts that are too long.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  TOUCH, addAll, addChat, addTea, addUsers, browser, choose, composer, enter, enterIn, focusIs, heading, listed,
  network, numbered, open, restingView, say, serveEach, server, shown, texts, until,
} from "./pages.js";

serveEach();

const draftIs = (page, text) =>
  until(async () => (await composer(page).inputValue()) === text, `“${text}” is in the composer`);

test("a draft belongs to its chat", async () => {
  const [ann] = await addUsers("ann");
  const [one, other] = [await addChat("one", ann), await addChat("other", ann)];
  const page = await enter("ann");
  await open(page, "one");
  await composer(page).fill("for one");
  await open(page, "other");
  await draftIs(page, "");
  await composer(page).press("Enter");
  await listed(page, "one").locator(".draft").getByText("Draft").waitFor();
  assert.equal(await page.locator(".draft").count(), 1);
  await say(page, "for the other");
  await shown(page, "for the other");
  await composer(page).fill("half of");
  await open(page, "one");
  await draftIs(page, "for one");
  await composer(page).press("Escape");
  await heading(page, "one").waitFor({ state: "hidden" });
  assert.equal(await page.locator(".draft").count(), 2);
  await page.reload();
  await listed(page, "one").locator(".draft").waitFor();
  await open(page, "one");
  await draftIs(page, "for one");
  await page.reload();
  await draftIs(page, "for one");
  await composer(page).press("Enter");
  await shown(page, "for one");
  await draftIs(page, "");
  await open(page, "other");
  await draftIs(page, "half of");
  assert.equal(await page.locator(".draft").count(), 0);
  const said = async (chat) => (await server.post("messages/get", { chat })).map(({ text }) => text);
  assert.deepEqual([await said(one), await said(other)], [["for one"], ["for the other"]]);
});

test("a reply stays a draft of its chat", async () => {
  const { ids: [ann], chat, add } = await addTea("ann", "bob");
  await add(ann, "milk or sugar?");
  await addChat("other", ann);
  const page = await enter("ann");
  await open(page, "tea");
  await choose(page, "milk or sugar?", "Reply");
  const replyingTo = (text) => page.locator(".write .about", { hasText: text });
  const replying = replyingTo("milk or sugar?");
  await replying.waitFor();
  await composer(page).fill("both");
  await open(page, "other");
  await replying.waitFor({ state: "detached" });
  await page.reload();
  await heading(page, "other").waitFor();
  await open(page, "tea");
  await replying.waitFor();
  await draftIs(page, "both");
  await composer(page).press("Enter");
  await shown(page, "both");
  await replying.waitFor({ state: "detached" });
  const [{ text, reply_to }] = await server.post("messages/get", { chat, limit: 1 });
  assert.deepEqual([text, reply_to], ["both", 1]);
  // Esc first gives up the reply, and keeps its text.
  await choose(page, "both", "Reply");
  await replyingTo("both").waitFor();
  await composer(page).fill("after all");
  await composer(page).press("Escape");
  await replyingTo("both").waitFor({ state: "detached" });
  await draftIs(page, "after all");
  await heading(page, "tea").waitFor();
});

test("a growing composer covers nothing", async () => {
  const { ids: [ann], chat } = await addTea("ann", "bob");
  await addAll(chat, ann, numbered(1, 60));
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "message 60");
  const height = async () => (await composer(page).boundingBox()).height;
  const before = await height();
  await composer(page).fill("one\ntwo\nthree\nfour\nfive\nsix");
  await until(async () => (await height()) > before * 2, "the composer has grown");
  const view = await restingView(page);
  assert.deepEqual([view.at(-1).seq, view.at(-1).isWhole], [60, true]);
  const end = await page.locator('[data-seq="60"]').boundingBox();
  assert.ok(end.y + end.height <= (await composer(page).boundingBox()).y);
  await composer(page).fill("");
  await until(async () => (await height()) === before, "the composer is small again");
  assert.ok((await restingView(page)).at(-1).isWhole);
});

test("Enter sends on a desktop", async () => {
  await addTea("ann", "bob");
  const page = await enter("ann");
  await open(page, "tea");
  await focusIs(page, "Your message");
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await shown(page, "two");
  assert.deepEqual(await texts(page), ["one\ntwo"]);
});

test("Enter writes a line on a phone", async () => {
  await addTea("ann", "bob");
  const page = await enter("ann", TOUCH);
  await open(page, "tea");
  await composer(page).tap();
  await page.keyboard.type("one");
  await page.keyboard.press("Enter");
  await page.keyboard.type("two");
  await draftIs(page, "one\ntwo");
  await page.getByRole("button", { name: "Send" }).tap();
  await shown(page, "two");
  assert.deepEqual(await texts(page), ["one\ntwo"]);
  await draftIs(page, "");
});

test("a text that is too long stays", async () => {
  const { chat } = await addTea("ann", "bob");
  const page = await enter("ann");
  await open(page, "tea");
  const send = page.getByRole("button", { name: "Send" });
  const alert = page.locator(".write").getByRole("alert");
  // Two bytes and four bytes each.
  for (const [fits, last] of [["é".repeat(8192), "é"], ["🫖".repeat(4096), "🫖"]]) {
    await composer(page).fill(fits + last);
    await alert.getByText(`${Buffer.byteLength(last)} bytes too long`).waitFor();
    assert.ok(await send.isDisabled());
    await composer(page).press("Enter");
    assert.equal(await composer(page).inputValue(), fits + last);
    await page.reload();
    await alert.waitFor();
    assert.equal(await composer(page).inputValue(), fits + last);
    await composer(page).press("End");
    await composer(page).press("Control+End");
    await page.keyboard.press("Backspace");
    await alert.waitFor({ state: "detached" });
    assert.ok(await send.isEnabled());
    await send.click();
    await draftIs(page, "");
    // It is long, so only its beginning is shown at first.
    const sent = page.locator(".message:not(.waiting) .text", { hasText: last.repeat(20) });
    await sent.getByRole("button", { name: "Show all" }).click();
    await sent.getByText(fits, { exact: true }).waitFor();
  }
  const said = (await server.post("messages/get", { chat })).map(({ text }) => text);
  assert.deepEqual(said.map(Buffer.byteLength), [16_384, 16_384]);
});

test("two quick Enters send once", async () => {
  const { chat } = await addTea("ann", "bob");
  const page = await enter("ann");
  await open(page, "tea");
  await composer(page).fill("once");
  await page.evaluate(() => {
    const form = document.querySelector("form.write");
    form.requestSubmit();
    form.requestSubmit();
  });
  await shown(page, "once");
  assert.deepEqual((await server.post("messages/get", { chat })).map(({ text }) => text), ["once"]);
});

test("a text goes to the chat it was written in", async () => {
  const { ids, chat } = await addTea("ann", "bob");
  const coffee = await addChat("coffee", ...ids);
  const page = await enter("ann");
  await open(page, "coffee");
  await open(page, "tea");
  await composer(page).fill("for tea");
  // The other chat is open before the page is drawn again.
  await page.evaluate(async () => {
    history.back();
    await new Promise((changed) => addEventListener("hashchange", changed, { once: true }));
    document.querySelector("form.write").requestSubmit();
  });
  await heading(page, "coffee").waitFor();
  await listed(page, "tea").getByText("for tea").waitFor();
  await until(async () => (await server.post("messages/get", { chat })).length === 1, "it is sent");
  assert.deepEqual(await server.post("messages/get", { chat: coffee }), []);
  assert.equal(await composer(page).inputValue(), "");
});

test("a browser without room still sends", async () => {
  const { chat } = await addTea("ann", "bob");
  const context = await browser.newContext();
  await context.addInitScript(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  const page = await enterIn(context, "ann");
  await open(page, "tea");
  await say(page, "still here");
  await shown(page, "still here");
  assert.deepEqual((await server.post("messages/get", { chat })).map(({ text }) => text), ["still here"]);
});

test("a refused edit is not lost", async () => {
  const { ids: [ann], chat, add } = await addTea("ann", "bob");
  await add(ann, "before");
  const page = await enter("ann");
  await open(page, "tea");
  await choose(page, "before", "Edit");
  await page.locator(".write .about").waitFor();
  await composer(page).fill("a long edit");
  network.block("/events");
  await server.post("messages/delete", { chat, seq: 1, user: ann });
  await composer(page).press("Enter");
  await page.getByRole("alert").getByText("The message was deleted.").waitFor();
  await page.keyboard.press("Escape");
  await draftIs(page, "a long edit");
});
