// How does the page look? Templates insert values as text: nothing that a user writes becomes HTML.

import { html, nothing } from "./lit-html/lit-html.js";
import { repeat } from "./lit-html/directives/repeat.js";

/** Emoji that a user can react with. Those that a message has can also be clicked. */
const EMOJI = ["👍", "❤️", "😂", "😮", "🎉"];

const DELETED = "Message deleted";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** Returns the form for a token, where calls need one: only the application that the server belongs to signs it. */
export function signInWithToken({ submit, error }) {
  return html`
    <main class="sign-in">
      <h1>Chinwag</h1>
      <form @submit=${submit}>
        <label for="token">Your token</label>
        <input id="token" name="token" type="password" required maxlength="4096" autocomplete="off" autofocus>
        <button>Sign in</button>
      </form>
      <p>This server needs a token. The application that it belongs to signs one for each of its users.</p>
      ${error ? html`<p role="alert" class="error">${error}</p>` : nothing}
    </main>`;
}

export function signIn({ submit, error, name }) {
  return html`
    <main class="sign-in">
      <h1>Chinwag</h1>
      <form @submit=${submit}>
        <label for="username">Your username</label>
        <input id="username" name="username" required maxlength="64" autocomplete="username" autofocus .value=${name}>
        <button>Sign in</button>
      </form>
      <p>A username that is not in use creates a new user.</p>
      ${error ? html`<p role="alert" class="error">${error}</p>` : nothing}
    </main>`;
}

export function chat(store, actions) {
  const open = store.chats.get(store.open);
  return html`
    <div class="chat ${open ? "is-open" : ""}">
      <nav aria-label="Chats">
        <header>
          <h1>${store.me.username}</h1>
          <button @click=${actions.newChat}>New chat</button>
          <button @click=${actions.signOut}>Leave</button>
        </header>
        ${store.isConnected ? nothing : html`<p role="status" class="offline">Connecting …</p>`}
        <ul class="chats">
          ${repeat(store.listed, ({ id }) => id, (each) => listedChat(store, each, actions))}
        </ul>
        ${store.chats.size ? nothing : html`
          <p class="hint">You are not in a chat yet. Create one, or ask a member to add you.</p>`}
      </nav>
      ${open ? openChat(store, open, actions) : html`<main class="empty"><p class="hint">Select a chat.</p></main>`}
    </div>`;
}

function listedChat(store, chat, actions) {
  const last = chat.last_message;
  return html`
    <li>
      <button class="listed" aria-current=${chat.id === store.open ? "true" : "false"}
        @click=${() => actions.open(chat.id)}>
        <span class="name">${store.title(chat)}</span>
        ${chat.unread ? html`<span class="unread" aria-label="${chat.unread} unread">${chat.unread}</span>` : nothing}
        <span class="last">${last ? summary(store, last) : ""}</span>
      </button>
    </li>`;
}

/** Returns a message in a line. */
export function summary(store, { author, text, deleted_at }) {
  return `${store.name(author)}: ${deleted_at ? DELETED : text.slice(0, 100)}`;
}

function openChat(store, chat, actions) {
  const history = store.history(chat.id);
  const { messages, isWhole } = history;
  const waiting = store.outbox.messages.filter((message) => message.chat === chat.id);
  return html`
    <main aria-label=${store.title(chat)}>
      <header>
        <button class="back" @click=${actions.back} aria-label="Back to the chats">←</button>
        <h2>${store.title(chat)}</h2>
        <p class="members">${chat.name === null ? "" : chat.users.map((user) => store.name(user)).join(", ")}</p>
        ${chat.direct ? nothing : html`<button @click=${actions.addMember}>Add</button>`}
      </header>
      <ol class="messages" tabindex="0" role="log" aria-label="Messages" @scroll=${actions.scrolled}>
        ${isWhole ? nothing : html`<li class="hint">…</li>`}
        ${repeat(messages, ({ seq }) => seq, (each, index) =>
          message(store, history, each, messages[index - 1], actions))}
        ${repeat(waiting, ({ key }) => key, (each) => waitingMessage(store, history, each, actions))}
      </ol>
      <form class="write" @submit=${actions.say}>
        <textarea name="text" rows="1" maxlength="16384" aria-label="Your message" placeholder="Message"
          @keydown=${actions.typed}></textarea>
        <button>Send</button>
      </form>
    </main>`;
}

