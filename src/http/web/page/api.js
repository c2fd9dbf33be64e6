// Calls to the server. One for which nothing arrives for a time is given up.

/** URL of the server, which a proxy may serve under a path. */
const BASE = new URL("../", import.meta.url);
/** Time without a byte of the answer after which a call is given up. */
const CALL_SILENCE_MS_MAX = 10_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 4_000;

/** An error for a refused request: a problem of RFC 9457. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.code = problem.code;
    this.field = problem.field;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** The token that calls are made with, on a server that needs one. `onRefused` is called when the server refuses it. */
export const access = { token: null, onRefused: null };

/** Posts, and returns the answer's JSON, or null for an empty body. Throws Refused, or TypeError without an answer. */
export async function post(path, body, key) {
  return (await call(path, body, key ? { "Idempotency-Key": key } : {})).json;
}

/** Reads what is at a position of the log or after it. Returns the answer's JSON, and the position that it shows. */
export async function read(path, body, positionMin) {
  const answer = await call(path, body, { "Chinwag-Min-Position": positionMin });
  if (!Number.isInteger(answer.position)) throw new TypeError("a proxy has removed the position");
  return answer;
}

async function call(path, body, headers) {
  const sent = { "Content-Type": "application/json", ...authorization(access.token), ...headers };
  let text = "";
  const options = { method: "POST", headers: sent, body: JSON.stringify(body) };
  const silence = { answerMsMax: CALL_SILENCE_MS_MAX, silenceMsMax: CALL_SILENCE_MS_MAX };
  const response = await receive(path, options, silence, (piece) => (text += piece));
  if (response.status === 401 && access.onRefused) {
    access.onRefused();
    // The page is being left.
    return new Promise(() => {});
  }
  if (!response.ok) throw new Refused(response.status, parsed(text));
  const position = Number.parseInt(response.headers.get("Chinwag-Position"), 10);
  return { json: text ? JSON.parse(text) : null, position };
}

export const authorization = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/**
 * Fetches, and passes on the answer's text piece by piece, each with the answer. Throws if nothing comes for a time, at
 * first or later.
 */
export async function receive(path, options, { answerMsMax, silenceMsMax }, onPiece) {
  const silent = new AbortController();
  const giveUp = () => silent.abort(new TypeError("the network is silent"));
  let timer = setTimeout(giveUp, answerMsMax);
  const signals = [silent.signal, options.signal].filter(Boolean);
  try {
    const response = await fetch(new URL(path, BASE), { ...options, signal: AbortSignal.any(signals) });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let next; reader && !(next = await reader.read()).done; ) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, silenceMsMax);
      onPiece(next.value, response);
    }
    return response;
  } finally {
    clearTimeout(timer);
    // Ends the answer, if it was not read whole.
    silent.abort();
  }
}

/** Returns the JSON of a text, or `{}`: a proxy between the page and the server may have answered. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Retries `work` until it succeeds or is refused permanently. */
export async function persist(work) {
  for (const wait of waits()) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refused && !error.isTemporary) throw error;
    }
    await wait();
  }
}

/** Yields functions that wait before the next attempt: twice as long each time, and with jitter. */
export function* waits() {
  for (let ms = RETRY_MS_MIN; ; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
    yield () => new Promise((resolve) => setTimeout(resolve, ms * (0.75 + Math.random() / 2)));
  }
}

/** Returns a random key. (`crypto.randomUUID` exists on HTTPS and localhost only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");
}
