// The parts of the board, read when they are needed, and the address that says what is shown.

const parsed = new Map();

/** A part of the board, or null where the page has none of that name. */
function part(name, number = null) {
  const id = number === null ? `data-${name}` : `data-${name}-${number}`;
  if (!parsed.has(id)) {
    const block = document.getElementById(id);
    parsed.set(id, block ? JSON.parse(block.textContent) : null);
  }
  return parsed.get(id);
}

/** Done when all parts are there: the script starts behind the rows, and before the rest. */
const loaded = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done);
  else done();
});

const board = part("board");
const tracks = board.tracks.map((track, number) => ({ ...track, number }));
const trackOf = (id) => tracks.find((track) => track.id === id) ?? null;

/** Rows of a track, best first, each with its track and its place in the board's order. */
function rowsOf(track) {
  const key = `rows of ${track.number}`;
  if (!parsed.has(key)) {
    const rows = part("rows", track.number).map((row, index) => ({ ...row, index, track }));
    parsed.set(key, rows.sort(byMerit(track)));
  }
  return parsed.get(key);
}

const valueOf = (row) => (row.track.kind === "single" ? row.score : row.rating);
const valueWithout = (row) =>
  row.track.kind === "single" ? row.score_without_forfeits : row.rating_without_forfeits;

/** Better entries first; what has no number comes last, and smaller components behind the first. */
const byMerit = () => (a, b) =>
  (a.component ?? 0) - (b.component ?? 0) ||
  compare(valueOf(b), valueOf(a), -1) ||
  a.index - b.index;

/** Order of two values; whatever the direction, what is no value comes last. */
function compare(a, b, direction = 1) {
  const none = (value) => value === null || value === undefined || value === "";
  if (none(a) || none(b)) return (none(a) - none(b)) * direction;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

/** All rows of an entry, over the tracks. */
const rowsOfEntry = (entry) =>
  tracks.flatMap((track) => rowsOf(track).filter((row) => row.entry === entry));

/** What is drawn of a row's entry, from a part such as curves: a map from the row's index. */
function drawnOf(track, name) {
  const key = `${name} of ${track.number}`;
  if (!parsed.has(key)) parsed.set(key, new Map(part(name, track.number) ?? []));
  return parsed.get(key);
}

/** The address: #track=…&view=…&entry=…&replay=…&by=… */
function readRoute() {
  const words = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(
    ["track", "view", "entry", "replay", "by"].map((key) => [key, words.get(key)]),
  );
}

function address(words) {
  const given = Object.entries(words).filter(([, value]) => value !== null && value !== undefined);
  return `#${new URLSearchParams(given.map(([key, value]) => [key, wellFormed(value)]))}`;
}

const wellFormed = (value) => String(value).replace(/\p{Cs}/gu, "\uFFFD");
