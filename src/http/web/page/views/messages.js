// An open chat.

import { html, nothing } from "../lit-html/lit-html.js";
import { guard } from "../lit-html/directives/guard.js";
import { repeat } from "../lit-html/directives/repeat.js";
import { dayOf, momentOf, namesOf, timeOf } from "../words.js";
import { DELETED, summary } from "./chats.js";
import { composer } from "./composer.js";
import { marked } from "./text.js";
import { avatar, chatAvatar, person } from "./people.js";

/** Time within which messages of one author form a group. */
const GROUP_MS_MAX = 5 * 60_000;
/** Maximum length of a text that is shown whole at first: in UTF-16 units, and in lines. */
const FOLDED_LENGTH = 2000;
const FOLDED_LINES = 40;
/** Maximum number of readers who are named. */
const NAMED_MAX = 3;

export function openChat(store, ui, chat, actions) {
  const history = store.history(chat.id);
  const waiting = store.outbox.messages.filter(({ chat: id, heard }) => id === chat.id && !heard);
  const isEmpty = history.isLoaded && !history.messages.length && !waiting.length;
  return html`
    <main aria-label=${store.title(chat)}>
      ${heading(store, chat, actions)}
      <div class="messages" role="log" aria-label="Messages" tabindex="0" @scroll=${actions.scrolled}>
        ${isEmpty ? html`<p class="hint">No messages yet. Write the first one.</p>` : nothing}
        <ol>
          ${history.reachesBegin ? nothing : html`<li class="hint">Loading …</li>`}
          ${repeat(history.messages, ({ seq }) => seq, (each, place) =>
            message(store, ui, history, each, history.messages[place - 1], actions))}
          ${history.reachesEnd
            ? repeat(waiting, ({ key }) => key, (each) => waitingMessage(store, history, each, actions))
            : html`<li class="hint">Loading …</li>`}
        </ol>
        ${seen(store, history)}
      </div>
      ${ui.isAtEnd ? nothing : html`
        <button class="newest" @click=${actions.goToNewest}>
          Newest messages${chat.unread ? html` <span class="unread">${chat.unread}</span>` : nothing} ↓
        </button>`}
      ${composer(store, ui, chat, actions)}
    </main>`;
}

function heading(store, chat, actions) {
  const { users } = chat;
  const [other] = store.others(chat);
  const about = chat.direct ? "Direct chat" : `${users.length} ${users.length === 1 ? "member" : "members"}`;
  return html`
    <header>
      <a class="back" href="#" aria-label="Back to the chats" @click=${actions.back}>←</a>
      ${chatAvatar(store, chat)}
      <div class="titles">
        <h2 title=${store.title(chat)}>${chat.direct && other
          ? person(store.names, other)
          : html`<bdi>${store.title(chat)}</bdi>`}</h2>
        <p class="members">${about}</p>
      </div>
      ${chat.direct ? nothing : html`<button @click=${() => actions.openMembers(chat)}>Members</button>`}
    </header>`;
}

function message(store, ui, history, message, before, actions) {
  const { author, seq, reply_to } = message;
  const { at, day } = timesOf(message);
  const isNewDay = !before || timesOf(before).day !== day;
  const isFirstUnread = history.divider !== null && seq > history.divider && !(before?.seq > history.divider);
  const isSoon = !isNewDay && at - timesOf(before).at < GROUP_MS_MAX;
  const isGrouped = isSoon && !isFirstUnread && before.author === author;
  const isOwn = author === store.me.id;
  const replied = reply_to && history.at(reply_to);
  const quote = replied && summary(store, replied);
  // A message is made anew only if one of these has changed.
  const isUnfolded = ui.unfolded.has(message.id);
  const shown = [message, isGrouped, quote, isUnfolded, store.names.of(author), store.names.caution(author)];
  return html`
    ${isNewDay ? html`<li class="day"><span>${dayOf(at)}</span></li>` : nothing}
    ${isFirstUnread ? html`<li class="divider"><span>New</span></li>` : nothing}
    <li data-seq=${seq} class=${classes({ message: true, own: isOwn, grouped: isGrouped, aimed: ui.aimed === seq })}>
      ${guard(shown, () => html`
        ${isGrouped || isOwn ? nothing : avatar(store.names, author)}
        <div class="bubble">
          ${isGrouped || isOwn ? nothing : html`<p class="author">${person(store.names, author)}</p>`}
          ${message.deleted_at ? deleted(message) : content(message, quote, isUnfolded, actions)}
        </div>
        ${message.deleted_at ? nothing : tools(message, actions)}`)}
    </li>`;
}

