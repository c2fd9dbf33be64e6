// The messages of a chat that the page has loaded: a window, which has no gaps, and others to which these reply.

const PAGE = 60;
/** Maximum number of messages in the window. As it grows at one end, it is cut at the other. */
const WINDOW_MAX = 300;
/** Number of messages before an asked one that are loaded with it. */
const BEFORE = 20;

export class History {
  messages = [];
  isLoaded = false;
  /** Greatest `seq` that the page knows of, loaded or not. */
  newest = 0;
  /** Whether the reader is at the end of the window, which then moves on with new messages. */
  isFollowed = true;
  /** The read mark with which the user opened the chat, if there was something unread. */
  divider = null;
  /** Where the reader left the chat: a message, and its distance from the top in pixels. */
  place = null;
  /** Messages outside the window that others reply to, by `seq`. */
  #replied = new Map();
  /** `seq` of messages that are being looked up. */
  #asked = new Set();
  #get;
  #loading;

  /** `get` loads messages of the chat that its options name, and passes them to a function. */
  constructor(get) {
    this.#get = get;
  }

  get first() {
    return this.messages[0]?.seq ?? 1;
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  get reachesBegin() {
    return this.first === 1;
  }

  get reachesEnd() {
    return this.last >= this.newest;
  }

  has(seq) {
    return this.isLoaded && seq >= this.first && seq <= this.last;
  }

  /** Returns the message with this `seq`, if it is loaded. */
  at(seq) {
    return this.messages[seq - this.first] ?? this.#replied.get(seq);
  }

  /** Replaces the message with this `seq`, if it is loaded, by what `change` makes of it. */
  change(seq, change) {
    if (this.has(seq)) this.messages = this.messages.with(seq - this.first, change(this.at(seq)));
    // It may also be quoted when the window has moved on.
    const replied = this.#replied.get(seq);
    if (replied) this.#replied.set(seq, change(replied));
  }

  /** Adds a message that was just sent, if it is the next one. */
  add(message) {
    this.newest = Math.max(this.newest, message.seq);
    if (!this.isLoaded || message.seq !== this.last + 1) return;
    if (!this.isFollowed && this.messages.length >= WINDOW_MAX) return;
    this.messages = [...this.messages, message].slice(-WINDOW_MAX);
    this.#loadReplied();
  }

  /** Loads the newest messages. */
  async loadNewest() {
    await this.#replace({ limit: PAGE });
  }

  /** Loads this message and those around it. */
  async loadAround(seq) {
    await this.#replace({ after: Math.max(seq - 1 - BEFORE, 0), limit: PAGE });
  }

  async #replace(options) {
    while (this.#loading) await this.#loading;
    await this.#load(options, (page) => {
      this.messages = page;
      this.isLoaded = true;
      this.newest = Math.max(this.newest, this.last);
    });
  }

  async loadEarlier() {
    if (this.#loading || !this.isLoaded || this.reachesBegin) return;
    await this.#load({ before: this.first, limit: PAGE }, (page) => {
      // The window may have moved on meanwhile.
      if (page.at(-1)?.seq === this.first - 1) this.messages = [...page, ...this.messages].slice(0, WINDOW_MAX);
    });
  }

  async loadLater() {
    if (this.#loading || !this.isLoaded || this.reachesEnd) return;
    await this.#load({ after: this.last, limit: PAGE }, (page) => {
      const further = page.filter(({ seq }) => seq > this.last);
      this.messages = [...this.messages, ...further].slice(-WINDOW_MAX);
    });
  }

  /** Loads the messages of the window again. */
  async reload() {
    if (!this.messages.length) return;
    await this.#get({ after: this.first - 1, limit: this.messages.length }, (page) => {
      for (const message of page) this.change(message.seq, () => message);
    });
  }

  async #load(options, apply) {
    this.#loading = this.#get(options, apply);
    try {
      await this.#loading;
    } finally {
      this.#loading = undefined;
    }
    // What is quoted comes later, and moves nothing that is in view.
    this.#loadReplied();
  }

  async #loadReplied() {
    const isMissing = (seq) => seq && !this.at(seq) && !this.#asked.has(seq);
    const seqs = new Set(this.messages.map(({ reply_to }) => reply_to).filter(isMissing));
    if (!seqs.size) return;
    for (const seq of seqs) this.#asked.add(seq);
    await this.#get({ seqs: [...seqs] }, (found) => {
      for (const message of found) this.#replied.set(message.seq, message);
    });
    for (const seq of seqs) this.#asked.delete(seq);
  }
}
