// What was written and not yet answered. It outlives the page: every message has its key from the start, so that it
// can be sent again and again and is there once.

import { newKey, persist, post } from "./api.js";

export class Outbox {
  #storageKey;
  #sending = new Set();
  #onChange;
  #onSent;
  /** { key, chat, author, text, refused? }, oldest first. */
  messages;

  constructor(user, onSent, onChange) {
    this.#storageKey = `chinwag-outbox-${user}`;
    this.messages = JSON.parse(localStorage.getItem(this.#storageKey) ?? "[]");
    this.#onSent = onSent;
    this.#onChange = onChange;
    for (const { chat } of this.messages) this.#send(chat);
  }

  add(chat, author, text) {
    this.messages.push({ key: newKey(), chat, author, text });
    this.#changed();
    this.#send(chat);
  }

  /** Takes back what was refused. */
  discard(message) {
    this.messages = this.messages.filter((other) => other !== message);
    this.#changed();
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
        this.messages = this.messages.filter((other) => other !== message);
        this.#onSent({ ...sent, chat, author, text });
      } catch (error) {
        message.refused = error.message;
      }
      this.#changed();
    }
    this.#sending.delete(chat);
  }

  #changed() {
    localStorage.setItem(this.#storageKey, JSON.stringify(this.messages));
    this.#onChange();
  }
}
