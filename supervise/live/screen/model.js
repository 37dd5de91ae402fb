// What the server has told: the head, and the actors as a tree. Rates are made here, of counters and the instants of surveys.

const SCHEMA = 1;
const RATES = 10; // of each actor that are kept
const USUAL = { // what a row leaves out
  kind: "actor", type: "", state: "running", required: true, life: 1, restarts: 0, limit: null, due: null, queued: 0,
  capacity: null, senders: 0, paused: false, hand: [], hand_since: null, oldest_since: null, waits_for: "", error: "",
  accepted: 0, handled: 0, failed: 0, dead_lettered: 0, abandoned: 0, workers: 0, workers_up: 0, children: 0, max_children: null, cpu: null,
  far: "", open_calls: 0, taken_calls: 0, unconfirmed: 0, credit: null,
};

class Actor {
  constructor(path) {
    this.path = path;
    this.name = path.slice(path.lastIndexOf("/") + 1);
    this.above = null;
    this.below = [];
    this.depth = 0;
    this.rates = [];
    this.done = null; // messages, at the last survey
    this.sum = null; // of all below
  }

  take(row) {
    Object.assign(this, USUAL, row);
    this.hay = [this.path, this.type, this.state, this.paused ? "paused" : "", this.error].join("\n").toLowerCase();
  }

  get rate() {
    return this.rates.length ? this.rates[this.rates.length - 1] : null;
  }

  get well() {
    if (this.kind === "pool" && this.state === "running") return this.workers_up >= Math.max(1, this.workers);
    return this.state === "running" || this.state === "finished";
  }

  get ill() {
    return this.failed + this.dead_lettered;
  }

  get full() {
    return this.senders > 0 || (this.capacity !== null && this.capacity > 0 && this.queued >= this.capacity);
  }

  // What comes first where the server has room for the worst alone.
  worse(other) {
    const [mine, others] = [this.badness(), other.badness()];
    const differs = mine.findIndex((each, n) => each !== others[n]);
    return differs < 0 ? 0 : others[differs] - mine[differs];
  }

  badness() {
    const alarms = (this.well ? 0 : 8) + (this.senders > 0 ? 4 : 0) + (this.paused ? 2 : 0) + (this.waits_for ? 1 : 0);
    return [alarms, this.capacity ? this.queued / this.capacity : 0, this.queued, this.restarts];
  }
}

function stateOf(actor) {
  if (actor.state === "restarting" && actor.due !== null) return `backoff ${age(Math.ceil(model.left(actor.due)))}`;
  if (actor.paused && actor.state === "running") return "paused";
  if (actor.kind === "pool" && actor.state === "running") return `running ${actor.workers_up}/${actor.workers}`;
  if (actor.max_children !== null && actor.state === "running") return `running ${actor.children}/${actor.max_children}`;
  return actor.state;
}

// What is under way over a link, and with whom; empty for what is no link, or isn't connected.
function trafficOf(actor) {
  const told = [[actor.open_calls, "out"], [actor.taken_calls, "in"], [actor.unconfirmed, "unconfirmed"]].filter(([number]) => number);
  const text = told.map(([number, what]) => `${count(number)} ${what}`).join(", ");
  return actor.far && text ? `${actor.far}: ${text}` : actor.far;
}

class Model {
  constructor() {
    this.clear();
  }

  clear() {
    this.head = null;
    this.actors = new Map();
    this.tops = []; // those above whom nobody is shown
    this.seen = -Infinity; // the last survey's instant, by the tree's clock
    this.received = 0;
    this.total = { done: null, rate: null };
    this.version = 0; // of the rows
  }

  // The tree's clock now, as far as it is known here: it stands still while the stream is lost.
  now() {
    return this.head === null ? 0 : this.head.at + (link.state === "live" ? (performance.now() - this.received) / 1000 : 0);
  }

  // What was there at an instant still was at the last survey: nobody knows more, so it is no longer than that.
  since(instant) {
    return Math.max(0, this.seen - instant);
  }

  left(instant) {
    return Math.max(0, instant - this.now());
  }

  get isAll() {
    return this.head?.all !== false;
  }

  // A path as the server finds it, whatever the names are: without the root's own.
  inside(path) {
    const root = this.head.tree.name;
    return path === root ? "" : path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
  }

  apply(kind, data) {
    const before = this.head;
    if (before !== null && (before.tree.pid !== data.tree.pid || data.seen < this.seen)) this.clear(); // another process, or run
    const passed = data.seen - this.seen;
    [this.head, this.received] = [data, performance.now()];
    if (kind === "snapshot") this.place(data.rows);
    else {
      for (const row of data.rows) this.add(row);
      if (data.gone.length) this.remove(new Set(data.gone));
    }
    if (passed > 0) {
      this.seen = data.seen;
      this.measure(passed);
    }
    if (passed > 0 || kind === "snapshot" || data.rows.length || data.gone.length) this.version += 1;
  }

  // All rows, in their order; of those that were here before the rates are kept.
  place(rows) {
    const old = this.actors;
    this.actors = new Map();
    this.tops = [];
    for (const row of rows) this.add(row, old.get(row.path));
  }

  add(row, old) {
    let actor = this.actors.get(row.path);
    if (actor === undefined) {
      actor = old ?? new Actor(row.path);
      [actor.above, actor.below] = [this.actors.get(row.path.slice(0, Math.max(0, row.path.lastIndexOf("/")))) ?? null, []];
      actor.depth = actor.above === null ? 0 : actor.above.depth + 1;
      (actor.above?.below ?? this.tops).push(actor);
      this.actors.set(row.path, actor);
    }
    actor.take(row);
  }

  remove(gone) {
    const shrunk = new Set();
    for (const path of gone) {
      const actor = this.actors.get(path);
      if (actor === undefined) continue;
      this.actors.delete(path);
      shrunk.add(actor.above);
    }
    const stays = (actor) => this.actors.get(actor.path) === actor;
    for (const above of shrunk) {
      if (above === null) this.tops = this.tops.filter(stays);
      else above.below = above.below.filter(stays);
    }
  }

  measure(passed) {
    for (const actor of this.actors.values()) {
      const done = actor.handled + actor.failed;
      if (actor.kind !== "supervisor") {
        if (actor.done === null || done < actor.done) actor.rates = [];
        else {
          if (actor.rates.length === RATES) actor.rates.shift();
          actor.rates.push((done - actor.done) / passed);
        }
        actor.done = done;
      }
      actor.sum = null;
    }
    for (const top of this.tops) this.addUp(top);
    const totals = this.head.totals;
    if (totals === undefined) return;
    const done = totals.handled + totals.failed;
    this.total.rate = this.total.done === null || done < this.total.done ? null : (done - this.total.done) / passed;
    this.total.done = done;
  }

  // What is below a supervisor; a pool is one thing.
  addUp(actor) {
    const sum = { actors: 0, down: 0, queued: 0, senders: 0, ill: 0, rate: 0 };
    for (const each of actor.below) {
      this.addUp(each);
      if (actor.kind === "pool") continue;
      if (each.kind === "supervisor") for (const name of Object.keys(sum)) sum[name] += each.sum[name];
      else {
        sum.actors += 1;
        sum.queued += each.queued;
        sum.senders += each.senders;
        sum.ill += each.ill;
        sum.rate += each.rate ?? 0;
      }
      sum.down += each.well ? 0 : 1;
    }
    actor.sum = sum;
    if (actor.kind === "supervisor" && this.total.done !== null) { // else there is no rate yet
      if (actor.rates.length === RATES) actor.rates.shift();
      actor.rates.push(sum.rate);
    }
  }
}
