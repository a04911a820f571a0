// Lines over a common axis: learning curves and performance profiles.

const MARGIN = { left: 52, right: 16, top: 12, bottom: 40 };
const LEAST_WIDTH = 280;

/** What is drawn for a width or in pixels: drawn again when colours change, and for paper. */
const redrawn = new Set();
function redraw() {
  for (const one of redrawn) {
    if (one.element.isConnected) one.draw();
    else redrawn.delete(one);
  }
}

/**
 * A chart of lines. Series are {row, slot, points}; `x` and `y` are {label, low, high, told}; with
 * `isStepped` a line keeps its height up to the next point.
 */
class LineChart {
  constructor({ label, series, x, y, isStepped = false, height = 320 }) {
    Object.assign(this, { label, series, x, y, isStepped, height, cursor: null, shown: null });
    this.plot = el("div", {
      class: "plot",
      tabindex: "0",
      role: "group",
      "aria-label": `${label}. Arrow keys move along the axis.`,
    });
    this.values = new Map();
    this.legend = el(
      "ul",
      { class: "legend" },
      series.map((one) => this.legendItem(one)),
    );
    this.where = el("p", { class: "where", role: "status" });
    this.element = el(
      "figure",
      { class: "chart" },
      this.plot,
      el("figcaption", {}, this.where, this.legend),
    );
    this.plot.addEventListener("pointermove", (event) =>
      this.point(event.clientX - this.plot.getBoundingClientRect().left),
    );
    this.plot.addEventListener("pointerleave", () => this.move(null));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.plot);
    redrawn.add(this);
  }

  legendItem(one) {
    const value = el("span", { class: "value" });
    this.values.set(one, value);
    const front = (isOn) => {
      this.shown = isOn ? one : null;
      this.bring();
    };
    return el(
      "li",
      {
        style: { "--series": colourOf(one.slot) },
        on: { pointerenter: () => front(true), pointerleave: () => front(false) },
      },
      el("span", { class: "key", "aria-hidden": "true" }),
      entryLink(one.row),
      value,
    );
  }

  draw() {
    const width = Math.max(LEAST_WIDTH, this.plot.clientWidth);
    if (width === this.width) return;
    this.width = width;
    const [left, right, top, bottom] = [
      MARGIN.left,
      width - MARGIN.right,
      MARGIN.top,
      this.height - MARGIN.bottom,
    ];
    const [x0, dx, nx] = niceSteps(this.x.low, this.x.high, Math.max(2, Math.floor(width / 130)));
    const [y0, dy, ny] = niceSteps(this.y.low, this.y.high, 5);
    this.toX = (value) =>
      left + ((value - this.x.low) / (this.x.high - this.x.low || 1)) * (right - left);
    this.fromX = (place) =>
      this.x.low + ((place - left) / (right - left)) * (this.x.high - this.x.low);
    this.toY = (value) => bottom - ((value - y0) / (ny * dy)) * (bottom - top);
    const rows = Array.from({ length: ny + 1 }, (_, n) => y0 + n * dy);
    const columns = Array.from({ length: nx + 1 }, (_, n) => x0 + n * dx).filter(
      (v) => v >= this.x.low - 1e-9 && v <= this.x.high + 1e-9 * Math.abs(this.x.high),
    );
    this.rule = svg("line", { class: "rule", y1: top, y2: bottom, visibility: "hidden" });
    this.dots = svg("g");
    this.lines = this.series.map((one) =>
      svg("path", {
        class: "line",
        d: this.path(one.points),
        style: { "--series": colourOf(one.slot) },
      }),
    );
    clear(
      this.plot,
      svg(
        "svg",
        {
          width,
          height: this.height,
          viewBox: `0 0 ${width} ${this.height}`,
          "aria-hidden": "true",
        },
        rows.map((v) =>
          svg("line", { class: "grid", x1: left, x2: right, y1: this.toY(v), y2: this.toY(v) }),
        ),
        rows.map((v) =>
          svg(
            "text",
            { class: "tick", x: left - 8, y: this.toY(v) + 4, "text-anchor": "end" },
            this.y.told(v, decimalsFor(dy)),
          ),
        ),
        columns.map((v) =>
          svg(
            "text",
            { class: "tick", x: this.toX(v), y: bottom + 18, "text-anchor": "middle" },
            this.x.told(v, decimalsFor(dx)),
          ),
        ),
        svg(
          "text",
          { class: "axis-label", x: right, y: bottom + 34, "text-anchor": "end" },
          this.x.label,
        ),
        svg("line", { class: "base", x1: left, x2: right, y1: bottom, y2: bottom }),
        this.rule,
        this.lines,
        this.dots,
      ),
    );
    this.move(null);
  }

  path(points) {
    let text = "",
      before = null;
    for (const [x, y] of points) {
      if (!isNumber(x) || !isNumber(y)) continue;
      const [px, py] = [this.toX(x).toFixed(1), this.toY(y).toFixed(1)];
      text += before === null ? `M${px} ${py}` : this.isStepped ? `H${px}V${py}` : `L${px} ${py}`;
      before = py;
    }
    return text || "M0 0";
  }

  /** Every place on the axis where some line has a point. */
  get places() {
    this.allPlaces ??= [
      ...new Set(this.series.flatMap((one) => one.points.map(([x]) => x)).filter(isNumber)),
    ].sort((a, b) => a - b);
    return this.allPlaces;
  }

  point(place) {
    const wanted = this.fromX(place);
    this.move(
      this.places.reduce(
        (best, x) => (Math.abs(x - wanted) < Math.abs(best - wanted) ? x : best),
        this.places[0],
      ),
    );
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") this.move(null);
    if (!step || event.target !== this.plot) return;
    event.preventDefault();
    const last = this.places.length - 1,
      at = this.cursor === null ? (step > 0 ? -1 : last + 1) : this.places.indexOf(this.cursor);
    this.move(this.places[Math.max(0, Math.min(last, at + step))]);
  }

  /** What a line comes to at a place: its last point up to there. */
  at(one, x) {
    let found = null;
    for (const [px, py] of one.points) if (isNumber(px) && px <= x && isNumber(py)) found = py;
    return found;
  }

  move(x) {
    this.cursor = x;
    const where = x ?? this.x.high;
    this.where.textContent =
      x === null ? this.y.label : `${this.y.label} at ${brief(x)} ${this.x.label}`;
    for (const one of this.series)
      this.values.get(one).textContent =
        this.isStepped && x === null ? "" : this.y.told(this.at(one, where), 3);
    if (!this.rule) return;
    this.rule.setAttribute("visibility", x === null ? "hidden" : "visible");
    this.rule.setAttribute("x1", this.toX(where));
    this.rule.setAttribute("x2", this.toX(where));
    const dots =
      x === null
        ? []
        : this.series.map((one) => [one, this.at(one, x)]).filter(([, y]) => y !== null);
    clear(
      this.dots,
      dots.map(([one, y]) =>
        svg("circle", {
          cx: this.toX(x),
          cy: this.toY(y),
          r: 3.5,
          style: { "--series": colourOf(one.slot) },
        }),
      ),
    );
    this.bring();
  }

  /** Bring the line of the entry that is pointed at to the front. */
  bring() {
    this.lines?.forEach((line, n) =>
      line.classList.toggle("back", this.shown !== null && this.series[n] !== this.shown),
    );
  }
}

const spanOf = (series, axis) => {
  let [low, high] = [Infinity, -Infinity];
  for (const one of series)
    for (const point of one.points)
      if (isNumber(point[axis]))
        [low, high] = [Math.min(low, point[axis]), Math.max(high, point[axis])];
  return low <= high ? [low, high] : [0, 1];
};
