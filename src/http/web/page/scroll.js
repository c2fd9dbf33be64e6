// The place in a chat. Messages that are added before or after it, or cut, do not move what is in view.

/** Maximum distance from the end, in pixels, that counts as the end. */
const END_DISTANCE_MAX = 40;
/** Part of the height above a message that the page goes to. */
const ABOVE = 0.25;

export class Scroll {
  /** Whether the newest message is in view. If so, the next one comes into view, too. */
  isAtEnd = true;
  /** Whether the list is where it was aimed. What it says before is of another place, or of another chat. */
  isSettled = false;
  /** The message that keeps its distance from the top: { seq, top }. */
  #anchor = null;

  /** Goes to a message at the next draw. `top` is its distance from the top in pixels; by default, there is room. */
  aim(seq, top) {
    this.isAtEnd = false;
    this.isSettled = false;
    this.#anchor = { seq, top };
  }

  aimAtEnd() {
    this.isAtEnd = true;
    this.isSettled = false;
    this.#anchor = null;
  }

  /** Notes what is in view after the user has scrolled. */
  scrolled(list, history) {
    this.#anchor = topmost(list);
    this.#noteEnd(list, history);
  }

  #noteEnd(list, history) {
    this.isAtEnd = distanceToEnd(list) < END_DISTANCE_MAX && history.reachesEnd;
    if (this.isAtEnd) this.#anchor = null;
  }

  /** Moves the list after a draw, so that what was in view still is. */
  keep(list, history) {
    this.isSettled = true;
    if (this.isAtEnd) {
      list.scrollTop = list.scrollHeight;
      return;
    }
    const message = this.#anchor && list.querySelector(`[data-seq="${this.#anchor.seq}"]`);
    if (!message) return;
    this.#anchor.top ??= list.clientHeight * ABOVE;
    const wanted = message.offsetTop - this.#anchor.top;
    // Each assignment would end the movement of a finger.
    if (Math.abs(wanted - list.scrollTop) >= 1) list.scrollTop = wanted;
    this.#noteEnd(list, history);
  }

  /** Where the user is, or null for the end. */
  get place() {
    return this.#anchor;
  }
}

/** Returns the `seq` of the last message that is in view, or 0. */
export function lastInView(list) {
  const end = list.scrollTop + list.clientHeight;
  const inView = [...list.querySelectorAll("[data-seq]")].findLast(({ offsetTop }) => offsetTop + 20 < end);
  return Number(inView?.dataset.seq ?? 0);
}

/** Whether fewer messages than fill the view are above it, or below it. */
export const isNearBegin = (list) => list.scrollTop < list.clientHeight;
export const isNearEnd = (list) => distanceToEnd(list) < list.clientHeight;

const distanceToEnd = (list) => list.scrollHeight - list.scrollTop - list.clientHeight;

function topmost(list) {
  const isInView = ({ offsetTop, offsetHeight }) => offsetTop + offsetHeight > list.scrollTop;
  const message = [...list.querySelectorAll("[data-seq]")].find(isInView);
  return message ? { seq: Number(message.dataset.seq), top: message.offsetTop - list.scrollTop } : null;
}
