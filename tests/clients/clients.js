// The clients of server-sent events that are tried. Each follows a stream as its own documentation shows, with what
// docs/api.md says about it, and reconnects as that client does.
//
// A client is a function of the stream's URL, of `handOut`, which takes each event that the library hands out as
// `{ type, id, data }`, and of the browser. It returns a function that ends it.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";

const TYPES = ["begin", "reset", "message", "chat", "member", "member_removed", "read"];
const PYTHON = process.env.CHINWAG_PYTHON ?? "python3";
const { resolve } = createRequire(import.meta.url);

export const CLIENTS = {
  "EventSource of a browser": (url, handOut, browser) =>
    inPage(url, handOut, browser, async () => {}, followInPage, "EventSource"),

  "event-source-polyfill": (url, handOut, browser) => {
    const load = (page) => page.addScriptTag({ path: resolve("event-source-polyfill") });
    return inPage(url, handOut, browser, load, followInPage, "EventSourcePolyfill");
  },

  "@microsoft/fetch-event-source": (url, handOut, browser) => {
    // Its modules import each other by names without an extension, as only a bundler understands them.
    const modules = join(dirname(resolve("@microsoft/fetch-event-source/package.json")), "lib/esm");
    const load = (page) =>
      page.route("**/modules/*", (route) => {
        const name = new URL(route.request().url()).pathname.split("/").pop();
        return route.fulfill({ path: join(modules, `${name}.js`), contentType: "text/javascript" });
      });
    const follow = async ({ url }) => {
      const { fetchEventSource } = await import("/modules/index");
      fetchEventSource(url, {
        onmessage: ({ event, id, data }) => window.handOut({ type: event, id, data }),
        onclose: () => {
          throw new Error("the server has ended the stream; reconnect");
        },
      });
    };
    return inPage(url, handOut, browser, load, follow);
  },

  eventsource: async (url, handOut) => {
    const source = new EventSource(url);
    const take = ({ type, lastEventId, data }) => handOut({ type, id: lastEventId, data });
    for (const type of TYPES) source.addEventListener(type, take);
    return () => source.close();
  },

  "eventsource-client": async (url, handOut) => {
    const onMessage = ({ event, id, data }) => handOut({ type: event, id, data });
    const source = createEventSource({ url, onMessage });
    return () => source.close();
  },

  "httpx-sse": (url, handOut) => inPython("follow_httpx_sse.py", url, handOut),

  "aiohttp-sse-client": (url, handOut) => inPython("follow_aiohttp_sse_client.py", url, handOut),
};

async function inPage(url, handOut, browser, load, follow, name) {
  const page = await browser.newPage();
  await page.exposeFunction("handOut", handOut);
  // A page of the same origin, which follows nothing itself.
  await page.goto(new URL("/health", url).href);
  await load(page);
  await page.evaluate(follow, { url, name, types: TYPES });
  return () => page.close();
}

/** Runs in the page, with a class whose interface is that of EventSource. */
function followInPage({ url, name, types }) {
  const source = new window[name](url);
  const take = ({ type, lastEventId, data }) => window.handOut({ type, id: lastEventId, data });
  for (const type of types) source.addEventListener(type, take);
}

async function inPython(script, url, handOut) {
  const path = join(import.meta.dirname, script);
  const python = spawn(PYTHON, [path, url], { stdio: ["ignore", "pipe", "inherit"] });
  createInterface({ input: python.stdout }).on("line", (line) => handOut(JSON.parse(line)));
  return () => python.kill();
}