// The keyboard finds what is quick among what is more.
function tools(message, actions) {
  return html`
    <div class="tools">
      <button class="quick" tabindex="-1" aria-label="Reply" title="Reply"
        @click=${() => actions.reply(message)}>↩</button>
      <button class="more" aria-label="More" title="More" aria-haspopup="dialog"
        @click=${() => actions.more(message)}>⋯</button>
    </div>`;
}

function deleted(message) {
  return html`<div class="said"><p class="deleted">${DELETED}</p><p class="meta">${time(message)}</p></div>`;
}

function content(message, quote, isUnfolded, actions) {
  const { text, reply_to, edited_at } = message;
  const isFolded = !isUnfolded && folded(text) !== text;
  return html`
    ${quoted(message, reply_to, quote, actions)}
    <div class="said">
      <div class="text" dir="auto">${marked(isFolded ? folded(text) : text)}${isFolded ? html`
        <button @click=${() => actions.unfold(message)}>Show all</button>` : nothing}</div>
      <p class="meta">
        ${edited_at ? html`<span class="edited" title=${momentOf(new Date(edited_at))}>edited</span>` : nothing}
        ${time(message)}
      </p>
    </div>
    ${reactions(message, actions)}`;
}

// Returns the beginning of a long text. A whole page of long hostile texts would keep the browser busy for seconds.
function folded(text) {
  const lines = text.slice(0, FOLDED_LENGTH).split("\n", FOLDED_LINES);
  const folded = lines.join("\n");
  return folded.length === text.length ? text : `${folded.replace(/[\ud800-\udbff]$/, "")}…`;
}

function time(message) {
  const { at } = timesOf(message);
  return html`<time datetime=${message.created_at} title=${momentOf(at)}>${timeOf(at)}</time>`;
}

// Returns what the message says that another one replies to, as a link to it.
function quoted({ chat }, seq, quote, actions) {
  if (!seq) return nothing;
  const link = `#chat=${chat}&message=${seq}`;
  return html`<a class="quote" href=${link} dir="auto" @click=${actions.followQuote}>${quote ?? "…"}</a>`;
}

function reactions(message, actions) {
  const { reactions = [] } = message;
  if (!reactions.length) return nothing;
  return html`
    <div class="reactions" role="group" aria-label="Reactions">
      ${reactions.map(({ emoji, count, own }) => html`
        <button aria-pressed=${own ? "true" : "false"} @click=${() => actions.react(message, emoji, !own)}>
          <bdi>${emoji}</bdi> ${count}
        </button>`)}
    </div>`;
}

// Returns who has read the last message, if it is the user's own.
function seen(store, history) {
  const last = history.messages.at(-1);
  if (!history.reachesEnd || last?.author !== store.me.id) return nothing;
  const readers = store.readers(last);
  if (!readers.length) return nothing;
  const isAll = readers.length > 1 && readers.length === store.others(store.chats.get(last.chat)).length;
  const named = isAll ? "all" : namesOf(store.names, readers, NAMED_MAX);
  return html`<p class="seen">Seen by <bdi>${named}</bdi></p>`;
}

function waitingMessage(store, history, message, actions) {
  const { text, reply_to, refused } = message;
  const replied = reply_to && history.at(reply_to);
  return html`
    <li class="message own waiting">
      <div class="bubble">
        ${quoted(message, reply_to, replied && summary(store, replied), actions)}
        <div class="said">
          <div class="text" dir="auto">${marked(folded(text))}</div>
          ${refused ? nothing : html`<p class="meta"><span role="img" aria-label="Being sent">…</span></p>`}
        </div>
        ${refused ? html`
          <p class="error" role="alert">${refused}</p>
          <button @click=${() => actions.discard(message)}>Discard</button>` : nothing}
      </div>
    </li>`;
}

const times = new WeakMap();

// Returns when a message was sent, and on which day, which are computed once.
function timesOf(message) {
  if (!times.has(message)) {
    const at = new Date(message.created_at);
    times.set(message, { at, day: at.toDateString() });
  }
  return times.get(message);
}

const classes = (those) => Object.keys(those).filter((name) => those[name]).join(" ");
