// Replays: a problem and its answer, a walk through pages, a game, one step at a time.

/** The steps of a problem: what was read since the last answer, and the answer. */
function problemSteps(replay) {
  const steps = [];
  let read = [];
  for (const message of replay.messages ?? []) {
    if (message.role === "assistant") {
      steps.push({ read, answer: message.content });
      read = [];
    } else read.push(message);
  }
  return read.length ? [...steps, { read, answer: null }] : steps;
}

const isWalk = (replay) =>
  (replay.messages ?? []).some(
    (message) => message.role !== "assistant" && isPage(message.content ?? ""),
  );

/** The text of an answer, its boxed part marked. */
function answerNodes(text) {
  const pieces = [],
    pattern = /\\boxed\{[^{}]*\}/g;
  let last = 0;
  for (const match of text.matchAll(pattern)) {
    pieces.push(text.slice(last, match.index), el("mark", {}, match[0]));
    last = match.index + match[0].length;
  }
  return [...pieces, text.slice(last)];
}

const ROLES = new Map([
  ["system", "Instructions"],
  ["user", "Problem"],
  ["tool", "Tool"],
]);
const bubble = (who, className, ...children) =>
  el(
    "div",
    { class: `bubble ${className}` },
    el("p", { class: "speaker" }, who),
    el("div", { class: "text", dir: "auto" }, ...children),
  );

function problemStep(replay, step, number) {
  const read = step.read.map((message) => {
    const text = message.content ?? "";
    if (message.role === "system" && text.length > 300)
      return el(
        "details",
        { class: "aside" },
        el("summary", {}, "Instructions"),
        el("div", { class: "text" }, text),
      );
    if (isPage(text)) return pageView(text, step.answer ?? "");
    return bubble(
      message.role === "user" && number > 0
        ? "Reply"
        : (ROLES.get(message.role) ?? said(message.role)),
      "asked",
      text,
    );
  });
  const isWalking = isWalk(replay);
  return [
    read,
    step.answer !== null &&
      (isWalking
        ? el(
            "p",
            { class: "command" },
            el("span", { class: "prompt", "aria-hidden": "true" }, "› "),
            said(step.answer),
          )
        : bubble(said(replay.entry), "answered", answerNodes(step.answer ?? ""))),
  ];
}

function moveStep(replay, move) {
  const seat = move.seat === 1 ? 1 : 0;
  const page =
    move.page &&
    el(
      "details",
      { class: "aside" },
      el("summary", {}, "What the player saw"),
      el("div", { class: "text page" }, move.page),
    );
  return bubble(
    [said(move.player), el("span", { class: "seat" }, seat ? ", second seat" : ", first seat")],
    `seat-${seat}`,
    el("div", { class: "move" }, move.text ?? ""),
    move.complaint &&
      el("p", { class: "complaint" }, el("b", {}, "Not allowed: "), said(move.complaint)),
    page,
  );
}

/** A replay with the buttons that go through it. */
class Player {
  constructor(track, replay) {
    Object.assign(this, { track, replay, isGame: track.kind === "match" });
    this.steps = this.isGame ? (replay.moves ?? []) : problemSteps(replay);
    this.isWalk = !this.isGame && isWalk(replay);
    this.isWhole = this.steps.length <= 2 && !this.isWalk;
    this.at = 0;
    this.stage = el("div", { class: "stage", "aria-live": "polite" });
    this.where = el("span", { class: "where" });
    this.element = el(
      "article",
      { class: "player" },
      this.title(),
      this.steps.length > 1 && this.buttons(),
      this.stage,
    );
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.show(0);
  }

  title() {
    const { replay } = this;
    if (this.isGame) {
      const [a, b] = replay.entries ?? [];
      return el(
        "header",
        {},
        el("h4", {}, said(a), " against ", said(b)),
        el("p", { class: "soft" }, "Deal ", said(replay.deal)),
      );
    }
    return el(
      "header",
      {},
      el("h4", {}, said(replay.entry)),
      el("p", { class: "soft" }, "Problem ", said(replay.task_id), " ", verdictBadge(replay)),
    );
  }

  buttons() {
    const button = (text, label, act) =>
      el("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, text);
    this.back = button("←", "Previous step", () => this.show(this.at - 1));
    this.next = button("→", "Next step", () => this.show(this.at + 1));
    this.slider = el("input", {
      type: "range",
      min: "1",
      max: String(this.steps.length),
      value: "1",
      "aria-label": "Step",
    });
    this.slider.addEventListener("input", () => this.show(Number(this.slider.value) - 1));
    this.whole = el("button", { type: "button", "aria-pressed": "false" }, "Show all");
    this.whole.addEventListener("click", () => {
      this.isWhole = !this.isWhole;
      this.show(this.at);
    });
    return el("div", { class: "steps" }, this.back, this.next, this.slider, this.where, this.whole);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target === this.slider || event.altKey || event.ctrlKey || event.metaKey)
      return;
    event.preventDefault();
    this.show(this.at + step);
  }

