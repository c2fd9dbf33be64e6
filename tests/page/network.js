// A proxy between browser and server that drops packets or cuts connections.

import { connect, createServer } from "node:net";

export class Network {
  #serverPort;
  #listener;
  #connections = new Set();
  #blocked = new Set();
  #requests = [];
  #isDropping = false;
  #isCut = false;

  /** Starts a network to the server at this port. The browser is to use its `url`. */
  static async start(serverPort) {
    const network = new Network();
    network.#serverPort = serverPort;
    network.#listener = createServer((browser) => network.#accept(browser)).listen(0, "127.0.0.1");
    await new Promise((resolve) => network.#listener.once("listening", resolve));
    network.url = `http://127.0.0.1:${network.#listener.address().port}/`;
    return network;
  }

  /** From now on nothing passes, and nobody is told. */
  drop() {
    this.#isDropping = true;
    for (const connection of this.#connections) connection.fallSilent();
  }

  /** Closes all connections, and from now on new ones at once. */
  cut() {
    this.#isCut = true;
    for (const connection of this.#connections) connection.destroy();
  }

  /**
   * New connections pass again. Those that were there while packets were dropped stay silent until the browser closes
   * them, as behind a router that has forgotten them.
   */
  resume() {
    this.#isDropping = false;
    this.#isCut = false;
    for (const connection of this.#connections) if (connection.browser.destroyed) connection.destroy();
  }

  /** Closes connections with requests of paths that begin so, those that are open and from now on new ones. */
  block(prefix) {
    this.#blocked.add(prefix);
    for (const connection of this.#connections) if (connection.path?.startsWith(prefix)) connection.destroy();
  }

  unblock(prefix) {
    this.#blocked.delete(prefix);
  }

  /** Returns how many streams of events are open, without those that are silent. */
  streams() {
    return [...this.#connections].filter((each) => each.isStream && !each.isSilent && !each.browser.destroyed).length;
  }

  /** Returns the bodies of the requests so far with paths that begin so, also of workers, in any browser. */
  bodies(prefix) {
    return this.#requests.filter(({ path }) => path.startsWith(prefix)).map(({ body }) => body && JSON.parse(body));
  }

  async stop() {
    this.cut();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #accept(browser) {
    if (this.#isCut) return browser.destroy();
    const server = connect(this.#serverPort, "127.0.0.1");
    const connection = new Connection(browser, server);
    this.#connections.add(connection);
    if (this.#isDropping) connection.fallSilent();
    // A broken connection closes too, and that is all there is to do.
    for (const socket of [browser, server]) socket.setNoDelay().on("error", () => {});
    browser.on("data", (chunk) => {
      if (connection.isSilent) return;
      const requests = connection.takeRequest(chunk);
      this.#requests.push(...requests);
      if ([...this.#blocked].some((prefix) => connection.path?.startsWith(prefix))) return connection.destroy();
      server.write(chunk);
    });
    server.on("data", (chunk) => {
      if (connection.isSilent) return;
      connection.takeAnswer(chunk);
      browser.write(chunk);
    });
    // What was received is passed on before the end is.
    server.on("close", () => connection.isSilent || browser.destroySoon());
    browser.on("close", () => {
      // The server does not hear of it as long as nothing passes.
      if (this.#isDropping && !this.#isCut) return;
      connection.destroy();
    });
    const forget = () => browser.destroyed && server.destroyed && this.#connections.delete(connection);
    for (const socket of [browser, server]) socket.on("close", forget);
  }
}

/** Two sockets, and what is under way on them. A browser sends a request only after the answer to the one before. */
class Connection {
  /** The path of the last request. */
  path = null;
  isStream = false;
  isSilent = false;
  #request = "";
  #isAnswered = false;

  constructor(browser, server) {
    this.browser = browser;
    this.server = server;
  }

  fallSilent() {
    this.isSilent = true;
    // The server's packets stay unanswered. The browser's are read, or we would not see that it closes.
    this.server.pause();
  }

  destroy() {
    this.browser.destroy();
    this.server.destroy();
  }

  /** Takes a part of a request, and returns the requests that are complete with it. */
  takeRequest(chunk) {
    // One character is one byte here.
    this.#request += chunk.toString("latin1");
    const headEnd = this.#request.indexOf("\r\n\r\n");
    if (headEnd < 0) return [];
    const head = this.#request.slice(0, headEnd);
    const [method, path] = head.split(" ", 2);
    this.path = path;
    this.isStream = method === "GET" && /^\/events\b/.test(path);
    this.#isAnswered = false;
    const bodyStart = headEnd + 4;
    const length = Number(head.match(/^content-length: *([0-9]+)/im)?.[1] ?? 0);
    if (this.#request.length < bodyStart + length) return [];
    const body = Buffer.from(this.#request.slice(bodyStart), "latin1").toString();
    this.#request = "";
    return [{ path, body }];
  }

  /** Takes a part of an answer, to know when a stream ends. */
  takeAnswer(chunk) {
    const text = chunk.toString("latin1");
    // A refusal is no stream.
    if (!this.#isAnswered && !/^content-type: *text\/event-stream/im.test(text)) this.isStream = false;
    this.#isAnswered = true;
    // The last chunk of an answer in chunks is empty.
    if (text.endsWith("\r\n0\r\n\r\n") || text === "0\r\n\r\n") this.isStream = false;
  }
}
