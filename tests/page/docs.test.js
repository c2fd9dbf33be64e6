// Does the page of the API's document work in a real browser, on the real server?

import assert from "node:assert/strict";
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

test("the docs page sends requests, and loads only from the server", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(15_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (request) => {
    const ours = request.url().startsWith(server.url) || request.url().startsWith("data:");
    if (!ours) complaints.push(`a request to ${request.url()}`);
  });

  await page.goto(`${server.url}docs`);
  await page.locator(".opblock").first().waitFor();
  const document = await (await fetch(`${server.url}openapi.json`)).json();
  assert.equal(await page.locator(".opblock").count(), Object.keys(document.paths).length);

  const call = page.locator(".opblock", { hasText: "/users/add" }).first();
  await call.locator(".opblock-summary-control").click();
  await call.getByRole("button", { name: "Try it out" }).click();
  await call.getByRole("button", { name: "Execute" }).click();
  await call.locator(".live-responses-table .response-col_status", { hasText: "201" }).waitFor();
  const answer = await call.locator(".live-responses-table").innerText();
  assert.match(answer, /chinwag-position: 1/);
  if (process.env.CHINWAG_DOCS_SCREENSHOT) {
    await page.screenshot({ path: process.env.CHINWAG_DOCS_SCREENSHOT });
  }
  assert.deepEqual(complaints, []);
});
