// Pages of the web world, drawn from what the agent read: a bar with the address, headings, controls.

const QUOTED = "'(?:[^'\\\\]|\\\\.)*'";
const CONTROL = new RegExp(
  `\\[(\\d+)\\] (\\w+) (${QUOTED})((?: disabled| checked| value=${QUOTED}| options: ${QUOTED}(?: \\| ${QUOTED})*| \\(changed\\))*)`,
  "g",
);
const unquoted = (text) => text.slice(1, -1).replace(/\\(.)/g, "$1");

const isPage = (text) => /^Task: .*\n/.test(text) && /^\/\S*$/m.test(text);

/** Whether a command names a control, by number or by role and name. */
function names(command, number, role, name) {
  const call = /^\s*\w+\(\s*(?:'(\d+)'|(\w+) ('(?:[^'\\]|\\.)*'))/.exec(command.split("\n").at(-1));
  return (
    call !== null &&
    (call[1] !== undefined ? call[1] === number : call[2] === role && unquoted(call[3]) === name)
  );
}

function control(match, command) {
  const [, number, role, quoted, rest] = match,
    name = unquoted(quoted);
  const value = new RegExp(` value=(${QUOTED})`).exec(rest),
    options = new RegExp(` options: (.*?)(?: \\(changed\\))?$`).exec(rest);
  const states = [
    rest.includes(" checked") && "checked",
    rest.includes(" disabled") && "disabled",
    rest.endsWith("(changed)") && "changed",
    names(command, number, role, name) && "target",
  ];
  const box = el(
    "span",
    {
      class: ["control", /^\w+$/.test(role) ? `role-${role}` : "", ...states]
        .filter(Boolean)
        .join(" "),
    },
    el("span", { class: "bid" }, number),
  );
  const held = value ? unquoted(value[1]) : "";
  if (role === "checkbox" || role === "radio") {
    const mark =
      role === "checkbox"
        ? rest.includes(" checked")
          ? "☑"
          : "☐"
        : rest.includes(" checked")
          ? "◉"
          : "○";
    return fill(box, {}, [el("span", { class: "mark" }, mark), said(name)]);
  }
  if (!value) return fill(box, {}, [said(name, "face")]);
  return fill(box, {}, [
    said(name, "label"),
    el(
      "span",
      { class: "field" },
      held === "" ? "\u00A0" : said(held),
      options && el("span", { class: "mark" }, " ▾"),
    ),
    options && el("span", { class: "options" }, options[1]),
  ]);
}

function pageLine(line, command) {
  if (line.startsWith("# ")) return el("p", { class: "heading" }, said(line.slice(2)));
  const pieces = [];
  let last = 0;
  for (const match of line.matchAll(CONTROL)) {
    pieces.push(line.slice(last, match.index), control(match, command));
    last = match.index + match[0].length;
  }
  return el("p", {}, pieces, line.slice(last));
}

/** A page as the agent saw it; what its command acts on is marked. */
function pageView(text, command) {
  const lines = text.split("\n"),
    at = lines.findIndex((line) => /^\/\S*$/.test(line));
  const notes = lines.slice(0, at).map((line) => {
    const match = /^(Task|Done|Error): (.*)$/.exec(line);
    return match
      ? el(
          "p",
          { class: `about about-${match[1].toLowerCase()}` },
          el("b", {}, match[1]),
          " ",
          said(match[2]),
        )
      : el("p", { class: "about" }, said(line));
  });
  return el(
    "div",
    { class: "web" },
    notes,
    el(
      "div",
      { class: "browser" },
      el(
        "div",
        { class: "location" },
        el("span", { class: "dots", "aria-hidden": "true" }),
        said(lines[at]),
      ),
      el(
        "div",
        { class: "document" },
        lines.slice(at + 1).map((line) => pageLine(line, command)),
      ),
    ),
  );
}
