// Tables that are sorted by their headings and drawn a page at a time.

const PAGE = 50;
const LONG_PAGE = 250; // more rows take browsers seconds

/**
 * A table. Columns are {key, title, help, value(row), cell(row), className, isSorted, down}: `value` is
 * what it is sorted by, `cell` what is shown; `down` starts with the largest. A heading may be a node.
 */
class SortedTable {
  constructor({ caption, columns, sort = null, rowClass = () => null }) {
    Object.assign(this, { columns, rowClass, sort, rows: [], page: 0, size: PAGE });
    this.head = el("tr");
    this.body = el("tbody");
    this.table = el(
      "table",
      { class: "ranking" },
      el("caption", { class: "unseen" }, caption),
      el("thead", {}, this.head),
      this.body,
    );
    this.status = el("p", { class: "status", role: "status" });
    this.pager = el("div", { class: "pager" });
    const scroller = el(
      "div",
      { class: "scroller", tabindex: "0", role: "region", "aria-label": caption },
      this.table,
    );
    this.element = el(
      "div",
      { class: "table" },
      scroller,
      el("div", { class: "below" }, this.status, this.pager),
    );
    this.headings = columns.map((column) => this.heading(column));
    clear(this.head, this.headings);
  }

  heading(column) {
    const cell = el("th", { scope: "col", class: column.className, title: column.help });
    if (!column.value) return fill(cell, {}, [column.heading ?? column.title]);
    const button = el(
      "button",
      { type: "button", on: { click: () => this.sortBy(column) } },
      column.title,
      el("span", { class: "arrow", "aria-hidden": "true" }),
    );
    return fill(cell, {}, [button]);
  }

  sortBy(column) {
    const isSame = this.sort?.key === column.key;
    this.sort = { key: column.key, down: isSame ? !this.sort.down : Boolean(column.down) };
    this.page = 0;
    this.draw();
  }

  set(rows) {
    [this.rows, this.page] = [rows, 0];
    this.draw();
  }

  sorted() {
    const column = this.sort && this.columns.find((c) => c.key === this.sort.key);
    if (!column) return this.rows;
    const direction = this.sort.down ? -1 : 1;
    return [...this.rows].sort(
      (a, b) => direction * compare(column.value(a), column.value(b), direction),
    );
  }

  /** Turn to the page of a row, if it has passed the filter. */
  reveal(row) {
    const place = this.lines.has(row) ? -1 : this.sorted().indexOf(row);
    if (place >= 0) {
      this.page = Math.floor(place / this.size);
      this.draw();
    }
    for (const [other, line] of this.lines) line.className = this.rowClass(other) ?? "";
    return this.lines.get(row);
  }

  /** Draw one column anew; the keyboard stays where it is. */
  refresh(key) {
    const place = this.columns.findIndex((column) => column.key === key);
    for (const [row, line] of this.lines) {
      const cell = line.children[place],
        hadFocus = cell.contains(document.activeElement);
      clear(cell, this.columns[place].cell(row));
      if (hadFocus) cell.querySelector("input, a, button")?.focus();
    }
  }

  draw() {
    const rows = this.sorted(),
      start = this.page * this.size,
      shown = rows.slice(start, start + this.size);
    this.columns.forEach((column, n) => this.mark(this.headings[n], column));
    this.lines = new Map(shown.map((row) => [row, this.line(row)]));
    clear(this.body, shown.length ? [...this.lines.values()] : this.empty());
    this.status.textContent = this.told(rows.length, start, shown.length);
    clear(this.pager, this.buttons(rows.length));
  }

  mark(cell, column) {
    if (!column.value) return;
    const isSorted = this.sort?.key === column.key;
    cell.setAttribute(
      "aria-sort",
      isSorted ? (this.sort.down ? "descending" : "ascending") : "none",
    );
    cell.querySelector(".arrow").textContent = isSorted ? (this.sort.down ? "↓" : "↑") : "";
  }

  line(row) {
    return el(
      "tr",
      { class: this.rowClass(row) },
      this.columns.map((column) =>
        el(
          column.isHeader ? "th" : "td",
          { class: column.className, scope: column.isHeader ? "row" : null },
          column.cell(row),
        ),
      ),
    );
  }

  empty() {
    return el(
      "tr",
      {},
      el("td", { class: "empty", colspan: this.columns.length }, "No entry matches."),
    );
  }

  told(n, start, shown) {
    if (!n) return "No entries";
    return shown === n
      ? count(n, "entry", "entries")
      : `${fixed(start + 1)}–${fixed(start + shown)} of ${count(n, "entry", "entries")}`;
  }

  buttons(n) {
    if (n <= PAGE) return [];
    const turn = (text, page, isOff) => {
      const button = el("button", { type: "button", disabled: isOff }, text);
      button.addEventListener("click", () => {
        this.page = page;
        this.draw();
        this.focus(text);
      });
      return button;
    };
    const isLong = this.size > PAGE,
      more = n > LONG_PAGE ? `Show ${LONG_PAGE} a page` : `Show all ${fixed(n)}`;
    const resize = el("button", { type: "button" }, isLong ? `Show ${PAGE} a page` : more);
    resize.addEventListener("click", () => {
      [this.size, this.page] = [isLong ? PAGE : LONG_PAGE, 0];
      this.draw();
      this.pager.lastChild.focus({ preventScroll: true });
    });
    const turns = [
      turn("Previous", this.page - 1, this.page === 0),
      turn("Next", this.page + 1, (this.page + 1) * this.size >= n),
    ];
    return n > this.size ? [...turns, resize] : [resize];
  }

  /** Keep the keyboard where it was after the pager was drawn anew. */
  focus(text) {
    const buttons = [...this.pager.querySelectorAll("button:not(:disabled)")];
    (buttons.find((button) => button.textContent === text) ?? buttons[0])?.focus({
      preventScroll: true,
    });
  }
}
