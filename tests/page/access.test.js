// Do the pages work on a server whose calls need credentials?

import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { launch } from "./browser.js";
import { Server } from "./server.js";

const KEY = `cw_${randomBytes(32).toString("base64url")}`;
const SECRET = randomBytes(32);

let browser;
let server;
let ann;
let bob;
const complaints = [];

before(async () => {
  const hash = createHash("sha256").update(KEY).digest("hex");
  const key = { kty: "oct", k: SECRET.toString("base64url") };
  server = await Server.start({ "api-keys": `backend all ${hash}\n`, "token-keys": JSON.stringify({ keys: [key] }) });
  ann = (await server.post("users/add", { username: "ann" }, KEY)).id;
  bob = (await server.post("users/add", { username: "bob" }, KEY)).id;
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

async function opened() {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(server.url);
  return page;
}

async function enter(token) {
  const page = await opened();
  await page.getByLabel("Your token").fill(token);
  await page.keyboard.press("Enter");
  return page;
}

const text = (page, text) => page.locator(".message:not(.waiting) .text", { hasText: text }).last().waitFor();

test("two users chat on a server that needs tokens", async () => {
  const [annsPage, bobsPage] = [await enter(tokenOf(ann)), await enter(tokenOf(bob))];
  await bobsPage.getByText("You are not in a chat yet").waitFor();
  await annsPage.getByRole("button", { name: "New chat" }).click();
  await annsPage.getByLabel("Chat name").fill("tea");
  await annsPage.getByLabel("Other members").fill("bob");
  await annsPage.getByRole("button", { name: "Create chat" }).click();
  await annsPage.getByRole("heading", { name: "tea", level: 2 }).waitFor();
  await annsPage.getByRole("dialog").waitFor({ state: "hidden" });
  await annsPage.getByLabel("Your message").fill("Kettle is on.");
  await annsPage.keyboard.press("Enter");
  await text(annsPage, "Kettle is on.");
  // The stream of the other page.
  await bobsPage.locator(".listed", { hasText: "tea" }).click();
  await text(bobsPage, "Kettle is on.");
  // And a user changes messages.
  const more = (page) => page.getByRole("button", { name: "More" }).click();
  await more(annsPage);
  await annsPage.getByRole("button", { name: "Edit" }).click();
  await annsPage.getByLabel("Text").fill("The kettle is on.");
  await annsPage.keyboard.press("Enter");
  await text(bobsPage, "The kettle is on.");
  await more(bobsPage);
  await bobsPage.getByRole("button", { name: "🎉" }).click();
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

test("a token that is not good is refused with a reason", async () => {
  const page = await enter("nonsense");
  await page.getByRole("alert").filter({ hasText: "this is not a token of a user" }).waitFor();
  await page.getByLabel("Your token").fill(tokenOf(ann).slice(0, -4));
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "is not valid" }).waitFor();
});

test("the docs page sends the credentials that it is given", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(15_000);
  await page.goto(`${server.url}docs`);
  await page.getByRole("button", { name: "Authorize" }).first().click();
  const dialog = page.locator(".modal-ux");
  for (const scheme of ["server_key", "user_token", "events_token"]) await dialog.getByText(scheme).first().waitFor();
  const key = dialog.locator(".auth-container", { hasText: "server_key" });
  await key.locator("input").fill(KEY);
  await key.getByRole("button", { name: "Apply credentials" }).click();
  await dialog.getByRole("button", { name: "Close" }).first().click();
  const call = page.locator(".opblock", { hasText: "/users/add" }).first();
  await call.locator(".opblock-summary-control").click();
  await call.getByRole("button", { name: "Try it out" }).click();
  await call.locator("textarea").fill(JSON.stringify({ username: "cy" }));
  await call.getByRole("button", { name: "Execute" }).click();
  await call.locator(".live-responses-table .response-col_status", { hasText: "201" }).waitFor();
});
