// Reasons of refusals, times, names and lengths, in the reader's words.

import { Refused } from "./api.js";

/** Maximum length of a message in bytes of UTF-8. */
export const TEXT_BYTES_MAX = 16_384;

const REASONS = {
  chat_name_taken: "Another chat has this name already.",
  chat_not_found: "This chat does not exist.",
  direct_chat: "A direct chat keeps its two members and has no name.",
  message_deleted: "The message was deleted.",
  not_a_member: "You are not a member of this chat.",
  not_the_author: "Only its author can change a message.",
  scope_missing: "You are not allowed to do this.",
  server_key_required: "You are not allowed to do this.",
  too_many_reactions: "A message can have 20 different reactions from each person, and 100 in all.",
  user_erased: "This person was erased.",
  user_not_found: "This person does not exist.",
  username_taken: "Somebody else has this name already.",
};

const FIELD_REASONS = {
  username: "A name has 1 to 64 characters, without spaces at its ends.",
  name: "A chat's name has 1 to 128 characters, without spaces at its ends.",
  text: "A message has 1 to 16,384 bytes.",
};

/** Returns why something was refused. */
export function sentence(error) {
  if (!(error instanceof Refused)) return error.message;
  const reason = error.code === "invalid_field" ? FIELD_REASONS[error.field] : REASONS[error.code];
  return reason ?? error.message;
}

const DAY_MS = 86_400_000;
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekdayFormat = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const dateFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const yearFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export const timeOf = (at) => timeFormat.format(at);
export const momentOf = (at) => momentFormat.format(at);

/** Returns the name of a day. */
export function dayOf(at) {
  const ago = (days) => new Date(Date.now() - days * DAY_MS).toDateString();
  if (at.toDateString() === ago(0)) return "Today";
  return at.toDateString() === ago(1) ? "Yesterday" : dayFormat.format(at);
}

/** Returns the time of today, the weekday of the last days, or the date. */
export function shortTimeOf(at) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (at >= midnight) return timeFormat.format(at);
  if (at > midnight - 6 * DAY_MS) return weekdayFormat.format(at);
  return (at.getFullYear() === new Date().getFullYear() ? dateFormat : yearFormat).format(at);
}

const graphemes = new Intl.Segmenter();

/** Returns the beginning of a text, without cutting a character that consists of several. */
export function beginning(text, length) {
  if (text.length <= length) return text;
  let end = 0;
  for (const { index, segment } of graphemes.segment(text)) {
    if (index + segment.length > length) break;
    end = index + segment.length;
  }
  return `${text.slice(0, end)}…`;
}

/** Returns the first letters of a name's first two words, or else its first character. */
export function initials(name) {
  const first = (word) => [...graphemes.segment(word)][0].segment;
  const words = name.match(/[\p{L}\p{N}]\S*/gu)?.slice(0, 2) ?? [name];
  return words.map(first).join("").toUpperCase();
}

/** Whether a key belongs to the composition of a character. Safari says so of the last one by its code alone. */
export const isComposing = ({ isComposing, keyCode }) => isComposing || keyCode === 229;

/** Returns the length of a text in bytes of UTF-8. */
export function bytesOf(text) {
  return new TextEncoder().encode(text).length;
}

/** Returns the names of people in a line. Of many, only some are named. */
export function namesOf(names, users, namedMax) {
  const named = users.slice(0, namedMax).map((user) => names.of(user)).join(", ");
  const further = users.length - namedMax;
  return further > 0 ? `${named} and ${further} more` : named;
}
