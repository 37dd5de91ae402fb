// The other views: who waits for whom, sums by type, and what happened.

const MOST_WAITS = 500, DEEPEST = 12, MOST_TYPES = 500;
const MOST_EVENTS = 200; // and as many of the level DEBUG, so that dead letters push no crash out
const REFRESH = 2000; // milliseconds

function nameButton(path) {
  const name = button("path", shorter(path), () => detail.open(path));
  name.title = visible(path);
  return name;
}

// -- waits ---------------------------------------------------------------------------------------------------------------

// The graph as a forest: below each actor those who wait for it. Everybody waits for one at most, so it is one, but for cycles.
function drawWaits() {
  if (part("waits").hidden) return;
  const waiters = new Map(), cycles = [], inCycle = new Set();
  for (const actor of model.actors.values()) {
    if (!actor.waits_for) continue;
    if (!waiters.has(actor.waits_for)) waiters.set(actor.waits_for, []);
    waiters.get(actor.waits_for).push(actor.path);
    if (inCycle.has(actor.path)) continue;
    const [members, isCycle] = chain(actor);
    if (!isCycle || inCycle.has(members[0].path)) continue;
    const first = members.reduce((least, each, n) => (each.path < members[least].path ? n : least), 0);
    const cycle = [...members.slice(first), ...members.slice(0, first)].map((each) => each.path);
    for (const path of cycle) inCycle.add(path);
    cycles.push(cycle);
  }
  const lines = [];
  const add = (path, depth, kind) => {
    const actor = model.actors.get(path);
    const hand = actor?.hand.length ? `in ${actor.hand.join(", ")}` : "";
    const since = actor?.hand_since === null || actor === undefined ? "" : ` ≥ ${age(model.since(actor.hand_since))}`;
    const senders = actor?.senders ? `  ${actor.queued}/${actor.capacity ?? "∞"}, ${actor.senders} wait for room` : "";
    lines.push([path, depth, kind, hand + since + senders, actor === undefined ? "" : stateOf(actor)]);
    for (const each of waiters.get(path) ?? []) if (!inCycle.has(each)) add(each, depth + 1, "waits");
  };
  for (const cycle of cycles) {
    lines.push([null, 0, "cycle", `deadlock: ${[...cycle, cycle[0]].map(shorter).join(" -> ")}`, ""]);
    for (const path of cycle) add(path, 1, "cycle");
  }
  const isRoot = (path) => !inCycle.has(path) && !(model.actors.get(path)?.waits_for);
  const roots = [...waiters.keys()].filter(isRoot);
  for (const actor of model.actors.values()) if (actor.senders && isRoot(actor.path) && !waiters.has(actor.path)) roots.push(actor.path);
  for (const path of roots) add(path, 0, "root");
  const shown = lines.slice(0, MOST_WAITS);
  renew(part("waits"), [shown, lines.length, model.isAll], () => [
    ...(lines.length ? [] : [make("p", "empty", "Nobody waits for another one.")]),
    ...shown.map(([path, depth, kind, text, state]) => {
      const line = make("div", `wait ${kind}`);
      line.style.setProperty("--depth", Math.min(DEEPEST, depth));
      if (path !== null) line.append(make("span", "faint", depth && kind === "waits" ? "↳ " : ""), nameButton(path), " ");
      line.append(make("span", "", text), make("span", state === "running" ? "state faint" : "state odd", state));
      return line;
    }),
    ...(lines.length > shown.length ? [make("p", "empty", `and ${count(lines.length - shown.length)} more`)] : []),
    ...(model.isAll ? [] : [make("p", "empty", "This is of the worst rows alone: there are too many for all of them.")]),
  ]);
}

// -- types ---------------------------------------------------------------------------------------------------------------

const SUMS = [
  ["type", "type"], ["actors", "actors"], ["down", "not up"], ["busy", "busy"], ["queued", "queued"], ["senders", "senders"],
  ["restarts", "restarts"], ["rate", "msg/s"], ["failed", "failed"], ["dead_lettered", "dead letters"],
];

class Types {
  constructor() {
    this.before = new Map(); // of each type what was done at the last survey
    this.rates = new Map();
    this.seen = null;
    this.sort = ["actors", false];
    this.types = [];
    this.timer = 0;
  }

  // As long as it is looked at.
  async ask() {
    clearTimeout(this.timer);
    if (part("types").hidden) return;
    if (link.state === "live") {
      try {
        this.take(await link.ask("snapshot", { by: "type", top: MOST_TYPES }));
      } catch (error) {
        renew(part("types"), error.message, () => [make("p", "empty bad", error.message)]);
      }
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), REFRESH);
  }

  take({ seen, types }) {
    if (seen !== this.seen) {
      const passed = this.seen !== null && seen > this.seen ? seen - this.seen : null;
      const done = new Map(types.map((each) => [each.type, each.handled + each.failed]));
      for (const [type, now] of done) {
        const before = this.before.get(type);
        this.rates.set(type, passed === null || before === undefined || now < before ? null : (now - before) / passed);
      }
      [this.before, this.seen] = [done, seen];
    }
    this.types = types;
    this.draw();
  }

  draw() {
    const [by, ascends] = this.sort;
    const lines = this.types.map((each) => SUMS.map(([name]) => (name === "rate" ? (this.rates.get(each.type) ?? null) : each[name])));
    const column = SUMS.findIndex(([name]) => name === by);
    const sign = ascends ? 1 : -1;
    lines.sort((one, other) => (one[column] < other[column] ? -sign : one[column] > other[column] ? sign : 0));
    renew(part("types"), [lines, this.sort], () => {
      const table = make("table"), head = make("tr");
      for (const [name, title] of SUMS) {
        const cell = make("th");
        cell.scope = "col";
        mark(cell, "aria-sort", name === by ? (ascends ? "ascending" : "descending") : null);
        cell.append(button("", title, () => this.sortBy(name)));
        head.append(cell);
      }
      table.append(head, ...lines.map((line) => this.line(line)));
      return lines.length ? [table] : [make("p", "empty", "There is no actor.")];
    });
  }

  line(line) {
    const row = make("tr");
    row.append(
      ...line.map((value, n) => {
        if (n > 0) return make("td", n === 2 && value ? "bad" : "", SUMS[n][0] === "rate" ? rate(value) : some(value));
        const cell = make("th");
        cell.scope = "row";
        cell.append(button("path", value, () => showType(value)));
        return cell;
      }),
    );
    return row;
  }

  sortBy(name) {
    this.sort = [name, this.sort[0] === name ? !this.sort[1] : name === "type"];
    this.draw();
  }
}

