// A server for one test, which can be killed and started again with the same port and data.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.CHINWAG ?? new URL("../../target/debug/chinwag", import.meta.url).pathname;

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Server {
  /** Starts a server, with flags that name files of these texts. */
  static async start(files = {}) {
    const server = new Server();
    server.dir = await mkdtemp(join(tmpdir(), "chinwag-page-"));
    server.flags = [];
    for (const [flag, text] of Object.entries(files)) {
      const path = join(server.dir, flag);
      await writeFile(path, text, { mode: 0o600 });
      server.flags.push(`--${flag}`, path);
    }
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}/`;
    await server.run();
    return server;
  }

  async run() {
    const words = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", join(this.dir, "data"), ...this.flags];
    this.process = spawn(BINARY, words, { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((resolve, reject) => {
      this.process.stdout.once("data", resolve);
      this.process.once("exit", (code) => reject(new Error(`the server ended: ${code}`)));
    });
  }

  /** Ends the process, by default without a chance to finish. */
  async kill(signal = "SIGKILL") {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill(signal);
    await ended;
  }

  async stop() {
    await this.kill();
    await rm(this.dir, { recursive: true });
  }

  async post(path, body, bearer = null) {
    const headers = { "Content-Type": "application/json", ...(bearer && { Authorization: `Bearer ${bearer}` }) };
    const response = await fetch(this.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text ? JSON.parse(text) : null;
  }
}
