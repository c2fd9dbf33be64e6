// The messages that the user has written and the server has not answered. They are stored in the browser and survive a
// reload. Each has an idempotency key from the start, so that several pages of one user can retry it, and the server
// stores it once.

import { newKey, persist, post } from "./api.js";
import { allKept, forget, keep } from "./kept.js";
import { sentence } from "./words.js";

export class Outbox {
  /** Prefix of the stored names. Each message has a name of its own, so that pages do not overwrite each other's. */
  #prefix;
  #sending = new Set();
  #onChange;
  #onSent;
  /** Messages { key, chat, author, text, reply_to?, written, heard?, refused? }, oldest first. */
  messages;

  constructor(user, onSent, onChange) {
    this.#prefix = `chinwag-outbox-${user}-`;
    this.messages = allKept(this.#prefix)
      .map(([, message]) => JSON.parse(message))
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

  /** Notes that the stream has brought a message, which is then not shown as one that waits. */
  hear({ chat, seq, text, reply_to }) {
    const isThis = (message) => message.chat === chat && message.text === text && message.reply_to === reply_to;
    if (this.messages.some((message) => message.chat === chat && message.heard === seq)) return;
    const message = this.messages.find((message) => !message.heard && !message.refused && isThis(message));
    if (message) message.heard = seq;
  }

  // Sends one message at a time in each chat, which keeps their order.
  async #send(chat) {
    if (this.#sending.has(chat)) return;
    this.#sending.add(chat);
    let message;
    while ((message = this.messages.find((next) => next.chat === chat && !next.refused))) {
      const { key, author, text, reply_to } = message;
      let sent;
      try {
        sent = await persist(() => post("messages/add", { chat, author, text, reply_to }, key));
      } catch (error) {
        Object.assign(message, { refused: sentence(error), heard: undefined });
        this.#keep(message);
        continue;
      }
      this.#forget(message);
      this.#onSent({ ...sent, chat, author, text, reply_to });
      this.#onChange();
    }
    this.#sending.delete(chat);
  }

  #keep(message) {
    keep(this.#prefix + message.key, JSON.stringify({ ...message, heard: undefined }));
    this.#onChange();
  }

  #forget(message) {
    this.messages = this.messages.filter((other) => other !== message);
    forget(this.#prefix + message.key);
  }
}
