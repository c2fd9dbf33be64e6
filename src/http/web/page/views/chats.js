// The list of chats.

import { html, nothing } from "../lit-html/lit-html.js";
import { repeat } from "../lit-html/directives/repeat.js";
import { guard } from "../lit-html/directives/guard.js";
import { isTouched } from "../ui.js";
import { beginning, shortTimeOf } from "../words.js";
import { avatar, chatAvatar, person } from "./people.js";
import { unmarked } from "./text.js";

export const DELETED = "Message deleted";
const SUMMARY_LENGTH = 200;

export function chats(store, ui, actions) {
  const wanted = ui.filter.trim().toLocaleLowerCase();
  const all = store.listed;
  const found = wanted ? all.filter((chat) => store.title(chat).toLocaleLowerCase().includes(wanted)) : all;
  return html`
    <nav aria-label="Chats" @keydown=${actions.moveInChats}>
      <header>
        <button class="me" aria-label="Settings of ${store.me.username}" @click=${actions.openSettings}>
          ${avatar(store.names, store.me.id)}
          <bdi class="name">${store.names.of(store.me.id)}</bdi><span aria-hidden="true">⚙</span>
        </button>
        <button class="primary" @click=${actions.newChat}>New chat</button>
      </header>
      <input class="filter" type="search" aria-label="Find a chat" dir="auto"
        placeholder=${isTouched.matches ? "Find a chat" : "Find a chat (Ctrl+K)"}
        .value=${ui.filter} @input=${actions.filter}>
      <p role="status" class="offline" ?hidden=${store.isConnected}>
        ${store.isConnected ? nothing : store.refusal ?? "Connecting … What you write is sent later."}
      </p>
      <ul class="chats" @scroll=${actions.scrolledChats}>
        ${repeat(found.slice(0, ui.chatsShown), ({ id }) => id, (each) => listedChat(store, ui, each))}
      </ul>
      ${nothingFound(store, ui, found)}
    </nav>`;
}

function nothingFound(store, { filter }, found) {
  if (found.length) return nothing;
  if (filter) return html`<p class="hint">No chat's name contains this text.</p>`;
  if (!store.isListed) return html`<p class="hint">Loading your chats …</p>`;
  return html`<p class="hint">You are not in a chat yet. Create one, or ask a member to add you.</p>`;
}

function listedChat(store, ui, chat) {
  const { id, last_message: last, unread } = chat;
  const title = store.title(chat);
  const [other] = store.others(chat);
  const direct = chat.direct && other;
  const isOpen = id === store.open;
  const draft = isOpen ? "" : ui.drafts.of(id).text;
  // A row is made anew only if one of these has changed.
  const names = [title, last && store.names.of(last.author), direct && store.names.caution(other)];
  const shown = [...names, last, unread, isOpen, draft, ui.today];
  return html`<li>${guard(shown, () => html`
    <a class="listed" href="#chat=${id}" aria-current=${isOpen ? "page" : nothing}>
      ${chatAvatar(store, chat)}
      ${direct ? person(store.names, other) : html`<bdi class="name">${title}</bdi>`}
      ${last ? html`<time datetime=${last.created_at}>${shortTimeOf(new Date(last.created_at))}</time>` : nothing}
      <span class="last" dir="auto">
        ${draft ? html`<span class="draft">Draft:</span> ${beginning(draft, SUMMARY_LENGTH)}` : line(store, chat)}
      </span>
      ${unread ? html`
        <span class="unread" aria-label="${unread} unread">${unread > 999 ? "999+" : unread}</span>` : nothing}
    </a>`)}</li>`;
}

// In a direct chat, one message of two needs no name.
function line(store, { direct, last_message: last }) {
  if (!last) return "No messages yet";
  return direct && last.author !== store.me.id ? gist(last) : summary(store, last);
}

/** Returns a message in a line. */
export function summary(store, message) {
  const { author } = message;
  return `${author === store.me.id ? "You" : isolated(store.names.of(author))}: ${gist(message)}`;
}

const gists = new WeakMap();

// Returns what a message says, in a line, which is made once.
function gist(message) {
  if (!gists.has(message)) {
    const { text, deleted_at } = message;
    const said = deleted_at ? DELETED : beginning(unmarked(text.slice(0, 4 * SUMMARY_LENGTH)), SUMMARY_LENGTH);
    gists.set(message, said.replaceAll(/\s+/g, " "));
  }
  return gists.get(message);
}

// A name of another direction does not turn what follows it (Unicode Standard Annex 9: FSI and PDI).
const isolated = (name) => `\u2068${name}\u2069`;
