// Which messages has the user written that the server has not answered? They are stored in the browser and survive a
// reload. Each has an idempotency key from the start, so that several pages of one user can retry it, and the server
// stores it once.

import { newKey, persist, post } from "./api.js";

export class Outbox {
  /** Prefix of the stored names. Each message has a name of its own, so that pages do not overwrite each other's. */
  #prefix;
  #sending = new Set();
  #onChange;
  #onSent;
  /** Messages { key, chat, author, text, reply_to?, written, refused? }, oldest first. */
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

  add(chat, author, text, reply_to) {
    // Two messages of one millisecond also keep their order.
    const written = Math.max(Date.now(), (this.messages.at(-1)?.written ?? 0) + 1);
    const message = { key: newKey(), chat, author, text, reply_to, written };
    this.#keep(message);
    this.messages.push(message);
    this.#send(chat);
  }

  /** Removes a refused message. */
  discard(message) {
    this.#forget(message);
    this.#onChange();
  }

  // Sends one message at a time in each chat, which keeps their order.
  async #send(chat) {
    if (this.#sending.has(chat)) return;
    this.#sending.add(chat);
    let message;
    while ((message = this.messages.find((next) => next.chat === chat && !next.refused))) {
      const { key, author, text, reply_to } = message;
      try {
        const sent = await persist(() => post("messages/add", { chat, author, text, reply_to }, key));
        this.#forget(message);
        this.#onSent({ ...sent, chat, author, text, reply_to });
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
