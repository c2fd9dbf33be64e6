// The page of the API's document, in a real browser on a real server.

import assert from "node:assert/strict";
import { createServer, request as send } from "node:http";
import { after, before, test } from "node:test";
import { launch } from "./browser.js";
import { Server } from "./server.js";

let browser;
let server;

before(async () => {
  browser = await launch();
  server = await Server.start();
});
after(async () => {
  await browser.close();
  await server.stop();
});

/** Opens the page, and returns it with a list of what went wrong in it, to which later complaints are added. */
async function opened(url, options) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(15_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (request) => {
    const ours = request.url().startsWith(url) || request.url().startsWith("data:");
    if (!ours) complaints.push(`a request to ${request.url()}`);
  });
  await page.goto(`${url}docs`);
  await page.locator(".opblock").first().waitFor();
  return { page, complaints };
}

/** Sends the example of /users/add with this name, and returns what the page shows of the answer. */
async function addUser(page, name) {
  const call = page.locator(".opblock", { hasText: "/users/add" }).first();
  await call.locator(".opblock-summary-control").click();
  await call.getByRole("button", { name: "Try it out" }).click();
  await call.locator("textarea").fill(JSON.stringify({ username: name }));
  await call.getByRole("button", { name: "Execute" }).click();
  await call.locator(".live-responses-table .response-col_status", { hasText: "201" }).waitFor();
  return call.locator(".live-responses-table").innerText();
}

test("the docs page sends requests, and loads only from the server", async () => {
  const { page, complaints } = await opened(server.url);
  const document = await (await fetch(`${server.url}openapi.json`)).json();
  assert.equal(await page.locator(".opblock").count(), Object.keys(document.paths).length);
  assert.match(await addUser(page, "ann"), /chinwag-position: [0-9]+/);
  const parameters = await page.locator(".parameter__name").allInnerTexts();
  assert.deepEqual(parameters.slice(0, 3), ["Idempotency-Key", "Chinwag-Min-Position", "X-Request-Id"]);
  if (process.env.CHINWAG_DOCS_SCREENSHOT) {
    await page.screenshot({ path: process.env.CHINWAG_DOCS_SCREENSHOT });
  }
  assert.deepEqual(complaints, []);
});

test("the docs page works behind a proxy that adds a prefix", async () => {
  // Answers only what begins with the prefix, and removes it.
  const proxy = createServer((request, response) => {
    if (!request.url.startsWith("/chat/")) return response.writeHead(404).end();
    const { method, headers } = request;
    const onward = send(new URL(request.url.slice("/chat/".length), server.url), { method, headers });
    onward.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
    request.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  try {
    const { page, complaints } = await opened(`http://127.0.0.1:${proxy.address().port}/chat/`);
    assert.match(await addUser(page, "bob behind a prefix"), /chinwag-position: [0-9]+/);
    assert.deepEqual(complaints, []);
    await page.close();
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

/** Returns the texts of the page that differ little from what is behind them, each with the ratio of contrast. */
const illegible = (page, ratioMin) =>
  page.evaluate((ratioMin) => {
    const rgba = (colour) => [...colour.match(/[0-9.]+/g).map(Number), 1].slice(0, 4);
    const over = (above, below) => above.slice(0, 3).map((v, i) => v * above[3] + below[i] * (1 - above[3]));
    const behind = (element) => {
      if (!element) return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
      const colour = rgba(getComputedStyle(element).backgroundColor);
      return colour[3] === 1 ? colour : over(colour, behind(element.parentElement));
    };
    const linear = (v) => (v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const found = [];
    const texts = document.createTreeWalker(document.getElementById("docs"), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      const text = texts.currentNode.data.trim();
      if (!text || !element.checkVisibility()) continue;
      const back = behind(element);
      const [low, high] = [over(rgba(getComputedStyle(element).color), back), back]
        .map((colour) => luminance(colour) + 0.05)
        .sort((a, b) => a - b);
      if (high / low < ratioMin) found.push(`${text}: ${(high / low).toFixed(1)}`);
    }
    return found;
  }, ratioMin);

test("the docs page has the colours that the reader prefers", async () => {
  const { page } = await opened(server.url, { colorScheme: "dark" });
  for (const path of ["/events", "/messages/add"]) {
    await page.locator(".opblock", { hasText: path }).first().locator(".opblock-summary-control").click();
  }
  await page.locator(".opblock-body table td").first().waitFor();
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await background();
  assert.ok(Math.max(...dark.match(/[0-9]+/g)) < 64, dark);
  assert.deepEqual(await illegible(page, 3.5), []);
  await page.emulateMedia({ colorScheme: "light" });
  await page.waitForFunction((dark) => getComputedStyle(document.documentElement).backgroundColor !== dark, dark);
  await page.close();
});
