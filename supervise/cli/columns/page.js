"use strict";
// Only the rows and headings in view are elements: they are made as one scrolls there, measured, and taken away afterwards.
// What the log holds is only ever set as text.

const TIME = 0, ACTOR = 1, LEVEL = 2, START = 3, TEXT = 4, TRACE = 5, TRACEBACK = 6; // of a record
const SPARE = 10; // rows and headings beside those in view, for a scroll of a few lines
const LINE = 18, PADDING = 7; // pixels, to guess the height of a row by; it is measured when it is made

const part = (id) => document.getElementById(id);
const view = part("view"), head = part("head"), body = part("body"), filter = part("filter"), starts = part("starts");
const log = JSON.parse(part("log").textContent);
const number = (count) => count.toLocaleString("en");
const has = (wanted) => (text) => text.toLowerCase().includes(wanted);

// The heights of all rows, and their sums (a Fenwick tree: each in the logarithm of their number).
class Heights {
  constructor(heights) {
    this.heights = heights;
    this.sums = new Float64Array(heights.length + 1);
    for (let n = 1; n <= heights.length; n++) {
      this.sums[n] += heights[n - 1];
      const above = n + (n & -n);
      if (above <= heights.length) this.sums[above] += this.sums[n];
    }
  }

  set(row, height) {
    const change = height - this.heights[row];
    this.heights[row] = height;
    for (let n = row + 1; n < this.sums.length; n += n & -n) this.sums[n] += change;
    return Math.abs(change) > 0.01;
  }

  before(row) {
    let sum = 0;
    for (let n = row; n > 0; n -= n & -n) sum += this.sums[n];
    return sum;
  }

  // The row at a distance from the top; the last one, if that is below all.
  at(distance) {
    let row = 0;
    for (let step = 2 ** Math.floor(Math.log2(this.sums.length)); step >= 1; step /= 2) {
      if (row + step < this.sums.length && this.sums[row + step] <= distance) {
        row += step;
        distance -= this.sums[row];
      }
    }
    return Math.min(row, this.heights.length - 1);
  }
}

let rows = []; // of each the numbers of its records: they are of one instant, and of different actors
let columns = []; // of each the number of its actor, in the order of their first records
let heights = new Heights([]);
const places = new Int32Array(log.actors.length); // of each actor its column
const made = new Map(); // the rows that are elements
const unfolded = new Set(); // the records whose traceback is shown
let headingsFrom = 0, headingsTo = 0; // the columns whose headings are elements

// Which records are shown, as rows and columns.
function choose() {
  const top = rows.length ? rows[heights.at(view.scrollTop)][0] : 0; // the record to stay at
  const fits = has(filter.value.trim().toLowerCase());
  const actorFits = log.actors.map(fits), tracebackFits = log.tracebacks.map(fits);
  const seen = new Int32Array(log.actors.length).fill(-1); // of each actor its last row
  rows = [];
  columns = [];
  let count = 0, time = null;
  for (let n = 0; n < log.records.length; n++) {
    const record = log.records[n], actor = record[ACTOR];
    if (record[START] && !starts.checked) continue;
    if (!(actorFits[actor] || fits(record[TEXT]) || fits(record[TRACE] ?? "") || tracebackFits[record[TRACEBACK]])) continue;
    count += 1;
    if (record[TIME] === null || record[TIME] !== time || seen[actor] === rows.length - 1) rows.push([]);
    rows[rows.length - 1].push(n);
    time = record[TIME];
    if (seen[actor] < 0) places[actor] = columns.push(actor) - 1;
    seen[actor] = rows.length - 1;
  }
  for (const row of rows) row.sort((one, other) => places[log.records[one][ACTOR]] - places[log.records[other][ACTOR]]);
  part("count").textContent =
    `${number(count)} of ${number(log.records.length)} records, ` +
    `${number(columns.length)} of ${number(log.actors.length)} actors`;
  part("table").style.setProperty("--count", Math.max(1, columns.length));
  part("table").setAttribute("aria-rowcount", rows.length + 1);
  part("table").setAttribute("aria-colcount", columns.length + 1);
  part("rows").replaceChildren();
  made.clear();
  part("headings").replaceChildren();
  headingsFrom = headingsTo = 0;
  guess();
  const stay = rows.findIndex((row) => row[row.length - 1] >= top);
  view.scrollTop = stay < 0 ? heights.before(rows.length) : heights.before(stay);
  draw();
}

// Heights of rows that nobody has made yet.
function guess() {
  const characters = Math.max(10, columnWidth() / 6.5);
  heights = new Heights(
    Float64Array.from(rows, (row) => {
      const lines = row.map((n) => Math.ceil((log.records[n][TEXT].length + 1) / characters) + (TRACEBACK in log.records[n]));
      return Math.max(...lines) * LINE + PADDING;
    }),
  );
  body.style.height = `${heights.before(rows.length)}px`;
}

function columnWidth() {
  return (body.offsetWidth - part("corner").offsetWidth) / Math.max(1, columns.length);
}

