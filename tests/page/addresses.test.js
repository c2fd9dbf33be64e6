// Addresses of chats and messages: links, quotations, and steps through the browser's history.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFirefox } from "./browser.js";
import {
  addAll, addChat, addTea, addTo, addUsers, browser, choose, enter, enterIn, heading, inView, isAtEnd, marks, network,
  newTab, newest, notice, numbered, open, restingView, serveEach, server, shown, shownMessage, until,
} from "./pages.js";

serveEach();

test("each chat has a URL", async () => {
  const [ann] = await addUsers("ann");
  const [one, other] = [await addChat("one", ann), await addChat("other", ann)];
  const page = await enter("ann");
  const empty = page.getByText("Select a chat, or create one.");
  await open(page, "one");
  assert.equal(new URL(page.url()).hash, `#chat=${one}`);
  await page.reload();
  await heading(page, "one").waitFor();
  await open(page, "other");
  assert.equal(new URL(page.url()).hash, `#chat=${other}`);
  await page.evaluate(() => history.back());
  await heading(page, "one").waitFor();
  await page.evaluate(() => history.back());
  await empty.waitFor();
  await page.evaluate(() => history.forward());
  await heading(page, "one").waitFor();
  await page.evaluate(() => history.forward());
  await heading(page, "other").waitFor();
});

test("Esc never leaves the page", async () => {
  const [ann] = await addUsers("ann");
  const chat = await addChat("one", ann);
  const page = await enterIn(await browser.newContext(), "ann", `#chat=${chat}`);
  const empty = page.getByText("Select a chat, or create one.");
  await heading(page, "one").waitFor();
  await page.keyboard.press("Escape");
  await empty.waitFor();
  await page.evaluate(() => history.back());
  await heading(page, "one").waitFor();
  await page.keyboard.press("Escape");
  await empty.waitFor();
  assert.ok(page.url().startsWith(network.url), page.url());
});

test("a copied link opens that message", async () => {
  const { ids: [ann, bob], chat } = await addTea("ann", "bob");
  await addAll(chat, bob, numbered(1, 400));
  await server.post("chats/read", { chat, user: ann, seq: 400 });
  const context = await browser.newContext();
  const page = await enterIn(context, "ann");
  await open(page, "tea");
  await shown(page, "message 400");
  await page.goto(`${network.url}#chat=${chat}&message=200`);
  const aimed = page.locator(".message.aimed");
  await aimed.getByText("message 200").waitFor();
  const isInView = async () => (await restingView(page)).some(({ seq, isWhole }) => seq === 200 && isWhole);
  assert.ok(await isInView());
  await newest(page).waitFor();
  // What is before and after it is there, too.
  for (const seq of [199, 201]) await page.locator(`[data-seq="${seq}"]`).waitFor();
  await page.reload();
  await aimed.getByText("message 200").waitFor();
  assert.ok(await isInView());
  // Another tab has loaded nothing yet.
  const other = await newTab(context, `#chat=${chat}&message=7`);
  await other.locator(".message.aimed").getByText("message 7", { exact: false }).waitFor();
  assert.ok((await restingView(other)).some(({ seq, isWhole }) => seq === 7 && isWhole));
  assert.deepEqual(marks(), []);
});

test("the page's own link leads to the message", async () => {
  const { ids: [ann], add } = await addTea("ann", "bob");
  await add(ann, "look here");
  const context = await browser.newContext();
  if (!isFirefox) await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await enterIn(context, "ann");
  await open(page, "tea");
  await choose(page, "look here", "Copy link");
  // Without a clipboard, the page shows the link.
  await page.getByRole("dialog", { name: "Copy", exact: true }).or(page.getByText("Copied.")).waitFor();
  const link = isFirefox
    ? await page.evaluate(() => document.querySelector("dialog .about")?.textContent ?? navigator.clipboard.readText())
    : await page.evaluate(() => navigator.clipboard.readText());
  const other = await newTab(context, link.slice(network.url.length));
  await other.locator(".message.aimed").getByText("look here").waitFor();
});

test("a quote leads to its message each time", async () => {
  const { ids: [ann], chat } = await addTea("ann", "bob");
  await addAll(chat, ann, numbered(1, 300));
  await addTo(chat, ann, "as I said", { reply_to: 5 });
  const page = await enter("ann");
  await open(page, "tea");
  for (const time of ["first", "second"]) {
    await shownMessage(page, "as I said").locator(".quote").click();
    const isThere = async () => (await inView(page)).some(({ seq, isWhole }) => seq === 5 && isWhole);
    await until(isThere, `message 5 is in view for the ${time} time`);
    await restingView(page);
    await newest(page).click();
    await shown(page, "as I said");
    await until(() => isAtEnd(page), "the end is in view");
  }
});

test("a link to another's chat says so", async () => {
  const [ann, bob] = await addUsers("ann", "bob");
  const [hers, his] = [await addChat("hers", ann), await addChat("his", bob)];
  const page = await enterIn(await browser.newContext(), "ann", `#chat=${his}&message=1`);
  await notice(page, "This chat does not exist, or you are not a member of it.");
  await page.getByText("Select a chat, or create one.").waitFor();
  await page.evaluate((chat) => (location.hash = `chat=${chat}`), hers);
  await heading(page, "hers").waitFor();
  await page.evaluate(() => (location.hash = "chat=nonsense"));
  await notice(page, "This chat does not exist, or you are not a member of it.");
  assert.equal(await heading(page, "hers").count(), 0);
});
