// The table of all actors: as a tree, or sorted. Only the rows in view are elements, and they are used again.

const ROW = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")); // pixels
const SPARE = 5; // rows beside those in view
const MANY = 50; // children of one supervisor that are folded at first

const COLUMNS = [ // its name, what its cell has, what it is sorted by
  ["actor", null, (actor) => actor.path],
  ["type", (actor, cell) => put(cell, actor.type.replaceAll("_", " ")), (actor) => actor.type],
  ["state", drawState, (actor) => (actor.well ? (actor.paused ? 1 : 0) : 2)],
  ["life", (actor, cell) => put(cell, count(actor.life)), (actor) => actor.life],
  ["rst", drawRestarts, (actor) => actor.restarts],
  ["queue", drawQueue, (actor) => actor.queued + actor.senders],
  ["msg/s", drawRate, (actor) => actor.rate ?? -1],
  ["trend", (actor, cell) => put(cell, hasRate(actor) ? spark(actor.rates) : ""), null],
  ["fail", drawFailures, (actor) => actor.ill],
  ["cpu", (actor, cell) => put(cell, percent(actor.cpu)), (actor) => actor.cpu ?? -1],
  ["in hand", drawHand, (actor) => (actor.hand_since === null ? -1 : model.since(actor.hand_since))],
  ["waits for", drawWait, (actor) => actor.waits_for || actor.error],
];
const NAMES = { rst: "restarts", fail: "failed, and dead letters", trend: "the last rates", "waits for": "waits for, or its last error" };

const isFolded = (actor) => actor.kind !== "actor" && actor.below.length > 0 && table.folded.has(actor.path);
const hasRate = (actor) => actor.kind !== "supervisor" || (isFolded(actor) && table.isTree);

function drawState(actor, cell) {
  const down = isFolded(actor) && actor.sum?.down ? `, ${count(actor.sum.down)} not up` : "";
  put(cell, stateOf(actor) + down, `c-state${actor.well && !down ? (actor.paused ? " odd" : "") : " bad"}`);
}

function drawRestarts(actor, cell) {
  const isNear = actor.limit && actor.restarts >= NEARLY * actor.limit;
  const text = actor.limit === null ? some(actor.restarts) : `${actor.restarts}/${actor.limit}`;
  put(cell, text, `c-rst${isNear ? " bad" : actor.restarts ? "" : " faint"}`);
}

function drawQueue(actor, cell) {
  if (actor.kind === "supervisor") {
    put(cell, isFolded(actor) ? some(actor.sum?.queued) : "", "c-queue");
  } else {
    const senders = actor.senders ? ` +${actor.senders}` : "";
    const text = actor.capacity === null ? count(actor.queued) : `${actor.queued}/${actor.capacity}`;
    put(cell, text + senders, `c-queue${actor.full ? " bad" : actor.queued ? "" : " faint"}`);
  }
}

function drawRate(actor, cell) {
  const known = hasRate(actor) ? actor.rate : null;
  put(cell, rate(known), `c-msg${known ? "" : " faint"}`);
}

function drawFailures(actor, cell) {
  put(cell, some(actor.kind === "supervisor" && isFolded(actor) ? actor.sum?.ill : actor.ill), "c-fail");
}

function drawHand(actor, cell) {
  const since = actor.hand_since === null ? 0 : model.since(actor.hand_since);
  if (actor.far && !actor.hand.length) put(cell, trafficOf(actor));
  else put(cell, actor.hand.join(", ") + (since >= 1 ? ` ≥ ${age(since)}` : ""));
}

function drawWait(actor, cell) {
  if (actor.waits_for) put(cell, `→ ${shorter(actor.waits_for)}`, "c-waits");
  else put(cell, actor.error, `c-waits${actor.well ? " faint" : " bad"}`);
}

