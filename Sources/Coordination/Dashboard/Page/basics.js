// What the other parts share: bounds, elements, words for numbers and times.

const LIMITS = {
  tasks: 20_000, // kept; ended ones that nobody looks at go first
  page: 1_000, // tasks in one answer
  windowsMs: [120_000, 300_000, 600_000], // what the plots and strips look back on, by how long the coordinator has been up
  logCharacters: 400_000, // of a task's output; the oldest goes
  runs: 200, // offered to choose from
  spans: 200, // of one worker's strip
  toasts: 4,
  renderEveryMs: 250,
  checkpointBytes: 4_000, // shown as it is
  lookAgainMs: 3_000, // at a task that is shown and runs
  silenceMs: 12_000, // the coordinator says something each second; after this the line counts as dead
  retryMs: { first: 500, last: 15_000 },
  statistics: 2_000, // updates whose durations are kept
};

const $ = id => document.getElementById(id);

// An element with attributes and children. Strings become text, never markup.
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter(child => child != null));
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Writing what is there already would cost a layout.
function setText(node, text) {
  if (node.shownText !== text) { node.shownText = text; node.textContent = text; }
}

function setAttribute(node, name, value) {
  if (value === null || value === false) { if (node.hasAttribute(name)) node.removeAttribute(name); return; }
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const number = value => whole.format(value ?? 0);
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayTime = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });

function rate(perSecond) {
  return perSecond >= 100 ? number(perSecond) : perSecond >= 9.95 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

// A duration in the unit that a person would say it in.
function duration(ms) {
  if (ms == null || Number.isNaN(ms)) return '–';
  if (ms < 0) ms = 0;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} days`;
}

// The same in few characters, for columns.
function shortDuration(ms) {
  if (ms == null || Number.isNaN(ms)) return '–';
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60}`;
}

const milliseconds = iso => (iso ? Date.parse(iso) : null);

function median(sorted) { return sorted.length ? sorted[sorted.length >> 1] : null; }

// Each state has a shape of its own, so that it is told without colour.
const GLYPHS = {
  running: ['busy', '<M3 2l7.5 4L3 10z'], assigned: ['busy', 'M3 2l7.5 4L3 10z'], paused: ['warn', 'M4 2v8M8 2v8'],
  queued: ['soft', 'M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M6 3.6V6l1.6 1.2'], completed: ['good', 'M1.8 6.4l2.8 2.8L10.2 3'],
  failed: ['bad', 'M2.2 2.2l7.6 7.6M9.8 2.2L2.2 9.8'], cancelled: ['soft', 'M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M2.9 9.1l6.2-6.2'],
  lost: ['bad', 'M6 1.2L11 10H1zM6 4.6v2.2'], connected: ['good', '<M6 2a4 4 0 1 0 0 8a4 4 0 0 0 0-8z'],
  draining: ['warn', 'M6 1.5v7M3 6l3 3l3-3M2 11h8'], disconnected: ['bad', 'M6 1.2L10.8 6L6 10.8L1.2 6z'],
};
const STATE_WORDS = { disconnected: 'away' };

function stateMark(state) {
  const glyph = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' }, svg('path'));
  const mark = el('span', { class: 'state' }, glyph, el('span'));
  setState(mark, state);
  return mark;
}

function setState(mark, state) {
  if (mark.shownState === state) return;
  mark.shownState = state;
  const [tone, path] = GLYPHS[state] ?? ['soft', 'M3 6h6'];
  const solid = path.startsWith('<');
  mark.className = `state tone-${tone}`;
  const shape = mark.firstChild.firstChild;
  shape.setAttribute('d', solid ? path.slice(1) : path);
  shape.setAttribute('class', solid ? 'solid' : '');
  mark.lastChild.textContent = STATE_WORDS[state] ?? state ?? '';
}

function meter() { return el('span', { class: 'meter', 'aria-hidden': 'true' }, el('i')); }
function setMeter(node, share) {
  const text = `scaleX(${Math.max(0, Math.min(1, share)).toFixed(3)})`;
  if (node.firstChild.style.transform !== text) node.firstChild.style.transform = text;
}
