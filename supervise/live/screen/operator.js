// The operator's hand: only where the server lets one act. What ends something is asked for twice.

const DEEDS = [ // the action, its kinds of row, whether it is asked for twice, what it does
  ["restart", ["actor", "pool", "supervisor"], true, "Its message in hand is given time to end; what waits in its mailbox stays."],
  ["stop", ["actor", "pool", "supervisor"], true, "It stays stopped until somebody starts it; a dynamic supervisor forgets it."],
  ["start", ["actor", "pool", "supervisor"], false, ""],
  ["pause", ["actor", "pool"], false, ""],
  ["resume", ["actor", "pool"], false, ""],
];

class Operator {
  constructor() {
    this.row = null;
    this.sure = null; // what is done if it is
    const who = part("who");
    who.value = kept.get(KEPT_WHO);
    who.addEventListener("input", () => kept.set(KEPT_WHO, who.value));
    for (const [name, , isGrave, words] of DEEDS) {
      const deed = button(isGrave ? "grave" : "", name, () => (isGrave ? this.doubt(name, words) : void this.act(name)));
      deed.id = `deed-${name}`;
      part("deeds").append(deed);
    }
    part("change").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.change();
    });
    part("sure-no").addEventListener("click", () => part("sure").close());
    part("sure-yes").addEventListener("click", () => {
      const sure = this.sure;
      part("sure").close();
      sure?.();
    });
    part("sure").addEventListener("close", () => (this.sure = null));
  }

  // Another one is looked at.
  forget() {
    this.row = null;
    part("operator").hidden = true;
    put(part("answer"), "", "");
    part("change").reset();
    if (part("sure").open) part("sure").close();
  }

  offer(row, { operate }) {
    this.row = row;
    const isRoot = model.inside(row.path) === "";
    part("operator").hidden = !operate;
    for (const [name, kinds] of DEEDS) part(`deed-${name}`).hidden = isRoot || !kinds.includes(row.kind);
    part("change-restart").parentElement.hidden = isRoot;
    // With its own name the server would find a child that has the same.
    part("change").hidden = isRoot && model.actors.has(`${row.path}/${row.path}`);
  }

  doubt(name, words) {
    const row = this.row;
    if (row === null) return;
    const below = row.kind === "supervisor" ? " With it goes all that is below it." : "";
    put(part("sure-text"), `${name[0].toUpperCase()}${name.slice(1)} ${row.path}? ${words}${below}`);
    put(part("sure-yes"), `${name} it`);
    this.sure = () => void this.act(name);
    part("sure").showModal();
  }

  change() {
    const wish = {}, restart = part("change-restart").value, intensity = part("change-intensity").value.trim();
    if (restart) wish.restart = restart;
    if (intensity) wish.intensity = intensity;
    return this.act("change", wish);
  }

  async act(name, wish = {}) {
    if (this.row === null) return;
    const row = this.row, who = part("who").value.trim();
    const isCurrent = () => this.row !== null && this.row.path === row.path;
    put(part("answer"), `${name} …`, "");
    try {
      const found = await link.act(name, { path: model.inside(row.path) || row.path, ...(who ? { as: who } : {}), ...wish });
      if (isCurrent()) put(part("answer"), found.text, found.done ? "done" : "odd");
    } catch (error) {
      const text = error instanceof Refusal ? error.message : "nobody answered: whether it was done isn't known; look at the events";
      if (isCurrent()) put(part("answer"), `not done: ${text}`.replace("not done: nobody", "nobody"), "bad");
    }
    void detail.ask();
  }
}