// Makes what is in view. What was measured otherwise than guessed mustn't move what the reader sees.
function draw() {
  drawHeadings();
  const room = view.clientHeight - head.offsetHeight;
  for (let round = 0; round < 5 && rows.length; round++) {
    const top = view.scrollTop;
    const atEnd = top > 0 && top + view.clientHeight >= view.scrollHeight - 1;
    const first = heights.at(top), within = top - heights.before(first);
    const from = Math.max(0, first - SPARE), to = Math.min(rows.length, heights.at(top + room) + 1 + SPARE);
    fill(from, to);
    let changed = false;
    for (const [row, element] of made) changed = heights.set(row, element.getBoundingClientRect().height) || changed;
    const all = heights.before(rows.length);
    body.style.height = `${all}px`;
    part("rows").style.top = `${heights.before(from)}px`;
    const goal = atEnd ? all - room : heights.before(first) + within;
    if (Math.abs(goal - top) > 0.5) view.scrollTop = goal;
    if (!changed) break;
  }
  point();
}

// A row whose records are all beside the view says on which side.
function point() {
  const width = columnWidth(), left = view.scrollLeft, right = left + view.clientWidth - part("corner").offsetWidth;
  for (const [row, element] of made) {
    const starts = rows[row].map((n) => places[log.records[n][ACTOR]] * width);
    const seen = starts.some((start) => start < right && start + width > left);
    element.firstChild.dataset.aside = seen ? "" : starts[0] < left ? "left" : "right";
  }
}

function bringIntoView(row) {
  view.scrollLeft = places[log.records[rows[row][0]][ACTOR]] * columnWidth();
}

function fill(from, to) {
  for (const [row, element] of made) {
    if (row < from || row >= to) {
      element.remove();
      made.delete(row);
    }
  }
  let next = part("rows").firstChild;
  for (let row = from; row < to; row++) {
    const element = made.get(row);
    if (element === undefined) {
      made.set(row, part("rows").insertBefore(rowOf(row), next));
    } else {
      next = element.nextSibling;
    }
  }
}

function drawHeadings() {
  const width = columnWidth();
  const from = Math.max(0, Math.floor(view.scrollLeft / width) - SPARE);
  const to = Math.min(columns.length, Math.ceil((view.scrollLeft + view.clientWidth) / width) + SPARE);
  if (from === headingsFrom && to === headingsTo) return;
  [headingsFrom, headingsTo] = [from, to];
  part("headings").style.setProperty("--skip", from);
  part("headings").replaceChildren(...columns.slice(from, to).map((actor, n) => headingOf(log.actors[actor], from + n)));
}

function make(tag, kind, role, text = "") {
  const element = document.createElement(tag);
  element.className = kind;
  if (role) element.setAttribute("role", role);
  element.textContent = text;
  return element;
}

function headingOf(path, place) {
  const short = log.prefix && path.startsWith(log.prefix) ? `…/${path.slice(log.prefix.length)}` : path;
  const heading = make("div", "heading", "columnheader", short);
  heading.title = path;
  heading.setAttribute("aria-colindex", place + 2);
  return heading;
}

function rowOf(row) {
  const element = make("div", "row", "row");
  element.setAttribute("aria-rowindex", row + 2);
  element.append(timeOf(row));
  let beside = 0;
  for (const n of rows[row]) {
    const place = places[log.records[n][ACTOR]];
    const cell = make("div", "cell", "cell");
    cell.style.setProperty("--skip", place - beside);
    cell.setAttribute("aria-colindex", place + 2);
    cell.append(textOf(n));
    element.append(cell);
    beside = place + 1;
  }
  return element;
}

const isoOf = (row) => {
  const time = row < 0 ? null : log.records[rows[row][0]][TIME];
  return time === null ? "" : new Date(time).toISOString();
};

// The day stands where another one begins.
function timeOf(row) {
  const iso = isoOf(row);
  const time = make("div", "time", "rowheader");
  const clock = make("button", "clock", "", iso ? iso.slice(11, -1) : "?");
  clock.title = `${iso || "It doesn't say its time"}: bring its records into view`;
  clock.addEventListener("click", () => bringIntoView(row));
  time.append(clock);
  const day = iso.split("T")[0];
  if (day && day !== isoOf(row - 1).split("T")[0]) time.prepend(make("span", "day", "", day));
  return time;
}

function textOf(n) {
  const record = log.records[n];
  const text = make("div", `text ${log.levels[record[LEVEL]]}`, "", record[TEXT]);
  if (record[TRACE]) {
    const trace = make(log.traces ? "a" : "span", "trace", "", record[TRACE].slice(0, 8));
    if (log.traces) Object.assign(trace, { href: log.traces + record[TRACE], rel: "noreferrer", target: "_blank" });
    text.append(trace);
  }
  if (TRACEBACK in record) {
    const more = make("details", "", "");
    more.open = unfolded.has(n);
    more.append(make("summary", "", "", "traceback"), make("pre", "", "", log.tracebacks[record[TRACEBACK]]));
    more.addEventListener("toggle", () => {
      unfolded[more.open ? "add" : "delete"](n);
      draw();
    });
    text.append(more);
  }
  return text;
}

const folded = log.records.reduce((sum, record) => sum + record[START], 0);
part("fold").hidden = !folded;
part("fold").querySelector("span").textContent = `starts (${number(folded)})`;
if (log.prefix) part("prefix").textContent = `… is ${log.prefix.slice(0, -1)}`;
filter.addEventListener("input", choose);
starts.addEventListener("change", choose);
view.addEventListener("scroll", draw);
choose();
let width = view.clientWidth;
new ResizeObserver(() => {
  if (view.clientWidth !== width) {
    width = view.clientWidth;
    const row = rows.length ? heights.at(view.scrollTop) : 0;
    guess();
    view.scrollTop = heights.before(row);
  }
  draw();
}).observe(view);
performance.mark("rows");
