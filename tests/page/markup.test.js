// The parser of markup: its grammar, no lost characters, and linear work for hostile texts.

import assert from "node:assert/strict";
import { Session } from "node:inspector/promises";
import { test } from "node:test";

import { parse } from "../../src/http/web/page/markup.js";

/** Writes nodes in short: a text as a string, any other node as its type and what it holds. */
function brief(nodes) {
  return nodes.map(({ type, text, info, children }) => {
    if (type === "text") return text;
    return { [info ? `${type} ${info}` : type]: children ? brief(children) : text };
  });
}

const shows = (text, ...nodes) => assert.deepEqual(brief(parse(text)), nodes, JSON.stringify(text));
const isText = (text) => shows(text, ...(text ? [text] : []));

test("marks make text bold, italic and struck", () => {
  shows("a **b** c", "a ", { strong: ["b"] }, " c");
  shows("*a* _b_ ~~c~~", { em: ["a"] }, " ", { em: ["b"] }, " ", { del: ["c"] });
  shows("**a *b* _c_ ~~d~~**", { strong: ["a ", { em: ["b"] }, " ", { em: ["c"] }, " ", { del: ["d"] }] });
  shows("***a***", { strong: [{ em: ["a"] }] });
  shows("**a *b***", { strong: ["a ", { em: ["b"] }] });
  shows("*a **b***", { em: ["a ", { strong: ["b"] }] });
  shows("***a* b**", { strong: [{ em: ["a"] }, " b"] });
  shows("(**a**), **B**old, *é*", "(", { strong: ["a"] }, "), ", { strong: ["B"] }, "old, ", { em: ["é"] });
});

test("the nearest mark is the partner", () => {
  shows("*a *b* c*", "*a ", { em: ["b"] }, " c*");
  shows("*a _b* c_", { em: ["a _b"] }, " c_");
  shows("**a *b**", { strong: ["a *b"] });
  shows("*a.***b**", { em: ["a."] }, { strong: ["b"] });
});

test("what is no mark stays text", () => {
  for (const text of [
    "2*3*4 and 2**3**4",
    "snake_case_names __init__ Kolleg*innen, Nutzer*innen",
    "* a * b * c*",
    "** a ** ~~ b ~~ _ c _",
    "*a **b _c ~~d",
    "a* b** c_ d~~",
    "~a~ ~~~b~~~ ****c**** **** ~~~~",
    "*a\nb*",
    "\\*a",
  ])
    isText(text);
  shows("_snake_case_", { em: ["snake_case"] });
  shows("\\*a*", "\\", { em: ["a"] });
});

test("marks work in scripts without spaces", () => {
  shows("这是**重点**内容", "这是", { strong: ["重点"] }, "内容");
  shows("**중요**는", { strong: ["중요"] }, "는");
});

test("code wins over all else in a line", () => {
  shows("`*a*` **`b**`", { code: "*a*" }, " **", { code: "b**" });
  shows("``a`b`` ` ``", { code: "a`b" }, " ` ``");
  shows("` a ` `http://a.b`", { code: " a " }, " ", { code: "http://a.b" });
  shows("http://a.b`c`", { link: "http://a.b" }, { code: "c" });
  isText("`a\nb`");
  isText("`a``");
});

test("fences enclose code", () => {
  shows("a\n```js\n*b*\n\n  > c\n```\nd", "a\n", { "codeblock js": "*b*\n\n  > c" }, "d");
  shows("```\na\n```\n\n\nb", { codeblock: "a" }, "\n\nb");
  shows("````\n```\n````", { codeblock: "```" });
  shows("```\n```", { codeblock: "" });
  shows("```\r\na\r\n```\r\nb", { "codeblock \r": "a\r" }, "b");
  shows("```\na\n``` b", { codeblock: "a\n``` b" });
  shows("```a```\nb", { code: "a" }, "\nb");
  isText("a\n```");
  isText(" ```\n");
});

