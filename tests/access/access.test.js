// Do the examples of docs/access.md work, on a real server with keys that they have made?
//
// `.ci/access` runs a copy of this file beside the examples.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { EventSource } from "eventsource";
import { exportJWK, exportPKCS8, generateKeyPair, importPKCS8, SignJWT } from "jose";
import { client } from "./browser.js";

const run = promisify(execFile);
const HERE = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname);
const { CHINWAG, CHINWAG_PYTHON } = process.env;
// What a browser has.
globalThis.EventSource = EventSource;

let dir;
let server;
let url;
let environment;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "chinwag-access-"));
  const PATH = `${dirname(CHINWAG)}:${process.env.PATH}`;
  await run("sh", [join(HERE, "make-keys.sh")], { cwd: dir, env: { ...process.env, PATH } });
  const keys = ["--api-keys", "keys.txt", "--token-keys", "token-keys.json"];
  const flags = ["--listen", "127.0.0.1:0", "--data", "data", ...keys];
  server = spawn(CHINWAG, flags, { cwd: dir, stdio: ["ignore", "pipe", "ignore"] });
  url = await new Promise((resolve, reject) => {
    server.stdout.once("data", (line) => resolve(/http:\S+/.exec(line)[0]));
    server.once("exit", (code) => reject(new Error(`the server ended: ${code}`)));
  });
  environment = {
    ...process.env,
    CHINWAG_URL: url,
    CHINWAG_KEY: (await readFile(join(dir, "backend.key"), "utf8")).trim(),
    CHINWAG_PRIVATE_KEY: join(dir, "private.pem"),
  };
});
after(async () => {
  server?.kill("SIGKILL");
  await rm(dir, { recursive: true });
});

const BACK_ENDS = {
  python: () => [CHINWAG_PYTHON, join(HERE, "backend.py")],
  typescript: () => [process.execPath, join(HERE, "backend.js")],
};

/** Returns the answer of a back end to the user who is signed in to this account. */
async function signIn(backEnd, account, username) {
  const [program, ...args] = BACK_ENDS[backEnd]();
  const { stdout } = await run(program, [...args, account, username], { env: environment });
  return JSON.parse(stdout);
}

