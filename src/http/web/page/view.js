// How does the page look? Templates insert values as text: nothing that a user writes becomes HTML.

import { html, nothing } from "./lit-html/lit-html.js";
import { repeat } from "./lit-html/directives/repeat.js";

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
        <span class="name">${chat.name}</span>
        ${chat.unread ? html`<span class="unread" aria-label="${chat.unread} unread">${chat.unread}</span>` : nothing}
        <span class="last">${last ? `${store.names.get(last.author) ?? "…"}: ${last.text.slice(0, 100)}` : ""}</span>
      </button>
    </li>`;
}

function openChat(store, chat, actions) {
  const { messages, isWhole } = store.history(chat.id);
  const waiting = store.outbox.messages.filter((message) => message.chat === chat.id);
  return html`
    <main aria-label=${chat.name}>
      <header>
        <button class="back" @click=${actions.back} aria-label="Back to the chats">←</button>
        <h2>${chat.name}</h2>
        <p class="members">${chat.users.map((user) => store.names.get(user) ?? "…").join(", ")}</p>
        <button @click=${actions.addMember}>Add</button>
      </header>
      <ol class="messages" tabindex="0" role="log" aria-label="Messages" @scroll=${actions.scrolled}>
        ${isWhole ? nothing : html`<li class="hint">…</li>`}
        ${repeat(messages, ({ seq }) => seq, (each, index) => message(store, each, messages[index - 1]))}
        ${repeat(waiting, ({ key }) => key, (each) => waitingMessage(each, actions))}
      </ol>
      <form class="write" @submit=${actions.say}>
        <textarea name="text" rows="1" maxlength="16384" aria-label="Your message" placeholder="Message"
          @keydown=${actions.typed}></textarea>
        <button>Send</button>
      </form>
    </main>`;
}

function message(store, { author, text, created_at }, before) {
  const at = new Date(created_at);
  const isNewDay = !before || new Date(before.created_at).toDateString() !== at.toDateString();
  const isOwn = author === store.me.id;
  return html`
    ${isNewDay ? html`<li class="day"><span>${day.format(at)}</span></li>` : nothing}
    <li class="message ${isOwn ? "own" : ""}">
      ${isOwn ? nothing : html`<span class="author">${store.names.get(author) ?? "…"}</span>`}
      <span class="text">${text}</span>
      <time datetime=${created_at}>${time.format(at)}</time>
    </li>`;
}

function waitingMessage(message, actions) {
  return html`
    <li class="message own waiting">
      <span class="text">${message.text}</span>
      ${message.refused
        ? html`<span class="error" role="alert">${message.refused}</span>
            <button @click=${() => actions.discard(message)}>Discard</button>`
        : html`<span class="hint" aria-label="being sent">…</span>`}
    </li>`;
}

/** Returns the dialog with the fields of `ask`, or a closed one if `ask` is null. */
export function dialog(ask, actions) {
  if (!ask) return html`<dialog></dialog>`;
  return html`
    <dialog aria-label=${ask.title} @close=${actions.closeDialog}>
      <form method="dialog" @submit=${actions.submitDialog}>
        <h2>${ask.title}</h2>
        ${ask.fields.map(
          ({ name, label, required }) => html`
            <label>${label}<input name=${name} ?required=${required} autocomplete="off" maxlength="2000"></label>`,
        )}
        ${ask.error ? html`<p role="alert" class="error">${ask.error}</p>` : nothing}
        <div class="buttons">
          <button type="button" @click=${actions.closeDialog}>Cancel</button>
          <button>${ask.title}</button>
        </div>
      </form>
    </dialog>`;
}