  show(at) {
    const last = this.steps.length - 1;
    this.at = Math.max(0, Math.min(last, at));
    // A page takes the place of the one before; moves of a game and turns of a talk follow each other.
    const from = this.isWalk && !this.isWhole ? this.at : 0,
      to = this.isWhole ? last : this.at;
    const steps = this.steps
      .slice(from, to + 1)
      .map((step, n) =>
        el(
          "div",
          { class: from + n === this.at && !this.isWhole ? "step now" : "step" },
          this.isGame ? moveStep(this.replay, step) : problemStep(this.replay, step, from + n),
        ),
      );
    clear(this.stage, steps, to === last && this.end());
    if (!this.steps.length)
      clear(
        this.stage,
        emptyNote(this.isGame ? "No move was made." : "No answer was given."),
        this.end(),
      );
    if (!this.slider) return;
    this.slider.value = String(this.at + 1);
    this.where.textContent = this.isWhole ? `all ${last + 1}` : `${this.at + 1} of ${last + 1}`;
    this.back.disabled = this.isWhole || this.at === 0;
    this.next.disabled = this.isWhole || this.at === last;
    this.slider.disabled = this.isWhole;
    this.whole.setAttribute("aria-pressed", String(this.isWhole));
  }

  end() {
    const { replay } = this;
    if (!this.isGame)
      return el(
        "p",
        { class: "ending" },
        verdictBadge(replay),
        " Score ",
        el("b", {}, brief(replay.score)),
      );
    const returns = (replay.returns ?? []).map((value, seat) =>
      el(
        "span",
        {},
        said((replay.entries ?? [])[seat]),
        " ",
        el(
          "b",
          { class: value > 0 ? "plus" : value < 0 ? "minus" : null },
          signed(value, Number.isInteger(value) ? 0 : 2),
        ),
      ),
    );
    return el("p", { class: "ending" }, replay.ending && said(replay.ending), returns);
  }
}

function verdictBadge(replay) {
  if (!replay.verdict) return null;
  return el(
    "span",
    { class: `badge ${replay.verdict === "correct" ? "good" : "warn"}` },
    said(replay.verdict),
  );
}

/** The list of a track's replays beside the one that is open. */
class Replays {
  constructor(track) {
    Object.assign(this, { track, all: part("replays", track.number), entry: "" });
    const names = [
      ...new Set(this.all.flatMap((replay) => replay.entries ?? [replay.entry])),
    ].sort();
    this.list = el("ol", { class: "replay-list" });
    this.box = el("div", { class: "replay-box" });
    this.select = chooser(
      "Entry",
      [["", `all ${fixed(names.length)}`], ...names.map((name) => [name, name])],
      "",
      (value) => this.filter(value),
    );
    this.element = el(
      "div",
      { class: "replays" },
      el("div", { class: "replay-side" }, this.select, this.list),
      this.box,
    );
    this.filter("");
  }

  filter(entry) {
    this.entry = entry;
    this.select.set(entry);
    this.shown = this.all
      .map((replay, number) => ({ replay, number }))
      .filter(({ replay }) => !entry || (replay.entries ?? [replay.entry]).includes(entry));
    clear(
      this.list,
      this.shown.map(({ replay, number }) =>
        el(
          "li",
          {},
          el(
            "a",
            {
              href: address({ track: this.track.id, view: "replays", replay: number }),
              "data-number": number,
            },
            this.line(replay),
          ),
        ),
      ),
    );
    if (this.shown.length) this.open(this.shown[0].number);
    else clear(this.box, emptyNote("No replay of this entry is kept."));
  }

  line(replay) {
    if (this.track.kind === "match")
      return [
        el(
          "span",
          { class: "who" },
          said((replay.entries ?? [])[0]),
          " – ",
          said((replay.entries ?? [])[1]),
        ),
        el(
          "span",
          { class: "soft" },
          "deal ",
          said(replay.deal),
          " · ",
          count((replay.moves ?? []).length, "move"),
        ),
      ];
    return [
      el("span", { class: "who" }, said(replay.entry)),
      el("span", { class: "soft" }, said(replay.task_id), " ", verdictBadge(replay)),
    ];
  }

  open(number) {
    if (!this.all[number]) return;
    for (const link of this.list.querySelectorAll("a")) {
      if (link.dataset.number === String(number)) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    clear(this.box, new Player(this.track, this.all[number]).element);
  }
}
