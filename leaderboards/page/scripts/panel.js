// The panel of an entry: who made it, what it is, and how it does everywhere.

const panel = document.getElementById("panel");

/** Show an entry; where nobody knows it, say so. */
function openPanel(entry) {
  const rows = rowsOfEntry(entry),
    close = el("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  close.addEventListener("click", () => panel.close());
  clear(
    panel,
    el(
      "div",
      { class: "panel-box" },
      close,
      rows.length ? panelContent(rows) : unknownEntry(entry),
    ),
  );
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

const unknownEntry = (entry) => [
  el("h2", { id: "panel-title", tabindex: "-1", autofocus: true }, "No such entry"),
  el("p", {}, "This board has no entry ", said(entry), "."),
];

function panelContent(rows) {
  const [row] = rows,
    flags = [...new Set(rows.flatMap((r) => r.flags ?? []))];
  return [
    el(
      "header",
      {},
      el("p", { class: "kicker" }, said(kindOf(row))),
      el(
        "h2",
        { id: "panel-title", tabindex: "-1", autofocus: true },
        said(row.name ?? row.entry),
        el("span", { class: "version" }, " @", String(row.version ?? "")),
      ),
      row.summary && el("p", { class: "summary", dir: "auto" }, row.summary),
    ),
    facts(row),
    flags.length > 0 && flagList(flags),
    trackTable(rows),
    opponents(rows),
    versions(row),
  ];
}

function facts(row) {
  const line = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, ...value));
  return el(
    "dl",
    { class: "facts" },
    line(
      "Authors",
      row.authors?.length
        ? row.authors.map((author, n) => [n > 0 && ", ", said(author)])
        : "not told",
    ),
    line("License", row.license ? said(row.license) : "not told"),
    line("Kind", KINDS.get(kindOf(row)) ?? said(kindOf(row))),
    line(
      "Verification",
      row.verifiable
        ? "Its answers can be computed again and compared."
        : "Its moves can be replayed; what produced them cannot be checked.",
    ),
  );
}

function flagList(flags) {
  const items = (some) => some.map((flag) => el("li", {}, said(flag)));
  const rest = flags.slice(5);
  return el(
    "section",
    { class: "flags" },
    el("h3", {}, count(flags.length, "flag")),
    el("ul", {}, items(flags.slice(0, 5))),
    rest.length > 0 &&
      el("details", {}, el("summary", {}, `${fixed(rest.length)} more`), el("ul", {}, items(rest))),
  );
}

function trackTable(rows) {
  const line = (row) => {
    const measure = measureOf(row.track),
      axis = axisOf(rowsOf(row.track), measure);
    const value = isNumber(valueOf(row)) ? told(measure, valueOf(row)) + measure.unit : "unrated";
    return el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("a", { href: address({ track: row.track.id }) }, said(row.track.title)),
        row.track.parts.includes("replays") &&
          el(
            "a",
            {
              class: "more",
              href: address({ track: row.track.id, view: "replays", by: row.entry }),
            },
            "replays",
          ),
      ),
      el(
        "td",
        { class: "rank" },
        rankText(row),
        el("span", { class: "soft" }, ` of ${fixed(row.track.n)}`),
      ),
      el("td", { class: "number" }, value),
      el("td", { class: "bar-cell" }, bar(row, axis, measure)),
      el("td", { class: "number" }, row.forfeits ? fixed(row.forfeits) : NONE),
    );
  };
  const heads = ["Track", "Rank", "Value", "95 % interval", "Forfeits"].map((text) =>
    el("th", { scope: "col" }, text),
  );
  return el(
    "section",
    {},
    el("h3", {}, "Results"),
    el(
      "table",
      { class: "results" },
      el("caption", { class: "unseen" }, "Results by track"),
      el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, rows.map(line)),
    ),
  );
}

const MOST_OPPONENTS = 100;

/** Whom the entry has met in each track of games, best first; drawn when somebody asks for it. */
function opponents(rows) {
  const lists = rows
    .filter((row) => row.track.parts.includes("matrix"))
    .map((row) => {
      const list = el("details", {}, el("summary", {}, said(row.track.title)));
      list.addEventListener("toggle", () => loaded.then(() => list.append(opponentTable(row))), {
        once: true,
      });
      return list;
    });
  return (
    lists.length > 0 && el("section", { class: "opponents" }, el("h3", {}, "Opponents"), lists)
  );
}

function opponentTable(row) {
  const matrix = new Matrix(part("matrix", row.track.number), "points"),
    place = matrix.places.get(row.entry);
  const met = rowsOf(row.track)
    .map((other) => [other, matrix.places.get(other.entry)])
    .filter(
      ([other, column]) =>
        place !== undefined &&
        column !== undefined &&
        other !== row &&
        isNumber(matrix.value(place, column)),
    );
  if (!met.length) return el("p", { class: "soft" }, "It has met nobody yet.");
  const line = ([other, column]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, entryLink(other)),
      el("td", { class: "number" }, percent(matrix.value(place, column), 1)),
      el("td", { class: "number" }, fixed(matrix.value(place, column, "games"))),
    );
  const heads = ["Opponent", "Points taken", "Games"].map((text) =>
    el("th", { scope: "col" }, text),
  );
  return el(
    "div",
    {},
    el(
      "table",
      {},
      el("caption", { class: "unseen" }, `Opponents: ${row.track.title}`),
      el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, met.slice(0, MOST_OPPONENTS).map(line)),
    ),
    met.length > MOST_OPPONENTS &&
      el("p", { class: "soft" }, `The best ${MOST_OPPONENTS} of ${fixed(met.length)}.`),
  );
}

/** Other versions of the same name. */
function versions(row) {
  const others = new Map();
  for (const track of tracks)
    for (const other of rowsOf(track))
      if (other.name === row.name && other.entry !== row.entry) others.set(other.entry, other);
  if (!others.size) return null;
  return el(
    "section",
    {},
    el("h3", {}, "Other versions"),
    el(
      "ul",
      { class: "plain" },
      [...others.values()].map((other) => el("li", {}, entryLink(other))),
    ),
  );
}

panel.addEventListener("close", () => {
  const { track, view } = readRoute();
  history.replaceState(null, "", address({ track, view }));
});
panel.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
});
