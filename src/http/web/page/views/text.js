// A message's text. Its markup becomes elements, and everything in it stays text.

import { html, nothing } from "../lit-html/lit-html.js";
import { parse } from "../markup.js";

/** Maximum number of elements and pieces of text. A text of more is shown as it is, because it would slow the page. */
const NODES_MAX = 200;

/** Returns a message's text. */
export function marked(text) {
  const nodes = parse(text);
  return count(nodes) > NODES_MAX ? text : nodes.map(shown);
}

// An address whose host is not read as what it is shows the host, too.
function link(text) {
  const { host } = new URL(text);
  const written = /^https?:\/\/([^/?#]*)/i.exec(text)[1].toLowerCase();
  const isClear = [host, `${host}:80`, `${host}:443`].includes(written);
  return html`<a href=${text} dir="ltr" target="_blank" rel="noopener noreferrer">${text}</a>${
    isClear ? nothing : html` <span class="host">(${host})</span>`}`;
}

const count = (nodes) => nodes.reduce((sum, { children }) => sum + 1 + (children ? count(children) : 0), 0);

/** Returns a text without its marks. */
export const unmarked = (text) => parse(text).map(plain).join("");

const plain = ({ text, children }) => text ?? children.map(plain).join("");

function shown({ type, text, children }) {
  switch (type) {
    case "text": return text;
    case "code": return html`<code>${text}</code>`;
    case "codeblock": return html`<pre tabindex="0"><code>${text}</code></pre>`;
    // A link shows where it goes. The page that it opens cannot control this one, and does not learn its URL.
    case "link": return link(text);
    case "em": return html`<em>${children.map(shown)}</em>`;
    case "strong": return html`<strong>${children.map(shown)}</strong>`;
    case "del": return html`<del>${children.map(shown)}</del>`;
    case "quote": return html`<blockquote>${children.map(shown)}</blockquote>`;
  }
}
