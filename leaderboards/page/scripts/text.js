// Elements, texts of strangers, and numbers as people read them.

const SVG = "http://www.w3.org/2000/svg";

// What steers a text without being seen: controls, directions, invisible joints, halves of pairs.
// Line breaks and tabs are seen; the joint inside of an emoji is part of it.
const HIDDEN =
  /(?![\n\t])(?!(?<=\p{Extended_Pictographic}\uFE0F?)\u200D(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const PLAIN = /^[ -~\n\t]*$/; // most texts, and quickly told

const codeOf = (character) =>
  "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

/** A text with what cannot be seen spelled out, for attributes and canvases. */
function plain(text) {
  const string = String(text ?? "");
  return PLAIN.test(string)
    ? string
    : string.replace(HIDDEN, (character) => `⟨${codeOf(character)}⟩`);
}

/** The same as nodes, the spelled-out parts marked. */
function nodesOf(text) {
  const string = String(text ?? ""),
    nodes = [];
  if (PLAIN.test(string)) return [string];
  let last = 0;
  for (const found of string.matchAll(HIDDEN)) {
    const mark = document.createElement("span");
    mark.className = "hidden-character";
    mark.textContent = codeOf(found[0]);
    nodes.push(string.slice(last, found.index), mark);
    last = found.index + found[0].length;
  }
  nodes.push(string.slice(last));
  return nodes;
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on")
      for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === "style")
      for (const [key, set] of Object.entries(value)) node.style.setProperty(key, set);
    else node.setAttribute(name, value === true ? "" : plain(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) node.append(child);
    else node.append(...nodesOf(child));
  }
  return node;
}

/** An HTML element; strings among its children become text, whatever they say. */
const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** A text of a stranger, whose direction stays inside of it. */
const said = (text, className = null) => el("bdi", { class: className }, text);

const clear = (node, ...children) => (
  node.replaceChildren(...children.flat(Infinity).filter(Boolean)),
  node
);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const NONE = "–";

/** A number with so many decimals, and a minus sign that is as wide as a digit. */
function fixed(value, decimals = 0) {
  if (!isNumber(value)) return NONE;
  const text = value.toLocaleString("en", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return (/^-[0.,]*$/.test(text) ? text.slice(1) : text).replace("-", "−");
}

const signed = (value, decimals = 0) => (value > 0 ? "+" : "") + fixed(value, decimals);
const percent = (share, decimals = 0) =>
  isNumber(share) ? `${fixed(100 * share, decimals)} %` : NONE;
const count = (n, one, many = `${one}s`) => `${fixed(n)} ${n === 1 ? one : many}`;

/** A number of any size, with three digits or so. */
function brief(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toPrecision(3).replace("-", "−");
  return fixed(
    value,
    size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3,
  );
}

/** An ISO date as "5 February 2026", with the time where it has one; anything else as it is. */
function day(text) {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d).*)?$/.exec(String(text ?? ""));
  if (!match) return text;
  const date = new Date(Date.UTC(match[1], match[2] - 1, match[3]));
  const told = date.toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
  return match[4] ? `${told}, ${match[4]}` : told;
}

/** Round steps from low to high: [first, step, how many], the last step reaching over high. */
function niceSteps(low, high, wanted) {
  if (!(high > low)) [low, high] = [low - (Math.abs(low) || 1) / 2, low + (Math.abs(low) || 1) / 2];
  const rough = (high - low) / wanted,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.9999);
  const first = Math.floor(low / step + 1e-9) * step;
  return [first, step, Math.max(1, Math.ceil((high - first) / step - 1e-9))];
}

/** How many decimals tell steps of this size exactly. */
const decimalsFor = (step) =>
  [0, 1, 2, 3, 4, 5].find((n) => Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) ?? 6;
