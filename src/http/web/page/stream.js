// A stream of events, received with `fetch`: it shows the heartbeats of `/events`, so that a silent network is noticed,
// and can send a token. (An EventSource does neither.)

import { Refused, authorization, parsed, receive, waits } from "./api.js";

/** Times without a byte after which the stream begins again. The server sends a heartbeat every 15 s. */
const SILENCE = { answerMsMax: 10_000, silenceMsMax: 20_000 };

/** A stream of a user's events. It continues after a failure until the server refuses it for good. */
export class Stream {
  /** Id of the last event that was received; at first, any position. */
  after;
  isConnected = false;
  #user;
  #token;
  #listener;
  #abort;

  /** `listener` has `onEvent({ kind, id, data })`, `onConnected(isConnected)` and `onEnd(status)`. */
  constructor({ user, token, after }, listener) {
    this.#user = user;
    this.#token = token;
    this.#listener = listener;
    this.begin(after);
  }

  /** Begins, or begins again, with the events after this one. */
  begin(after) {
    this.stop();
    this.after = after;
    this.#abort = new AbortController();
    this.#run(this.#abort.signal);
  }

  stop() {
    this.#abort?.abort();
  }

  async #run(signal) {
    let attempts = waits();
    while (!signal.aborted) {
      try {
        await this.#receive(signal, () => (attempts = waits()));
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refused && !error.isTemporary) {
          this.#listener.onEnd(error.status);
          return;
        }
      }
      if (signal.aborted) return;
      this.#connected(false);
      await attempts.next().value();
    }
  }

  async #receive(signal, onBegun) {
    const options = { headers: authorization(this.#token), cache: "no-store", signal };
    const query = new URLSearchParams({ user: this.#user, after: this.after });
    const read = eventReader((event) => {
      if (signal.aborted) return;
      this.after = event.id;
      this.#listener.onEvent(event);
    });
    let refusal = "";
    const response = await receive(`events?${query}`, options, SILENCE, (text, { ok }) => {
      if (!ok) {
        refusal += text;
        return;
      }
      onBegun();
      if (!signal.aborted) this.#connected(true);
      read(text);
    });
    if (!response.ok) throw new Refused(response.status, parsed(refusal));
  }

  #connected(isConnected) {
    if (isConnected === this.isConnected) return;
    this.isConnected = isConnected;
    this.#listener.onConnected(isConnected);
  }
}

/** Returns a function that is given a stream's text piece by piece, and passes on each event (WHATWG HTML, 9.2.6). */
function eventReader(onEvent) {
  let rest = "";
  let event = {};
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const colon = line.indexOf(": ");
      if (line === "") {
        if (event.event) onEvent({ kind: event.event, id: event.id, data: event.data });
        event = {};
      } else if (colon > 0) {
        event[line.slice(0, colon)] = line.slice(colon + 2);
      }
    }
  };
}
