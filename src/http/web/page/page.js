// When is which view shown, and how do the user's actions change it?

import { html, render } from "./lit-html/lit-html.js";
import { Refused, access, newKey, persist, post } from "./api.js";
import { Store } from "./store.js";
import * as view from "./view.js";

const page = document.getElementById("page");
const NAME = "chinwag-username";
/** Whether the server serves nobody without a token. */
const needsToken = "needsToken" in page.dataset;
/** Where a tab keeps the name or the token that it is signed in with. */
const SIGNED_IN = needsToken ? "chinwag-token" : NAME;
/** Maximum distance from the end of the messages, in pixels, that counts as the end. */
const END_DISTANCE_MAX = 40;

let store = null;
/** What the dialog asks: a title, fields and what to do with their answers, or choices, each of which asks further. */
let ask = null;
/** What the dialog asked when it was last drawn. */
let asked = null;
let error = null;
let isDrawing = false;
/** Whether the messages are scrolled to their end. If so, a new message scrolls them. */
let isAtEnd = true;

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  queueMicrotask(() => {
    isDrawing = false;
    const anchor = topmost(page.querySelector(".messages"));
    const shown = store
      ? view.chat(store, actions)
      : needsToken
        ? view.signInWithToken({ submit: signIn, error })
        : view.signIn({ submit: signIn, error, name: localStorage.getItem(NAME) ?? "" });
    render(html`${shown}${view.dialog(ask, actions)}`, page);
    keepScrolled(page.querySelector(".messages"), anchor);
    const dialog = page.querySelector("dialog");
    if (!ask) dialog.close();
    else if (!dialog.open) dialog.showModal();
    else if (ask !== asked) dialog.querySelector("input, textarea, button").focus();
    asked = ask;
    const unread = store ? store.listed.reduce((sum, chat) => sum + chat.unread, 0) : 0;
    document.title = unread ? `(${unread}) Chinwag` : "Chinwag";
    if (store?.open && isAtEnd && document.visibilityState === "visible") store.markRead();
  });
}

// Returns the topmost visible message and its distance from the top.
function topmost(list) {
  if (!list || isAtEnd) return null;
  const message = [...list.querySelectorAll(".message")].find((each) => each.offsetTop >= list.scrollTop);
  return message ? { message, top: message.offsetTop - list.scrollTop } : null;
}

// Messages that are added above or below do not move the visible ones.
function keepScrolled(list, anchor) {
  if (!list) return;
  if (isAtEnd) list.scrollTop = list.scrollHeight;
  else if (anchor?.message.isConnected) list.scrollTop = anchor.message.offsetTop - anchor.top;
  const history = store.history(store.open);
  const isShort = list.scrollHeight <= list.clientHeight;
  if (isShort && !history.isWhole && history.first) store.loadEarlier();
}

async function signIn(event) {
  event.preventDefault();
  await enter(new FormData(event.target).get(needsToken ? "token" : "username").trim());
}

async function enter(word) {
  try {
    const me = needsToken ? await userOf(word) : await findOrAdd(word);
    if (needsToken) sessionStorage.setItem(SIGNED_IN, word);
    else remember(word);
    error = null;
    store = new Store(me, draw, (username) => needsToken || remember(username));
    draw();
    await store.start();
  } catch (refused) {
    if (needsToken) sessionStorage.removeItem(SIGNED_IN);
    error = refused.message;
    draw();
  }
}

function remember(username) {
  localStorage.setItem(NAME, username);
  sessionStorage.setItem(NAME, username);
}

async function userOf(token) {
  let user;
  try {
    const claims = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const { sub } = JSON.parse(new TextDecoder().decode(Uint8Array.from(claims, (byte) => byte.charCodeAt(0))));
    // It is the id or the username, as the server is configured.
    user = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(sub) ? { user: sub } : { username: sub };
  } catch {
    throw new Error("this is not a token of a user");
  }
  access.token = token;
  const me = await persist(() => post("users/get", user));
  // From now on, a refusal is the end of the token.
  access.onRefused = signOut;
  return me;
}

function signOut() {
  sessionStorage.removeItem(SIGNED_IN);
  location.reload();
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

const actions = {
  open(chat) {
    isAtEnd = true;
    store.show(chat);
    // On a touch screen, the on-screen keyboard would hide the messages.
    queueMicrotask(() => matchMedia("(hover: hover)").matches && page.querySelector("textarea")?.focus());
  },
  back() {
    store.open = null;
    draw();
  },
  scrolled({ target }) {
    isAtEnd = target.scrollHeight - target.scrollTop - target.clientHeight < END_DISTANCE_MAX;
    if (target.scrollTop < target.clientHeight) store.loadEarlier();
    if (isAtEnd) store.markRead();
  },
  typed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  },
  say(event) {
    event.preventDefault();
    const { text } = event.target.elements;
    if (text.value.trim() === "") return;
    isAtEnd = true;
    store.say(text.value);
    text.value = "";
    text.focus();
  },
  discard(message) {
    store.outbox.discard(message);
  },
  newChat() {
    actions.ask({
      title: "Create chat",
      about: "Without a name, a chat with one other member is your direct chat.",
      fields: [
        { name: "name", label: "Chat name (optional)" },
        { name: "users", label: "Other members (usernames, separated by commas)" },
      ],
      answer: ({ name, users }) => store.addChat(name, users.split(",").map((each) => each.trim()).filter(Boolean)),
    });
  },
  addMember() {
    const fields = [{ name: "username", label: "Username", required: true }];
    actions.ask({ title: "Add member", fields, answer: ({ username }) => store.addMember(username.trim()) });
  },
  more(message) {
    const about = view.summary(store, message);
    const choices = [
      {
        title: "Reply",
        about,
        fields: [{ name: "text", label: "Your reply", text: "" }],
        answer(answer) {
          isAtEnd = true;
          store.reply(message, answer.text);
        },
      },
    ];
    if (message.author === store.me.id) {
      choices.push(
        {
          title: "Edit",
          about,
          fields: [{ name: "text", label: "Text", text: message.text }],
          answer: (answer) => store.edit(message, answer.text),
        },
        { title: "Delete", about, answer: () => store.delete(message) },
      );
    }
    actions.ask({ title: "Message", about, message, choices });
  },
  ask(next) {
    ask = next;
    draw();
  },
  async react(message, emoji, isAdded) {
    actions.ask(null);
    try {
      await store.react(message, emoji, isAdded);
    } catch (refused) {
      actions.ask({ title: "Reaction", error: refused.message, choices: [] });
    }
  },
  closeDialog() {
    actions.ask(null);
  },
  async submitDialog(event) {
    event.preventDefault();
    const answered = ask;
    try {
      await answered.answer(Object.fromEntries(new FormData(event.target)));
      // The user may have closed the dialog meanwhile.
      if (ask === answered) ask = null;
    } catch (refused) {
      answered.error = refused.message;
    }
    draw();
  },
  signOut() {
    localStorage.removeItem(NAME);
    signOut();
  },
};

document.addEventListener("visibilitychange", draw);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !ask && store?.open) actions.back();
});

// Each tab can be signed in as a different user.
const known = sessionStorage.getItem(SIGNED_IN);
if (known) enter(known);
else draw();
