// A tab's way to a user's events: the stream that all of the user's tabs share, where the browser can.

import { Stream } from "./stream.js";

const WORKER = new URL("worker.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("chinwag-worker", { createScriptURL: () => WORKER });

/**
 * Follows from a place, { user, token, after }. The listener is that of a stream, and ignores events that it has
 * already. Returns a function that ends it.
 */
export function follow(place, listener) {
  let port;
  let stream;
  const alone = () => (stream ??= new Stream(place, listener));
  try {
    // Throws where there are no shared workers. One that cannot be a module fails later.
    const worker = new SharedWorker(policy?.createScriptURL("") ?? WORKER, { type: "module" });
    worker.onerror = () => port && alone();
    port = worker.port;
    port.onmessage = ({ data }) => {
      for (const [what, value] of Object.entries(data)) listener[what](value);
    };
    port.postMessage({ follow: place });
  } catch {
    alone();
  }
  return () => {
    stream?.stop();
    port?.postMessage({ leave: true });
    port?.close();
    port = undefined;
  };
}
