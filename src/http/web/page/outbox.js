// What was written and not yet answered. It outlives the page: every message has its key from the start, so that it
// can be sent again and again, by several pages of one user too, and is there once.

import { newKey, persist, post } from "./api.js";

export class Outbox {
  /** Each message is stored by itself, so that no page overwrites another's. */
  #prefix;
  #sending = new Set();
  #onChange;
  #onSent;
  /** { key, chat, author, text, written, refused? }, oldest first. */
  messages;

  constructor(user, onSent, onChange) {
    this.#prefix = `chinwag-outbox-${user}-`;
    this.messages = Object.keys(localStorage)
      .filter((name) => name.startsWith(this.#prefix))
      .map((name) => JSON.parse(localStorage.getItem(name)))
      .sort((one, other) => one.written - other.written);
    this.#onSent = onSent;
    this.#onChange = onChange;
    for (const { chat } of this.messages) this.#send(chat);
  }

  add(chat, author, text) {
    // Not even two in one millisecond change places.
    const written = Math.max(Date.now(), (this.messages.at(-1)?.written ?? 0) + 1);
    const message = { key: newKey(), chat, author, text, written };
    this.#keep(message);
    this.messages.push(message);
    this.#send(chat);
  }

  /** Takes back what was refused. */
  discard(message) {
    this.#forget(message);
    this.#onChange();
  }

  // One at a time in each chat, so that their order is kept.
  async #send(chat) {
    if (this.#sending.has(chat)) return;
    this.#sending.add(chat);
    let message;
    while ((message = this.messages.find((next) => next.chat === chat && !next.refused))) {
      const { key, author, text } = message;
      try {
        const sent = await persist(() => post("messages/add", { chat, author, text }, key));
        this.#forget(message);
        this.#onSent({ ...sent, chat, author, text });
        this.#onChange();
      } catch (error) {
        message.refused = error.message;
        this.#keep(message);
      }
    }
    this.#sending.delete(chat);
  }

  #keep(message) {
    localStorage.setItem(this.#prefix + message.key, JSON.stringify(message));
    this.#onChange();
  }

  #forget(message) {
    this.messages = this.messages.filter((other) => other !== message);
    localStorage.removeItem(this.#prefix + message.key);
  }
}
