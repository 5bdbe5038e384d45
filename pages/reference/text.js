// Texts of the descriptions: paragraphs, and what stands in backticks as code. Nothing else is read in them.

import { el } from "../shared/dom.js";

/** The nodes of one line of text. */
export function inline(text) {
  return String(text).split(/(`[^`]+`)/).filter((part) => part !== "").map((part) =>
    /^`[^`]+`$/.test(part) ? el("code", {}, part.slice(1, -1)) : part);
}

/** A paragraph for each one of the text; none without a text. */
export function paragraphs(text) {
  return String(text ?? "").split(/\n\s*\n/).filter((part) => part.trim() !== "").map((part) => el("p", {}, ...inline(part)));
}

/** Of `operatorKey`: "Operator key". */
export function words(name) {
  const spaced = String(name).replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[-_.]+/g, " ").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** JSON with its parts on lines of their own, and every number as it was sent; any other text as it is. */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  return tokens.map((token, at) => {
    if (token === "," || token === ":") return token === "," ? `,${line()}` : ": ";
    if (token === "{" || token === "[") {
      depth += 1;
      return "}]".includes(tokens[at + 1]) ? token : token + line();
    }
    if (token === "}" || token === "]") {
      depth -= 1;
      return "{[".includes(tokens[at - 1]) ? token : line() + token;
    }
    return token;
  }).join("");
}

export function json(value) {
  return el("pre", {}, el("code", {}, JSON.stringify(value, null, 2)));
}
