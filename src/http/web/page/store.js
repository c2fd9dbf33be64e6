// What the page knows of chats, messages and users. It loads them once; the stream of events then keeps them current.

import { Refused, access, newKey, persist, post, read } from "./api.js";
import { follow } from "./follow.js";
import { History } from "./history.js";
import { Names, visible } from "./names.js";
import { Outbox } from "./outbox.js";
import { namesOf } from "./words.js";

/** Minimum time between two read marks, because each one is an event that the server keeps. */
const MARK_INTERVAL_MS = 2000;
/** Number of the user's own messages after the read mark from which it is moved, so that unread ones are found soon. */
const OWN_MAX = 20;
/** Maximum number of chats in one answer. */
const CHATS_PAGE = 500;
/** Maximum number of reactions whose users are named. */
const REACTORS_MAX = 100;
/** Maximum number of users in an answer to a search. */
const FOUND_MAX = 8;
/** Maximum number of names in a title. */
const TITLE_NAMES_MAX = 4;

export class Store {
  me;
  /** Chats by id. `marks` has the members' read marks by user, once the chat has been opened. */
  chats = new Map();
  names;
  /** Id of the chat that is shown, or null. */
  open = null;
  isConnected = false;
  /** Why the server sends no events, if it refuses to. */
  refusal = null;
  /** Whether it has stopped following. */
  isResting = false;
  /** Whether all chats are loaded. */
  isListed = false;
  outbox;
  #histories = new Map();
  /** Id of the last event that was applied; at first, a position. */
  #after = "0";
  /** Events that were applied while answers are awaited, which may not show them yet. */
  #recent = [];
  #awaited = 0;
  /** Chats whose unread messages are being counted, and whether they have to be counted once more. */
  #recounted = new Map();
  #listener;
  #unfollow = null;
  /** Whether a read mark was set within the last interval. */
  #hasJustMarked = false;

  /**
   * The listener has `onChange()`, `onRenamed(me)` when the user's own name has changed, `onMessage(message)` for a
   * message of another, `onLeft(title)` when the user has been removed from the open chat, `onErased()` when the user
   * was erased, and `onLost()` when all has to be loaded again.
   */
  constructor(me, listener) {
    this.me = me;
    this.#listener = listener;
    this.names = new Names((users) => this.#load("users/get", { users }, (found) => this.#nameAll(found)));
    this.names.set(me.id, me.username);
    this.outbox = new Outbox(me.id, (message) => this.#applyMessage(message), () => this.#changed());
  }

  async start() {
    let page;
    let cursor;
    do {
      await this.#load("chats/get", { user: this.me.id, limit: CHATS_PAGE, cursor }, (chats) => {
        page = chats;
        for (const chat of chats) this.#applyChat(chat);
      });
      if (!this.#unfollow) this.follow();
      cursor = page.at(-1)?.cursor;
    } while (page.length === CHATS_PAGE);
    this.isListed = true;
    this.#changed();
  }

  /** Follows the user's events, from the last one on. */
  follow() {
    this.#unfollow?.();
    this.isResting = false;
    const place = { user: this.me.id, token: access.token, after: this.#after };
    this.#unfollow = follow(place, {
      onEvent: (event) => this.#hear(event),
      onConnected: (isConnected) => {
        this.isConnected = isConnected;
        this.#changed();
      },
      onEnd: (status) => this.#ended(status),
    });
  }

