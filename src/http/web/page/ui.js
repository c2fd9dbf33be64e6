// What the page shows at the moment, and that it has changed.

import { Scroll } from "./scroll.js";

/** Number of chats and members that are shown at first, and that scrolling or a click adds. */
export const SHOWN = 100;
/** Time for which a notice is shown. */
const NOTICE_MS = 8_000;
/** Interval of draws while the page is hidden, when the browser draws nothing. */
const HIDDEN_DRAW_MS = 200;

export const page = document.getElementById("page");
/** A selector of the field in which the user writes. */
export const COMPOSER = ".write textarea";
/** Matches if the main pointer is a finger, and so the keyboard is on the screen. */
export const isTouched = matchMedia("(pointer: coarse)");

export const ui = {
  /** What is known of the user's chats, or null if nobody is signed in. */
  store: null,
  /** Why the user is not signed in. */
  error: null,
  isPending: false,
  /** What is said for a moment. */
  notice: null,
  filter: "",
  chatsShown: SHOWN,
  drafts: null,
  /** The message that is edited, and its text: { message, text }. */
  editing: null,
  /** Ids of long messages that are shown whole. */
  unfolded: new Set(),
  scroll: new Scroll(),
  /** The chat that is being loaded: nothing of it counts as seen. */
  opening: null,
  /** `seq` of the message that a link has led to. */
  aimed: null,
  /** Whether the newest message was in view at the last draw. */
  isAtEnd: true,
  /** Today's date: times of other days are shown otherwise. */
  today: null,
  /** What the dialog asks: { title, about?, body?, answer?, isDangerous?, isPending?, error? }, and for the body. */
  ask: null,
  /** A selector of what gets the focus at the next draw. */
  toFocus: null,
};

/** What the next draw waits for, if there is one: a frame, or a timer, because a hidden page gets no frames. */
let awaited = null;
let drawNow;

/** Sets the function that draws the page. */
export function drawWith(draw) {
  drawNow = draw;
}

/** Draws the page soon, and once for all that has changed by then. */
export function draw() {
  const wanted = document.hidden ? "timer" : "frame";
  if (awaited === wanted || awaited === "timer") return;
  awaited = wanted;
  const now = () => {
    if (!awaited) return;
    awaited = null;
    drawNow();
  };
  if (document.hidden) setTimeout(now, HIDDEN_DRAW_MS);
  else requestAnimationFrame(now);
}

let noticeTimer;

export function notice(text) {
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => {
    ui.notice = null;
    draw();
  }, NOTICE_MS);
  ui.notice = text;
  draw();
}

export function ask(next) {
  ui.ask = next;
  draw();
}
