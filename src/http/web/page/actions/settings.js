// What the user does in the settings.

import { permit } from "../notifications.js";
import * as settings from "../settings.js";
import { ask, draw, ui } from "../ui.js";
import { settingsOf } from "../views/dialogs.js";

export function openSettings() {
  ask({ title: "Settings", body: settingsOf });
}

export function setting(name, value) {
  settings.set(name, value);
  draw();
}

export async function toggleNotifications({ target }) {
  const asked = ui.ask;
  const isWanted = target.checked && (await permit());
  if (target.checked && !isWanted) asked.error = "The browser blocks notifications from this page.";
  setting("notifies", isWanted);
}
