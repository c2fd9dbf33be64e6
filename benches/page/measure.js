// Measurements of the chat page: its first paint, the bytes of its files, and the longest tasks of the browser while a
// user scrolls through 10,000 messages, goes through 1,000 chats and types.
//
//     cargo build --release && npm ci --prefix tests/page && node benches/page/measure.js [CORPUS.jsonl.gz]
//
// The messages are those of a corpus, { "op": "message", "text" } a line, if there is one.

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { launch } from "../../tests/page/browser.js";
import { Server } from "../../tests/page/server.js";

const LOADS = 15;
const MESSAGES = 10_000;
const CHATS = 1_000;
/** Duration from which a browser reports a task as long (W3C Long Tasks). */
const LONG_MS = 50;

process.env.CHINWAG ??= new URL("../../target/release/chinwag", import.meta.url).pathname;

/** Ids of two people. */
const people = [];
const server = await Server.start();
const browser = await launch();
try {
  for (const username of ["ann", "bob"]) people.push((await server.post("users/add", { username })).id);
  const [ann, bob] = people;
  const chats = [];
  for (let number = 1; number <= CHATS; number += 1) {
    chats.push((await server.post("chats/add", { name: `chat ${number}`, users: [ann, bob] })).id);
  }
  const texts = readTexts(process.argv[2]);
  await send(chats, bob, (place) => texts[place % texts.length]);
  await send(Array(MESSAGES).fill(chats[0]), bob, (place) => texts[place % texts.length]);

  await reportLoads();
  await reportTasks(chats, bob);
} finally {
  await browser.close();
  await server.stop();
}

function readTexts(corpus) {
  if (!corpus) return Array.from({ length: 1000 }, (_, number) => `message ${number} `.repeat(1 + (number % 20)));
  const lines = gunzipSync(readFileSync(corpus)).toString().split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return lines.filter(({ op, text }) => op === "message" && text).map(({ text }) => text);
}

async function send(chats, author, textOf) {
  for (let from = 0; from < chats.length; from += 1000) {
    const some = chats.slice(from, from + 1000);
    const messages = some.map((chat, place) => ({ chat, author, text: textOf(from + place) }));
    await server.post("messages/batch", { messages });
  }
}

async function signedIn() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.addInitScript((user) => sessionStorage.setItem("chinwag-user", user), people[0]);
  return page;
}

/** Reports what a browser without a cache loads, and when it paints. */
async function reportLoads() {
  const [paints, lists] = [[], []];
  let bytes = 0;
  let files = 0;
  for (let load = 0; load < LOADS; load += 1) {
    const page = await signedIn();
    await page.goto(server.url);
    await page.locator(".listed").first().waitFor();
    const seen = await page.evaluate(() => ({
      paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
      now: performance.now(),
      sizes: [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .filter(({ name, initiatorType }) => initiatorType === "navigation" || name.includes("/page/"))
        .map(({ transferSize }) => transferSize),
    }));
    paints.push(seen.paint);
    lists.push(seen.now);
    files = seen.sizes.length;
    bytes = seen.sizes.reduce((sum, size) => sum + size);
    await page.context().close();
  }
  console.log(`first paint: ${ms(median(paints))} (${LOADS} loads, without a cache)`);
  console.log(`list of ${CHATS} chats shown: ${ms(median(lists))}`);
  console.log(`over the wire, as the browser counts it: ${bytes} bytes in ${files} files`);
}

/** Reports the longest tasks while the user does something. */
async function reportTasks(chats, bob) {
  const page = await signedIn();
  await page.goto(server.url);
  await page.locator(".listed").first().waitFor();
  await page.evaluate(() => {
    globalThis.tasks = [];
    const note = (list) => tasks.push(...list.getEntries().map(({ duration }) => duration));
    new PerformanceObserver(note).observe({ type: "longtask" });
  });
  const report = async (what) => {
    // The observer is told some time after a task.
    await page.waitForTimeout(500);
    const tasks = await page.evaluate(() => globalThis.tasks.splice(0));
    const longest = tasks.length ? `, the longest ${ms(Math.max(...tasks))}` : "";
    console.log(`${what}: ${tasks.length} tasks over ${LONG_MS} ms${longest}`);
  };
  await page.locator(".filter").fill("chat 1");
  await page.getByText("chat 1", { exact: true }).click();
  await page.locator(".divider").waitFor();
  await report(`opening a chat of ${MESSAGES} unread messages`);
  const top = () => page.locator(".message").first().getAttribute("data-seq");
  await page.getByRole("button", { name: /Newest/ }).click();
  await page.locator(`[data-seq="${MESSAGES + 1}"]`).waitFor();
  await page.mouse.move(800, 400);
  for (let last; last !== "1"; last = await top()) await page.mouse.wheel(0, -20_000);
  await report("scrolling back to the first message");
  await page.getByLabel("Your message").pressSequentially("The quick brown fox jumps over the lazy dog. ".repeat(10));
  await report("typing 450 characters");
  await page.locator(".filter").fill("");
  await page.mouse.move(100, 400);
  for (let turn = 0; turn < 100; turn += 1) await page.mouse.wheel(0, 1000);
  await report(`scrolling through ${CHATS} chats`);
  await send(Array(500).fill(0).map((_, place) => chats[place]), bob, () => "hello");
  await page.waitForTimeout(1000);
  await report("500 messages in 500 chats");
}

function median(numbers) {
  return numbers.sort((one, other) => one - other)[Math.floor(numbers.length / 2)];
}

function ms(time) {
  return `${time.toFixed(0)} ms`;
}
