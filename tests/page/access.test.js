// The pages on a server whose calls need credentials.

import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { launch } from "./browser.js";
import { choose, makeChat, open, say, shown, until } from "./pages.js";
import { Server } from "./server.js";

const KEY = `cw_${randomBytes(32).toString("base64url")}`;
const SECRET = randomBytes(32);

let browser;
let server;
let ann;
let bob;
let dora;
const complaints = [];

before(async () => {
  const hash = createHash("sha256").update(KEY).digest("hex");
  const key = { kty: "oct", k: SECRET.toString("base64url") };
  server = await Server.start({ "api-keys": `backend all ${hash}\n`, "token-keys": JSON.stringify({ keys: [key] }) });
  ann = (await server.post("users/add", { username: "ann" }, KEY)).id;
  bob = (await server.post("users/add", { username: "bob" }, KEY)).id;
  dora = (await server.post("users/add", { username: "dora" }, KEY)).id;
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.stop();
  assert.deepEqual(complaints, []);
});

/** Signs a token of this user, which is good for this time. */
function tokenOf(user, seconds = 3600) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: user, aud: "chinwag", iat: now, exp: now + seconds, scope: "read write chats" };
  const signed = `${part({ alg: "HS256" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

async function opened(fragment = "") {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(server.url + fragment);
  return page;
}

async function enter(token) {
  const page = await opened();
  await page.getByLabel("Your token").fill(token);
  await page.keyboard.press("Enter");
  return page;
}

test("two users chat on a server with tokens", async () => {
  const [annsPage, bobsPage] = [await enter(tokenOf(ann)), await enter(tokenOf(bob))];
  await bobsPage.getByText("You are not in a chat yet").waitFor();
  await makeChat(annsPage, "tea", "bob");
  await say(annsPage, "Kettle is on.");
  await shown(annsPage, "Kettle is on.");
  // The stream of the other page.
  await open(bobsPage, "tea");
  await shown(bobsPage, "Kettle is on.");
  // And a user changes messages.
  await choose(annsPage, "Kettle is on.", "Edit");
  await annsPage.locator(".write").getByText("Editing").waitFor();
  await say(annsPage, "The kettle is on.");
  await shown(bobsPage, "The kettle is on.");
  await choose(bobsPage, "The kettle is on.", "🎉");
  const reactions = annsPage.getByRole("group", { name: "Reactions" });
  await reactions.getByRole("button", { name: "🎉 1", pressed: false }).waitFor();
  // The tab keeps the token.
  await bobsPage.reload();
  await bobsPage.locator(".listed", { hasText: "tea" }).waitFor();
  // Until it is no longer good.
  await server.post("users/tokens/revoke", { user: bob }, KEY);
  await bobsPage.getByLabel("Your token").waitFor();
  await bobsPage.getByText("This server needs a token.").waitFor();
});

test("a bad token is refused with a reason", async () => {
  const page = await enter("nonsense");
  await page.getByRole("alert").filter({ hasText: "This is not a token of a user." }).waitFor();
  await page.getByLabel("Your token").fill(tokenOf(ann).slice(0, -4));
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "is not valid" }).waitFor();
});

const settingsOf = (page, name) => page.getByRole("button", { name: `Settings of ${name}` }).waitFor();

test("a token in the URL signs in", async () => {
  const token = tokenOf(ann);
  const page = await opened(`#token=${token}`);
  await settingsOf(page, "ann");
  assert.equal(page.url(), server.url);
  // Nor is it where other tabs could find it.
  const known = await page.evaluate(() => JSON.stringify([history.state, document.cookie, { ...localStorage }]));
  assert.ok(!known.includes(token), known);
  // The tab keeps it.
  await page.reload();
  await settingsOf(page, "ann");
  // A link from elsewhere signs in another user.
  await page.goto("about:blank");
  await page.goto(`${server.url}#token=${tokenOf(dora)}`);
  await settingsOf(page, "dora");
  assert.equal(page.url(), server.url);
});

test("a token reaches a page that is open", async () => {
  const page = await opened();
  await page.getByLabel("Your token").waitFor();
  for (const [name, user] of [["ann", ann], ["dora", dora]]) {
    await page.goto(`${server.url}#token=${tokenOf(user)}`);
    await settingsOf(page, name);
    await until(() => page.url() === server.url, "the token has left the URL");
  }
  await page.goBack();
  await settingsOf(page, "dora");
  assert.equal(page.url(), server.url);
});

test("a bad token leaves the URL, too", async () => {
  const page = await opened("#token=nonsense");
  await page.getByRole("alert").filter({ hasText: "This is not a token of a user." }).waitFor();
  assert.equal(page.url(), server.url);
  await page.getByLabel("Your token").fill(tokenOf(ann));
  await page.keyboard.press("Enter");
  await settingsOf(page, "ann");
});

test("the docs page sends the credentials it gets", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(15_000);
  await page.goto(`${server.url}docs`);
  await page.getByRole("button", { name: "Authorize" }).first().click();
  const dialog = page.locator(".modal-ux");
  for (const scheme of ["server_key", "user_token", "events_token"]) await dialog.getByText(scheme).first().waitFor();
  const key = dialog.locator(".auth-container", { hasText: "server_key" });
  // Keys, because React hears nothing of a field that Playwright fills in Firefox.
  await key.locator("input").pressSequentially(KEY);
  await key.getByRole("button", { name: "Apply credentials" }).click();
  await dialog.getByRole("button", { name: "Close" }).first().click();
  const call = page.locator(".opblock", { hasText: "/users/add" }).first();
  await call.locator(".opblock-summary-control").click();
  await call.getByRole("button", { name: "Try it out" }).click();
  await call.locator("textarea").click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type(JSON.stringify({ username: "cy" }));
  await call.getByRole("button", { name: "Execute" }).click();
  await call.locator(".live-responses-table .response-col_status", { hasText: "201" }).waitFor();
});

test("the end of a token keeps drafts", async () => {
  const { id } = await server.post("users/add", { username: "dee" }, KEY);
  const { id: chat } = await server.post("chats/add", { name: "drafts", users: [id] }, KEY);
  const page = await enter(tokenOf(id));
  await page.locator(".listed", { hasText: "drafts" }).click();
  await page.getByLabel("Your message").fill("a long draft");
  await server.post("users/tokens/revoke", { user: id }, KEY);
  await page.getByLabel("Your token").waitFor();
  const kept = await page.evaluate(() => Object.values(localStorage).join());
  assert.match(kept, /a long draft/);
  assert.match(await page.evaluate(() => location.hash), new RegExp(chat));
});
