// Which chats, messages and users does the page know? It loads them once; the stream of events then keeps them current.

import { access, load, newKey, persist, position, post } from "./api.js";
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
  #onRenamed;
  /** Whether a read mark was set within the last interval. */
  #hasJustMarked = false;
  /** The list of chats, while it is being loaded. */
  #listing;
  outbox;

  /** `onRenamed` is called with the user's own name when it has changed. */
  constructor(me, onChange, onRenamed) {
    this.me = me;
    this.names.set(me.id, me.username);
    this.#onChange = onChange;
    this.#onRenamed = onRenamed;
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
    if (!this.#histories.has(chat)) {
      const get = (which) => this.#load("messages/get", { chat, user: this.me.id, ...which });
      this.#histories.set(chat, new History(get));
    }
    return this.#histories.get(chat);
  }

  /** Returns the user's name, as far as it is known. */
  name(user) {
    return this.names.get(user) ?? "…";
  }

  /** Returns the chat's name, or else the names of its other members. */
  title(chat) {
    const others = chat.users.filter((user) => user !== this.me.id);
    return chat.name ?? (others.map((user) => this.name(user)).join(", ") || "Just you");
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
    for (const author of history.authors) this.#learnName(author);
    this.#onChange();
  }

  /** Marks the shown chat as read up to its last message. */
  async markRead() {
    const chat = this.chats.get(this.open);
    const seq = this.history(this.open).last;
    if (!chat || !chat.unread || (chat.marking ?? 0) >= seq || this.#hasJustMarked) return;
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

  reply({ chat, seq }, text) {
    this.outbox.add(chat, this.me.id, text, seq);
  }

  async edit({ chat, seq }, text) {
    await this.#change("messages/edit", { chat, seq, user: this.me.id, text });
  }

  async delete({ chat, seq }) {
    await this.#change("messages/delete", { chat, seq, user: this.me.id });
  }

  /** Adds a reaction, or removes it. */
  async react({ chat, seq }, emoji, isAdded) {
    const path = `messages/reactions/${isAdded ? "add" : "remove"}`;
    await this.#change(path, { chat, seq, user: this.me.id, emoji });
  }

  /** Makes a chat. One without a name and with one other member is the direct chat with them. */
  async addChat(name, usernames) {
    const users = new Set([this.me.id]);
    for (const username of usernames) users.add((await this.#find(username)).id);
    const path = !name && users.size === 2 ? "chats/direct" : "chats/add";
    const key = newKey();
    const { id } = await persist(() => post(path, { name: name || undefined, users: [...users] }, key));
    await this.#listChats();
    await this.show(id);
  }

  async addMember(username) {
    const chat = this.open;
    const { id: user } = await this.#find(username);
    await this.#change("chats/users/add", { chat, user });
  }

  // The page shows the change when the stream brings it.
  async #change(path, body) {
    const key = newKey();
    await persist(() => post(path, body, key));
  }

  #load(path, body) {
    return load(path, body, () => Number.parseInt(this.#after, 10));
  }

  async #find(username) {
    // A token does not look up others by their names, but may find them.
    const user = access.token
      ? (await this.#load("users/find", { prefix: username, limit: 100 })).find((user) => user.username === username)
      : await this.#load("users/get", { username });
    if (!user) throw new Error(`no user is named ${username}`);
    this.names.set(user.id, user.username);
    return user;
  }

  async #listChats() {
    this.#listing ??= this.#list().finally(() => (this.#listing = undefined));
    await this.#listing;
  }

  async #list() {
    const listed = await this.#load("chats/get", { user: this.me.id });
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
    // The stream of someone who is erased just ends.
    const { username } = await persist(() => post("users/get", { user: this.me.id }));
    if (username === null) {
      this.#onRenamed("");
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
    on("message_edited", (message) => this.#changeMessage(message, () => message));
    on("message_deleted", (deleted) => this.#applyDeletion(deleted));
    on("reaction", (reaction) => this.#applyReaction(reaction, true));
    on("reaction_removed", (reaction) => this.#applyReaction(reaction, false));
    on("chat", (chat) => this.#applyChat(chat));
    on("chat_edited", (chat) => this.#applyChat(chat));
    on("user_edited", (user) => this.#applyUser(user));
    // So much has changed that all is loaded again.
    on("user_erased", () => location.reload());
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

  // Changes a message where it is shown. What was loaded may be newer than the event, and a deletion is final.
  #changeMessage({ chat: id, seq }, change) {
    const changed = (message) => (message.deleted_at ? message : change(message));
    this.#histories.get(id)?.change(seq, changed);
    const chat = this.chats.get(id);
    if (chat?.last_message?.seq === seq) chat.last_message = changed(chat.last_message);
  }

  #applyDeletion(deleted) {
    const { chat, seq, deleted_at } = deleted;
    const left = ({ id, author, created_at }) => ({ id, chat, author, text: "", created_at, seq, deleted_at });
    this.#changeMessage(deleted, left);
    // The page does not know whether the message was unread.
    if (this.chats.get(chat)?.unread) this.#listChats();
  }

  #applyReaction(reaction, isAdded) {
    const { user, emoji, count } = reaction;
    this.#changeMessage(reaction, (message) => {
      const reactions = [...(message.reactions ?? [])];
      const place = reactions.findIndex((each) => each.emoji === emoji);
      const own = user === this.me.id ? isAdded : Boolean(reactions[place]?.own);
      reactions.splice(place < 0 ? reactions.length : place, 1, { emoji, count, own });
      return { ...message, reactions: reactions.filter((each) => each.count) };
    });
  }

  #applyUser({ id, username }) {
    this.names.set(id, username);
    if (id !== this.me.id || username === this.me.username) return;
    this.me = { ...this.me, username };
    this.#onRenamed(username);
  }

  #changeMembers(id, change) {
    const chat = this.chats.get(id);
    if (!chat) return;
    chat.users = [...new Set(change(chat.users))];
    for (const user of chat.users) this.#learnName(user);
  }

  #leave(chat) {
    this.chats.delete(chat);
    // From here on, the stream brings no changes of its messages.
    this.#histories.delete(chat);
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
    const { username } = await this.#load("users/get", { user });
    this.names.set(user, username ?? "erased user");
    this.#onChange();
  }
}
