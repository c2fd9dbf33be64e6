// What the user has begun to write. The browser keeps it for each chat, so that it survives a reload. Each tab has its
// own drafts until then.

import { allKept, forget, keep } from "./kept.js";

const NOTHING = { text: "" };

export class Drafts {
  #prefix;
  /** Drafts by chat. */
  #drafts = new Map();

  constructor(user) {
    this.#prefix = `chinwag-draft-${user}-`;
    for (const [chat, draft] of allKept(this.#prefix)) this.#drafts.set(chat, JSON.parse(draft));
  }

  /** Returns the draft of a chat: its text, and the `seq` of the message that it replies to, if it does. */
  of(chat) {
    return this.#drafts.get(chat) ?? NOTHING;
  }

  keep(chat, draft) {
    if (!draft.text && !draft.reply_to) {
      this.discard(chat);
      return;
    }
    this.#drafts.set(chat, draft);
    keep(this.#prefix + chat, JSON.stringify(draft));
  }

  discard(chat) {
    this.#drafts.delete(chat);
    forget(this.#prefix + chat);
  }

  discardAll() {
    for (const chat of [...this.#drafts.keys()]) this.discard(chat);
  }
}
