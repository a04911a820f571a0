// The main table of a track, with what can be chosen about it.

/** Columns of a track of problems, after rank, entry, value and bar. */
function singleColumns(measure) {
  return [
    {
      key: "iqm",
      title: "IQM",
      help: "Interquartile mean: of the middle half of problems and seeds",
      value: (r) => r.iqm,
      down: true,
      className: "number secondary",
      cell: (r) =>
        el("span", { title: toldInterval(measure, r.iqm_low, r.iqm_high) }, told(measure, r.iqm)),
    },
    {
      key: "n",
      title: "Problems",
      help: "Problems that were played, over all seeds",
      value: (r) => r.n,
      down: true,
      className: "number secondary",
      cell: (r) => fixed(r.n),
    },
    forfeitColumn(),
  ];
}

/** Columns of a track of games, after rank, entry, value and bar. */
function matchColumns(track) {
  const stakes = track.has_stakes && {
    key: "mean_return",
    title: "Return",
    help: "What was won in a game, in the game's own unit, with its 95 % interval; who wins most games need not win most",
    value: (r) => r.mean_return,
    down: true,
    className: "number secondary",
    cell: (r) =>
      el(
        "span",
        { title: `${fixed(r.return_low ?? NaN, 3)} to ${fixed(r.return_high ?? NaN, 3)}` },
        fixed(r.mean_return ?? NaN, 3),
      ),
  };
  return [
    ...(stakes ? [stakes] : []),
    {
      key: "games",
      title: "Won / drawn / lost",
      help: "Games; sorted by how many there were",
      value: (r) => r.games,
      down: true,
      className: "secondary",
      cell: outcomeBar,
    },
    {
      key: "seats",
      title: "Seats, %",
      help: "Share of the points taken in the first and in the second seat; sorted by how far they are apart",
      className: "number secondary",
      value: (r) =>
        isNumber(r.first_seat_rate) && isNumber(r.second_seat_rate)
          ? r.first_seat_rate - r.second_seat_rate
          : null,
      down: true,
      cell: (r) =>
        `${fixed(100 * (r.first_seat_rate ?? NaN))} / ${fixed(100 * (r.second_seat_rate ?? NaN))}`,
    },
    {
      key: "elo",
      title: "Elo",
      help: "Online Elo, which depends on the order of the games",
      value: (r) => r.elo,
      down: true,
      className: "number secondary",
      cell: (r) => fixed(r.elo),
    },
    {
      key: "alpha_rank",
      title: "α-rank",
      help: "Share of time in the evolution of strategies (Omidshafiei et al. 2019)",
      value: (r) => r.alpha_rank,
      down: true,
      className: "number secondary",
      cell: (r) => shareText(r.alpha_rank),
    },
    {
      key: "nash",
      title: "Nash",
      help: "Weight in the maximum-entropy Nash equilibrium of the payoffs",
      value: (r) => r.nash,
      down: true,
      className: "number secondary",
      cell: (r) => shareText(r.nash),
    },
    forfeitColumn(),
  ];
}

const forfeitColumn = () => ({
  key: "forfeits",
  title: "Forfeits",
  help: "Time-outs, crashes, and moves that are not allowed",
  value: (r) => r.forfeits,
  down: true,
  className: "number secondary",
  cell: (r) => el("span", { class: r.forfeits ? "some" : "soft" }, fixed(r.forfeits)),
});

// On a narrow screen the bar stands below the name; page.css hides its column at the same width.
const narrow = matchMedia("(max-width: 620px)");
let liveRanking = null;
narrow.addEventListener("change", () => liveRanking?.table.draw());

class Ranking {
  constructor(track, compared) {
    Object.assign(this, {
      track,
      compared,
      measure: measureOf(track),
      filter: "",
      hasReferences: true,
      isWithout: false,
    });
    this.rows = rowsOf(track);
    this.components = new Map();
    for (const row of this.rows)
      this.components.set(row.component ?? 0, (this.components.get(row.component ?? 0) ?? 0) + 1);
    this.axisBox = el("div", { class: "axis-box" });
    this.valueTitle = el("span", {}, this.measure.name);
    this.table = new SortedTable({
      caption: `Ranking: ${track.title}`,
      columns: this.columns(),
      rowClass: (row) => this.rowClass(row),
    });
    this.withoutNote = el("p", { class: "note" }, "Ranks, and the pale intervals, count forfeits.");
    this.element = el(
      "div",
      {},
      this.controls(),
      this.componentNote(),
      this.withoutNote,
      this.table.element,
    );
    compared.listeners.push(() => this.table.refresh("compare"));
    liveRanking = this;
    this.update();
  }

  rowClass(row) {
    return (
      [row.reference && "reference", row.entry === this.marked && "marked"]
        .filter(Boolean)
        .join(" ") || null
    );
  }

