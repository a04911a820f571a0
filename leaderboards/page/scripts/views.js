// The parts of the page: the head, the list of tracks, all tracks at a glance, one track.

const PHASES = new Map([
  ["open", ["Open", "Results are provisional: entries are still taken, and ranks may change."]],
  ["final", ["Final", "The season has ended; these results stand."]],
  [
    "public",
    ["Public", "Everybody knows the evaluation seeds: this is for practice. Entries are taken."],
  ],
]);

function drawMasthead(box) {
  const { season } = board,
    [phase, help] = PHASES.get(season.phase) ?? [season.phase ?? "", ""];
  const dates =
    season.opens &&
    el("span", {}, said(day(season.opens)), season.closes && [" to ", said(day(season.closes))]);
  clear(
    box,
    el(
      "div",
      { class: "masthead-box" },
      el(
        "div",
        { class: "brand" },
        el("a", { href: "#" }, el("b", {}, "lmgym"), " leaderboard"),
        themeButton(),
      ),
      el("h1", {}, said(season.title ?? season.id ?? "Season")),
      el(
        "p",
        { class: "season" },
        el(
          "span",
          {
            class: `phase phase-${PHASES.has(season.phase) ? season.phase : "other"}`,
            title: help,
          },
          said(phase),
        ),
        dates,
        el("span", {}, count(board.n, "entry", "entries")),
        el("span", {}, count(tracks.length, "track")),
        board.made &&
          el(
            "span",
            {},
            "made ",
            said(day(board.made)),
            board.version && [" with lmgym ", said(board.version)],
          ),
      ),
      el("p", { class: "help" }, help),
      commitment(season),
    ),
  );
}

function commitment(season) {
  if (!season.commitment && !season.secret) return null;
  const line = (name, value) =>
    value && el("div", {}, el("dt", {}, name), el("dd", {}, el("code", {}, value)));
  return el(
    "details",
    { class: "commitment" },
    el(
      "summary",
      {},
      season.secret
        ? "Evaluation seeds: revealed"
        : "Evaluation seeds: committed, not yet revealed",
    ),
    el(
      "p",
      {},
      "Problems and deals are drawn with seeds that follow from a secret. Its hash was published when the season opened, so that nobody could train on them, and nobody can exchange them; the secret itself is revealed when the season closes.",
    ),
    el("dl", {}, line("Commitment", season.commitment), line("Secret", season.secret)),
  );
}

function themeButton() {
  const names = ["auto", "light", "dark"],
    root = document.documentElement;
  const button = el("button", { type: "button", class: "theme" });
  const set = (name) => {
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
    button.textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[name];
    button.setAttribute("aria-label", `Colours: ${name}`);
    redraw();
  };
  let name = names.includes(remembered()) ? remembered() : "auto";
  button.addEventListener("click", () => {
    name = names[(names.indexOf(name) + 1) % 3];
    remember(name);
    set(name);
  });
  set(name);
  return button;
}

// Browsers may forbid a page to remember anything.
function remembered() {
  try {
    return localStorage.getItem("lmgym-theme");
  } catch {
    return null;
  }
}
function remember(name) {
  try {
    localStorage.setItem("lmgym-theme", name);
  } catch {
    /* it is chosen again next time */
  }
}

const familyOf = (track) => /^[\w.]+\/(\w+)-v\d+$/.exec(track.env ?? "")?.[1] ?? track.env ?? "";
const FAMILIES = new Map(
  Object.entries({
    KuhnPoker: "Kuhn poker",
    TicTacToe: "Tic-tac-toe",
    MatchingPennies: "Matching pennies",
    PromptSelect: "Prompts",
    ToolMath: "Tools",
    GuessNumber: "Guessing",
  }),
);

function families() {
  const groups = new Map();
  for (const track of tracks)
    groups.set(familyOf(track), [...(groups.get(familyOf(track)) ?? []), track]);
  return groups;
}

const familyName = (family) => FAMILIES.get(family) ?? family;

function drawTracks(box, current) {
  const link = (href, text, isHere) =>
    el("li", {}, el("a", { href, "aria-current": isHere ? "page" : null }, text));
  const groups = [...families()].map(([family, members]) =>
    el(
      "li",
      { class: "family" },
      el("span", { class: "family-name" }, said(familyName(family))),
      el(
        "ul",
        {},
        members.map((track) =>
          link(address({ track: track.id }), said(track.title), track === current),
        ),
      ),
    ),
  );
  clear(box, el("ul", {}, link("#", "All tracks", current === null), groups));
  const here = box.querySelector("[aria-current]");
  if (here && box.scrollWidth > box.clientWidth) box.scrollLeft = here.offsetLeft - 60;
}

function overview(unknown = null) {
  const note =
    unknown !== null && el("p", { class: "note" }, "This board has no track ", said(unknown), ".");
  if (!tracks.length)
    return [el("h2", {}, "No tracks"), emptyNote("This season has no tracks yet.")];
  return [
    el("h2", { class: "unseen" }, "All tracks"),
    note,
    el("div", { class: "cards" }, [...families().values()].flat().map(card)),
  ];
}

