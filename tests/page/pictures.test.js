// The pictures in `screenshots`, written to the folder that CHINWAG_SCREENSHOTS names.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { TOUCH, addUsers, enter, more, open, serveEach, server, shown, shownMessage } from "./pages.js";

const SCREENSHOTS = process.env.CHINWAG_SCREENSHOTS ?? "/tmp/chinwag-screenshots";
const WIDE = { viewport: { width: 1000, height: 640 } };

serveEach();

/** Fills a server with people who talk. Returns their ids by name. */
async function fill() {
  const names = ["Ann Archer", "Bob", "Cy Young", "Doe, Jane", "نور", "דנה"];
  const ids = Object.fromEntries((await addUsers(...names)).map((id, place) => [names[place], id]));
  const chatOf = async (name, ...users) =>
    (await server.post("chats/add", { name, users: users.map((user) => ids[user]) })).id;
  const add = (chat, author, text, more) => server.post("messages/add", { chat, author: ids[author], text, ...more });
  const react = (chat, seq, user, emoji) =>
    server.post("messages/reactions/add", { chat, seq, user: ids[user], emoji });

  const release = await chatOf("Release 1.0", "Ann Archer", "Bob", "Cy Young", "Doe, Jane");
  for (let number = 1; number <= 40; number += 1) await add(release, "Bob", `Check ${number} of 40 is done.`);
  await server.post("chats/read", { chat: release, user: ids["Ann Archer"], seq: 28 });

  const { id: direct } = await server.post("chats/direct", { users: [ids["Ann Archer"], ids["Doe, Jane"]] });
  await add(direct, "Doe, Jane", "Did you hear? 🎉");

  const greetings = await chatOf("שלום ומרחבא", "Ann Archer", "نور", "דנה");
  await add(greetings, "דנה", "שלום! ניפגש ב־12:30 בקפה **Central**?");
  await add(greetings, "نور", "مرحبا، نعم: https://example.org/menu (الطابق 2)");
  await add(greetings, "Ann Archer", "See you there at 12:30.", { reply_to: 1 });

  const tea = await chatOf("Tea", "Ann Archer", "Bob", "Cy Young");
  await add(tea, "Bob", "Is anybody there?");
  await add(tea, "Ann Archer", "Always. What is it?");
  await add(tea, "Bob", "Coffee?");
  await server.post("messages/delete", { chat: tea, seq: 3, user: ids.Bob });
  await add(tea, "Cy Young", "The kettle is on. Who wants a cup?");
  const text = "The kettle is on. Who wants a cup? ☕";
  await server.post("messages/edit", { chat: tea, seq: 4, user: ids["Cy Young"], text });
  const brew = "> three minutes, at 80 °C\nhttps://example.org/how-to-brew";
  await add(tea, "Cy Young", `We have **Darjeeling**, and \`green\` tea:\n${brew}`);
  for (const [user, emoji] of [["Bob", "🎉"], ["Ann Archer", "🎉"], ["Bob", "👍"]]) await react(tea, 4, user, emoji);
  await add(tea, "Ann Archer", "Me, please!", { reply_to: 4 });
  await add(tea, "Bob", "Same for me.", { reply_to: 6 });
  await server.post("chats/read", { chat: tea, user: ids["Ann Archer"], seq: 7 });
  await add(tea, "Ann Archer", "I'll bring biscuits.", { reply_to: 7 });
  await server.post("chats/read", { chat: tea, user: ids.Bob, seq: 8 });
}

test("pictures of the main views", async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  await fill();
  const take = (page, file) => page.screenshot({ path: join(SCREENSHOTS, `${file}.png`) });
  const chat = async (file, options, name, text) => {
    const page = await enter("Ann Archer", options);
    await open(page, name);
    await shown(page, text);
    await page.getByLabel("Your message").focus();
    await take(page, file);
    return page;
  };

  const list = await enter("Ann Archer", WIDE);
  await list.locator(".listed", { hasText: "Check 40 of 40" }).waitFor();
  await list.locator(".offline").waitFor({ state: "hidden" });
  await take(list, "list");

  const light = await chat("chat", { ...WIDE, colorScheme: "light" }, "Tea", "biscuits");
  await shownMessage(light, "biscuits").locator(".quote").click();
  await light.locator(".aimed", { hasText: "Same for me" }).waitFor();
  await take(light, "replies");
  await more(light, "edited");
  await take(light, "message");

  await chat("unread", WIDE, "Release 1.0", "Check 29");
  await chat("dark", { ...WIDE, colorScheme: "dark" }, "Tea", "biscuits");
  await chat("right-to-left", WIDE, "שלום ומרחבא", "See you there");
  await chat("phone", { ...TOUCH, deviceScaleFactor: 2, colorScheme: "dark" }, "Tea", "biscuits");
  await chat("zoom", { viewport: { width: 500, height: 320 }, deviceScaleFactor: 2 }, "Tea", "biscuits");
});
