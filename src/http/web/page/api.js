// How does the page call the server?

const OVERTAKEN_PAUSE_MS = 50;

/** An error for a refused request: a problem of RFC 9457. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.code = problem.code;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** The token that calls are made with, on a server that needs one. `onRefused` is called if it is not good. */
export const access = { token: null, onRefused: null };

/** Posts, and returns the answer's JSON, or null for an empty body. Throws Refused, or TypeError without an answer. */
export async function post(path, body, key) {
  return (await call(path, body, key)).json;
}

/**
 * Reads, with retries, what events then keep current. An answer that an event has overtaken would undo the event, so it
 * is asked for again. `seen` returns the position of the last event.
 */
export async function load(path, body, seen) {
  for (;;) {
    const { json, position } = await persist(() => call(path, body));
    if (!(position < seen())) return json;
    await pause(OVERTAKEN_PAUSE_MS);
  }
}

async function call(path, body, key) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  if (access.token) headers.Authorization = `Bearer ${access.token}`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status === 401 && access.onRefused) {
    access.onRefused();
    // The page is being left.
    return new Promise(() => {});
  }
  if (!response.ok) throw new Refused(response.status, parsed(text));
  const shown = Number.parseInt(response.headers.get("Chinwag-Position"), 10);
  return { json: text ? JSON.parse(text) : null, position: shown };
}

/** Returns the position of the last event. */
export async function position() {
  const response = await fetch("health");
  const body = parsed(await response.text());
  if (!response.ok) throw new Refused(response.status, body);
  return body.position;
}

// A proxy between the page and the server may have answered without JSON.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Retries `work` until it succeeds or is refused permanently. */
export async function persist(work) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refused && !error.isTemporary) throw error;
    }
    await pause(wait);
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Returns a random key. (`crypto.randomUUID` exists on HTTPS and localhost only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");
}
