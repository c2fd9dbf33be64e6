// Who is signed in. Each tab can be signed in as a different user.

import { Refused, access, newKey, persist, post } from "./api.js";
import { Drafts } from "./drafts.js";
import { Notifications } from "./notifications.js";
import { forget, forgetInTab, keep, keepInTab, kept, keptInTab } from "./kept.js";
import { forgetChat, openChat, route } from "./route.js";
import { settings } from "./settings.js";
import { Store } from "./store.js";
import { draw, notice, page, ui } from "./ui.js";
import { summary } from "./views/chats.js";
import { sentence } from "./words.js";

/** Where the name and the id are kept of who was signed in last. */
const NAME = "chinwag-username";
const USER = "chinwag-user";
/** Whether the server serves nobody without a token. */
export const needsToken = "needsToken" in page.dataset;
/** Where a tab keeps the id or the token of who is signed in. */
const SIGNED_IN = needsToken ? "chinwag-token" : USER;

/** Returns the name of who was signed in last. */
export const lastName = () => kept(NAME) ?? "";

/** Signs in with what the tab was signed in with before, if it was. */
export function resume() {
  takeToken();
  addEventListener("hashchange", () => takeToken() && location.reload());
  // A link that was opened in a new tab leads to the same user's chat.
  const linked = !needsToken && location.hash.includes("chat=") ? kept(USER) : null;
  const known = keptInTab(SIGNED_IN) ?? linked;
  if (known) enter(() => (needsToken ? userOf(known) : userAgain(known)));
  else draw();
}

// Takes a token out of the URL: it is not sent to the server there, and does not stay there.
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return false;
  forgetChat();
  if (needsToken) keepInTab(SIGNED_IN, token);
  return needsToken;
}

/** Signs in with a name, or with a token where calls need one. */
export async function signIn(nameOrToken) {
  await enter(() => (needsToken ? userOf(nameOrToken) : findOrAdd(nameOrToken)));
}

async function enter(identify) {
  ui.isPending = true;
  draw();
  try {
    const me = await identify();
    keepInTab(SIGNED_IN, needsToken ? access.token : me.id);
    if (!needsToken) remember(me);
    ui.error = null;
    ui.drafts = new Drafts(me.id);
    ui.store = new Store(me, listener(me));
    draw();
    await ui.store.start();
    route();
  } catch (refused) {
    forgetInTab(SIGNED_IN);
    ui.store = null;
    ui.error = sentence(refused);
  }
  ui.isPending = false;
  draw();
}

/** Signs out. Messages that are not sent yet stay for the next time. */
export function signOut() {
  ui.drafts.discardAll();
  forgetUser();
  // The next user is not asked for this one's chat.
  forgetChat();
  askAgain();
}

// Asks who the user is.
function askAgain() {
  forgetInTab(SIGNED_IN);
  location.reload();
}

function forgetUser() {
  forget(NAME);
  forget(USER);
}

function listener(me) {
  const notifications = new Notifications(me.id);
  return {
    onChange() {
      const { store } = ui;
      // The chat that the URL names may have come with the chats just loaded.
      if (store && store.open === null && location.hash && !store.isListed) route();
      draw();
    },
    onRenamed: (renamed) => needsToken || remember(renamed),
    onMessage(message) {
      if (!document.hidden || !settings().notifies) return;
      const chat = ui.store.chats.get(message.chat);
      if (!chat) return;
      const open = () => openChat(chat.id);
      notifications.notify(message, ui.store.title(chat), summary(ui.store, message), open);
    },
    onLeft(title) {
      notice(`You are no longer a member of “${title}”.`);
      forgetChat();
      route();
    },
    onErased() {
      forgetUser();
      askAgain();
    },
    onLost: () => location.reload(),
  };
}

function remember({ id, username }) {
  keep(NAME, username);
  keep(USER, id);
}

// Returns a user who was signed in before, whatever the name is now.
async function userAgain(id) {
  const user = await persist(() => post("users/get", { user: id }));
  if (user.erased) throw new Error("This user was erased.");
  return user;
}

async function userOf(token) {
  let user;
  try {
    const claims = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const { sub } = JSON.parse(new TextDecoder().decode(Uint8Array.from(claims, (byte) => byte.charCodeAt(0))));
    // It is the id or the username, as the server is configured.
    user = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(sub) ? { user: sub } : { username: sub };
  } catch {
    throw new Error("This is not a token of a user.");
  }
  access.token = token;
  const me = await persist(() => post("users/get", user));
  // From now on, a refusal is the end of the token.
  access.onRefused = askAgain;
  return me;
}

async function findOrAdd(username) {
  try {
    return await persist(() => post("users/get", { username }));
  } catch (refused) {
    if (!(refused instanceof Refused) || refused.code !== "user_not_found") throw refused;
  }
  const key = newKey();
  const { id } = await persist(() => post("users/add", { username }, key));
  return { id, username };
}
