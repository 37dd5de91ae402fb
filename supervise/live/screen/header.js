// What stands above the views: the tree itself, banners for what makes all the rest doubtful, and alarms.

const WAITS_LONG = 2, OLD = 10; // seconds after which a wait, and a message that waits, is an alarm
const NEARLY = 0.8; // of the restarts that are allowed
const MOST_ALARMS = 12;

// -- banners -------------------------------------------------------------------------------------------------------------

// What is wrong with the link, the loop and the tree: the kind, the text before and after seconds that run on, and a button.
function* banners() {
  const head = model.head;
  if (link.state === "missing") yield ["token", `The token is missing: ${NEW_ADDRESS}.`];
  if (link.state === "refused") yield ["token", `${link.text}. This page has stopped asking: ${NEW_ADDRESS}.`];
  if (link.state === "old") yield ["problem", `${link.text}: load the page anew.`];
  if (link.state === "lost") {
    const stale = head === null ? "" : "; what stands below is what was seen last";
    const again = Math.max(0, Math.ceil((link.retry - performance.now()) / 1000));
    yield ["lost", `The stream is lost: ${link.text}${stale}. It is tried again`, ` in ${again} s`, ".", ["try now", () => link.now()]];
  }
  if (head === null) return;
  const blocked = head.loop.blocked;
  if (blocked !== null) {
    const handler = blocked.handler ? ` (${blocked.handler})` : "";
    const line = blocked.where || blocked.stack[blocked.stack.length - 1] || ""; // the user's own, if it is known
    const where = line ? ` at ${line}` : "";
    yield ["blocked", "The event loop is blocked", ` for ${age(blocked.for)}`, ` by ${blocked.path}${handler}${where}`];
  }
  if (head.tree.ended) yield ["problem", `${head.tree.name} has ended: ${head.tree.ended}`];
  else if (!head.tree.live) yield ["problem", `${head.tree.name} isn't running`];
  if (head.problem) yield ["problem", head.problem];
}

function drawBanners() {
  const wanted = [...banners()];
  const shape = wanted.map(([kind, before, , after]) => [kind, before, after]);
  renew(part("banners"), shape, () =>
    wanted.map(([kind, before, , after = "", then]) => {
      const banner = make("p", `banner ${kind}`);
      const seconds = make("span", "seconds"); // they run on, and whoever listens to the page isn't told each of them
      seconds.setAttribute("aria-hidden", "true");
      banner.append(visible(before), seconds, visible(after));
      if (then) banner.append(" ", button("", ...then));
      return banner;
    }),
  );
  wanted.forEach(([, , seconds = ""], n) => put(part("banners").children[n].querySelector(".seconds"), seconds));
}

// -- the tree itself -----------------------------------------------------------------------------------------------------

function readiness(tree) {
  if (!tree.live) return ["STOPPED", "bad"];
  if (!tree.ready) return ["NOT READY", "bad"];
  return tree.degraded ? ["READY, degraded", "odd"] : ["READY", ""];
}

// The path with which a reason begins.
const whose = (why) => why.split(" is ")[0];

function drawHead() {
  const head = model.head;
  document.body.classList.toggle("stale", link.state !== "live");
  if (head === null) {
    document.title = "supervise";
    return;
  }
  const { tree, loop, totals } = head;
  const [ready, kind] = link.state === "live" ? readiness(tree) : ["NOT SEEN", "odd"];
  const isBlocked = loop.blocked !== null;
  const sign = kind === "" && !isBlocked ? "" : "! ";
  const title = visible(`${sign}${tree.name}: ${isBlocked ? "blocked" : ready.toLowerCase()}`);
  if (document.title !== title) document.title = title;
  put(part("name"), tree.name);
  put(part("process"), `pid ${tree.pid}  up ${age(tree.up)}  Python ${tree.python}`);
  put(part("ready"), ready, kind);
  const facts = totals === undefined ? [] : [
    ["msg/s", rate(model.total.rate) || "–"],
    ["queued", count(totals.queued)],
    ["actors", count(totals.actors)],
    ["not up", count(totals.down), totals.down > 0],
    ["failed", count(totals.failed + totals.dead_lettered)],
  ];
  facts.push(["cpu", percent(head.cpu) || "–"], ["loop lag", isBlocked ? "blocked" : milliseconds(loop.lag), isBlocked || loop.lag > 0.1]);
  renew(part("facts"), facts, () =>
    facts.map(([name, value, isOdd]) => {
      const fact = make("div", isOdd ? "odd" : "");
      fact.append(make("dt", "", name), make("dd", "", value));
      return fact;
    }),
  );
  renew(part("why"), tree.why, () =>
    tree.why.map((text) => {
      const item = make("li"), path = whose(text);
      item.append(model.actors.has(path) ? button("", text, () => detail.open(path)) : visible(text));
      return item;
    }),
  );
}

