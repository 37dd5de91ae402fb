// One actor: all that the server tells of it, asked anew each 2 s while it is open; and the operator's hand.

const LATELY = 20; // events of it

// What one kind of message over a link may have under way, and how much of that is used.
function creditLine(credit) {
  const most = credit.most === null ? "" : ` of ${count(credit.most)}`;
  const waiting = credit.waiting ? `; ${count(credit.waiting)} wait for it` : "";
  return [credit.of, `${count(credit.out)}${most}, ${count(credit.out_bytes)} of ${count(credit.most_bytes)} bytes${waiting}`];
}

class Detail {
  constructor() {
    this.path = "";
    this.timer = 0;
    this.number = 0; // of what was asked last
    this.ends = [];
    this.openEnds = new Set(); // those whose frames are shown
    part("close").addEventListener("click", () => this.close());
  }

  open(path) {
    const isOther = path !== this.path;
    this.path = path;
    if (isOther) {
      part("about").replaceChildren();
      madeOf.delete(part("about"));
      this.openEnds.clear();
      this.ends = [];
      operator.forget();
    }
    const wasHidden = part("detail").hidden;
    part("detail").hidden = false;
    put(part("whose"), path);
    table.selected = path;
    if (wasHidden && getComputedStyle(part("detail")).position === "fixed") part("whose").focus();
    void this.ask();
    changed();
  }

  close() {
    this.path = "";
    clearTimeout(this.timer);
    part("detail").hidden = true;
    part("table").focus();
    changed();
  }

  async ask() {
    clearTimeout(this.timer);
    if (!this.path) return;
    const number = (this.number += 1);
    if (link.state === "live" && model.head !== null) {
      let found = null, refusal = "";
      try {
        found = await link.ask("actor", { path: model.inside(this.path) });
      } catch (error) {
        refusal = error.message;
      }
      if (number !== this.number) return; // another one is looked at by now
      if (found === null) this.say(refusal);
      else this.draw(found);
    }
    this.timer = setTimeout(() => this.ask(), REFRESH);
  }

  say(text) {
    renew(part("about"), text, () => [make("p", "empty bad", text)]);
  }

  draw(found) {
    const row = { ...USUAL, ...found.row };
    operator.offer(row, found);
    if (!part("about").querySelector("section")) {
      part("about").replaceChildren();
      madeOf.delete(part("about"));
    }
    const since = (instant) => age(Math.max(0, found.at - instant));
    const facts = [
      ["state", stateOf({ ...row }) + (row.required ? "" : ", not required")],
      ["policy", found.policy],
      [row.kind === "supervisor" ? "strategy" : "type", row.type],
      ["life", count(row.life)],
      ["restarts", row.limit === null ? count(row.restarts) : `${row.restarts} of ${row.limit}`],
      ["in hand", row.hand.length ? `${row.hand.join(", ")}${row.hand_since === null ? "" : `, for at least ${since(row.hand_since)}`}` : ""],
      ["link", trafficOf(row)],
      ["held back", found.held_back ? `${found.held_back}, until there is credit again` : ""],
      ["waits for", row.waits_for],
      ["oldest", row.oldest_since === null ? "" : `waits for at least ${since(row.oldest_since)}`],
      ["senders", row.senders ? `${row.senders} wait for room` : ""],
      ["last error", row.error],
      ["children", found.children === undefined ? "" : count(found.children)],
    ].filter(([, value]) => value !== "" && value !== undefined);
    this.section("now", "", facts, () => [listOf(facts)]);
    const stack = found.stack ?? [];
    this.section("stack", "The message in hand stands at", stack, () => [linesOf(stack)]);
    const account = Object.entries(found.account ?? {}).map(([name, value]) => [name.replaceAll("_", " "), count(value)]);
    this.section("account", "Its messages", account, () => [listOf(account, "numbers")]);
    const credit = (found.credit ?? []).map(creditLine);
    this.section("credit", "Its credit", credit, () => [listOf(credit)]);
    const waiting = Object.entries(found.waiting ?? {}).map(([name, value]) => [name, count(value)]);
    this.section("waiting", "Those that wait, by handler", waiting, () => [listOf(waiting, "numbers")]);
    const handlers = Object.entries(found.handlers ?? {}).map(([name, value]) => [name, typeof value === "number" ? count(value) : JSON.stringify(value)]);
    this.section("handlers", "Messages by handler", handlers, () => [listOf(handlers, "numbers")]);
    const lines = found.explain ? found.explain.split("\n") : [];
    this.section("explain", "If it crashed now", lines, () => [make("pre", "", found.explain, true)]);
    const ends = this.ends = (found.ends ?? []).map((end) => this.asBefore(end));
    this.section("ends", "Its last ends", ends, () => ends.map((end) => this.end(end)));
    const lately = events.of(this.path, LATELY);
    this.section("lately", "Lately", lately.map((event) => event.number), () => {
      const list = make("ol", "lately");
      list.append(...lately.map(eventLine));
      return [list];
    });
  }

  // One part of it, if there is anything to say; made anew only if that has changed.
  section(name, title, what, children) {
    let section = part("about").querySelector(`[data-part=${name}]`);
    if (section === null) {
      section = make("section");
      section.dataset.part = name;
      part("about").append(section);
    }
    section.hidden = what.length === 0;
    renew(section, what, () => [...(title ? [make("h3", "", title)] : []), ...(what.length ? children() : [])]);
  }

  // The server reckons the time of an end anew for each answer, so its last digit trembles: it stays as it was told first.
  asBefore(end) {
    const same = (old) => old.life === end.life && Math.abs(new Date(old.time) - new Date(end.time)) < 100;
    return { ...end, time: this.ends.find(same)?.time ?? end.time };
  }

  end(end) {
    const key = `${end.time} ${end.life}`;
    const more = make("details"), summary = make("summary");
    const time = make("time", "", clock(end.time));
    time.title = visible(end.time);
    summary.append(time, make("span", "life", `#${end.life}`), make("span", "", `${end.kind}${end.detail ? ` (${end.detail})` : ""}`));
    const where = end.handler || end.where ? `in ${end.handler || end.where}` : "it doesn't say where";
    more.append(summary, make("p", "faint", where), linesOf(end.frames));
    more.open = this.openEnds.has(key);
    more.addEventListener("toggle", () => this.openEnds[more.open ? "add" : "delete"](key));
    return more;
  }
}

function listOf(pairs, kind = "") {
  const list = make("dl", kind);
  for (const [name, value] of pairs) list.append(make("dt", "", name), make("dd", "", value));
  return list;
}

function linesOf(lines) {
  const list = make("ol", "frames");
  list.append(...lines.map((line) => make("li", "", line)));
  return list;
}