class Table {
  constructor() {
    this.view = part("tree");
    this.grid = part("table");
    this.rows = part("rows");
    this.elements = [];
    this.shown = []; // the actors, from the top down
    this.matches = 0;
    this.folded = new Set();
    this.known = new Set(); // supervisors whose fold is decided
    this.sort = null; // [number of the column, whether it ascends]; null: as a tree, or of many the worst first
    this.wanted = "";
    this.selected = "";
    this.made = null;
    this.makeHead();
    this.view.addEventListener("scroll", () => this.draw());
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.rows.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.view);
  }

  get isTree() {
    return this.sort === null && model.isAll;
  }

  makeHead() {
    COLUMNS.forEach(([name, , by], n) => {
      const cell = make("div", `c-${name.split(/\W/)[0]}`);
      cell.setAttribute("role", "columnheader");
      if (by === null) cell.textContent = name;
      else cell.append(button("", name, () => this.sortBy(n)));
      cell.title = NAMES[name] ?? "";
      part("head").append(cell);
    });
  }

  // Numbers first descend, texts ascend; the third time it is a tree again.
  sortBy(n) {
    const first = n < 2;
    const [column, ascends] = this.sort ?? [-1, false];
    this.sort = column !== n ? [n, first] : ascends === first ? [n, !first] : null;
    this.view.scrollTop = 0;
    changed();
  }

  // Which actors are shown, in what order.
  choose() {
    const made = [model.version, this.wanted, this.sort, this.folded.size, this.foldings];
    if (JSON.stringify(made) === this.made) return;
    this.made = JSON.stringify(made);
    for (const actor of model.actors.values()) {
      if (actor.kind === "actor" || this.known.has(actor.path)) continue;
      if (actor.below.length > MANY || actor.kind === "pool") this.folded.add(actor.path);
      if (actor.below.length) this.known.add(actor.path);
    }
    const wanted = this.wanted.toLowerCase();
    const fits = (actor) => !wanted || actor.hay.includes(wanted);
    this.shown = [];
    this.matches = 0;
    if (this.isTree) for (const top of model.tops) this.descend(top, fits);
    else {
      this.shown = [...model.actors.values()].filter(fits);
      this.matches = this.shown.length;
      this.order();
    }
    mark(this.grid, "aria-rowcount", this.shown.length + 1);
    [...part("head").children].forEach((cell, n) => {
      mark(cell, "aria-sort", this.sort?.[0] === n ? (this.sort[1] ? "ascending" : "descending") : null);
    });
  }

  // An actor whose name fits not, but one below does, is shown, too.
  descend(actor, fits) {
    const place = this.shown.length;
    this.shown.push(actor);
    const itself = fits(actor);
    this.matches += itself ? 1 : 0;
    if (this.wanted || !isFolded(actor)) for (const each of actor.below) this.descend(each, fits);
    if (!itself && this.shown.length === place + 1) this.shown.pop();
  }

  order() {
    if (this.sort === null) {
      this.shown.sort((one, other) => one.worse(other));
      return;
    }
    const [column, ascends] = this.sort, by = COLUMNS[column][2];
    const keys = new Map(this.shown.map((actor) => [actor, by(actor)]));
    const sign = ascends ? 1 : -1;
    this.shown.sort((one, other) => {
      const [mine, others] = [keys.get(one), keys.get(other)];
      if (mine === "" || others === "") return (mine === "" ? 1 : 0) - (others === "" ? 1 : 0);
      return mine < others ? -sign : mine > others ? sign : 0;
    });
  }

  draw() {
    if (this.view.hidden) return;
    this.choose();
    part("body").style.height = `${this.shown.length * ROW}px`;
    const from = Math.max(0, Math.floor(this.view.scrollTop / ROW) - SPARE);
    const to = Math.min(this.shown.length, from + Math.ceil(this.view.clientHeight / ROW) + 2 * SPARE);
    this.rows.style.top = `${from * ROW}px`;
    while (this.elements.length < to - from) this.elements.push(this.makeRow());
    this.elements.forEach((element, n) => {
      if (from + n >= to) {
        if (element.isConnected) element.remove();
      } else {
        if (!element.isConnected) this.rows.append(element);
        this.drawRow(element, this.shown[from + n], from + n);
      }
    });
    const at = this.shown.findIndex((actor) => actor.path === this.selected);
    mark(this.grid, "aria-activedescendant", at >= from && at < to ? `row-${at - from}` : null);
    put(part("count"), this.said());
  }

  // How many there are, where not all of them are shown.
  said() {
    if (model.head === null) return "";
    if (!model.isAll) return `${count(this.matches)} rows, the worst of ${count(model.head.totals.actors)} actors`;
    return this.wanted ? `${count(this.matches)} of ${count(model.actors.size)}` : "";
  }

  makeRow() {
    const element = make("div", "row");
    element.id = `row-${this.elements.length}`;
    element.setAttribute("role", "row");
    for (const [name] of COLUMNS) {
      const cell = make("div", `c-${name.split(/\W/)[0]}`);
      cell.setAttribute("role", "gridcell");
      element.append(cell);
    }
    const fold = make("span", "fold"), name = make("span", "name"), more = make("span", "more");
    fold.setAttribute("aria-hidden", "true");
    element.firstChild.append(fold, name, more);
    return element;
  }

  drawRow(element, actor, n) {
    element.dataset.path = actor.path;
    const isParent = this.isTree && actor.below.length > 0, isOpen = isParent && (this.wanted !== "" || !isFolded(actor));
    mark(element, "aria-rowindex", n + 2);
    mark(element, "aria-level", this.isTree ? actor.depth + 1 : null);
    mark(element, "aria-expanded", isParent ? isOpen : null);
    mark(element, "aria-selected", actor.path === this.selected);
    const kind = `row${actor.well ? "" : " ill"}${this.wanted && !actor.hay.includes(this.wanted.toLowerCase()) ? " above" : ""}`;
    if (element.className !== kind) element.className = kind;
    const [fold, name, more] = element.firstChild.children;
    const depth = String(this.isTree ? Math.min(12, actor.depth) : 0);
    if (element.style.getPropertyValue("--depth") !== depth) element.style.setProperty("--depth", depth);
    put(fold, isParent ? (isOpen ? "▾" : "▸") : "");
    put(name, this.isTree && actor.above !== null ? actor.name : shorter(actor.path));
    put(more, isParent && !isOpen ? count(actor.sum?.actors || actor.below.length) : "");
    mark(element.firstChild, "title", visible(actor.path));
    COLUMNS.forEach(([, fill], at) => {
      const cell = element.children[at];
      fill?.(actor, cell);
      if (at >= 10) mark(cell, "title", cell.textContent || null);
    });
  }

  // -- the reader's hand --

  get at() {
    return this.shown.findIndex((actor) => actor.path === this.selected);
  }

  select(n) {
    const actor = this.shown[Math.max(0, Math.min(this.shown.length - 1, n))];
    if (actor === undefined) return;
    this.selected = actor.path;
    const top = this.shown.indexOf(actor) * ROW, head = part("head").offsetHeight;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    else if (top + ROW + head > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = top + ROW + head - this.view.clientHeight;
    if (detail.path) detail.open(actor.path);
    else changed();
  }

  fold(actor, isFolded) {
    this.folded[isFolded ? "add" : "delete"](actor.path);
    this.foldings = (this.foldings ?? 0) + 1;
    changed();
  }

  click(event) {
    const path = event.target.closest(".row")?.dataset.path;
    const actor = model.actors.get(path);
    if (actor === undefined) return;
    this.selected = path;
    if (event.target.className === "fold" && this.isTree && actor.below.length) this.fold(actor, !isFolded(actor));
    else detail.open(path);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.grid) return;
    const at = this.at, actor = this.shown[at], page = Math.max(1, Math.floor(this.view.clientHeight / ROW) - 2);
    const isParent = this.isTree && actor !== undefined && actor.below.length > 0;
    switch (event.key) {
      case "ArrowDown": this.select(at + 1); break;
      case "ArrowUp": this.select(at < 0 ? 0 : at - 1); break;
      case "PageDown": this.select(at + page); break;
      case "PageUp": this.select(at - page); break;
      case "Home": this.select(0); break;
      case "End": this.select(this.shown.length - 1); break;
      case "ArrowRight":
        if (isParent && isFolded(actor)) this.fold(actor, false);
        else if (isParent) this.select(at + 1);
        break;
      case "ArrowLeft":
        if (isParent && !isFolded(actor)) this.fold(actor, true);
        else if (this.isTree && actor?.above) this.select(this.shown.indexOf(actor.above));
        break;
      case "Enter": if (actor !== undefined) detail.open(actor.path); break;
      default: return;
    }
    event.preventDefault();
  }
}
