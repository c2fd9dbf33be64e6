// What the page asks, in a dialog.

import { html, nothing } from "../lit-html/lit-html.js";
import { live } from "../lit-html/directives/live.js";
import { CHOICES, settings } from "../settings.js";
import { canNotify } from "../notifications.js";
import { namesOf } from "../words.js";
import { summary } from "./chats.js";
import { avatar, person } from "./people.js";

/** Emoji that a user can react with. Those that a message has can also be clicked. */
const EMOJI = ["👍", "❤️", "😂", "😮", "🎉", "🙏"];
/** Maximum number of readers, and of users of an emoji, who are named. */
const NAMED_MAX = 20;

/** Returns the dialog with what `ask` asks, or a closed one if `ask` is null. */
export function dialog(store, ask, actions) {
  return html`
    <dialog aria-label=${ask?.title ?? nothing} @close=${() => actions.dialogClosed(ask)}
      @click=${({ target, currentTarget }) => target === currentTarget && actions.closeDialog()}>
      ${ask ? contents(store, ask, actions) : nothing}
    </dialog>`;
}

function contents(store, ask, actions) {
  return html`
    <form method="dialog" @submit=${actions.submitDialog}>
      <header>
        <h2>${ask.title}</h2>
        <button type="button" class="close" aria-label="Close" @click=${actions.closeDialog}>×</button>
      </header>
      ${ask.about ? html`<p class="about" dir="auto">${ask.about}</p>` : nothing}
      ${ask.body?.(store, ask, actions) ?? nothing}
      ${ask.error ? html`<p role="alert" class="error">${ask.error}</p>` : nothing}
      ${ask.answer ? html`
        <div class="buttons">
          <button type="button" @click=${actions.closeDialog}>Cancel</button>
          <button class="primary ${ask.isDangerous ? "dangerous" : ""}" ?disabled=${ask.isPending}>
            ${ask.submit}
          </button>
        </div>` : nothing}
    </form>`;
}

/** Asks for a chat's name and its other members. */
export function newChat(store, ask, actions) {
  return html`
    ${people(store, ask, actions)}
    <label>Chat name (optional)<input name="name" autocomplete="off" dir="auto"></label>
    <p class="about">Without a name, a chat with one other person is your direct chat with them.</p>`;
}

/** Asks for a name. */
export function name(store, ask) {
  return html`<label>Name<input name="name" required autocomplete="off" dir="auto" .value=${ask.name}></label>`;
}

/** Asks for people: those who are chosen, and a field to find others. */
export function people(store, ask, actions) {
  return html`
    <div>
      ${ask.picked.length ? html`
        <ul class="picked" aria-label="Chosen">
          ${ask.picked.map((user) => html`
            <li>${person(store.names, user)}
              <button type="button" aria-label="Remove ${store.names.of(user)}"
                @click=${() => actions.unpick(user)}>×</button>
            </li>`)}
        </ul>` : nothing}
      <label>Find people by the beginning of their names
        <input name="person" autocomplete="off" dir="auto" @input=${actions.findPeople} @keydown=${actions.typedPerson}>
      </label>
      <ul class="found" aria-label="Matches">
        ${ask.found.map(({ id }) => html`
          <li><button type="button" @click=${() => actions.pick(id)}>
            ${avatar(store.names, id)}${person(store.names, id)}
          </button></li>`)}
      </ul>
      ${ask.hasFoundNobody ? html`<p class="hint" role="status">Nobody's name begins with this text.</p>` : nothing}
    </div>`;
}

/** Shows the members of a chat, whom the user can add and remove. */
export function members(store, ask, actions) {
  const chat = store.chats.get(ask.chat);
  if (!chat) return html`<p class="hint">You are not a member of this chat.</p>`;
  const further = chat.users.length - ask.shown;
  return html`
    <ul class="members-list">
      ${chat.users.slice(0, ask.shown).map((user) => html`
        <li>${avatar(store.names, user)}${person(store.names, user)}
          ${user === store.me.id ? html`<span class="hint">you</span>` : html`
            <button type="button" class="quiet" aria-label="Message ${store.names.of(user)}"
              @click=${() => actions.openDirect(user)}>Message</button>
            <button type="button" class="quiet" aria-label="Remove ${store.names.of(user)}"
              @click=${() => actions.removeMember(chat, user)}>Remove</button>`}
        </li>`)}
    </ul>
    ${further > 0 ? html`
      <button type="button" @click=${actions.showMoreMembers}>Show more (${further})</button>` : nothing}
    <div class="buttons">
      <button type="button" class="dangerous" @click=${() => actions.leaveChat(chat)}>Leave chat</button>
      <button type="button" @click=${() => actions.renameChat(chat)}>Rename</button>
      <button type="button" class="primary" @click=${() => actions.addMembers(chat)}>Add people</button>
    </div>`;
}

/** Shows what can be done with a message. */
export function message(store, { message, reactors }, actions) {
  const { reactions = [], author } = message;
  const isOwn = (emoji) => reactions.some((each) => each.emoji === emoji && each.own);
  const readers = namesOf(store.names, store.readers(message), NAMED_MAX);
  return html`
    <p class="about" dir="auto">${summary(store, message)}</p>
    <div class="reactions" role="group" aria-label="React">
      ${EMOJI.map((emoji) => html`
        <button type="button" aria-pressed=${isOwn(emoji) ? "true" : "false"}
          @click=${() => actions.react(message, emoji, !isOwn(emoji))}>${emoji}</button>`)}
    </div>
    <div class="choices">
      <button type="button" @click=${() => actions.reply(message)}>Reply</button>
      ${author === store.me.id ? html`
        <button type="button" @click=${() => actions.edit(message)}>Edit</button>
        <button type="button" @click=${() => actions.remove(message)}>Delete</button>` : nothing}
      <button type="button" @click=${() => actions.copyText(message)}>Copy text</button>
      <button type="button" @click=${() => actions.copyLink(message)}>Copy link</button>
    </div>
    ${reactors.map(({ emoji, users }) => html`
      <p class="about"><bdi>${emoji}</bdi> <bdi>${namesOf(store.names, users, NAMED_MAX)}</bdi></p>`)}
    ${readers ? html`<p class="about">Seen by <bdi>${readers}</bdi></p>` : nothing}`;
}

/** Shows the settings of the page. */
export function settingsOf(store, ask, actions) {
  const now = settings();
  return html`
    <p class="about">Signed in as <bdi>${store.me.username}</bdi></p>
    ${Object.entries(CHOICES).map(([setting, { label, values }]) => html`
      <fieldset>
        <legend>${label}</legend>
        ${Object.entries(values).map(([value, label]) => html`
          <label class="choice"><input type="radio" name=${setting} .checked=${now[setting] === value}
            @change=${() => actions.setting(setting, value)}> ${label}</label>`)}
      </fieldset>`)}
    <label class="choice"><input type="checkbox" .checked=${live(now.notifies)} ?disabled=${!canNotify()}
      @change=${actions.toggleNotifications}> Notify me of messages while the page is not visible</label>
    <div class="buttons"><button type="button" class="dangerous" @click=${actions.signOut}>Sign out</button></div>`;
}
