// How the user wants the page. The browser keeps it for all users.

import { parsed } from "./api.js";
import { keep, kept } from "./kept.js";

const NAME = "chinwag-settings";

/** Colour scheme, density, and whether messages are notified of. */
const DEFAULTS = { scheme: "system", density: "comfortable", notifies: false };

export const CHOICES = {
  scheme: { label: "Colours", values: { system: "As the system", light: "Light", dark: "Dark" } },
  density: { label: "Density", values: { comfortable: "Comfortable", compact: "Compact" } },
};

export function settings() {
  return { ...DEFAULTS, ...parsed(kept(NAME) ?? "{}") };
}

export function set(name, value) {
  keep(NAME, JSON.stringify({ ...settings(), [name]: value }));
  apply();
}

/** Makes the page look so. */
export function apply() {
  const { scheme, density } = settings();
  Object.assign(document.documentElement.dataset, { scheme, density });
}
