// The sections below a ranking that compare entries.

const emptyNote = (text) => el("p", { class: "empty" }, text);

/** A section that is drawn anew whenever other entries are compared. */
function comparing(compared, build) {
  const box = el("div", {});
  const draw = () => clear(box, build());
  compared.listeners.push(draw);
  draw();
  return box;
}

/** A list to choose from: choices are [value, text]. Its element has a method that sets the choice. */
function chooser(label, choices, chosen, choose) {
  const select = el(
    "select",
    {},
    choices.map(([, text], n) => el("option", { value: n }, plain(text))),
  );
  const set = (value) => {
    select.selectedIndex = choices.findIndex(([known]) => known === value);
  };
  select.addEventListener("change", () => choose(choices[select.selectedIndex][0]));
  set(chosen);
  return Object.assign(el("label", { class: "choice" }, el("span", {}, label), select), { set });
}

/** Learning curves of the compared entries; curves of other axes are another chart. */
function curveSection(track, compared) {
  const curves = drawnOf(track, "curves");
  const axes = [
    ...new Set([...curves.values()].map((curve) => JSON.stringify([curve.x, curve.y]))),
  ];
  let axis = axes[0];
  const box = el("div", {});
  const build = () => {
    const series = compared.rows
      .filter(
        (row) => JSON.stringify([curves.get(row.index)?.x, curves.get(row.index)?.y]) === axis,
      )
      .map((row) => ({ row, slot: compared.slot(row), points: curves.get(row.index).points }));
    const without = compared.rows.filter((row) => !series.some((one) => one.row === row));
    const [x, y] = JSON.parse(axis);
    return [
      series.length
        ? curveChart(series, x, y, track)
        : emptyNote("None of the chosen entries has such a curve. Tick others in the table."),
      without.length > 0 &&
        el(
          "p",
          { class: "note" },
          "Without a curve: ",
          without.map((row, n) => [n > 0 && ", ", said(row.entry)]),
          ".",
        ),
    ];
  };
  const chart = comparing(compared, build);
  const choose = (value) => {
    axis = value;
    clear(chart, build());
  };
  return fill(box, {}, [
    axes.length > 1 &&
      el(
        "div",
        { class: "controls" },
        chooser(
          "Axes",
          axes.map((key) => [key, JSON.parse(key).reverse().join(" by ")]),
          axis,
          choose,
        ),
      ),
    chart,
  ]);
}

function curveChart(series, x, y, track) {
  const [lowX, highX] = spanOf(series, 0);
  let [lowY, highY] = spanOf(series, 1);
  if (lowY < 0 && lowY > -0.03 * highY) lowY = 0; // noise about zero is no reason for a step below it
  return new LineChart({
    label: `Learning curves: ${track.title}`,
    series,
    x: { label: x, low: lowX, high: highX, told: (v, n) => fixed(v, Math.min(n, 2)) },
    y: { label: y, low: lowY, high: highY, told: (v, n) => fixed(v, n) },
  }).element;
}

/** Of each compared entry the share of runs above a score. */
function profileSection(track, compared) {
  const profiles = drawnOf(track, "profiles");
  return comparing(compared, () => {
    const series = compared.rows
      .filter((row) => profiles.has(row.index))
      .map((row) => ({ row, slot: compared.slot(row), points: profiles.get(row.index) }));
    if (!series.length)
      return [emptyNote("None of the chosen entries has a profile. Tick others in the table.")];
    const [low, high] = spanOf(series, 0);
    return [
      new LineChart({
        label: `Performance profiles: ${track.title}`,
        series,
        isStepped: true,
        x: { label: "score τ", low, high, told: (v, n) => fixed(v, Math.min(n, 2)) },
        y: {
          label: "share of runs above τ",
          low: 0,
          high: 1,
          told: (v, n) => fixed(v, Math.min(n, 2)),
        },
      }).element,
    ];
  });
}

const SIZES = [12, 24, 50, 100, 200];

/** Which entries a matrix shows: the best ones, or those that are compared. */
function matrixSection(track, compared, matrix, label, tell) {
  const known = rowsOf(track).filter((row) => matrix.places.has(row.entry)),
    n = known.length;
  let chosen = n <= SIZES[1] ? "all" : String(SIZES[1]);
  const entries = () => {
    if (chosen === "compared") return compared.rows.map((row) => row.entry);
    return known.slice(0, chosen === "all" ? n : Number(chosen)).map((row) => row.entry);
  };
  const build = () => {
    const shown = entries();
    return [
      shown.length
        ? new HeatMap({ matrix, entries: shown, label, tell }).element
        : emptyNote("No entry is chosen. Tick some in the table."),
    ];
  };
  const chart = el("div", {}, build());
  compared.listeners.push(() => chosen === "compared" && clear(chart, build()));
  const choices = [
    ...SIZES.filter((size) => size < n).map((size) => [String(size), `the best ${size}`]),
    ["all", n > 1 ? `all ${fixed(n)}` : "all"],
    ["compared", "the chosen ones"],
  ];
  const legend = el(
    "div",
    { class: "heat-key", "aria-hidden": "true" },
    "0",
    el("span", { class: "ramp" }),
    "100 %",
  );
  return el(
    "div",
    {},
    el(
      "div",
      { class: "controls" },
      chooser("Show", choices, chosen, (value) => {
        chosen = value;
        clear(chart, build());
      }),
      el("span", { class: "spring" }),
      legend,
    ),
    chart,
  );
}

function headToHeadSection(track, compared) {
  const matrix = new Matrix(part("matrix", track.number), "points");
  return matrixSection(track, compared, matrix, `Head to head: ${track.title}`, (a, b, i, j) => {
    if (i === j) return [said(a)];
    const points = matrix.value(i, j),
      games = matrix.value(i, j, "games");
    return isNumber(points)
      ? [
          said(a),
          ` took ${percent(points, 1)} of the points against `,
          said(b),
          `, in ${count(games, "game")}`,
        ]
      : [said(a), " and ", said(b), " have not met"];
  });
}

function improvementSection(track, compared) {
  const matrix = new Matrix(part("improvement", track.number), "p"),
    n = matrix.entries.length;
  const section = matrixSection(
    track,
    compared,
    matrix,
    `Probability of improvement: ${track.title}`,
    (a, b, i, j) => {
      if (i === j) return [said(a)];
      const p = matrix.value(i, j);
      return isNumber(p)
        ? [said(a), " does better than ", said(b), ` with probability ${fixed(p, 2)}`]
        : [said(a), " and ", said(b), " are not compared"];
    },
  );
  return n < track.n
    ? fill(section, {}, [
        el("p", { class: "note" }, `Told of the first ${fixed(n)} of ${fixed(track.n)} entries.`),
      ])
    : section;
}
