// The worker in which the tabs of one user share a stream: a browser makes at most six connections to a server.

import { Stream } from "./stream.js";

/** Streams by user and token, each with the ports of the tabs that follow it. */
const streams = new Map();

globalThis.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => (data.follow ? follow(port, data.follow) : leave(port));
};

function follow(port, place) {
  leave(port);
  const key = JSON.stringify([place.user, place.token]);
  const shared = streams.get(key);
  if (!shared) {
    const ports = new Set([port]);
    const tell = (message) => ports.forEach((each) => each.postMessage(message));
    const stream = new Stream(place, {
      onEvent: (event) => tell({ onEvent: event }),
      onConnected: (isConnected) => tell({ onConnected: isConnected }),
      onEnd(status) {
        streams.delete(key);
        tell({ onEnd: status });
      },
    });
    streams.set(key, { stream, ports });
    return;
  }
  shared.ports.add(port);
  // The other tabs skip events that they have applied.
  if (mustBeginAt(place.after, shared.stream.after)) shared.stream.begin(place.after);
  port.postMessage({ onConnected: shared.stream.isConnected });
}

function leave(port) {
  for (const [key, { stream, ports }] of streams) {
    if (!ports.delete(port) || ports.size) continue;
    stream.stop();
    streams.delete(key);
  }
}

// Whether a stream that has come to an event does not continue from another one: it is later, or in another history.
function mustBeginAt(after, reached) {
  const [position, epoch] = after.split("-");
  const [reachedPosition, reachedEpoch] = reached.split("-");
  if (Number(position) > Number(reachedPosition)) return Boolean(epoch && reachedEpoch) && epoch !== reachedEpoch;
  return position !== reachedPosition;
}
