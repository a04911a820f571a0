// Entries against entries: a table while there are few, a picture when there are many.

const MOST_IN_TABLE = 24;
const SHADES = 41;

/** A matrix by the cells that hold something: `places` maps an entry to its number. */
class Matrix {
  constructor(packed, key) {
    Object.assign(this, { packed, key });
    this.entries = packed.entries;
    this.places = new Map(packed.entries.map((entry, place) => [entry, place]));
    this.found = [];
  }
  spot(row, column) {
    this.found[row] ??= new Map(this.packed.columns[row].map((c, spot) => [c, spot]));
    return this.found[row].get(column) ?? null;
  }
  value(row, column, key = this.key) {
    const spot = this.spot(row, column);
    return spot === null ? null : (this.packed[key]?.[row][spot] ?? null);
  }
}

/** The colour of a share: one hue below a half, another above, paper between. */
const shade = (share) => {
  const strength = Math.round(Math.abs(share - 0.5) * 200);
  return `color-mix(in oklab, var(${share < 0.5 ? "--heat-low" : "--heat-high"}) ${strength}%, var(--heat-middle))`;
};

/** Draw entries against each other. `tell(row, column)` says a cell in words; columns are the same entries. */
class HeatMap {
  constructor({ matrix, entries, label, tell }) {
    Object.assign(this, { matrix, label, tell });
    this.entries = entries.filter((entry) => matrix.places.has(entry));
    this.numbers = this.entries.map((entry) => matrix.places.get(entry));
    this.readout = el(
      "p",
      { class: "readout", role: "status" },
      "Rows against columns. Point at a cell.",
    );
    this.isPicture = this.entries.length > MOST_IN_TABLE;
    this.element = el(
      "div",
      { class: "heat" },
      this.readout,
      this.isPicture ? this.picture() : this.table(),
    );
    if (this.isPicture) new ResizeObserver(() => this.draw()).observe(this.element);
  }

  say(i, j) {
    const n = this.entries.length;
    if (!(i >= 0 && j >= 0 && i < n && j < n)) return;
    fill(
      clear(this.readout),
      {},
      this.tell(this.entries[i], this.entries[j], this.numbers[i], this.numbers[j]),
    );
  }

  table() {
    const label = (entry) => el("span", { class: "label", title: entry }, said(entry));
    const head = el(
      "tr",
      {},
      el("td", {}),
      this.entries.map((entry) => el("th", { scope: "col" }, label(entry))),
    );
    const rows = this.entries.map((entry, i) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, label(entry)),
        this.entries.map((_, j) => this.cell(i, j)),
      ),
    );
    const table = el(
      "table",
      { class: this.entries.length > 14 ? "matrix" : "matrix roomy" },
      el("caption", { class: "unseen" }, this.label),
      el("thead", {}, head),
      el("tbody", {}, rows),
    );
    table.addEventListener("pointerover", (event) => {
      const cell = event.target.closest("td[data-at]");
      if (cell) this.say(...cell.dataset.at.split(",").map(Number));
    });
    return el(
      "div",
      { class: "scroller", tabindex: "0", role: "region", "aria-label": this.label },
      table,
    );
  }

  cell(i, j) {
    const value = this.matrix.value(this.numbers[i], this.numbers[j]);
    if (i === j) return el("td", { class: "self" });
    if (!isNumber(value))
      return el(
        "td",
        { class: "unknown", "data-at": `${i},${j}` },
        el("span", { class: "unseen" }, "none"),
      );
    return el(
      "td",
      { "data-at": `${i},${j}`, style: { "background-color": shade(value) } },
      percentOf(value),
    );
  }

  picture() {
    const n = this.entries.length;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.at = null;
    const box = el(
      "div",
      {
        class: "picture scroller",
        tabindex: "0",
        role: "group",
        "aria-label": `${this.label}, ${n} entries. Arrow keys move from cell to cell.`,
      },
      this.canvas,
    );
    box.addEventListener("pointermove", (event) => {
      const frame = this.canvas.getBoundingClientRect();
      this.select(
        Math.floor((event.clientY - frame.top) / this.size),
        Math.floor((event.clientX - frame.left) / this.size),
      );
    });
    box.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
        event.key
      ];
      if (!step) return;
      event.preventDefault();
      const [i, j] = this.at ?? [0, 0];
      this.select(i + (this.at ? step[0] : 0), j + (this.at ? step[1] : 0));
    });
    redrawn.add(this);
    return box;
  }

  select(i, j) {
    const n = this.entries.length;
    if (!(i >= 0 && j >= 0 && i < n && j < n)) return;
    this.at = [i, j];
    this.say(i, j);
    this.paint();
  }

  draw() {
    const n = this.entries.length,
      width = this.element.clientWidth;
    if (!width) return;
    this.size = Math.max(2, Math.min(26, Math.floor(Math.min(width, 900) / n)));
    const side = n * this.size,
      ratio = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this.canvas, { width: side * ratio, height: side * ratio });
    this.canvas.style.width = this.canvas.style.height = `${side}px`;
    this.cells = this.pixels();
    this.paint();
  }

  /** One pixel a cell. */
  pixels() {
    const n = this.entries.length,
      shades = shadesNow(),
      cells = Object.assign(document.createElement("canvas"), { width: n, height: n });
    const context = cells.getContext("2d"),
      image = context.createImageData(n, n);
    const column = new Map(this.numbers.map((number, j) => [number, j]));
    this.numbers.forEach((number, i) =>
      this.matrix.packed.columns[number].forEach((other, spot) => {
        const j = column.get(other),
          value = this.matrix.packed[this.matrix.key][number][spot];
        if (j === undefined || i === j || !isNumber(value)) return;
        const place = Math.round(Math.max(0, Math.min(1, value)) * (SHADES - 1));
        image.data.set(shades.subarray(4 * place, 4 * place + 4), 4 * (i * n + j));
      }),
    );
    context.putImageData(image, 0, 0);
    return cells;
  }

  paint() {
    if (!this.cells) return;
    const context = this.canvas.getContext("2d"),
      side = this.canvas.width,
      step = side / this.entries.length;
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, side, side);
    context.drawImage(this.cells, 0, 0, side, side);
    if (!this.at) return;
    const [i, j] = this.at;
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.lineWidth = 2;
    context.strokeRect(j * step, i * step, step, step);
    context.globalAlpha = 0.25;
    context.lineWidth = 1;
    context.strokeRect(-2, i * step, side + 4, step);
    context.strokeRect(j * step, -2, step, side + 4);
    context.globalAlpha = 1;
  }
}

const percentOf = (share) => fixed(100 * share, 0);

/** The bytes of all shades, in the colours of now. */
function shadesNow() {
  const probe = document.body.appendChild(el("span", { hidden: true }));
  const strip = Object.assign(document.createElement("canvas"), { width: SHADES, height: 1 });
  const context = strip.getContext("2d", { willReadFrequently: true });
  for (let n = 0; n < SHADES; n += 1) {
    probe.style.setProperty("color", shade(n / (SHADES - 1)));
    context.fillStyle = getComputedStyle(probe).color;
    context.fillRect(n, 0, 1, 1);
  }
  probe.remove();
  return context.getImageData(0, 0, SHADES, 1).data;
}
