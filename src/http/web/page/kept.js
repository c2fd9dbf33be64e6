// What the browser keeps. Where it forbids that, or has no room, it is kept until the tab is closed.

/** What could not be kept, by name. */
const memory = new Map();

export function kept(name) {
  if (memory.has(name)) return memory.get(name);
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keeps a text. Returns whether it outlives the tab. */
export function keep(name, text) {
  try {
    localStorage.setItem(name, text);
    memory.delete(name);
    return true;
  } catch {
    memory.set(name, text);
    return false;
  }
}

export function forget(name) {
  memory.delete(name);
  try {
    localStorage.removeItem(name);
  } catch {
    // It was not kept.
  }
}

/** Returns what is kept under names that begin so: [rest of the name, text]. */
export function allKept(prefix) {
  let names = [];
  try {
    names = Object.keys(localStorage);
  } catch {
    // Nothing outlives the tab.
  }
  const all = new Set([...names, ...memory.keys()].filter((name) => name.startsWith(prefix)));
  return [...all].map((name) => [name.slice(prefix.length), kept(name)]);
}

/** Keeps a text for this tab alone, over reloads. */
export function keepInTab(name, text) {
  try {
    sessionStorage.setItem(name, text);
  } catch {
    memory.set(`tab ${name}`, text);
  }
}

export function keptInTab(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return memory.get(`tab ${name}`) ?? null;
  }
}

export function forgetInTab(name) {
  memory.delete(`tab ${name}`);
  try {
    sessionStorage.removeItem(name);
  } catch {
    // It was not kept.
  }
}
