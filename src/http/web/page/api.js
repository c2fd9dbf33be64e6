// Calls to the server.

/** What the server refused: a problem of RFC 9457. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.code = problem.code;
  }

  /** Whether the same request may be answered later. */
  get isPassing() {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** Posts, and gives the answer's JSON; null where there is none. Throws Refused, or TypeError where nobody answers. */
export async function post(path, body, key) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, parsed(text));
  return text ? JSON.parse(text) : null;
}

/** The position of the last event. */
export async function position() {
  const response = await fetch("health");
  const body = parsed(await response.text());
  if (!response.ok) throw new Refused(response.status, body);
  return body.position;
}

// Something between us and the server may have answered.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Has something done that will succeed sooner or later, unless it is refused for good. */
export async function persist(work) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refused && !error.isPassing) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** A key that no other request has. (`crypto.randomUUID` is there on HTTPS and localhost only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");
}
