// Intervals as bars on an axis that all rows of a table share.

const STEPS = 4;

/** How the numbers of a track are told: as percent, as grades, as ratings. */
function measureOf(track) {
  if (track.kind === "match")
    return { name: "Rating", scale: 1, decimals: 0, least: -Infinity, most: Infinity, unit: "" };
  if (track.metric === "success")
    return { name: "Success, %", scale: 100, decimals: 1, least: 0, most: 100, unit: " %" };
  const values = rowsOf(track).map(valueOf).filter(isNumber),
    size = Math.max(0, ...values.map(Math.abs));
  return {
    name: track.metric === "gold_reward" ? "Gold reward" : (track.metric ?? "Score"),
    scale: 1,
    decimals: size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3,
    least: -Infinity,
    most: Infinity,
    unit: "",
  };
}

const scaled = (measure, value) => (isNumber(value) ? value * measure.scale : null);
const told = (measure, value) => fixed(scaled(measure, value), measure.decimals);
const toldInterval = (measure, low, high) =>
  isNumber(low) && isNumber(high) ? `[${told(measure, low)}, ${told(measure, high)}]` : "";

/** The axis that holds the intervals of some rows; null where none has a number. */
function axisOf(rows, measure, isWithout = false) {
  const ends = rows
    .flatMap((row) => [row.low, row.high, valueOf(row), isWithout ? valueWithout(row) : null])
    .filter(isNumber)
    .map((value) => value * measure.scale);
  if (!ends.length) return null;
  const [low, high] = [
    ends.reduce((a, b) => Math.min(a, b)),
    ends.reduce((a, b) => Math.max(a, b)),
  ];
  let [first, step] = niceSteps(
    Math.max(low, measure.least),
    Math.min(high, measure.most),
    STEPS - 0.5,
  );
  if (first + STEPS * step > measure.most) first = measure.most - STEPS * step;
  if (first < measure.least)
    [first, step] = [measure.least, (measure.most - measure.least) / STEPS];
  return { first, last: first + STEPS * step, step };
}

const placeOn = (axis, value) =>
  `${Math.max(0, Math.min(100, (100 * (value - axis.first)) / (axis.last - axis.first))).toFixed(2)}%`;

/** The numbers above the bars. */
function axisHeading(axis) {
  if (!axis) return el("span", {}, "95 % interval");
  const marks = [0, 2, 4].map((n) =>
    el(
      "span",
      { class: "tick", style: { left: `${25 * n}%` } },
      fixed(axis.first + n * axis.step, decimalsFor(axis.step)),
    ),
  );
  return el(
    "div",
    {},
    el("span", { class: "unseen" }, "95 % interval, drawn"),
    el("div", { class: "axis", "aria-hidden": "true" }, marks),
  );
}

/** The interval of a row, its mean, and what each seed came to; without forfeits where asked. */
function bar(row, axis, measure, isWithout = false) {
  const box = el("div", { class: row.reference ? "bar reference" : "bar", "aria-hidden": "true" });
  const place = (value) => placeOn(axis, value * measure.scale);
  const add = (className, style) => box.append(el("span", { class: className, style }));
  const main = valueOf(row),
    other = isWithout ? valueWithout(row) : null;
  if (!axis || !isNumber(main)) return fill(box, { class: "bar none" }, []);
  if (isNumber(row.low) && isNumber(row.high)) {
    add(isWithout ? "range faint" : "range", {
      left: place(row.low),
      right: `calc(100% - ${place(row.high)})`,
    });
  }
  if (!isWithout)
    for (const seed of (row.seeds ?? []).slice(0, 20))
      if (isNumber(seed)) add("seed", { left: place(seed) });
  if (isNumber(other)) {
    const [low, high] = [Math.min(main, other), Math.max(main, other)];
    add("way", { left: place(low), right: `calc(100% - ${place(high)})` });
    add("mean faint", { left: place(main) });
  }
  add("mean", { left: place(isNumber(other) ? other : main) });
  return box;
}

/** Won, drawn and lost as one bar. */
function outcomeBar(row) {
  const total = row.wins + row.draws + row.losses;
  if (!total) return el("span", { class: "soft" }, NONE);
  const part = (className, n) =>
    el("span", { class: className, style: { width: `${(100 * n) / total}%` } });
  return el(
    "div",
    {
      class: "outcomes",
      title: `${fixed(row.wins)} won, ${fixed(row.draws)} drawn, ${fixed(row.losses)} lost`,
    },
    el(
      "div",
      { class: "stack", "aria-hidden": "true" },
      part("won", row.wins),
      part("drawn", row.draws),
      part("lost", row.losses),
    ),
    el(
      "span",
      { class: "numbers" },
      `${fixed(row.wins)} / ${fixed(row.draws)} / ${fixed(row.losses)}`,
    ),
  );
}

/** A share of one that may be very small. */
const shareText = (share) => (share > 0 && share < 0.0005 ? "< 0.001" : fixed(share, 3));

/** Ranks that the intervals allow: one, or from one to another. */
function rankText(row) {
  if (!isNumber(row.rank_low)) return NONE;
  return row.rank_low === row.rank_high || !isNumber(row.rank_high)
    ? String(row.rank_low)
    : `${row.rank_low}–${row.rank_high}`;
}
