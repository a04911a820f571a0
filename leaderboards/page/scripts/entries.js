// Entries as they are named everywhere: a link, what kind it is, what is to be known about it.

// Maps, not objects: an object knows words of its own, such as __proto__.
const KINDS = new Map([
  ["weights", "Weights of a known architecture: its answers can be computed again"],
  ["process", "A program of its own: what it did is replayed, but cannot be computed again"],
  ["endpoint", "A server elsewhere: nothing shows what answered"],
  ["reference", "Made by the board’s own commands, for comparison"],
]);
const MOST_COMPARED = 8;

const kindOf = (row) => (row.reference ? "reference" : row.kind);

function kindBadge(row) {
  const kind = kindOf(row);
  return el(
    "span",
    { class: `badge kind-${KINDS.has(kind) ? kind : "other"}`, title: KINDS.get(kind) },
    said(kind),
  );
}

const unverifiedBadge = (row) =>
  !row.verifiable &&
  !row.reference &&
  el(
    "span",
    { class: "badge warn", title: "Nobody can check what produced these answers" },
    "unverified",
  );

/** The first flag, and how many more there are. */
function flagBadges(row) {
  const flags = row.flags ?? [];
  if (!flags.length) return null;
  return [
    el(
      "span",
      { class: "badge flag long", title: flags[0] },
      el("span", { "aria-hidden": "true" }, "⚑ "),
      said(flags[0]),
    ),
    flags.length > 1 && el("span", { class: "badge flag more" }, `+${fixed(flags.length - 1)}`),
    el("span", { class: "badge flag short", title: flags[0] }, `⚑ ${fixed(flags.length)}`),
  ];
}

/** The name of an entry, which opens its panel. */
function entryLink(row) {
  return el(
    "a",
    { class: "entry", href: address({ track: row.track.id, entry: row.entry }), title: row.entry },
    said(row.name ?? row.entry, "name"),
    row.version !== undefined && el("span", { class: "version" }, ` @${row.version}`),
  );
}

const authorsOf = (row) => (row.authors ?? []).join(", ");

/** Which entries of a track are drawn in its charts, and in which colour. */
class Compared {
  constructor(track) {
    const rows = rowsOf(track),
      own = rows.filter((row) => !row.reference);
    this.slots = new Array(MOST_COMPARED).fill(null);
    this.listeners = [];
    const reference = rows.find((row) => row.reference);
    for (const row of [...own.slice(0, 4), ...(reference ? [reference] : [])])
      this.set(row, true, true);
  }
  slot(row) {
    return this.slots.indexOf(row);
  }
  get rows() {
    return this.slots.filter(Boolean);
  }
  get isFull() {
    return !this.slots.includes(null);
  }
  /** Draw an entry or not; false where there is no colour left. */
  set(row, isOn, isQuiet = false) {
    const old = this.slot(row),
      free = this.slots.indexOf(null);
    if (isOn === old >= 0) return true;
    if (isOn && free < 0) return false;
    this.slots[isOn ? free : old] = isOn ? row : null;
    if (!isQuiet) for (const tell of this.listeners) tell();
    return true;
  }
  clear() {
    this.slots.fill(null);
    for (const tell of this.listeners) tell();
  }
}

const colourOf = (slot) => `var(--series-${slot})`;

/** The small box in the entry's colour that puts it into the charts. */
function compareBox(row, compared) {
  const box = el("input", {
    type: "checkbox",
    "aria-label": `Choose ${row.entry} for the charts`,
    title: "Choose for the charts below",
  });
  box.checked = compared.slot(row) >= 0;
  box.disabled = !box.checked && compared.isFull;
  if (box.checked) box.style.setProperty("--series", colourOf(compared.slot(row)));
  box.addEventListener("change", () => compared.set(row, box.checked));
  return el("label", { class: "swatch-box" }, box);
}
