// How does the page call the server?

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
  return text ? JSON.parse(text) : null;
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
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** Returns a random key. (`crypto.randomUUID` exists on HTTPS and localhost only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");
}
