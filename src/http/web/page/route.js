// The chat that the URL names: `#chat=ID`, or a message of it, `#chat=ID&message=SEQ`.

import { COMPOSER, draw, isTouched, notice, ui } from "./ui.js";

/** Opens what the URL names. `event` is the change of the URL, if it has changed. */
export async function route(event) {
  const { store, scroll } = ui;
  if (!store) return;
  const asked = new URLSearchParams(location.hash.slice(1));
  const chat = asked.get("chat");
  const seq = /^[1-9][0-9]{0,15}$/.test(asked.get("message")) ? Number(asked.get("message")) : undefined;
  const left = store.open;
  if (chat !== left) leave();
  if (!chat || !store.chats.has(chat)) {
    if (chat && store.isListed) {
      notice("This chat does not exist, or you are not a member of it.");
      forgetChat();
    }
    store.open = null;
    ui.opening = null;
    if (left) ui.toFocus ??= `.listed[href="#chat=${left}"]`;
    draw();
    return;
  }
  if (chat === left && seq === undefined) return;
  // The entry of the browser's history keeps it when the user comes back to it.
  if (!history.state) history.replaceState({ isAfterList: Boolean(event) && left === null }, "");
  ui.opening = chat;
  ui.notice = null;
  ui.aimed = seq ?? null;
  if (left !== chat) scroll.aimAtEnd();
  const { place } = store.history(chat);
  const wanted = await store.show(chat, seq);
  if (store.open !== chat) return;
  ui.opening = null;
  if (!wanted) scroll.aimAtEnd();
  else scroll.aim(wanted, wanted === place?.seq ? place.top : undefined);
  // On a touch screen, the on-screen keyboard would hide the messages.
  if (!isTouched.matches) ui.toFocus = COMPOSER;
  draw();
}

function leave() {
  const { store, scroll } = ui;
  if (store.chats.has(store.open)) store.history(store.open).place = scroll.place;
  ui.editing = null;
}

export function openChat(chat) {
  location.hash = `chat=${chat}`;
}

export function closeChat() {
  if (history.state?.isAfterList) history.back();
  else location.hash = "";
}

/** Forgets the chat in the URL, without a step in the browser's history. */
export function forgetChat() {
  history.replaceState(null, "", location.pathname + location.search);
}

export const linkTo = ({ chat, seq }) => new URL(`#chat=${chat}&message=${seq}`, location.href).href;
