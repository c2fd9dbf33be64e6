// Which messages of a chat has the page loaded? Those with `seq` from first to last, without gaps, and earlier ones to
// which these reply.

const PAGE = 50;
/** Maximum number of messages that are looked up at once. */
const LOOKED_UP_MAX = 1000;

export class History {
  messages = [];
  /** Whether the chat's first message is loaded. */
  isWhole = false;
  /** Messages before the first one that others reply to, by `seq`. */
  #replied = new Map();
  #get;
  #loading;
  /** Greatest `seq` that the page knows of, loaded or not. */
  #newest = 0;

  /** `get` loads messages of the chat: those of a range, or those with some `seqs`. */
  constructor(get) {
    this.#get = get;
  }

  get first() {
    return this.messages[0]?.seq;
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  /** The authors of all that is loaded. */
  get authors() {
    return new Set([...this.messages, ...this.#replied.values()].map(({ author }) => author));
  }

  /** Returns the message with this `seq`, if it is loaded. */
  at(seq) {
    return this.messages[seq - this.first] ?? this.#replied.get(seq);
  }

  /** Replaces the message with this `seq`, if it is loaded, by what `change` makes of it. */
  change(seq, change) {
    const message = this.at(seq);
    if (!message) return;
    if (seq >= this.first) this.messages = this.messages.with(seq - this.first, change(message));
    else this.#replied.set(seq, change(message));
  }

  /** Loads the newest page, or the one before the first loaded message. */
  async load() {
    if (this.isWhole) return;
    this.#loading ??= this.#loadPage().finally(() => (this.#loading = undefined));
    await this.#loading;
  }

  async #loadPage() {
    const before = this.first === undefined ? {} : { before: this.first };
    const page = await this.#get({ limit: PAGE, ...before });
    this.messages = [...page, ...this.messages];
    this.isWhole = page.length < PAGE || this.first === 1;
    await this.#loadReplied(page);
    await this.#catchUp();
  }

  /** Adds a message that was just sent. Resolves to whether others had to be loaded. */
  async add(message) {
    this.#newest = Math.max(this.#newest, message.seq);
    const isLoaded = this.isWhole || this.first !== undefined;
    if (isLoaded && message.seq === this.last + 1) {
      this.messages = [...this.messages, message];
      return this.#loadReplied([message]);
    }
    if (!isLoaded || this.#loading) return false;
    await this.#catchUp();
    return true;
  }

  // A page does not contain the messages that were sent while it was being loaded.
  async #catchUp() {
    while (this.last < this.#newest) {
      const missed = await this.#get({ after: this.last, limit: LOOKED_UP_MAX });
      const further = missed.filter((message) => message.seq > this.last);
      this.messages = [...this.messages, ...further];
      await this.#loadReplied(further);
    }
  }

  // Loads what these messages reply to. Resolves to whether it had to be loaded.
  async #loadReplied(messages) {
    const seqs = new Set(messages.map(({ reply_to }) => reply_to).filter((seq) => seq && !this.at(seq)));
    if (!seqs.size) return false;
    for (const message of await this.#get({ seqs: [...seqs] })) this.#replied.set(message.seq, message);
    return true;
  }
}