function message(store, history, message, before, actions) {
  const { author, created_at } = message;
  const at = new Date(created_at);
  const isNewDay = !before || new Date(before.created_at).toDateString() !== at.toDateString();
  const isOwn = author === store.me.id;
  return html`
    ${isNewDay ? html`<li class="day"><span>${day.format(at)}</span></li>` : nothing}
    <li class="message ${isOwn ? "own" : ""}">
      ${isOwn ? nothing : html`<span class="author">${store.name(author)}</span>`}
      ${message.deleted_at ? html`<span class="deleted">${DELETED}</span>` : content(store, history, message)}
      <time datetime=${created_at}>${time.format(at)}</time>
      ${message.deleted_at ? nothing : html`
        <button class="more" aria-label="More" @click=${() => actions.more(message)}>⋯</button>
        ${reactions(message, actions)}`}
    </li>`;
}

function content(store, history, { text, edited_at, reply_to }) {
  return html`
    ${replied(store, history, reply_to)}
    <span class="text">${text}</span>
    ${edited_at ? html`<span class="edited">edited</span>` : nothing}`;
}

// Returns what the message with this `seq` says, to which another one replies.
function replied(store, history, seq) {
  if (!seq) return nothing;
  const message = history.at(seq);
  return html`<blockquote>${message ? summary(store, message) : "…"}</blockquote>`;
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

function waitingMessage(store, history, message, actions) {
  return html`
    <li class="message own waiting">
      ${replied(store, history, message.reply_to)}
      <span class="text">${message.text}</span>
      ${message.refused
        ? html`<span class="error" role="alert">${message.refused}</span>
            <button @click=${() => actions.discard(message)}>Discard</button>`
        : html`<span class="hint" aria-label="being sent">…</span>`}
    </li>`;
}

/** Returns the dialog with what `ask` asks, or a closed one if `ask` is null. */
export function dialog(ask, actions) {
  // When the event comes, the dialog may be open again.
  return html`
    <dialog aria-label=${ask?.title ?? nothing} @close=${({ target }) => target.open || actions.closeDialog()}>
      ${ask ? question(ask, actions) : nothing}
    </dialog>`;
}

function question(ask, actions) {
  const { title, about, message, fields = [], choices, error } = ask;
  return html`
    <form method="dialog" @submit=${actions.submitDialog}>
      <h2>${title}</h2>
      ${about ? html`<p class="about">${about}</p>` : nothing}
      ${message ? emoji(message, actions) : nothing}
      ${fields.map((each) => html`<label>${each.label}${field(each, actions)}</label>`)}
      ${error ? html`<p role="alert" class="error">${error}</p>` : nothing}
      <div class="buttons">
        <button type="button" @click=${actions.closeDialog}>Cancel</button>
        ${choices
          ? choices.map((next) => html`<button type="button" @click=${() => actions.ask(next)}>${next.title}</button>`)
          : html`<button>${title}</button>`}
      </div>
    </form>`;
}

function field({ name, text, required }, actions) {
  return text === undefined
    ? html`<input name=${name} ?required=${required} autocomplete="off" maxlength="2000">`
    : html`<textarea name=${name} required maxlength="16384" .value=${text} @keydown=${actions.typed}></textarea>`;
}

// Returns the emoji to react to a message with.
function emoji(message, actions) {
  const { reactions = [] } = message;
  const isOwn = (emoji) => reactions.some((each) => each.emoji === emoji && each.own);
  return html`
    <div class="reactions" role="group" aria-label="React">
      ${EMOJI.map((emoji) => html`
        <button type="button" aria-pressed=${isOwn(emoji) ? "true" : "false"}
          @click=${() => actions.react(message, emoji, !isOwn(emoji))}>${emoji}</button>`)}
    </div>`;
}
