// What the user does with messages: reads, writes and changes them.

import { linkTo, route } from "../route.js";
import { isNearBegin, isNearEnd, lastInView } from "../scroll.js";
import { COMPOSER, ask, draw, isTouched, notice, page, ui } from "../ui.js";
import { summary } from "../views/chats.js";
import { fit } from "../views/composer.js";
import * as dialogs from "../views/dialogs.js";
import { TEXT_BYTES_MAX, bytesOf, isComposing, sentence } from "../words.js";
import { attempt } from "./dialog.js";

export function scrolled({ target }) {
  const { opening, scroll, store } = ui;
  if (opening || !scroll.isSettled) return;
  scroll.scrolled(target, store.history(store.open));
  fill(target);
  if (ui.isAtEnd !== scroll.isAtEnd) draw();
}

/** Loads what the list needs around what is in view, and marks what the user has seen. */
export function fill(list) {
  const { opening, scroll, store } = ui;
  const history = store.history(store.open);
  if (opening || !history.isLoaded) return;
  history.isFollowed = scroll.isAtEnd;
  if (isNearBegin(list)) history.loadEarlier();
  if (isNearEnd(list)) history.loadLater();
  if (!document.hidden) store.saw(lastInView(list));
}

/** Goes to the message that a quotation is of. */
export function followQuote(event) {
  if (event.currentTarget.hash !== location.hash) return;
  // The URL does not change, so nothing else would happen.
  event.preventDefault();
  route();
}

export async function goToNewest() {
  const { open } = ui.store;
  await ui.store.showNewest();
  if (ui.store.open !== open) return;
  ui.scroll.aimAtEnd();
  draw();
}

/** Keeps what the user writes. */
export function write({ target }) {
  const { drafts, editing } = ui;
  const { chat } = target.form.dataset;
  if (editing?.message.chat === chat) editing.text = target.value;
  else drafts.keep(chat, { ...drafts.of(chat), text: target.value });
  const isTooLong = target.value.length > TEXT_BYTES_MAX / 4 && bytesOf(target.value) > TEXT_BYTES_MAX;
  if (editing || isTooLong || page.querySelector(".write .error")) draw();
  fit(target);
}

export function typed(event) {
  if (isComposing(event)) return;
  if (event.key === "ArrowUp" && event.target.value === "") {
    const last = lastOwn();
    if (!last) return;
    event.preventDefault();
    edit(last);
  } else if (event.key === "Enter" && !event.shiftKey && (!isTouched.matches || event.ctrlKey)) {
    // A touch screen has no Shift+Enter, so there Enter begins a line.
    event.preventDefault();
    event.target.form.requestSubmit();
  }
}

function lastOwn() {
  const { store } = ui;
  return store.history(store.open).messages.findLast(({ author, deleted_at }) => author === store.me.id && !deleted_at);
}

export async function say(event) {
  event.preventDefault();
  const { drafts, editing, store } = ui;
  // The form may be that of a chat that the user has left since the last draw.
  const { chat } = event.target.dataset;
  const field = event.target.elements.text;
  const text = field.value;
  field.focus();
  if (text.trim() === "" || bytesOf(text) > TEXT_BYTES_MAX || !store.chats.has(chat)) return;
  if (editing) {
    if (editing.message.chat === chat) await save(editing, text);
    return;
  }
  store.say(chat, text, drafts.of(chat).reply_to);
  // A second Enter before the next draw sends nothing.
  field.value = "";
  drafts.discard(chat);
  if (chat === store.open) await goToNewest();
}

async function save(editing, text) {
  ui.editing = null;
  draw();
  if (text === editing.message.text) return;
  try {
    await ui.store.edit(editing.message, text);
  } catch (refused) {
    if (ui.store.open === editing.message.chat) ui.editing ??= { ...editing, text };
    ask({ title: "Edit", error: sentence(refused) });
  }
}

/** Ends an edit or a reply. */
export function cancelWriting() {
  const { drafts, editing, store } = ui;
  if (editing) ui.editing = null;
  else drafts.keep(store.open, { text: drafts.of(store.open).text });
  ui.toFocus = COMPOSER;
  draw();
}

/** Shows a long message whole. */
export function unfold({ id }) {
  ui.unfolded.add(id);
  draw();
}

/** Removes a message that was refused. */
export function discard(message) {
  ui.store.outbox.discard(message);
}

/** Shows what can be done with a message. */
export function more(message) {
  const asked = { title: "Message", body: dialogs.message, message, reactors: [] };
  ask(asked);
  if (message.reactions?.length) attempt("Message", async () => (asked.reactors = await ui.store.reactors(message)));
}

export function reply({ chat, seq }) {
  ui.editing = null;
  ui.drafts.keep(chat, { ...ui.drafts.of(chat), reply_to: seq });
  ui.toFocus = COMPOSER;
  ask(null);
}

export function edit(message) {
  ui.editing = { message, text: message.text };
  ui.toFocus = COMPOSER;
  ask(null);
}

export function remove(message) {
  ask({
    title: "Delete this message?",
    about: summary(ui.store, message),
    submit: "Delete",
    isDangerous: true,
    async answer() {
      await ui.store.delete(message);
      ui.toFocus = COMPOSER;
    },
  });
}

export async function react(message, emoji, isAdded) {
  ask(null);
  await attempt("Reaction", () => ui.store.react(message, emoji, isAdded));
}

export const copyText = ({ text }) => copy(text);
export const copyLink = (message) => copy(linkTo(message));

async function copy(text) {
  ui.ask = null;
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied.");
  } catch {
    // Without HTTPS there is no clipboard, but the user can copy a selected text.
    ask({ title: "Copy", about: text });
  }
}
