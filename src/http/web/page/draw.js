// How the page is drawn: from what is known, each time as a whole, and what was in view stays there.

import { html, render } from "./lit-html/lit-html.js";
import { actions } from "./actions/actions.js";
import { fill } from "./actions/messages.js";
import { lastName, needsToken } from "./session.js";
import { COMPOSER, draw, page, ui } from "./ui.js";
import { chats } from "./views/chats.js";
import { fit } from "./views/composer.js";
import { dialog } from "./views/dialogs.js";
import { openChat } from "./views/messages.js";
import { signIn, signInWithToken } from "./views/sign-in.js";

/** Whether what the HTML contains is still shown. */
let isFirst = true;
/** What the dialog asked when it was last drawn. */
let asked = null;
/** The list of messages whose size is observed. */
let observed = null;

export function drawNow() {
  const { store, ask, notice } = ui;
  ui.isAtEnd = ui.scroll.isAtEnd;
  ui.today = new Date().toDateString();
  if (isFirst) page.replaceChildren();
  isFirst = false;
  render(html`${store ? signedIn(store) : signedOut()}${dialog(store, ask, actions)}
    <p class="notice" role="status" ?hidden=${!notice}>${notice ?? ""}</p>`, page);
  drawDialog();
  if (ui.toFocus && !ask) focus(page.querySelector(ui.toFocus));
  ui.toFocus = null;
  const unread = store && [...store.chats.values()].reduce((sum, chat) => sum + chat.unread, 0);
  document.title = unread ? `(${unread}) Chinwag` : "Chinwag";
  const list = page.querySelector(".messages");
  if (!list) return;
  fit(page.querySelector(COMPOSER));
  observeSize(list);
  keepScrolled(list);
  fill(list);
}

function signedOut() {
  const { error, isPending } = ui;
  const asks = { submit: actions.signIn, error, isPending, name: lastName() };
  return needsToken ? signInWithToken(asks) : signIn(asks);
}

function signedIn(store) {
  const open = store.chats.get(store.open);
  return html`
    <header class="unseen"><h1>Chinwag</h1></header>
    <div class="chat ${open ? "is-open" : ""}">
      ${chats(store, ui, actions)}
      ${open ? openChat(store, ui, open, actions) : html`
        <main class="empty"><p class="hint">Select a chat, or create one.</p></main>`}
    </div>`;
}

function drawDialog() {
  const dialog = page.querySelector("dialog");
  const { ask } = ui;
  if (!ask) dialog.close();
  else if (!dialog.open) dialog.showModal();
  if (ask && ask !== asked) dialog.querySelector("input:not([type=radio]), .choices button, .buttons button")?.focus();
  asked = ask;
}

function focus(element) {
  element?.focus();
  if (element?.matches("textarea")) element.setSelectionRange(element.value.length, element.value.length);
}

// What is at the end stays there while the list becomes smaller or larger.
const sizes = new ResizeObserver(() => observed?.isConnected && keepScrolled(observed));
function observeSize(list) {
  if (list === observed) return;
  sizes.disconnect();
  sizes.observe(list);
  observed = list;
}

function keepScrolled(list) {
  ui.scroll.keep(list, ui.store.history(ui.store.open));
  if (ui.isAtEnd !== ui.scroll.isAtEnd) draw();
}