  /** Stops following. What happens from now on is heard when the page follows again. */
  rest() {
    if (!this.#unfollow) return;
    this.#unfollow();
    this.isResting = true;
  }

  /** Chats in order: those with messages, by the latest message; then those without, the newest first. */
  get listed() {
    return [...this.chats.values()].sort((one, other) => {
      if (!one.last_message !== !other.last_message) return one.last_message ? -1 : 1;
      const [at, otherAt] = [one, other].map(({ last_message, created_at }) => last_message?.created_at ?? created_at);
      return at < otherAt ? 1 : at > otherAt ? -1 : 0;
    });
  }

  history(chat) {
    if (!this.#histories.has(chat)) {
      const get = (options, apply) => this.#loadOf(chat, "messages/get", options, apply);
      const history = new History(get);
      history.newest = this.chats.get(chat)?.last_message?.seq ?? 0;
      this.#histories.set(chat, history);
    }
    return this.#histories.get(chat);
  }

  /** Returns the chat's name, or else those of its other members. */
  title(chat) {
    if (chat.name !== null) return visible(chat.name);
    return namesOf(this.names, this.others(chat), TITLE_NAMES_MAX) || "Just you";
  }

  others(chat) {
    return chat.users.filter((user) => user !== this.me.id);
  }

  /**
   * Opens a chat: at this message, or at the first unread one, or where the user left it, or at its end. Returns the
   * `seq` of the message, or undefined for the end.
   */
  async show(id, seq) {
    const isOpen = this.open === id;
    this.open = id;
    const chat = this.chats.get(id);
    const history = this.history(id);
    if (!isOpen) history.divider = null;
    this.#changed();
    if (!chat.marks) await this.#loadOf(id, "chats/show", {}, (shown) => this.#applyShown(shown));
    const unread = !isOpen && chat.unread ? await this.#loadUnread(history, this.#markOf(chat)) : undefined;
    if (unread) history.divider = unread - 1;
    const wanted = (seq <= history.newest ? seq : undefined) ?? unread ?? history.place?.seq;
    if (wanted ? !history.has(wanted) : !history.isLoaded || !history.reachesEnd) {
      await (wanted ? history.loadAround(wanted) : history.loadNewest());
    }
    this.#changed();
    return wanted;
  }

  // Loads the first unread message, and returns its `seq`. Many of the user's own may come before it.
  async #loadUnread(history, mark) {
    const isUnread = ({ seq, author, deleted_at }) => seq > mark && author !== this.me.id && !deleted_at;
    if (!history.has(mark + 1)) await history.loadAround(mark + 1);
    if (!history.messages.some(isUnread)) await history.loadNewest();
    return history.messages.find(isUnread)?.seq;
  }

  async showNewest() {
    const history = this.history(this.open);
    if (!history.reachesEnd) await history.loadNewest();
    this.#changed();
  }

  /** Notes that the user has seen the open chat up to this message, and marks it as read. */
  saw(seq) {
    const chat = this.chats.get(this.open);
    if (!chat) return;
    chat.seen = Math.max(chat.seen ?? 0, seq);
    this.#mark(chat);
  }

  async #mark(chat) {
    const { id, seen: seq, unread, marks } = chat;
    if (!seq || !marks || this.#hasJustMarked) return;
    const mark = Math.max(chat.marking ?? 0, this.#markOf(chat));
    if (seq <= mark || (!unread && seq - mark < OWN_MAX)) return;
    chat.marking = seq;
    this.#hasJustMarked = true;
    setTimeout(() => {
      this.#hasJustMarked = false;
      // More may have been seen meanwhile, also of other chats.
      for (const each of this.chats.values()) this.#mark(each);
    }, MARK_INTERVAL_MS);
    try {
      await persist(() => post("chats/read", { chat: id, user: this.me.id, seq }));
      this.#applyReadMark({ chat: id, user: this.me.id, seq });
      this.#changed();
    } catch {
      // A user who is no longer a member cannot mark the chat as read.
    }
  }

  /** Returns the other members who have read this message. */
  readers({ chat: id, seq, author }) {
    const marks = this.chats.get(id)?.marks ?? new Map();
    const isReader = ([user, mark]) => mark >= seq && user !== this.me.id && user !== author;
    return [...marks].filter(isReader).map(([user]) => user);
  }

  /** Returns who has reacted to a message, and with which emoji: [{ emoji, users }]. */
  async reactors({ chat, seq }) {
    const reactions = await persist(() => post("messages/reactions/get", { chat, seq, limit: REACTORS_MAX }));
    return [...Map.groupBy(reactions, ({ emoji }) => emoji)].map(([emoji, all]) => {
      return { emoji, users: all.map(({ user }) => user) };
    });
  }

  say(chat, text, reply_to) {
    this.outbox.add(chat, this.me.id, text, reply_to);
  }

  async edit({ chat, seq }, text) {
    await this.#write("messages/edit", { chat, seq, user: this.me.id, text });
  }

  async delete({ chat, seq }) {
    await this.#write("messages/delete", { chat, seq, user: this.me.id });
  }

  /** Adds a reaction, or removes it. */
  async react({ chat, seq }, emoji, isAdded) {
    const path = `messages/reactions/${isAdded ? "add" : "remove"}`;
    await this.#write(path, { chat, seq, user: this.me.id, emoji });
  }

  /** Makes a chat, and returns its id. One without a name and with one other member is the direct chat with them. */
  async addChat(name, others) {
    const users = [...new Set([this.me.id, ...others])];
    const path = !name && users.length === 2 ? "chats/direct" : "chats/add";
    const { id: chat } = await this.#write(path, { name: name || undefined, users });
    await this.#loadOf(chat, "chats/show", {}, (shown) => this.#applyShown(shown));
    return chat;
  }

  async addMember(chat, user) {
    await this.#write("chats/users/add", { chat, user });
  }

  async removeMember(chat, user) {
    await this.#write("chats/users/remove", { chat, user });
  }

  async rename(chat, name) {
    await this.#write("chats/edit", { chat, name });
  }

  /** Returns users whose names begin so. */
  async find(prefix) {
    const found = await persist(() => post("users/find", { prefix, limit: FOUND_MAX }));
    this.#nameAll(found);
    return found;
  }

  #changed() {
    this.#listener.onChange();
  }

