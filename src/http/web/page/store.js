// Which chats, messages and users does the page know? It loads them once; the stream of events then keeps them current.

import { access, newKey, persist, position, post } from "./api.js";
import { History } from "./history.js";
import { Outbox } from "./outbox.js";

/** Minimum time between two read marks, because each one is an event that the server keeps. */
const MARK_INTERVAL_MS = 2000;

export class Store {
  me;
  /** Chats by id. */
  chats = new Map();
  /** Usernames by id. */
  names = new Map();
  /** Id of the chat that is shown, or null. */
  open = null;
  isConnected = false;
  #histories = new Map();
  /** Id of the last event that was applied; at first, a position. */
  #after;
  #onChange;
  /** Whether a read mark was set within the last interval. */
  #hasJustMarked = false;
  outbox;

  constructor(me, onChange) {
    this.me = me;
    this.names.set(me.id, me.username);
    this.#onChange = onChange;
    this.outbox = new Outbox(me.id, (message) => this.#applyMessage(message), onChange);
  }

  async start() {
    this.#after = String(await persist(position));
    await this.#listChats();
    this.#follow();
  }

  /** Chats in order: those with messages, by the latest message; then those without, the newest first. */
  get listed() {
    const lastSent = (chat) => chat.last_message?.created_at ?? "";
    const later = (one, other) => lastSent(other).localeCompare(lastSent(one)) || other.made - one.made;
    return [...this.chats.values()].sort(later);
  }

  history(chat) {
    if (!this.#histories.has(chat)) this.#histories.set(chat, new History(chat));
    return this.#histories.get(chat);
  }

  async show(chat) {
    this.open = chat;
    this.#onChange();
    if (this.history(chat).first === undefined) await this.loadEarlier();
  }

  async loadEarlier() {
    const history = this.history(this.open);
    await history.load();
    this.#loaded(history);
  }

  #loaded(history) {
    for (const { author } of history.messages) this.#learnName(author);
    this.#onChange();
  }

  /** Marks the shown chat as read up to its last message. */
  async markRead() {
    const chat = this.chats.get(this.open);
    const seq = this.history(this.open).last;
    if (!chat || !chat.unread || chat.marking >= seq || this.#hasJustMarked) return;
    chat.marking = seq;
    this.#hasJustMarked = true;
    setTimeout(() => {
      this.#hasJustMarked = false;
      // The page then marks the messages that have come meanwhile.
      this.#onChange();
    }, MARK_INTERVAL_MS);
    try {
      await persist(() => post("chats/read", { chat: chat.id, user: this.me.id, seq }));
      if (seq === (chat.last_message?.seq ?? 0)) chat.unread = 0;
      this.#onChange();
    } catch {
      // A user who is no longer a member cannot mark the chat as read.
    }
  }

  say(text) {
    this.outbox.add(this.open, this.me.id, text);
  }

  async addChat(name, usernames) {
    const users = [this.me.id];
    for (const username of usernames) users.push((await this.#find(username)).id);
    const key = newKey();
    const { id } = await persist(() => post("chats/add", { name, users }, key));
    await this.#listChats();
    await this.show(id);
  }

  async addMember(username) {
    const user = (await this.#find(username)).id;
    const key = newKey();
    await persist(() => post("chats/users/add", { chat: this.open, user }, key));
  }

  async #find(username) {
    // A token does not look up others by their names, but may find them.
    const find = async (prefix) => (await post("users/find", { prefix, limit: 100 })).find(isNamed);
    const isNamed = (user) => user.username === username;
    const user = await persist(() => (access.token ? find(username) : post("users/get", { username })));
    if (!user) throw new Error(`no user is named ${username}`);
    this.names.set(user.id, user.username);
    return user;
  }

  async #listChats() {
    const listed = await persist(() => post("chats/get", { user: this.me.id }));
    // Chats without messages keep the server's order.
    listed.reverse().forEach((chat, made) => this.#applyChat({ ...chat, made }));
    this.#onChange();
  }

  #applyChat(chat) {
    this.chats.set(chat.id, { made: this.chats.size, ...this.chats.get(chat.id), ...chat });
    for (const user of chat.users) this.#learnName(user);
    if (chat.last_message) this.#learnName(chat.last_message.author);
  }

  // An EventSource stops at an answer that is not a stream, such as the 503 of a starting server. So a new one
  // continues from the last event.
  async #follow() {
    if ((await persist(position)) < Number.parseInt(this.#after, 10)) {
      // The server has another log, as after a restart with `--ephemeral`.
      location.reload();
      return;
    }
    // An EventSource sends no header.
    const bought = access.token ? `token=${(await persist(() => post("events/token", {}))).token}&` : "";
    const stream = new EventSource(`events?${bought}user=${this.me.id}&after=${this.#after}`);
    stream.onopen = () => this.#connected(true);
    stream.onerror = () => {
      stream.close();
      this.#connected(false);
      setTimeout(() => this.#follow(), 250 + Math.random() * 250);
    };
    // The log was restored from an older copy, or repaired.
    stream.addEventListener("reset", () => location.reload());
    const on = (kind, apply) =>
      stream.addEventListener(kind, (event) => {
        this.#after = event.lastEventId;
        apply(JSON.parse(event.data));
        this.#onChange();
      });
    on("message", (message) => this.#applyMessage(message));
    on("chat", (chat) => this.#applyChat(chat));
    on("member", ({ chat, user }) => this.#changeMembers(chat, (users) => [...users, user]));
    on("member_removed", ({ chat, user }) => {
      if (user === this.me.id) this.#leave(chat);
      else this.#changeMembers(chat, (users) => users.filter((other) => other !== user));
    });
    on("read", ({ chat, user, seq }) => this.#applyReadMark(chat, user, seq));
  }

  #connected(isConnected) {
    this.isConnected = isConnected;
    this.#onChange();
  }

  #applyMessage(message) {
    this.#learnName(message.author);
    const history = this.#histories.get(message.chat);
    history?.add(message).then((isLate) => isLate && this.#loaded(history));
    const chat = this.chats.get(message.chat);
    // The list of chats, or the answer to its sender, may have contained the message already.
    if (!chat || message.seq <= (chat.last_message?.seq ?? 0)) return;
    chat.last_message = message;
    if (message.author !== this.me.id) chat.unread += 1;
  }

  #changeMembers(id, change) {
    const chat = this.chats.get(id);
    if (!chat) return;
    chat.users = [...new Set(change(chat.users))];
    for (const user of chat.users) this.#learnName(user);
  }

  #leave(chat) {
    this.chats.delete(chat);
    if (this.open === chat) this.open = null;
  }

  // Applies a read mark that another page of the same user may have set.
  #applyReadMark(id, user, seq) {
    const chat = this.chats.get(id);
    if (!chat || user !== this.me.id || !chat.unread) return;
    if (seq === chat.last_message?.seq) chat.unread = 0;
    else this.#listChats();
  }

  async #learnName(user) {
    if (this.names.has(user)) return;
    this.names.set(user, "…");
    const { username } = await persist(() => post("users/get", { user }));
    this.names.set(user, username);
    this.#onChange();
  }
}
