// The marks in a message's text: a small subset of Markdown, as a tree of plain nodes. All else is text.
//
// The types `text`, `code`, `codeblock` (with its `info`) and `link` have a `text`. The types `em`, `strong`, `del` and
// `quote` have `children`. The page shows texts with `white-space: pre-wrap`, so each newline is kept, but for the one
// that ends a quote or a code block: what follows a block is on a new line anyway.
//
// **Invariant:** the work grows linearly with the text, whatever a hostile user writes: no character is searched for a
// partner that was searched for before. And the tree is at most six nodes deep, as no mark is open twice.

/** Maximum number of characters of a link: some `URL`, such as that of Node.js, take quadratic time for a long host. */
const LINK_MAX = 2048;

const FENCE = /^(`{3,})([^`]*)$/;
const QUOTE = /^> ?/;

/**
 * What may begin markup in a line. A link ends before a backtick, as code wins over links, and before a character that
 * cannot be seen or that turns the direction of writing, so that it is read as what it is.
 */
const TOKEN = /`+|\*+|_+|~+|https?:\/\/[^\s\p{Cf}<>"`]+/giu;
const TYPES = { "*": "em", _: "em", "**": "strong", "~~": "del" };
/** A letter or digit of a script with spaces between words: `2*3*4` is text, but `这是**重点**` is not. */
const WORD =
  /(?![\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Hang}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmr}\p{sc=Mymr}])[\p{L}\p{N}]/u;

/** Returns the nodes of a message's text. */
export function parse(text) {
  return blocks(text.split("\n"), true);
}

function blocks(lines, mayQuote) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const begin = at;
    const fence = FENCE.exec(lines[at]);
    // A fence in the last line has nothing to enclose.
    if (fence && at + 1 < lines.length) {
      do at++;
      while (at < lines.length && !closes(lines[at], fence[1]));
      nodes.push({ type: "codeblock", info: fence[2], text: lines.slice(begin + 1, at++).join("\n") });
    } else if (mayQuote && QUOTE.test(lines[at])) {
      do at++;
      while (at < lines.length && QUOTE.test(lines[at]));
      const quoted = lines.slice(begin, at).map((line) => line.replace(QUOTE, ""));
      // A quote in a quote stays text, or a hostile user could make the tree as deep as the message is long.
      nodes.push({ type: "quote", children: blocks(quoted, false) });
    } else {
      for (const node of inline(lines[at])) nodes.push(node);
      if (++at < lines.length) nodes.push({ type: "text", text: "\n" });
    }
  }
  return joined(nodes);
}

function closes(line, fence) {
  return line.startsWith(fence) && /^`+\s*$/.test(line);
}

/** Returns the nodes of one line. A mark has its partner in the same line, so that a lone one does little harm. */
function inline(line) {
  const nodes = [];
  /** For each mark that waits for its partner, where it is in `nodes`: as text, until the partner comes. */
  const open = {};
  let done = 0;
  let codeEnds;

  TOKEN.lastIndex = 0;
  for (let token; (token = TOKEN.exec(line)); TOKEN.lastIndex = done) {
    const [run] = token;
    take("text", token.index);
    if (run[0] === "`") takeCode(run.length);
    else if ("*_~".includes(run[0])) takeMarks(run);
    else takeLink(run);
  }
  take("text", line.length);
  return nodes;

  /** Adds a node with the text up to `end`, without the `margin` at both sides. */
  function take(type, end, margin = 0) {
    if (end > done) nodes.push({ type, text: line.slice(done + margin, end - margin) });
    done = end;
  }

  function takeCode(ticks) {
    codeEnds ??= partners(line);
    const end = codeEnds.get(done);
    if (end) take("code", end + ticks, ticks);
    else take("text", done + ticks);
  }

  function takeLink(run) {
    const link = run.slice(0, linkLength(run));
    // It begins with http: or https:, so that its protocol is not in question.
    const isLink = link.length <= LINK_MAX && URL.canParse(link);
    take(isLink ? "link" : "text", done + link.length);
  }

  /** Takes a run of one character. Each of its marks closes, or opens, or is text. */
  function takeMarks(run) {
    const before = line[done - 1] ?? " ";
    const after = line[done + run.length] ?? " ";
    const marks = run === "***" ? ["**", "*"] : [run];
    const canClose = /\S/.test(before) && !(run === "_" && WORD.test(after));
    const closing = canClose ? marks.filter((mark) => mark in open) : [];
    // The newest first, as it is inside of the other.
    closing.sort((a, b) => open[b] - open[a]).forEach(close);
    for (const mark of marks) {
      if (closing.includes(mark)) continue;
      if (mark in TYPES && /\S/.test(after) && !WORD.test(before)) open[mark] = nodes.length;
      take("text", done + mark.length);
    }
  }

  /** Puts what follows an open mark into a node, which takes the mark's place. A mark still open in there is text. */
  function close(mark) {
    const start = open[mark];
    const children = joined(nodes.splice(start).slice(1));
    nodes.push({ type: TYPES[mark], children });
    for (const other in open) if (open[other] >= start) delete open[other];
    done += mark.length;
  }
}

/** Returns, for the position of each run of backticks, that of the next run of the same length. */
function partners(line) {
  const ends = new Map();
  const next = new Map();
  for (const { 0: run, index } of [...line.matchAll(/`+/g)].reverse()) {
    ends.set(index, next.get(run.length));
    next.set(run.length, index);
  }
  return ends;
}

/** Returns the length of a link without the punctuation at its end. A `)` is part of the link if its `(` is. */
function linkLength(run) {
  let spare = run.split(")").length - run.split("(").length;
  let end = run.length;
  while (".,;:!?'\"]*_~".includes(run[end - 1]) || (run[end - 1] === ")" && spare-- > 0)) end--;
  return end;
}

/** Returns the nodes with neighbouring texts joined, so that the page gets few nodes. */
function joined(nodes) {
  const all = [];
  for (const node of nodes) {
    const last = all.at(-1);
    if (last?.type === "text" && node.type === "text") last.text += node.text;
    else all.push(node);
  }
  return all;
}
