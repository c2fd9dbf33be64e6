// What the user does to find and choose people, in a dialog that asks for some.

import { draw, page, ui } from "../ui.js";
import { isComposing, sentence } from "../words.js";

/** Time after the last key before people are looked for. */
const FIND_PAUSE_MS = 150;

/** What a dialog knows that asks for people. */
export const nobody = () => ({ picked: [], found: [], hasFoundNobody: false });

let timer;
/** Number of the last search. */
let searches = 0;

export function findPeople({ target }) {
  clearTimeout(timer);
  const asked = ui.ask;
  timer = setTimeout(() => say(asked, find(asked, target.value.trim())), FIND_PAUSE_MS);
}

async function find(asked, prefix) {
  const search = (searches += 1);
  const found = prefix ? await ui.store.find(prefix) : [];
  if (search !== searches) return;
  asked.found = found.filter(({ id }) => id !== ui.store.me.id && !asked.picked.includes(id));
  asked.hasFoundNobody = Boolean(prefix) && !asked.found.length;
}

export function typedPerson(event) {
  if (event.key !== "Enter" || !event.target.value.trim() || isComposing(event)) return;
  event.preventDefault();
  clearTimeout(timer);
  say(ui.ask, pickTyped(ui.ask));
}

async function say(asked, work) {
  try {
    await work;
  } catch (refused) {
    asked.error = sentence(refused);
  }
  draw();
}

/** Chooses the person whose name is in the field, if there is one. Throws if nobody has it. */
export async function pickTyped(asked) {
  const typed = field().value.trim();
  if (!typed) return;
  const found = await ui.store.find(typed);
  const user = found.find(({ username }) => username === typed) ?? (found.length === 1 ? found[0] : undefined);
  if (!user && found.length) throw new Error(`Several names begin with “${typed}”. Choose one.`);
  if (!user) throw new Error(`Nobody is named “${typed}”.`);
  choose(asked, user.id);
}

export function pick(user) {
  choose(ui.ask, user);
}

function choose(asked, user) {
  if (!asked.picked.includes(user) && user !== ui.store.me.id) asked.picked.push(user);
  Object.assign(asked, { found: [], hasFoundNobody: false, error: null });
  // What was found for this text comes too late.
  searches += 1;
  if (ui.ask === asked) {
    field().value = "";
    field().focus();
  }
  draw();
}

export function unpick(user) {
  ui.ask.picked = ui.ask.picked.filter((other) => other !== user);
  draw();
}

const field = () => page.querySelector("dialog [name=person]");