test("lines that begin with > are one quote", () => {
  shows("a\n> *b*\n>c\n\n\nd", "a\n", { quote: [{ em: ["b"] }, "\nc"] }, "\n\nd");
  shows(">  a\n>", { quote: [" a\n"] });
  shows("> > a", { quote: ["> a"] });
  shows("> ```\n> a\n> ```\n> b", { quote: [{ codeblock: "a" }, "b"] });
  shows("> ```\n> a\nb", { quote: [{ codeblock: "a" }] }, "b");
  isText(" > a > b");
});

test("addresses are links", () => {
  shows("http://a.b", { link: "http://a.b" });
  shows("see HTTPS://a.b/c_d_e*f?g=h#i, ok", "see ", { link: "HTTPS://a.b/c_d_e*f?g=h#i" }, ", ok");
  shows("(http://a.b/c_(d)).", "(", { link: "http://a.b/c_(d)" }, ").");
  shows('"http://a.b" <http://c.d>', '"', { link: "http://a.b" }, '" <', { link: "http://c.d" }, ">");
  shows("**http://a.b** _http://a.b/_", { strong: [{ link: "http://a.b" }] }, " ", { em: [{ link: "http://a.b/" }] });
  shows("[a](http://b.c)", "[a](", { link: "http://b.c" }, ")");
  for (const text of ["http://", "https://...", "http://[", "http://a:b", "ftp://a.b www.a.b a@b.c j:a"]) isText(text);
});

test("a very long address stays text", () => {
  const link = "http://a.b/" + "c".repeat(2037);
  shows(link, { link });
  isText(link + "c");
});

test("all other grammar stays text", () => {
  for (const text of [
    "",
    "\n",
    "  a  \n\n\n\tb \n",
    "# a\n\na\n===\n\n---\n\n- a\n1. b\n\n    c\n",
    "<b onclick='a'>a</b> &amp; &#65; <!-- a -->",
    "[a](b) ![a](b) [a][b] [^1]\n\n[a]: b",
    "|a|b|\n|-|-|\n|c|d|",
    "\0 \ud800 \u202e \u2028 \r\n \r",
  ])
    isText(text);
});

