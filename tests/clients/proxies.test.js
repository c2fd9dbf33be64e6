// Proxies that buffer and compress pass each event on at once.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import compression from "compression";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";
import { Server, freePort } from "../page/server.js";
import { until } from "./until.js";

const NGINX = process.env.CHINWAG_NGINX ?? "nginx";
/** An event takes milliseconds. One that is held back takes until the next heartbeat, or much longer. */
const AT_ONCE_MS = 5_000;

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

/** Runs nginx, whose configuration is Debian's in what matters here. Returns its URL. */
async function nginx(t, ...directives) {
  const dir = await mkdtemp(join(tmpdir(), "chinwag-nginx-"));
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) => `${of}_temp_path ${dir}/${of};`);
  await writeFile(
    join(dir, "nginx.conf"),
    `daemon off;
    master_process off;
    pid ${dir}/pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      ${temporary.join("\n")}
      gzip on;
      gzip_types *;
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass ${server.url};
          ${directives.join("\n")}
        }
      }
    }`,
  );
  const nginx = spawn(NGINX, ["-e", "stderr", "-c", join(dir, "nginx.conf")], { stdio: ["ignore", "ignore", "inherit"] });
  t.after(async () => {
    const ended = once(nginx, "exit");
    if (nginx.kill()) await ended;
    await rm(dir, { recursive: true });
  });
  let isListening = false;
  await until("nginx listens", () => {
    if (!isListening) connect(port, "127.0.0.1", function () { isListening = true; this.destroy(); }).on("error", () => {});
    return isListening;
  });
  return `http://127.0.0.1:${port}`;
}

/** Runs an app of Express. Returns its URL. */
async function app(t, onResponse = () => {}) {
  const app = express();
  app.use(compression());
  app.use(createProxyMiddleware({ target: server.url, on: { proxyRes: onResponse } }));
  const listener = app.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => {
    listener.close();
    listener.closeAllConnections();
  });
  return `http://127.0.0.1:${listener.address().port}`;
}

/** Follows a new user's events through a proxy, and sends the user a message. Fails if either event is late. */
async function isPassedOn(t, proxy) {
  const { id: user } = await server.post("users/add", { username: t.name });
  const { id: chat } = await server.post("chats/add", { name: t.name, users: [user] });
  const followed = new AbortController();
  t.after(() => followed.abort());
  const stream = { received: "", encoding: undefined };
  // The fetch of Node accepts gzip, and decodes each piece as it arrives.
  const following = fetch(`${proxy}/events?user=${user}`, { signal: followed.signal }).then(async (response) => {
    stream.encoding = response.headers.get("content-encoding");
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) stream.received += text;
  });
  following.catch(() => {});
  await until("the first event", () => stream.received.includes("event: begin\n"), AT_ONCE_MS);
  await server.post("messages/add", { chat, author: user, text: "Kettle is on." });
  await until("a message", () => stream.received.includes("Kettle is on."), AT_ONCE_MS);
  return stream;
}

describe("behind proxies", { concurrency: true }, () => {
  test("nginx, compressing, passes each event on", async (t) => {
    const stream = await isPassedOn(t, await nginx(t));
    assert.equal(stream.encoding, "gzip");
  });

  test("nginx holds events back without X-Accel-Buffering", async (t) => {
    const proxy = await nginx(t, "proxy_ignore_headers X-Accel-Buffering;");
    await assert.rejects(isPassedOn(t, proxy), /not within/);
  });

  test("compression and http-proxy-middleware pass each event on", async (t) => {
    const stream = await isPassedOn(t, await app(t));
    assert.equal(stream.encoding, null);
  });

  test("compression holds events back without no-transform", async (t) => {
    const proxy = await app(t, ({ headers }) => {
      headers["cache-control"] = "no-store";
    });
    await assert.rejects(isPassedOn(t, proxy), /not within/);
  });
});
