// Elements, and what is written into them. All data is set as text, and what one can't see in it is made visible.

const part = (id) => document.getElementById(id);

const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu; // control characters, marks of direction, lone surrogates, and so on

// A text as it may be shown: nobody can hide anything in it, or turn the order of what stands beside it.
function visible(text, lines = false) {
  return String(text).replace(UNSEEN, (found) =>
    lines && found === "\n" ? found : `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
}

function make(tag, kind = "", text = "", lines = false) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== "") element.textContent = visible(text, lines);
  return element;
}

function button(kind, text, then) {
  const element = make("button", kind, text);
  element.type = "button";
  element.addEventListener("click", then);
  return element;
}

// Sets what has changed, and nothing else: a selection of text outlives it.
function put(element, text, kind) {
  const shown = visible(text);
  if ((element.firstChild === null ? "" : element.textContent) !== shown) element.textContent = shown;
  if (kind !== undefined && element.className !== kind) element.className = kind;
}

function mark(element, name, value) {
  if (value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

// Makes the children of an element anew if what they are made of has changed.
const madeOf = new WeakMap();
function renew(element, what, children) {
  const text = JSON.stringify(what);
  if (madeOf.get(element) === text) return;
  madeOf.set(element, text);
  element.replaceChildren(...children());
}

const grouped = new Intl.NumberFormat("en");
const count = (number) => grouped.format(number);
const some = (number) => (number ? count(number) : "");

function rate(number) {
  if (number === null || number === undefined) return "";
  return number > 0 && number < 9.95 ? number.toFixed(1) : count(Math.round(number));
}

const percent = (share) => (share === null || share === undefined ? "" : `${share < 0.0995 ? +(share * 100).toFixed(1) : Math.round(share * 100)} %`);

function age(seconds) {
  if (seconds < 120) return `${Math.floor(Math.max(0, seconds))} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

function milliseconds(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  return seconds < 0.0001 ? "< 0.1 ms" : `${(seconds * 1000).toFixed(seconds < 0.00995 ? 1 : 0)} ms`;
}

const BLOCKS = "▁▂▃▄▅▆▇█";

// The last rates as a line of blocks; the highest one fills its height.
function spark(rates) {
  const most = Math.max(...rates);
  if (!(most > 0)) return "";
  return rates.map((each) => (each > 0 ? BLOCKS[Math.min(7, Math.floor((each / most) * 8))] : " ")).join("");
}

// In the reader's own time, as the clock on the wall has it.
function clock(iso) {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