  #ended(status) {
    if (status === 401) access.onRefused?.();
    else if (status === 409) this.#listener.onErased();
    else if (status === 400 || status === 404) this.#listener.onLost();
    else this.refusal = `The server refuses to send what is new (${status}).`;
    this.#changed();
  }

  // The page shows the change when the stream brings it.
  async #write(path, body) {
    const key = newKey();
    return persist(() => post(path, body, key));
  }

  // Reads, and applies the answer; then again the events that it does not show yet.
  async #load(path, body, apply) {
    const from = this.#recent.length;
    this.#awaited += 1;
    try {
      const { json, position } = await persist(() => read(path, body, String(positionOf(this.#after))));
      if (this.#after === "0") this.#after = String(position);
      apply(json);
      for (const event of this.#recent.slice(from)) if (positionOf(event.id) > position) this.#apply(event);
      this.#changed();
    } finally {
      this.#awaited -= 1;
      if (!this.#awaited) this.#recent = [];
    }
  }

  async #loadOf(chat, path, options, apply) {
    try {
      await this.#load(path, { chat, user: this.me.id, ...options }, apply);
    } catch (error) {
      // The user has left the chat meanwhile, which the stream also says.
      if (!(error instanceof Refused)) throw error;
    }
  }

  #hear(event) {
    if (event.kind === "reset") {
      this.#listener.onLost();
      return;
    }
    // Another tab may have asked the shared stream for earlier events.
    if (positionOf(event.id) < positionOf(this.#after)) return;
    if (event.kind !== "begin" && positionOf(event.id) === positionOf(this.#after)) return;
    this.#after = event.id;
    if (event.kind === "begin") return;
    const applied = { id: event.id, kind: event.kind, data: JSON.parse(event.data) };
    if (this.#awaited) this.#recent.push(applied);
    this.#apply(applied);
    this.#changed();
    if (event.kind === "message" && applied.data.author !== this.me.id) this.#listener.onMessage(applied.data);
  }

  // **Invariant:** applying the same events again, in order, changes nothing.
  #apply({ kind, data }) {
    if (kind === "message") this.#applyMessage(data);
    else if (kind === "message_edited") this.#changeMessage(data, () => data);
    else if (kind === "message_deleted") this.#applyDeletion(data);
    else if (kind === "reaction") this.#applyReaction(data, true);
    else if (kind === "reaction_removed") this.#applyReaction(data, false);
    else if (kind === "chat" || kind === "chat_edited") this.#applyChat(data);
    else if (kind === "user_edited") this.#applyUser(data);
    else if (kind === "user_erased") this.#applyErasure(data);
    else if (kind === "member") this.#changeMembers(data.chat, (users) => [...users, data.user]);
    else if (kind === "member_removed") this.#applyRemoval(data);
    else if (kind === "read") this.#applyReadMark(data);
  }

  #nameAll(users) {
    for (const { id, username } of users) this.names.set(id, username);
  }

  #applyChat(chat) {
    // One that the user has left meanwhile has no members.
    if (!chat.users.includes(this.me.id)) return;
    this.chats.set(chat.id, Object.assign(this.chats.get(chat.id) ?? {}, chat));
    const history = this.#histories.get(chat.id);
    if (history) history.newest = Math.max(history.newest, chat.last_message?.seq ?? 0);
  }

  #applyShown({ read_marks, ...chat }) {
    this.#applyChat(chat);
    const shown = this.chats.get(chat.id);
    if (shown) shown.marks = new Map(read_marks.map(({ user, seq }) => [user, seq]));
  }

  #applyMessage(message) {
    if (message.author === this.me.id) this.outbox.hear(message);
    this.#histories.get(message.chat)?.add(message);
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
    const { chat: id, deleted_at } = deleted;
    this.#changeMessage(deleted, ({ id, chat, author, created_at, seq }) => {
      return { id, chat, author, text: "", created_at, seq, deleted_at };
    });
    if (this.chats.get(id)?.unread) this.#recount(id);
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
    this.#listener.onRenamed(this.me);
  }

  #applyErasure({ user, messages, deleted_at }) {
    this.names.set(user, null);
    for (const [id, chat] of this.chats) {
      chat.users = chat.users.filter((other) => other !== user);
      chat.marks?.delete(user);
      const last = chat.last_message;
      const history = this.#histories.get(id);
      const isTheirs = ({ author }) => messages === "erase" && author === user;
      const held = [...(history?.messages ?? []), ...(last ? [last] : [])];
      const seqs = new Set(held.filter(isTheirs).map(({ seq }) => seq));
      for (const seq of seqs) this.#applyDeletion({ chat: id, seq, deleted_at });
      // The page does not know whose the other reactions are.
      history?.reload();
    }
  }

  #changeMembers(id, change) {
    const chat = this.chats.get(id);
    if (chat) chat.users = [...new Set(change(chat.users))];
  }

  #applyRemoval({ chat: id, user }) {
    if (user !== this.me.id) {
      this.#changeMembers(id, (users) => users.filter((other) => other !== user));
      return;
    }
    const chat = this.chats.get(id);
    if (!chat) return;
    this.chats.delete(id);
    // From here on, the stream brings no changes of its messages.
    this.#histories.delete(id);
    if (this.open === id) this.#listener.onLeft(this.title(chat));
  }

  #markOf(chat) {
    return chat.marks?.get(this.me.id) ?? 0;
  }

  // Applies a read mark, which another tab of the same user may have set.
  #applyReadMark({ chat: id, user, seq }) {
    const chat = this.chats.get(id);
    if (!chat) return;
    const before = chat.marks?.get(user) ?? 0;
    if (seq <= before) return;
    chat.marks?.set(user, seq);
    if (user !== this.me.id || !chat.unread) return;
    const history = this.#histories.get(id);
    const isPassed = (message) => message.seq > before && message.seq <= seq;
    const wasUnread = (message) => isPassed(message) && message.author !== user && !message.deleted_at;
    const isLoaded = chat.marks && history?.has(before + 1) && history.has(seq);
    if (seq >= (chat.last_message?.seq ?? 0)) chat.unread = 0;
    else if (isLoaded) chat.unread -= history.messages.filter(wasUnread).length;
    else this.#recount(id);
  }

  // One count at a time: what changes while it is under way needs one more, however much it is.
  async #recount(id) {
    const isCounting = this.#recounted.has(id);
    this.#recounted.set(id, true);
    if (isCounting) return;
    while (this.#recounted.get(id)) {
      this.#recounted.set(id, false);
      await this.#loadOf(id, "chats/show", {}, (shown) => this.#applyShown(shown));
    }
    this.#recounted.delete(id);
  }
}

const positionOf = (id) => Number.parseInt(id, 10);
