// Hostile texts and names, which never become HTML.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addTea, choose, enter, makeChat, more, open, serveEach, server, shown, shownMessage, texts, until,
} from "./pages.js";

serveEach();

const press = async (page, ...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};

/** Hostile texts without markup. */
const PLAIN = [
  `<img src=x onerror="alert('img')">`,
  `<script>alert("script")</script>`,
  `"><svg onload=alert(1)>`,
  `\${alert(1)} {{alert(1)}} <!-- ?lit$ -->`,
  `javascript:alert(1)`,
  `[click](javascript:alert(1)) data:text/html,<script>alert(1)</script> vbscript:alert(1)`,
  `&lt;b&gt; &amp; <b>bold</b>`,
  `line one\n  line two`,
  "\u202Eright to left\u202C e\u0301 👩‍👩‍👧‍👦",
];

/** Hostile texts with markup: what is shown of each, and as what elements. */
const MARKED = [
  ["**<b>bold</b>** _<i>it</i>_ ~~<s>no</s>~~", "<b>bold</b> <i>it</i> <s>no</s>", "STRONG EM DEL"],
  ["`<script>alert(1)</script>`", "<script>alert(1)</script>", "CODE"],
  ["```<b onclick=alert(1)>\n<svg onload=alert(1)>\n```", "<svg onload=alert(1)>", "PRE CODE"],
  [`> <iframe src="javascript:alert(1)"></iframe>`, `<iframe src="javascript:alert(1)"></iframe>`, "BLOCKQUOTE"],
  [`https://example.org/"onmouseover="alert(1)`, `https://example.org/"onmouseover="alert(1)`, "A"],
  [`<a href="https://example.org/" onclick="alert(1)">`, `<a href="https://example.org/" onclick="alert(1)">`, "A"],
  ["HTTP://example.org/<script>alert(1)</script>", "HTTP://example.org/<script>alert(1)</script>", "A"],
  ["javascript:alert('https://example.org/')", "javascript:alert('https://example.org/')", "A"],
];

/** Asserts that markup became elements with the attributes that they need, and all else became none. */
async function assertHarmless(page) {
  const elements = await page.locator(".message:not(.waiting) .text").evaluateAll((all) =>
    all.map((text) => [...text.querySelectorAll("*")].map(({ tagName }) => tagName).join(" ")));
  const expected = [...PLAIN.map(() => ""), ...MARKED.map(([, , tags]) => tags), "", ""];
  assert.deepEqual(elements, expected.slice(0, elements.length));
  const attributes = await page.locator(".text *").evaluateAll((all) =>
    all.flatMap((each) => [...each.attributes].map(({ name }) => `${each.tagName} ${name}`)));
  assert.deepEqual([...new Set(attributes)].sort(), ["A dir", "A href", "A rel", "A target", "PRE tabindex"]);
  const links = await page.locator(".text a").evaluateAll((all) =>
    all.map((link) => [link.getAttribute("href"), link.textContent, link.protocol, link.target, link.rel]));
  assert.equal(links.length, 4);
  for (const [href, text, protocol, target, rel] of links) {
    assert.match(href, /^https?:\/\//i);
    assert.match(protocol, /^https?:$/);
    assert.deepEqual([text, target, rel], [href, "_blank", "noopener noreferrer"]);
  }
  const foreign = "img, svg, b, i, s, u, iframe, object, embed, style, #page script, #page link, #page meta";
  assert.deepEqual(await page.locator(foreign).evaluateAll((all) => all.map(({ outerHTML }) => outerHTML)), []);
}

test("user input is never HTML", async () => {
  const name = `<b onmouseover=alert(1)>ann</b>`;
  const ann = await enter(name);
  await makeChat(ann, `<i>tea</i>`);
  for (const text of [...PLAIN, ...MARKED.map(([text]) => text)]) {
    await ann.getByLabel("Your message").fill(text);
    await ann.getByRole("button", { name: "Send" }).click();
  }
  const expected = [...PLAIN, ...MARKED.map(([, text]) => text)];
  await until(async () => (await texts(ann)).length === expected.length, "all are sent");
  assert.deepEqual(await texts(ann), expected);
  await assertHarmless(ann);
  const { id: user } = await server.post("users/get", { username: name });
  const [{ id: chat }] = await server.post("chats/get", { user });
  for (const seq of [1, 2]) {
    await server.post("messages/reactions/add", { chat, seq, user, emoji: PLAIN[seq] });
    await server.post("messages/add", { chat, author: user, text: `reply ${seq}`, reply_to: seq });
    expected.push(`reply ${seq}`);
  }
  await shownMessage(ann, "reply 2").locator(".quote", { hasText: PLAIN[1] }).waitFor();
  await ann.getByRole("button", { name: PLAIN[1] }).waitFor();
  await choose(ann, PLAIN[2], "Reply");
  await ann.locator(".write .about", { hasText: PLAIN[2] }).waitFor();
  await ann.getByRole("button", { name: "Cancel" }).click();
  await more(ann, PLAIN[2]);
  await ann.getByRole("dialog").getByText(PLAIN[2]).waitFor();
  await assertHarmless(ann);
  await press(ann, "Escape");
  await ann.getByRole("button", { name: "Members" }).click();
  await ann.getByRole("dialog", { name: "Members" }).waitFor();
  assert.deepEqual(await ann.getByRole("dialog").locator(".name").allTextContents(), [name]);
  await assertHarmless(ann);
  await press(ann, "Escape");
  assert.equal(await ann.locator("nav header .name").textContent(), name);
  assert.equal(await ann.locator("main h2").textContent(), `<i>tea</i>`);
  await ann.reload();
  await open(ann, "tea");
  await shown(ann, "reply 2");
  assert.deepEqual(await texts(ann), expected);
  await assertHarmless(ann);
});

test("a link shows where it goes", async () => {
  const { ids: [ann], chat, add } = await addTea("ann", "bob");
  await add(ann, "https://аррӏе.com/ and https://bank.example@evil.example/ and https://plain.example/a?b");
  await add(ann, "\u202Ehttps://evil.example/moc.knab//:sptth");
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "plain.example");
  const said = await texts(page);
  for (const shows of ["аррӏе.com/ (xn--80ak6aa92e.com) and", "(evil.example) and https://plain.example/a?b"]) {
    assert.ok(said[0].includes(shows), said[0]);
  }
  assert.ok(said[0].endsWith("/a?b"));
  // What turns the direction of a text does not turn the link in it.
  const left = (pattern) =>
    page.locator("[data-seq='2'] .text a").evaluate((link, pattern) => {
      const range = document.createRange();
      const at = link.textContent.indexOf(pattern);
      const node = [...link.childNodes].find((each) => each.nodeType === Node.TEXT_NODE && each.data.includes(pattern));
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      return range.getBoundingClientRect().left;
    }, pattern);
  assert.ok((await left("https")) < (await left("evil")));
  assert.equal((await server.post("messages/get", { chat })).length, 2);
});

test("a message stays within its bubble", async () => {
  const { ids: [ann], add } = await addTea("ann", "bob");
  await add(ann, `M${"\u0301".repeat(500)} zalgo`);
  const page = await enter("ann");
  await open(page, "tea");
  await shown(page, "zalgo");
  const clips = await page.locator(".bubble").evaluate((bubble) => getComputedStyle(bubble).overflowY);
  assert.equal(clips, "clip");
});