function card(track) {
  const rows = rowsOf(track),
    measure = measureOf(track),
    best = rows.filter((row) => !row.reference).slice(0, 3);
  const reference = rows.find((row) => row.reference),
    shown = [...best, ...(reference ? [reference] : [])],
    axis = axisOf(shown, measure);
  const line = (row) =>
    el(
      "li",
      { class: row.reference ? "reference" : null },
      el("span", { class: "rank" }, row.reference ? "ref." : rankText(row)),
      entryLink(row),
      bar(row, axis, measure),
      el("span", { class: "number" }, isNumber(valueOf(row)) ? told(measure, valueOf(row)) : NONE),
    );
  return el(
    "article",
    { class: "card" },
    el("p", { class: "kicker" }, said(familyName(familyOf(track)))),
    el("h3", {}, el("a", { href: address({ track: track.id }) }, said(track.title))),
    shown.length ? el("ol", {}, shown.map(line)) : el("p", { class: "empty" }, "No entries yet."),
    el("p", { class: "foot" }, measure.name, " · ", count(rows.length, "entry", "entries")),
  );
}

/** What a track is: its world, its arguments, how much is played. */
function trackFacts(track) {
  const args = Object.entries(track.args ?? {}).map(([name, value]) =>
    el("code", {}, `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`),
  );
  const amount =
    track.kind === "match"
      ? isNumber(track.n_games) && `${count(track.n_games, "game")} a pair, both seatings`
      : [
          isNumber(track.n_problems) && count(track.n_problems, "problem"),
          isNumber(track.n_seeds) && count(track.n_seeds, "seed"),
        ]
          .filter(Boolean)
          .join(" × ");
  return el(
    "p",
    { class: "track-facts" },
    track.env && el("code", {}, track.env),
    args,
    amount && el("span", {}, amount),
    track.budget && el("span", {}, "budget: ", said(track.budget)),
  );
}

/** Draw a part when somebody comes near it, or prints the page. */
const waiting = new Map();
const watcher = new IntersectionObserver(
  (seen) => seen.filter((one) => one.isIntersecting).forEach((one) => build(one.target)),
  { rootMargin: "600px" },
);
function build(section) {
  const make = waiting.get(section);
  if (!make) return;
  waiting.delete(section);
  watcher.unobserve(section);
  const made = make();
  section.classList.remove("waiting");
  section.append(...[made].flat());
}

/** A track: its ranking, and sections that are drawn when they come near. */
class TrackView {
  constructor(track) {
    this.track = track;
    waiting.clear();
    watcher.disconnect();
    const compared = new Compared(track),
      has = (name) => track.parts.includes(name);
    this.ranking = new Ranking(track, compared);
    this.sections = [
      this.section("ranking", "Ranking", () => this.ranking.element),
      has("matrix") &&
        this.section(
          "matrix",
          "Head to head",
          () => headToHeadSection(track, compared),
          "Share of the points that the entry of the row took from the entry of the column. A draw is half a point.",
        ),
      has("curves") &&
        this.section(
          "curves",
          "Learning curves",
          () => curveSection(track, compared),
          "As reported by those who trained the entries, on problems of the validation split.",
        ),
      has("profiles") &&
        this.section(
          "profiles",
          "Performance profiles",
          () => profileSection(track, compared),
          "Share of runs whose score is above τ: the higher line is better, and lines that cross have no order.",
        ),
      has("improvement") &&
        this.section(
          "improvement",
          "Probability of improvement",
          () => improvementSection(track, compared),
          "How likely a run of the entry of the row does better than one of the entry of the column.",
        ),
      has("replays") &&
        this.section(
          "replays",
          "Replays",
          () => (this.replays = new Replays(track)).element,
          track.kind === "match"
            ? "Recorded games, move by move."
            : "Recorded episodes, step by step.",
        ),
    ].filter(Boolean);
    const link = (section) =>
      el(
        "li",
        {},
        el(
          "a",
          { href: address({ track: track.id, view: section.dataset.view }) },
          section.dataset.title,
        ),
      );
    this.element = [
      el(
        "header",
        { class: "track-head" },
        el("h2", { tabindex: "-1" }, said(track.title)),
        trackFacts(track),
        this.sections.length > 1 &&
          el(
            "nav",
            { class: "sections", "aria-label": "Sections" },
            el("ul", {}, this.sections.map(link)),
          ),
      ),
      ...this.sections,
    ];
    if (!rowsOf(track).length)
      this.element = [this.element[0], emptyNote("No entries yet. The first one will stand here.")];
  }

  section(view, title, make, about = null) {
    const section = el(
      "section",
      {
        class: "part waiting",
        "data-view": view,
        "data-title": title,
        "aria-labelledby": `title-${view}`,
      },
      el("h3", { id: `title-${view}` }, title),
      about && el("p", { class: "about" }, about),
    );
    waiting.set(section, make);
    if (view === "ranking") build(section);
    else loaded.then(() => waiting.has(section) && watcher.observe(section));
    return section;
  }

  go(view) {
    const section = this.sections.find((one) => one.dataset.view === view);
    if (!section) return;
    build(section);
    section.scrollIntoView();
  }
}