  columns() {
    const { track, measure } = this;
    const group = this.components.size > 1 && {
      key: "component",
      title: "Group",
      help: "Ratings compare entries of one group only",
      value: (r) => r.component ?? 0,
      className: "number",
      cell: (r) => String((r.component ?? 0) + 1),
    };
    return [
      {
        key: "compare",
        heading: el("span", { class: "unseen" }, "Draw"),
        className: "compare",
        cell: (row) => compareBox(row, this.compared),
      },
      {
        key: "rank",
        title: "Rank",
        help: "Ranks that the intervals leave open",
        value: (r) => r.rank_low ?? null,
        className: "rank",
        cell: (row) => rankText(row),
      },
      {
        key: "entry",
        title: "Entry",
        value: (r) => r.entry,
        isHeader: true,
        className: "who",
        cell: (row) => this.who(row),
      },
      ...(group ? [group] : []),
      {
        key: "value",
        title: this.valueTitle,
        value: (r) => this.value(r),
        down: true,
        className: "number value",
        cell: (row) => this.valueCell(row),
      },
      {
        key: "bar",
        heading: this.axisBox,
        className: "bar-cell",
        cell: (row) => !narrow.matches && this.bar(row),
      },
      ...(track.kind === "single" ? singleColumns(measure) : matchColumns(track)),
    ];
  }

  who(row) {
    const authors = authorsOf(row);
    return el(
      "div",
      { class: "who-box" },
      el("div", { class: "first" }, entryLink(row)),
      el(
        "div",
        { class: "second" },
        kindBadge(row),
        unverifiedBadge(row),
        flagBadges(row),
        authors && said(authors, "authors"),
      ),
      narrow.matches && el("div", { class: "small-bar" }, this.bar(row)),
    );
  }

  bar(row) {
    return bar(row, this.axis, this.measure, this.isWithout);
  }

  value(row) {
    return (this.isWithout ? valueWithout(row) : null) ?? valueOf(row);
  }

  valueCell(row) {
    const interval = !this.isWithout && toldInterval(this.measure, row.low, row.high);
    if (isNumber(this.value(row)))
      return [
        told(this.measure, this.value(row)),
        interval && el("span", { class: "interval" }, interval),
      ];
    return el(
      "span",
      { class: "soft", title: "Too few games, or all won or all lost: no finite rating follows" },
      "unrated",
    );
  }

  controls() {
    const filter = el("input", {
      type: "search",
      placeholder: "Filter entries",
      "aria-label": "Filter entries by name or author",
      spellcheck: "false",
    });
    filter.addEventListener("input", () => {
      this.filter = filter.value;
      this.update();
    });
    const check = (text, isOn, set) => {
      const box = el("input", { type: "checkbox" });
      box.checked = isOn;
      box.addEventListener("change", () => {
        set(box.checked);
        this.update();
      });
      return el("label", { class: "check" }, box, text);
    };
    const clearing = el("button", { type: "button", class: "quiet" }, "Clear the choice");
    clearing.addEventListener("click", () => this.compared.clear());
    const hasReferences = this.rows.some((row) => row.reference),
      hasForfeits = this.rows.some((row) => row.forfeits);
    return el(
      "div",
      { class: "controls" },
      filter,
      hasReferences &&
        check("Reference entries", true, (isOn) => {
          this.hasReferences = isOn;
        }),
      hasForfeits &&
        check("Count forfeits", true, (isOn) => {
          this.isWithout = !isOn;
        }),
      el("span", { class: "spring" }),
      clearing,
    );
  }

  componentNote() {
    if (this.components.size < 2) return null;
    const sizes = [...this.components]
      .sort(([a], [b]) => a - b)
      .map(([number, n]) => `group ${number + 1}: ${count(n, "entry", "entries")}`);
    return el(
      "p",
      { class: "note" },
      "Not all entries have met, directly or through others. Ratings and ranks compare entries of one group only (",
      sizes.join(", "),
      ").",
    );
  }

  update() {
    const words = this.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row) => `${row.entry} ${authorsOf(row)} ${kindOf(row)}`.toLowerCase();
    const rows = this.rows.filter(
      (row) =>
        (this.hasReferences || !row.reference) && words.every((word) => text(row).includes(word)),
    );
    this.axis = axisOf(rows, this.measure, this.isWithout);
    clear(this.axisBox, axisHeading(this.axis));
    this.withoutNote.hidden = !this.isWithout;
    this.valueTitle.textContent = this.isWithout
      ? `${this.measure.name}, forfeits left out`
      : this.measure.name;
    this.table.set(rows);
  }

  /** Mark an entry's row, and turn to it. */
  mark(entry) {
    this.marked = entry;
    this.table.reveal(this.rows.find((row) => row.entry === entry));
  }
}
