// What the user does with chats and their members.

import { closeChat, openChat } from "../route.js";
import { isNearEnd } from "../scroll.js";
import { SHOWN, ask, draw, page, ui } from "../ui.js";
import * as dialogs from "../views/dialogs.js";
import { isComposing } from "../words.js";
import { attempt } from "./dialog.js";
import { nobody, pickTyped } from "./people.js";

export function filter({ target }) {
  ui.filter = target.value;
  ui.chatsShown = SHOWN;
  draw();
}

export function scrolledChats({ target }) {
  if (!isNearEnd(target) || ui.chatsShown >= ui.store.chats.size) return;
  ui.chatsShown += SHOWN;
  draw();
}

/** Goes with the arrows from one chat to the next and to the filter, and with Enter from there to the first chat. */
export function moveInChats(event) {
  const isFilter = event.target.matches(".filter");
  if (event.key === "Enter" && isFilter && !isComposing(event)) {
    page.querySelector("nav .listed")?.click();
    filter({ target: { value: "" } });
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const places = [...page.querySelectorAll("nav .filter, nav .listed")];
  const next = places[places.indexOf(document.activeElement) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

export function back(event) {
  event.preventDefault();
  closeChat();
}

export function newChat() {
  const asked = {
    title: "New chat",
    submit: "Create chat",
    body: dialogs.newChat,
    ...nobody(),
    async answer({ name }) {
      await pickTyped(asked);
      if (!name.trim() && !asked.picked.length) throw new Error("Choose people, or give the chat a name.");
      const chat = await ui.store.addChat(name.trim(), asked.picked);
      // The user may have closed the dialog meanwhile, and gone on elsewhere.
      if (ui.ask === asked) openChat(chat);
    },
  };
  ask(asked);
}

export function openDirect(user) {
  const { open } = ui.store;
  ask(null);
  attempt("Message", async () => {
    const chat = await ui.store.addChat("", [user]);
    if (ui.store.open === open) openChat(chat);
  });
}

export function openMembers({ id: chat }) {
  ask({ title: "Members", body: dialogs.members, chat, shown: SHOWN });
}

export function showMoreMembers() {
  ui.ask.shown += SHOWN;
  draw();
}

export function addMembers({ id: chat }) {
  const asked = {
    title: "Add people",
    submit: "Add people",
    body: dialogs.people,
    ...nobody(),
    async answer() {
      await pickTyped(asked);
      for (const user of asked.picked) await ui.store.addMember(chat, user);
    },
  };
  ask(asked);
}

export function removeMember({ id: chat }, user) {
  ask({
    title: `Remove ${ui.store.names.of(user)}?`,
    submit: "Remove",
    isDangerous: true,
    answer: () => ui.store.removeMember(chat, user),
  });
}

export function leaveChat(chat) {
  const { me } = ui.store;
  ask({
    title: `Leave “${ui.store.title(chat)}”?`,
    about: "To come back, you have to be added by a member.",
    submit: "Leave chat",
    isDangerous: true,
    answer: () => ui.store.removeMember(chat.id, me.id),
  });
}

export function renameChat({ id, name }) {
  const answer = (answers) => ui.store.rename(id, answers.name.trim());
  ask({ title: "Rename chat", submit: "Rename", body: dialogs.name, name: name ?? "", answer });
}