// -- alarms --------------------------------------------------------------------------------------------------------------

const shorter = (path) => model.inside(path) || path;

// From an actor to the one that all wait for at last; the chain, and whether it comes back to itself.
function chain(actor) {
  const found = [actor];
  while (actor.waits_for) {
    const next = model.actors.get(actor.waits_for);
    if (next === undefined) return [found, false];
    if (found.includes(next)) return [found.slice(found.indexOf(next)), true];
    found.push((actor = next));
  }
  return [found, false];
}

// Of each chain its first member alone, else each part of it would be an alarm; of a cycle the member whose path is first.
function* waitAlarms() {
  const waitedFor = new Set();
  for (const actor of model.actors.values()) if (actor.waits_for) waitedFor.add(actor.waits_for);
  for (const actor of model.actors.values()) {
    if (!actor.waits_for) continue;
    const [members, isCycle] = chain(actor);
    if (isCycle) {
      const first = members.reduce((one, other) => (other.path < one.path ? other : one));
      if (first !== actor) continue;
      yield [3, actor, `deadlock: ${[...members, actor].map((each) => shorter(each.path)).join(" -> ")}`];
    } else if (!waitedFor.has(actor.path) && actor.hand_since !== null && model.since(actor.hand_since) >= WAITS_LONG) {
      const last = members[members.length - 1];
      const names = members.map((each) => shorter(each.path));
      if (last.waits_for) names.push(shorter(last.waits_for));
      const handler = last.hand.length ? ` (${last.hand[0]})` : "";
      yield [1, last, `${names.join(" -> ")}: ${age(model.since(actor.hand_since))}${handler}`];
    }
  }
}

function* alarms() {
  yield* waitAlarms();
  const said = new Set(model.head.tree.why.map(whose));
  for (const actor of model.actors.values()) {
    const name = shorter(actor.path);
    if (!actor.well && !said.has(actor.path)) yield [2, actor, `${name}: ${stateOf(actor)}${actor.error ? `, ${actor.error}` : ""}`];
    if (actor.full) {
      const senders = actor.senders ? `, ${actor.senders} ${actor.senders === 1 ? "sender waits" : "senders wait"}` : "";
      yield [1, actor, `${name}: ${actor.queued}/${actor.capacity ?? "∞"}${senders}`];
    } else if (actor.oldest_since !== null && model.since(actor.oldest_since) >= OLD) {
      yield [1, actor, `${name}: a message waits for ${age(model.since(actor.oldest_since))}`];
    }
    if (actor.paused) yield [0, actor, `${name} is paused`];
    if (actor.limit && actor.restarts >= NEARLY * actor.limit) {
      yield [2, actor, `${name}: ${actor.restarts} of ${actor.limit} restarts`];
    }
  }
}

function drawAlarms() {
  const found = model.head === null ? [] : [...alarms()].sort(([one], [other]) => other - one);
  const shown = found.slice(0, MOST_ALARMS);
  renew(part("alarms"), [shown.map(([level, actor, text]) => [level, actor.path, text]), found.length], () => [
    ...shown.map(([level, actor, text]) => {
      const item = make("li", `level-${level}`);
      item.append(button("", text, () => detail.open(actor.path)));
      return item;
    }),
    ...(found.length > shown.length ? [make("li", "", `and ${count(found.length - shown.length)} more`)] : []),
  ]);
}