/** Walks `source` along its nodes. Fails if they took more from it than their own marks. */
function assertLossless(source, nodes) {
  let at = 0;
  const skip = (text) => {
    assert.ok(source.startsWith(text, at), `${JSON.stringify(text)} at ${at} of ${JSON.stringify(source)}`);
    at += text.length;
  };
  const match = (pattern) => source.slice(at).match(pattern)[0];
  const around = (mark, inner) => [skip(mark), inner(), skip(mark)];
  const walk = (node) => {
    if (node.type === "text" || node.type === "link") skip(node.text);
    else if (node.type === "code") around(match(/^`+/), () => skip(node.text));
    else if (node.type === "em") around(match(/^[*_]/), () => node.children.forEach(walk));
    else if (node.type === "strong") around("**", () => node.children.forEach(walk));
    else if (node.type === "del") around("~~", () => node.children.forEach(walk));
    else if (node.type === "quote") {
      const quote = match(/^(?:>[^\n]*(?:\n|$))+/);
      const lines = quote.replace(/\n$/, "").split("\n");
      assertLossless(lines.map((line) => line.replace(/^> ?/, "")).join("\n"), node.children);
      skip(quote);
    } else {
      skip(match(/^```+/) + node.info + "\n" + node.text);
      skip(match(/^(?:\n?```+\s*?(?:\n|$)|\n?$)/));
    }
  };
  nodes.forEach(walk);
  assert.equal(at, source.length, JSON.stringify(source));
}

const depth = (nodes) => Math.max(0, ...nodes.map((node) => 1 + depth(node.children ?? [])));

/** Returns the same pseudorandom numbers below a limit in each run. */
function randoms(seed) {
  return (limit) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
}

const CHARACTERS = [..."***__``~~~>><[]()!#-+.12  \n\n\n\t\\&ab\r\0", "http://a", "😀", "ש", "重", "```\n", "\n> "];

test("random texts lose nothing and stay shallow", () => {
  const random = randoms(1);
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: random(40) }, () => CHARACTERS[random(CHARACTERS.length)]).join("");
    const nodes = parse(text);
    assertLossless(text, nodes);
    assert.ok(depth(nodes) <= 6);
  }
});

const repeat = (unit) => (length) => unit.repeat(length / unit.length);
const halves = (a, b) => (length) => repeat(a)(length / 2) + repeat(b)(length / 2);
const growing = (unit, end) => (length) => {
  let text = "";
  for (let n = 1; text.length < length; n++) text += unit.repeat(n) + end;
  return text.slice(0, length);
};

const HOSTILE = [
  ..."*_~`>[<\n ",
  ..."*a |_a |**a|~~a |***a |*_|a* |*a*|*a _b |**a *b |*a\n".split("|"),
  ..."> |>\n|> `|```\n|```\n```\n|````\n```\n|`a|` `` |``a".split("|"),
  ..."http://|http://a |http://a*|http://[|http://a/( |http://a) |*http://a* |![|](|\\*|&a;|\r\n|*\r\n|a_b".split("|"),
]
  .map(repeat)
  .concat([halves("*a ", "b* "), halves("*a _b ", "c_ d* "), halves("**a ", "b* "), halves("` ", "`` ")])
  .concat([halves("http://a/(", ")"), halves("http://a/", "."), halves("(", ")"), halves("*", "a*")])
  .concat(["`", "*", "_", "~"].flatMap((unit) => [" ", "a", "\n"].map((end) => growing(unit, end))));

/**
 * Returns how much work `parse` has with a text: how often its blocks of code run, and how many characters and items
 * the built-in functions that it calls go over, at most. Time would depend on the machine.
 */
async function work(session, text) {
  let sum = 0;
  const restores = [];
  const count = (owner, name, cost) => {
    const original = owner[name];
    restores.push(() => (owner[name] = original));
    owner[name] = function (...values) {
      const last = this.lastIndex;
      const result = original.apply(this, values);
      sum += cost(this, result, values[0], last);
      return result;
    };
  };
  // A pattern that is not found has looked at all the rest.
  count(RegExp.prototype, "exec", (pattern, found, searched, last) => {
    const start = pattern.global ? last : 0;
    return 1 + (found ? found.index + found[0].length : searched.length) - start;
  });
  for (const name of ["split", "includes", "indexOf"]) count(String.prototype, name, (searched) => searched.length);
  for (const name of ["slice", "replace"]) count(String.prototype, name, (_, result) => result.length);
  for (const name of ["slice", "splice", "map"]) count(Array.prototype, name, (_, result) => result.length);
  for (const name of ["filter", "sort", "includes", "indexOf", "findIndex", "reverse", "join"])
    count(Array.prototype, name, (items) => items.length);
  count(URL, "canParse", (_, __, link) => link.length);

  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  try {
    parse(text);
  } finally {
    restores.forEach((restore) => restore());
  }
  const { result } = await session.post("Profiler.takePreciseCoverage");
  const { functions } = result.find(({ url }) => url === import.meta.resolve("../../src/http/web/page/markup.js"));
  return functions.flatMap(({ ranges }) => ranges).reduce((total, { count }) => total + count, sum);
}

test("hostile texts take linear work", async () => {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  for (const make of HOSTILE) {
    const [once, twice] = [await work(session, make(4096)), await work(session, make(8192))];
    const shown = JSON.stringify(make(64));
    assert.ok(twice < 2.2 * once, `${shown}: ${once}, ${twice}`);
    assert.ok(twice < 60 * 8192, `${shown}: ${twice}`);
  }
  session.disconnect();
});
