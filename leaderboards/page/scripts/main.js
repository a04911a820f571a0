// What is shown follows from the address.

const main = document.getElementById("main");
let shown = null,
  trackView = null;

function follow(isFirst = false) {
  const route = readRoute(),
    track = route.track === null ? null : trackOf(route.track),
    key = route.track ?? "";
  const isNew = shown !== key;
  if (isNew) {
    shown = key;
    trackView = track ? new TrackView(track) : null;
    clear(main, track ? trackView.element : overview(route.track));
    drawTracks(
      document.getElementById("tracks"),
      track ?? (route.track === null ? null : undefined),
    );
    document.title = plain(
      `${track ? `${track.title} · ` : ""}${board.season.title ?? "lmgym leaderboard"}`,
    );
    if (!isFirst && route.view === null) {
      main.focus({ preventScroll: true });
      document.querySelector(".frame").scrollIntoView();
    }
  }
  loaded.then(() => {
    if (trackView && route.view !== null) trackView.go(route.view);
    if (trackView && route.by !== null) trackView.replays?.filter(route.by);
    if (trackView && route.replay !== null) trackView.replays?.open(Number(route.replay));
  });
  if (trackView && route.entry !== null) trackView.ranking.mark(route.entry);
  if (route.entry !== null) openPanel(route.entry);
  else if (panel.open) panel.close();
}

drawMasthead(document.getElementById("masthead"));
follow(true);
window.addEventListener("hashchange", () => follow());
window.addEventListener("beforeprint", () => {
  for (const section of [...waiting.keys()]) build(section);
  redraw();
});
window.addEventListener("afterprint", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
