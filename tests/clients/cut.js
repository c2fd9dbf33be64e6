// A TCP proxy in front of a server. It can cut all its connections, at once or after a number of bytes.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Cut {
  /** The number of requests for a stream. */
  streams = 0;
  /** The bytes that the server has sent since the connections were last opened. */
  answered = "";
  port = 0;
  isOpen = false;
  #server;
  #listener;
  #connections = new Set();
  /** The number of bytes of answers after which the connections are cut. */
  #left = Infinity;

  static async before(server) {
    const cut = new Cut();
    cut.#server = server;
    await cut.open();
    return cut;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async open() {
    this.answered = "";
    this.#left = Infinity;
    this.#listener = createServer((client) => this.#join(client)).listen(this.port, "127.0.0.1");
    await once(this.#listener, "listening");
    this.port = this.#listener.address().port;
    this.isOpen = true;
  }

  /** Closes all connections, and refuses new ones. */
  close() {
    this.isOpen = false;
    this.#listener.close();
    for (const connection of this.#connections) connection.destroy();
  }

  /** Closes after the server has sent this number of bytes more. */
  closeAfter(bytes) {
    this.#left = bytes;
  }

  #join(client) {
    const server = connect(this.#server.port, "127.0.0.1");
    client.on("data", (bytes) => {
      server.write(bytes);
    });
    server.on("data", (bytes) => {
      const passed = bytes.subarray(0, this.#left);
      this.#left -= passed.length;
      if (passed.includes("text/event-stream")) this.streams += 1;
      this.answered += passed.toString("latin1");
      client.write(passed, () => {
        if (this.#left === 0 && this.isOpen) this.close();
      });
    });
    for (const [one, other] of [[client, server], [server, client]]) {
      this.#connections.add(one);
      one.on("end", () => other.end());
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroySoon();
        this.#connections.delete(one);
      });
    }
  }
}
