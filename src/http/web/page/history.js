// Which messages of a chat has the page loaded? Those with `seq` from first to last, without gaps.

import { persist, post } from "./api.js";

const PAGE = 50;

export class History {
  messages = [];
  /** Whether the chat's first message is loaded. */
  isWhole = false;
  #chat;
  #loading;
  /** Greatest `seq` that the page knows of, loaded or not. */
  #newest = 0;

  constructor(chat) {
    this.#chat = chat;
  }

  get first() {
    return this.messages[0]?.seq;
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  /** Loads the newest page, or the one before the first loaded message. */
  async load() {
    if (this.isWhole) return;
    this.#loading ??= this.#loadPage().finally(() => (this.#loading = undefined));
    await this.#loading;
  }

  async #loadPage() {
    const before = this.first === undefined ? {} : { before: this.first };
    const page = await persist(() => post("messages/get", { chat: this.#chat, limit: PAGE, ...before }));
    this.messages = [...page, ...this.messages];
    this.isWhole = page.length < PAGE || this.first === 1;
    await this.#catchUp();
  }

  /** Adds a message that was just sent. Resolves to whether messages before it had to be loaded. */
  async add(message) {
    this.#newest = Math.max(this.#newest, message.seq);
    const isLoaded = this.isWhole || this.first !== undefined;
    if (isLoaded && message.seq === this.last + 1) {
      this.messages = [...this.messages, message];
      return false;
    }
    if (!isLoaded || this.#loading) return false;
    await this.#catchUp();
    return true;
  }

  // A page does not contain the messages that were sent while it was being loaded.
  async #catchUp() {
    while (this.last < this.#newest) {
      const after = this.last;
      const missed = await persist(() => post("messages/get", { chat: this.#chat, after }));
      this.messages = [...this.messages, ...missed.filter((message) => message.seq > this.last)];
    }
  }
}
