// People, as they are shown.

import { html, nothing } from "../lit-html/lit-html.js";
import { initials } from "../words.js";

/** Number of colours in page.css. */
const HUES = 12;

/** Returns the initials of a person in a colour that is theirs. */
export function avatar(names, user) {
  return badge("avatar", user, names.of(user));
}

/** Returns the initials of a chat's title, or of the other member of a direct chat. */
export function chatAvatar(store, chat) {
  const [other] = store.others(chat);
  if (chat.direct && other) return avatar(store.names, other);
  return badge("avatar square", chat.id, store.title(chat));
}

function badge(kind, id, name) {
  return html`<span class="${kind} hue-${hueOf(id)}" data-initials=${initials(name)} aria-hidden="true"></span>`;
}

/** Returns a person's name, with a mark if it may mislead. */
export function person(names, user) {
  const caution = names.caution(user);
  const mark = html`<span class="caution" role="img" aria-label=${caution} title=${caution}>!</span>`;
  return html`<span class="person"><bdi class="name">${names.of(user)}</bdi>${caution ? mark : nothing}</span>`;
}

// The last digits of an id are random.
const hueOf = (id) => Number.parseInt(id.slice(-6), 16) % HUES;
