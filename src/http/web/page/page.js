// The start of the page, and what happens to its tab.

import { actions } from "./actions/actions.js";
import { drawNow } from "./draw.js";
import { closeChat, route } from "./route.js";
import { resume } from "./session.js";
import * as settings from "./settings.js";
import { draw, drawWith, page, ui } from "./ui.js";
import { isComposing } from "./words.js";

/** Time after which a hidden tab stops following, unless it notifies the user. */
const HIDDEN_MS_MAX = 10 * 60_000;
/** Whether either the list or a chat is shown, as page.css has it. */
const isNarrow = matchMedia("(max-width: 44rem)");

document.addEventListener("keydown", (event) => {
  const { ask, store, editing, drafts } = ui;
  if (ask || !store) return;
  if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (store.open && isNarrow.matches) {
      ui.toFocus = ".filter";
      closeChat();
    } else {
      page.querySelector(".filter").focus();
    }
  } else if (event.key === "Escape" && !isComposing(event)) {
    if (event.target.matches(".filter") && ui.filter) actions.filter({ target: { value: "" } });
    else if (editing || (store.open && drafts.of(store.open).reply_to)) actions.cancelWriting();
    else if (store.open) closeChat();
  }
});

let hiddenTimer;
function restIfHidden() {
  clearTimeout(hiddenTimer);
  if (!document.hidden) {
    if (ui.store?.isResting) ui.store.follow();
  } else if (!settings.settings().notifies) {
    hiddenTimer = setTimeout(() => ui.store?.rest(), HIDDEN_MS_MAX);
  }
}
document.addEventListener("visibilitychange", () => {
  restIfHidden();
  draw();
});
// The browser may keep a page that was left, and show it again.
addEventListener("pagehide", () => ui.store?.rest());
addEventListener("pageshow", (event) => event.persisted && ui.store?.follow());
addEventListener("hashchange", route);

drawWith(drawNow);
settings.apply();
resume();
restIfHidden();
