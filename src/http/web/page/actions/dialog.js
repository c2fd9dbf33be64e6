// What the user does in a dialog, whatever it asks.

import { ask, draw, ui } from "../ui.js";
import { sentence } from "../words.js";

export function closeDialog() {
  ask(null);
}

/** Notes that the dialog, which asked this, has been closed. It may ask something else already. */
export function dialogClosed(asked) {
  if (asked && ui.ask === asked) ask(null);
}

export async function submitDialog(event) {
  event.preventDefault();
  const asked = ui.ask;
  if (!asked.answer || asked.isPending) return;
  asked.isPending = true;
  draw();
  try {
    await asked.answer(Object.fromEntries(new FormData(event.target)));
    // The user may have closed the dialog meanwhile.
    if (ui.ask === asked) ui.ask = null;
  } catch (refused) {
    asked.error = sentence(refused);
  }
  asked.isPending = false;
  draw();
}

/** Does what the user asked for, and says why if it is refused. */
export async function attempt(title, work) {
  try {
    await work();
  } catch (refused) {
    ui.ask = { title, error: sentence(refused) };
  }
  draw();
}
