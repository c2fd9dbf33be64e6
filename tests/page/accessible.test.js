// The rules of WCAG 2.2 that axe can check, in the main views, at three widths and in both colour schemes.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  PHONE, TOUCH, addTea, browser, choose, enter, more, network, newTab, open, serveEach, server, shown,
} from "./pages.js";

serveEach();

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function check(page, view) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document));
  const told = ({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`);
  assert.deepEqual(violations.flatMap(told), [], view);
}

const VIEWS = {
  async "the list"() {},
  async "a chat"(page) {
    await open(page, "tea");
    await shown(page, "Fine");
  },
  async "an unread chat"(page) {
    await open(page, "news");
    await page.locator(".divider").waitFor();
  },
  async "a reply"(page) {
    await open(page, "tea");
    await choose(page, "Fine", "Reply");
    await page.getByText("Replying to").waitFor();
  },
  async "a message's dialog"(page) {
    await open(page, "tea");
    await more(page, "Fine");
  },
  async "the members"(page) {
    await open(page, "tea");
    await page.getByRole("button", { name: "Members" }).click();
    await page.getByRole("button", { name: "Remove bob" }).waitFor();
  },
  async "a new chat"(page) {
    await page.getByRole("button", { name: "New chat" }).click();
    await page.getByLabel("Find people").fill("bo");
    await page.getByRole("list", { name: "Matches" }).getByText("bob").waitFor();
  },
  async "the settings"(page) {
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("dialog").getByText("Density").waitFor();
  },
};

for (const [name, options] of [
  ["wide", { viewport: { width: 1280, height: 800 } }],
  ["narrow", TOUCH],
  ["at 200 %", { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }],
]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`no rule of WCAG is broken, ${name}, ${colorScheme}`, async () => {
      const { ids, add } = await addTea("ann", "bob");
      await add(ids[1], "How are **you**? `x`\n> said\nhttps://example.org/");
      await add(ids[0], "Fine", { reply_to: 1 });
      await add(ids[1], "gone");
      const { id: chat } = await server.post("chats/add", { name: "news", users: ids });
      await server.post("messages/add", { chat, author: ids[1], text: "unread" });
      await server.post("messages/reactions/add", { chat, seq: 1, user: ids[0], emoji: "👍" });
      const page = await newTab(await browser.newContext({ ...options, colorScheme }));
      await check(page, "the sign-in");
      await page.getByLabel("Your username").fill("ann");
      await page.keyboard.press("Enter");
      for (const [view, show] of Object.entries(VIEWS)) {
        await page.locator(".listed", { hasText: "tea" }).waitFor();
        await show(page);
        await check(page, view);
        await page.goto("about:blank");
        await page.goto(network.url);
      }
    });
  }
}

/** Returns the elements that do not end within the screen, and are not cut off by one that does. */
function tooWide() {
  const ends = (each) => each.getBoundingClientRect().right <= innerWidth + 1;
  const cuts = (each) => getComputedStyle(each).overflowX !== "visible" && ends(each);
  const isCut = (each) => each !== null && (cuts(each) || isCut(each.parentElement));
  const wide = [...document.querySelectorAll("body *")].filter((each) => !ends(each) && !isCut(each.parentElement));
  return wide.map((each) => each.outerHTML.slice(0, 200));
}

test("nothing is wider than the screen", async () => {
  const long = "W".repeat(64);
  const { ids, chat, add } = await addTea("ann", long);
  await add(ids[1], `${"w".repeat(300)} https://example.org/${"w".repeat(300)}\n\`\`\`\n${"w".repeat(300)}\n\`\`\``);
  await add(ids[0], "reply", { reply_to: 1 });
  await server.post("messages/reactions/add", { chat, seq: 1, user: ids[0], emoji: "w".repeat(64) });
  await server.post("chats/add", { name: "W".repeat(128), users: ids });
  await server.post("chats/direct", { users: ids });
  for (const viewport of [PHONE, { width: 320, height: 256 }, { width: 900, height: 600 }]) {
    const page = await enter("ann", { viewport });
    const wide = () => page.evaluate(tooWide);
    await page.locator(".listed", { hasText: "tea" }).waitFor();
    assert.deepEqual(await wide(), [], "the list");
    for (const chat of ["tea", "W".repeat(128), long]) {
      await page.locator(".listed .name").getByText(chat, { exact: true }).click();
      await page.getByLabel("Your message").waitFor();
      assert.deepEqual(await wide(), [], chat);
      const { height } = await page.locator(".chat main header").boundingBox();
      assert.ok(height < 90, `a heading of ${height} pixels`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
      await page.keyboard.press("Escape");
    }
    await page.context().close();
  }
});