// -- events --------------------------------------------------------------------------------------------------------------

const QUIET = "DEBUG";
const FACTS = new Map([["ended", "Stopped"], ["decided", "Decided"]]); // and the events they are

class Events {
  constructor() {
    this.number = 0;
    this.loud = []; // the last of each, newest first
    this.quiet = [];
    this.last = null;
    this.elements = new Map();
  }

  hear(events, missed) {
    if (missed) this.keep({ level: "WARNING", path: "", time: "", text: `${count(missed)} events were missed here: there were too many at once` });
    for (const event of events) this.keep(event);
  }

  keep(event) {
    const kept = { ...event, number: (this.number += 1), hay: `${event.path}\n${event.text}\n${event.trace ?? ""}`.toLowerCase() };
    const list = event.level === QUIET ? this.quiet : this.loud;
    list.unshift(kept);
    if (list.length > MOST_EVENTS) list.pop();
    if (list === this.loud) this.last = kept;
  }

  // What was before this page: the flight recorder's, which knows ends and decisions.
  async past() {
    const { events } = await link.ask("events", { last: MOST_EVENTS });
    const key = (...parts) => parts.join("\n");
    const known = new Set(this.loud.map((event) => key(event.event, event.path, event.life)));
    for (const fact of events.reverse()) {
      const name = FACTS.get(fact.fact);
      if (name === undefined || known.has(key(name, fact.path, fact.incarnation))) continue; // it was heard meanwhile
      this.number += 1;
      const event = { level: fact.abnormal === false ? "INFO" : "WARNING", path: fact.path, time: fact.at, text: told(fact), number: -this.number };
      event.hay = `${event.path}\n${event.text}`.toLowerCase();
      if (this.loud.length < MOST_EVENTS) this.loud.push(event);
      this.last ??= event;
    }
    changed();
  }

  of(path, most) {
    const found = [];
    for (const event of this.loud) if (event.path === path && found.length < most) found.push(event);
    return found;
  }

  draw() {
    const line = part("last"), last = this.last;
    put(line, last === null ? "no events yet" : `${clock(last.time)} ${last.text}${last.trace ? `  trace ${last.trace.slice(0, 8)}` : ""}`);
    mark(line, "class", last?.level ?? "");
    if (part("events").hidden) return;
    const wanted = table.wanted.toLowerCase();
    const all = part("debug").checked ? [...this.loud, ...this.quiet].sort((one, other) => other.number - one.number) : this.loud;
    const shown = all.filter((event) => !wanted || event.hay.includes(wanted)).slice(0, MOST_EVENTS);
    const elements = new Map();
    let next = part("happened").firstChild;
    for (const event of shown) {
      const element = this.elements.get(event.number) ?? eventLine(event);
      elements.set(event.number, element);
      if (element === next) next = next.nextSibling;
      else part("happened").insertBefore(element, next);
    }
    for (const [number, element] of this.elements) if (!elements.has(number)) element.remove();
    this.elements = elements;
    if (!shown.length) renew(part("happened"), "none", () => [make("li", "empty", wanted ? "No event has this text." : "Nothing has happened yet.")]);
    else madeOf.delete(part("happened"));
    for (const empty of shown.length ? part("happened").querySelectorAll(".empty") : []) empty.remove();
  }
}

function told(fact) {
  if (fact.decision) return `${fact.path.slice(0, Math.max(0, fact.path.lastIndexOf("/")))}: ${fact.decision}`;
  const detail = fact.detail ? ` (${fact.detail})` : "", where = fact.where ? ` in ${fact.where}` : "";
  return `${fact.path} #${fact.incarnation ?? "?"} ${fact.fact}${fact.kind ? `: ${fact.kind}` : ""}${detail}${where}`;
}

// Most texts begin with the path, which stands before them anyway.
function afterPath({ path, text }) {
  return path && text.startsWith(path) && ": ".includes(text[path.length]) ? text.slice(path.length).replace(/^:? /, "") : text;
}

function eventLine(event) {
  const line = make("li", event.level), time = make("time", "", event.time ? clock(event.time) : "");
  time.title = visible(event.time);
  line.append(time, make("span", "level", event.level === "INFO" ? "" : event.level));
  if (event.path) line.append(nameButton(event.path));
  line.append(make("span", "text", afterPath(event)));
  if (event.trace) line.append(make("code", "trace", event.trace));
  return line;
}
