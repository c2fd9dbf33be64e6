// The field in which the user writes.

import { html, nothing } from "../lit-html/lit-html.js";
import { live } from "../lit-html/directives/live.js";
import { TEXT_BYTES_MAX, bytesOf } from "../words.js";
import { summary } from "./chats.js";

/** Whether the browser makes a field as high as its text. */
const isFitted = CSS.supports("field-sizing", "content");
const number = new Intl.NumberFormat("en");

export function composer(store, ui, chat, actions) {
  const { text, reply_to } = ui.editing ?? ui.drafts.of(chat.id);
  const excess = bytesOf(text) - TEXT_BYTES_MAX;
  const isEmptied = ui.editing && text.trim() === "";
  return html`
    <form class="write" data-chat=${chat.id} @submit=${actions.say}>
      ${ui.editing ? about("Editing your message", "", actions) : nothing}
      ${reply_to ? about("Replying to", quote(store, chat, reply_to), actions) : nothing}
      ${excess > 0 ? html`
        <p class="error" role="alert">This text is ${number.format(excess)} bytes too long to be sent.</p>` : nothing}
      <textarea name="text" rows="1" dir="auto" aria-label="Your message" placeholder="Message"
        .value=${live(text)} @input=${actions.write} @keydown=${actions.typed}></textarea>
      <button class="primary" ?disabled=${excess > 0 || isEmptied}>${ui.editing ? "Save" : "Send"}</button>
    </form>`;
}

function quote(store, chat, seq) {
  const message = store.history(chat.id).at(seq);
  return message ? summary(store, message) : "…";
}

function about(what, whom, actions) {
  return html`
    <p class="about"><span>${what} <bdi>${whom}</bdi></span>
      <button type="button" aria-label="Cancel" @click=${actions.cancelWriting}>×</button>
    </p>`;
}

/** Makes a field as high as its text, where the browser does not. */
export function fit(field) {
  if (isFitted) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}
