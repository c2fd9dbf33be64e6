// Every client sees each message once and in order, over cuts of its connection, and receives nothing but events.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Server } from "../page/server.js";
import { CLIENTS } from "./clients.js";
import { Cut } from "./cut.js";
import { until } from "./until.js";

const ODD = [
  "separators: \u2028 \u2029 \u0085 \u000b \u000c",
  "line ends: \n \r\n \r \n\n",
  "what looks like a field\ndata: \nid: 1\n\n: comment",
  '"quotes" \\" \\ \'',
  "\ufeffmark, \u0000, and emoji: 🫖 👩‍👩‍👧",
];
const LONG = "🫖".repeat(4096);
/** The text whose JSON is the longest: 96 KiB. */
const LONGEST = "\u0001".repeat(16_384);

let browser;
before(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});
after(() => browser.close());

describe("over cuts, each message once and in order, and no empty event", { concurrency: true }, () => {
  for (const [name, follow] of Object.entries(CLIENTS)) {
    test(name, { timeout: 120_000 }, async (t) => {
      const server = await Server.start();
      t.after(() => server.stop());
      const { id: user } = await server.post("users/add", { username: "ann" });
      const { id: chat } = await server.post("chats/add", { name: "tea", users: [user] });
      const cut = await Cut.before(server);
      t.after(() => cut.close());
      const sent = [];
      const send = async (...texts) => {
        for (const text of texts) {
          await server.post("messages/add", { chat, author: user, text });
          sent.push(text);
        }
      };
      const events = [];
      const end = await follow(`${cut.url}/events?user=${user}`, (event) => events.push(event), browser);
      t.after(end);
      const received = () => events.filter(({ type }) => type === "message");
      const all = () => until(`message ${sent.length} of those sent`, () => received().length >= sent.length);

      // Before the first message.
      await until("the stream begins", () => events.length > 0);
      cut.close();
      await send(...ODD);
      await cut.open();
      await all();

      // In the middle of a message.
      await send("live");
      await all();
      cut.closeAfter(5_000);
      await send(LONG);
      await until("the cut", () => !cut.isOpen);
      await send("while away");
      await cut.open();
      await all();

      // The server is killed, or stops.
      for (const signal of ["SIGKILL", "SIGTERM"]) {
        await server.kill(signal);
        cut.close();
        await server.run();
        await send(`after a ${signal}`);
        await cut.open();
        await all();
      }

      // A heartbeat.
      const { streams } = cut;
      cut.answered = "";
      await until("a heartbeat", () => cut.answered.includes("\n:\n"));
      await send(LONGEST, "the last");
      await all();
      assert.equal(cut.streams, streams, "the client did not reconnect");

      assert.deepEqual(received().map(({ data }) => JSON.parse(data).text), sent);
      for (const { type, id, data } of events) {
        assert.match(id, /^\d+-[0-9a-f]+$/);
        assert.ok(type === "begin" || type === "message", `${type}: ${data}`);
        assert.ok(JSON.parse(data));
      }
      assert.equal(events.length - sent.length, cut.streams, "each stream has one begin");
    });
  }
});