/** Calls the server, and returns the answer's status and JSON. */
async function call(bearer, path, body) {
  const headers = { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" };
  const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

/** Signs a token of this user with the private key of a PEM. */
async function signed(user, { pem = "private.pem", kid = "2026-11", iat, ttl = 3600 } = {}) {
  const key = await importPKCS8(await readFile(join(dir, pem), "utf8"), "EdDSA");
  const from = iat ?? Math.floor(Date.now() / 1000);
  const token = new SignJWT({}).setSubject(user).setAudience("chinwag").setIssuedAt(from).setExpirationTime(from + ttl);
  return token.setProtectedHeader({ alg: "EdDSA", kid }).sign(key);
}

/** Waits until `check` holds. */
async function until(check, what) {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`not within 20 s: ${what}`);
}

/** Puts a file in the place of another one, by rename. */
async function replace(name, text) {
  await writeFile(join(dir, "new"), text);
  await rename(join(dir, "new"), join(dir, name));
}

for (const backEnd of Object.keys(BACK_ENDS)) {
  test(`the back end in ${backEnd} makes a user once, and good tokens`, async () => {
    const first = await signIn(backEnd, `1-${backEnd}`, `ann-${backEnd}`);
    const second = await signIn(backEnd, `1-${backEnd}`, `ann-${backEnd}`);
    assert.equal(first.user, second.user);
    for (const [index, { token, user }] of [first, second].entries()) {
      const { status, body } = await call(token, "/users/get", { user });
      assert.deepEqual([status, body.username], [200, `ann-${backEnd}`]);
      assert.equal((await call(token, "/chats/add", { name: `${backEnd} ${index}`, users: [user] })).status, 201);
      assert.equal((await call(token, "/users/add", { username: "other" })).body.code, "server_key_required");
    }
  });
}

test("a browser follows over the end of its tokens, and misses nothing", async () => {
  const [bob, cy] = [await signIn("python", "2", "bob"), await signIn("typescript", "3", "cy")];
  const chat = (await call(bob.token, "/chats/add", { name: "tea", users: [bob.user, cy.user] })).body.id;
  let tokens = 0;
  // Good for three seconds. The token of a stream then ends, and the server ends the stream.
  const newToken = () => (tokens++, signed(cy.user, { ttl: 3 }));
  const page = client(url, newToken);
  const texts = [];
  let begun = 0;
  const end = page.follow(null, (kind, data) => {
    if (kind === "begin") begun++;
    if (kind === "message") texts.push(data.text);
  });
  await until(() => begun > 0, "the stream begins");
  const sent = [];
  for (let text = 1; begun < 2; text++) {
    await call(bob.token, "/messages/add", { chat, text: `${text}` });
    sent.push(`${text}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await until(() => texts.length >= sent.length, "every message comes");
  end();
  assert.deepEqual(texts, sent);
  assert.ok(tokens >= 2, `${tokens} tokens`);
});

test("a token within its leeway still calls, and gets no token for a stream", async () => {
  const { user } = await signIn("python", "2", "bob");
  const token = await signed(user, { iat: Math.floor(Date.now() / 1000) - 10, ttl: 5 });
  assert.equal((await call(token, "/chats/get", {})).status, 200);
  assert.equal((await call(token, "/events/token", {})).body.code, "token_expired");
});

test("a revocation ends the user's tokens and streams", async () => {
  const { user, token } = await signIn("python", "4", "dee");
  let isRefused = false;
  const bought = (await call(token, "/events/token", {})).body.token;
  const source = new EventSource(`${url}/events?token=${bought}`);
  await new Promise((resolve) => source.addEventListener("begin", resolve));
  source.onerror = () => (isRefused ||= source.readyState === EventSource.CLOSED);
  const revoked = await call(environment.CHINWAG_KEY, "/users/tokens/revoke", { user });
  assert.equal(revoked.status, 200);
  assert.equal((await call(token, "/chats/get", {})).body.code, "token_revoked");
  await until(() => isRefused, "the stream ends, and its token is refused");
  // The back end knows that the user may go on.
  const next = await signed(user, { iat: revoked.body.tokens_from });
  assert.equal((await call(next, "/chats/get", {})).status, 200);
});

test("keys are replaced without a moment in which a client is refused", async () => {
  const { user } = await signIn("python", "5", "eve");
  // A server key: a second one, then the first one is taken out.
  const old = environment.CHINWAG_KEY;
  const key = (await run(CHINWAG, ["keys", "new", "backend", "--append", "keys.txt"], { cwd: dir })).stdout.trim();
  const isGood = async (bearer, path, body) => (await call(bearer, path, body)).status === 200;
  const byKey = (bearer) => isGood(bearer, "/users/get", { user });
  await until(() => byKey(key), "the second key is good");
  assert.ok(await byKey(old), "the first one as well");
  const lines = (await readFile(join(dir, "keys.txt"), "utf8")).trimEnd().split("\n");
  await replace("keys.txt", `${lines.at(-1)}\n`);
  await until(async () => !(await byKey(old)), "the first key is refused");
  assert.ok(await byKey(key));
  // A key of tokens likewise.
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  await writeFile(join(dir, "next.pem"), await exportPKCS8(privateKey));
  const set = JSON.parse(await readFile(join(dir, "token-keys.json"), "utf8"));
  const next = { ...(await exportJWK(publicKey)), kid: "2026-12" };
  const [before, after] = [await signed(user), await signed(user, { pem: "next.pem", kid: "2026-12" })];
  const byToken = (bearer) => isGood(bearer, "/chats/get", {});
  assert.ok(!(await byToken(after)));
  await replace("token-keys.json", JSON.stringify({ keys: [...set.keys, next] }));
  await until(() => byToken(after), "tokens of the next key are good");
  assert.ok(await byToken(before), "and those of the first one");
  await replace("token-keys.json", JSON.stringify({ keys: [next] }));
  await until(async () => !(await byToken(before)), "tokens of the first key are refused");
  assert.ok(await byToken(after));
});

test("the history shows who did what", async () => {
  const { stdout } = await run(CHINWAG, ["log", "dump", "--data", "data"], { cwd: dir });
  const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  const by = (type) => events.filter((event) => event.type === type).map((event) => event.by);
  assert.deepEqual(by("user_added")[0], { key: "backend" });
  assert.ok(by("message_added").every((by) => by.user));
});
