// The page as a whole: its views, its keys, and one drawing for all that was heard until the next frame.

const VIEWS = ["tree", "waits", "types", "events"];

const link = new Link(hear), model = new Model(), operator = new Operator(), detail = new Detail();
const events = new Events(), types = new Types(), table = new Table();
let isWanted = false;
let process = null, pastOf = null; // the process that is seen, and that of which it is known what was before this page

function hear(kind, data) {
  if (data !== null && data.schema !== SCHEMA) {
    link.end("old", `The server speaks version ${data.schema} of the protocol, and this page ${SCHEMA}`);
  } else if (data !== null) {
    model.apply(kind, data);
    if (kind === "change") events.hear(data.events, data.missed);
    if (process === null) show(model.isAll ? "tree" : "types");
    process = data.tree.pid;
    if (pastOf !== process && data.loop.blocked === null && data.tree.live) {
      pastOf = process;
      events.past().catch(() => (pastOf = null)); // it is asked again
    }
  }
  changed();
}

// Draws in the next frame, however often it is called until then.
function changed() {
  if (isWanted) return;
  isWanted = true;
  requestAnimationFrame(draw);
}

function draw() {
  isWanted = false;
  drawBanners();
  drawHead();
  drawAlarms();
  table.draw();
  drawWaits();
  events.draw();
  drawLink();
}

function drawLink() {
  const isLive = link.state === "live", quiet = (performance.now() - link.heard) / 1000;
  const often = isLive && model.head !== null && model.head.interval >= 2 ? `, seen each ${age(model.head.interval)}` : "";
  put(part("link"), isLive && quiet >= 8 ? `heard ${age(quiet)} ago` : link.state + often, isLive ? "" : "odd");
}

function show(view) {
  for (const each of VIEWS) {
    const isShown = each === view, tab = part(`tab-${each}`);
    part(each).hidden = !isShown;
    mark(tab, "aria-selected", isShown);
    tab.tabIndex = isShown ? 0 : -1;
  }
  void types.ask();
  changed();
}

// The actors of one type, if there is a row of each.
function showType(type) {
  setFilter(type);
  show("tree");
}

function setFilter(text) {
  part("filter").value = text;
  table.wanted = text.trim();
  table.view.scrollTop = 0;
  changed();
}

for (const view of VIEWS) {
  part(`tab-${view}`).addEventListener("click", () => show(view));
  part(`tab-${view}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = VIEWS[(VIEWS.indexOf(view) + step + VIEWS.length) % VIEWS.length];
    show(next);
    part(`tab-${next}`).focus();
  });
}
part("filter").addEventListener("input", () => setFilter(part("filter").value));
part("filter").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    show("tree");
    part("table").focus();
    table.select(Math.max(0, table.at));
    event.preventDefault();
  }
});
part("debug").addEventListener("change", changed);
part("last").addEventListener("click", () => show("events"));
document.addEventListener("keydown", (event) => {
  if (part("sure").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !event.target.matches("input, select, textarea")) {
    part("filter").focus();
    part("filter").select();
    event.preventDefault();
  } else if (event.key === "Escape") {
    if (!part("detail").hidden) detail.close();
    else if (part("filter").value) setFilter("");
    else part("table").focus();
  }
});
addEventListener("hashchange", () => {
  if (link.takeToken()) link.start();
});
setInterval(changed, 1000); // ages run on, and a pause runs out

show("tree");
link.takeToken();
link.start();
