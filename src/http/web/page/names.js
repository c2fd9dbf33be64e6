// The names of people. The page asks for those that it shows, all of a moment together.

import { Refused } from "./api.js";

/** Maximum number of users in one request. */
const ASKED_MAX = 1000;

/** Characters that nobody sees, or that turn the direction of what follows. */
const HIDDEN = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\u2800]/gu;
/** Those of them that belong to an emoji. */
const IN_EMOJI = /\p{Emoji}[\ufe0f\u{1f3fb}-\u{1f3ff}]*(\u200d\p{Emoji}[\ufe0f\u{1f3fb}-\u{1f3ff}]*)*/gu;

/** Letters that look like Latin ones (Unicode Technical Standard 39, confusables), and what they look like. */
const LOOKS = new Map(
  Object.entries({
    a: "аαɑ", b: "ьЬ", c: "сϲ", d: "ԁ", e: "еҽ", g: "ɡ", h: "һ", i: "іıι1l|", j: "јϳ", k: "кκ", m: "м", n: "пη",
    o: "оοσ0օ", p: "рρ", q: "ԛ", r: "г", s: "ѕ", t: "тτ", u: "υս", v: "ѵν", w: "ԝω", x: "хχ", y: "уγү", z: "ᴢ",
  }).flatMap(([letter, others]) => Array.from(others, (other) => [other, letter])),
);

/** Capital letters whose small ones look otherwise. */
const CAPITALS = new Map(
  Object.entries({
    A: "ΑАᎪ", B: "ΒВᏴ", C: "СᏟ", E: "ΕЕᎬ", H: "ΗНᎻ", I: "ΙІӀӏ", J: "ЈᎫ", K: "ΚКᏦ", M: "ΜМᎷ", N: "Ν", O: "ΟОᎾ",
    P: "ΡРᏢ", S: "ЅᏚ", T: "ΤТᎢ", X: "ΧХ", Y: "ΥҮ", Z: "ΖᏃ",
  }).flatMap(([letter, others]) => Array.from(others, (other) => [other, letter])),
);

/** Words by which the page itself calls people. */
const OWN_WORDS = new Set(["you", "all", "erased user", "unknown user", "just you"]);

export class Names {
  /** Names by id, as they are shown and as they look: null for an erased user, undefined for one who is not known. */
  #known = new Map();
  #wanted = new Set();
  #ask;
  /** Ids by what their names look like. */
  #alike = new Map();

  /** `ask` is called with ids of users whose names are wanted. */
  constructor(ask) {
    this.#ask = ask;
  }

  has(user) {
    return this.#known.has(user);
  }

  set(user, username) {
    const before = this.#known.get(user);
    if (before) this.#alike.get(before.look).delete(user);
    if (username === null) {
      this.#known.set(user, null);
      return;
    }
    const look = looks(username);
    this.#known.set(user, { username, shown: visible(username), look });
    this.#alike.set(look, (this.#alike.get(look) ?? new Set()).add(user));
  }

  /** Returns the user's name as it is shown. One that is not known is asked for. */
  of(user) {
    const name = this.#known.get(user);
    if (name === null) return "Erased user";
    if (name) return name.shown;
    if (this.has(user)) return "Unknown user";
    this.#want(user);
    return "…";
  }

  /** Returns why a name may mislead its reader, or null. */
  caution(user) {
    const name = this.#known.get(user);
    if (!name) return null;
    const { username, shown, look } = name;
    if (shown !== username) return "This name contains characters that cannot be seen.";
    const isOwnWord = OWN_WORDS.has(look) || OWN_WORDS.has(username.toLowerCase());
    if (isOwnWord) return "This is only a name, not the page's own word.";
    return this.#alike.get(look).size > 1 ? "Another person has a name that looks like this one." : null;
  }

  #want(user) {
    if (this.#wanted.has(user)) return;
    if (!this.#wanted.size) setTimeout(() => this.#askAll());
    this.#wanted.add(user);
  }

  async #askAll() {
    const users = [...this.#wanted].slice(0, ASKED_MAX);
    try {
      await this.#ask(users);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    } finally {
      for (const user of users) {
        this.#wanted.delete(user);
        // The server leaves out users whom it does not know.
        if (!this.has(user)) this.#known.set(user, undefined);
      }
      if (this.#wanted.size) this.#askAll();
    }
  }
}

/** Returns a name in which hidden characters are shown by their numbers. */
export function visible(name) {
  const spared = new Set();
  for (const { 0: emoji, index } of name.matchAll(IN_EMOJI)) {
    // A digit is an emoji to Unicode.
    if (!/\p{Extended_Pictographic}/u.test(emoji)) continue;
    for (let at = index; at < index + emoji.length; at += 1) spared.add(at);
  }
  const number = (character) => `⟨${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  return name.replace(HIDDEN, (character, at) => (spared.has(at) ? character : number(character)));
}

/** Returns the same text for names that look the same. */
function looks(name) {
  const capitals = Array.from(visible(name).normalize("NFKC"), (letter) => CAPITALS.get(letter) ?? letter).join("");
  const plain = capitals.toLowerCase().replaceAll(/[\s._-]+/g, " ");
  const latin = Array.from(plain, (letter) => LOOKS.get(letter) ?? letter).join("");
  return latin.replaceAll("rn", "m").replaceAll("vv", "w");
}
