// The page as a whole: when to draw, what stands at the top, and the theme.

// How long updates took: what events did to the model since the last drawing, and the drawing with its layout and paint.
const statistics = {
  pending: 0, updates: [], events: 0, frame: new MessageChannel(),
  applied(ms) { this.pending += ms; this.events += 1; },
  drawn(began) {
    const applied = this.pending;
    this.pending = 0;
    const script = performance.now() - began;
    // A message is handled once the frame was laid out and painted.
    this.frame.port1.onmessage = () => {
      const ms = applied + performance.now() - began;
      this.updates.push({ ms, script: script + applied });
      if (this.updates.length > LIMITS.statistics) this.updates.shift();
      if (this.keepsMarks) performance.measure('update', { start: began, duration: ms });
    };
    this.frame.port2.postMessage(0);
  },
  summary() {
    const of = key => this.updates.map(update => update[key]).sort((a, b) => a - b);
    const [total, script] = [of('ms'), of('script')];
    return {
      updates: total.length, medianMs: median(total) ?? 0, worstMs: total.at(-1) ?? 0, medianScriptMs: median(script) ?? 0, worstScriptMs: script.at(-1) ?? 0,
      tasks: model.tasks.size, workers: model.workers.size,
    };
  },
};
window.lifelineStatistics = { get summary() { return statistics.summary(); }, reset() { statistics.updates = []; } };

let scheduled = null;
let drawnAt = 0;

// At most four times a second for news; for what a person does, at the next frame.
function schedule(now = false) {
  if (scheduled === 'frame' || (scheduled !== null && !now)) return;
  if (scheduled !== null) clearTimeout(scheduled);
  const frame = () => { scheduled = 'frame'; requestAnimationFrame(draw); };
  const wait = now ? 0 : LIMITS.renderEveryMs - (performance.now() - drawnAt);
  if (wait <= 0) frame(); else scheduled = setTimeout(frame, wait);
}

function draw() {
  scheduled = null;
  const began = drawnAt = performance.now();
  renderLink();
  renderFigures();
  renderPlots();
  renderQueue();
  workers.render();
  tasks.render();
  detail.render();
  detail.renderLog();
  statistics.drawn(began);
}

function renderLink() {
  const link = $('link');
  setAttribute(link, 'data-link', live.state);
  setAttribute(link, 'title', live.problem ? `Lost last because: ${live.problem}` : null);
  const wait = live.retryAt ? Math.max(0, Math.ceil((live.retryAt - Date.now()) / 1_000)) : 0;
  setText($('link-text'), { live: 'Live', connecting: 'Connecting', lost: wait ? `Connection lost, again in ${wait} s` : 'Connection lost, trying again' }[live.state]);
  const notice = $('notice');
  const text = live.state === 'lost' ? `What you see is from before: ${live.problem}. The page goes on trying.` : '';
  notice.hidden = !text;
  setText(notice, text);
  const overview = model.overview;
  setText($('about'), overview ? `${location.host} · ${overview.version} · up ${duration(overview.uptime_s * 1_000)}` : '');
  setText(titleElement, overview && live.state === 'live' ? `${number(overview.tasks?.running ?? 0)} running · Lifeline` : 'Lifeline');
}
const titleElement = document.querySelector('title');

const figures = new Map();
function figure(name, value, unit, hint, tone = '') {
  let parts = figures.get(name);
  if (!parts) {
    parts = { box: el('div', { class: 'figure' }), value: el('span', {}), unit: el('small', {}), hint: el('dd', { class: 'hint' }) };
    parts.box.append(el('dt', {}, name), el('dd', { class: 'value' }, parts.value, ' ', parts.unit), parts.hint);
    $('figures').append(parts.box);
    figures.set(name, parts);
  }
  setText(parts.value, value);
  setText(parts.unit, unit);
  setText(parts.hint, hint);
  setAttribute(parts.box, 'data-tone', tone);
}

function recentRate(spanMs = 10_000) {
  const since = model.now() - spanMs;
  const recent = model.seconds.filter(second => second.at >= since);
  return recent.length ? recent.reduce((sum, second) => sum + second.ended, 0) / recent.length : 0;
}

function renderFigures() {
  const overview = model.overview;
  const counts = overview?.tasks ?? {};
  const totals = overview?.totals ?? {};
  const { connected = 0, known = 0 } = overview?.workers ?? {};
  let slots = 0;
  for (const worker of model.workers.values()) if (worker.state !== 'lost') slots += worker.slots;
  const running = (counts.running ?? 0) + (counts.assigned ?? 0);
  const lines = Object.values(overview?.queue ?? {});
  const oldest = Math.max(-1, ...lines.map(line => line.oldest_s ?? -1));
  const peak = Math.max(0, ...binned(model.seconds, second => second.ended).map(bin => bin?.[1] ?? 0));
  const failing = model.seconds.reduce((sum, second) => sum + (second.at >= model.now() - model.windowMs ? second.failed : 0), 0);
  const minutes = model.windowMs / 60_000;
  const firstCount = model.reconnections[0]?.count ?? 0;
  const back = Math.max(0, (totals.reconnections ?? 0) - firstCount);
  const trip = model.roundTrips.at(-1);
  figure('Workers', number(connected), `of ${number(known)}`, known > connected ? `${number(known - connected)} away` : known ? 'all connected' : 'none yet', known > connected ? 'warn' : '');
  figure('Running', number(running), slots ? `of ${plural(slots, 'slot')}` : '', counts.paused ? `${number(counts.paused)} paused` : slots ? `${Math.round((running / slots) * 100)} % busy` : '');
  figure('Queued', number(counts.queued), '', oldest >= 0 ? `oldest ${duration(oldest * 1_000)}` : 'nothing waits');
  figure('Throughput', rate(recentRate()), '/s', peak > 0 ? `at most ${rate(peak)}/s` : '');
  figure('Failed', number(counts.failed), '', failing >= 0.5 ? `${number(Math.round(failing))} in ${minutes} min` : `none in ${minutes} min`, failing >= 0.5 ? 'bad' : '');
  figure('Reconnections', number(totals.reconnections), '', back ? `${number(back)} since opened` : 'none since opened');
  figure('Round trip', trip ? duration(trip.median).split(' ')[0] : '–', trip ? duration(trip.median).split(' ')[1] : '', trip ? `slowest ${duration(trip.worst)}` : '');
}

let plottedAt = 0;
function renderPlots() {
  // Their bins are seconds wide; once a second is plenty.
  const shape = `${throughputPlot.size?.width}:${rttPlot.size?.width}:${model.windowMs}`;
  if (shape === renderPlots.shape && performance.now() - plottedAt < 950) return;
  renderPlots.shape = shape;
  plottedAt = performance.now();
  const ended = binned(model.seconds, second => second.ended);
  const failed = binned(model.seconds, second => second.failed);
  const recent = recentRate();
  const minutes = model.windowMs / 60_000;
  throughputPlot.draw({ main: ended, second: failed, label: `Tasks ended per second over the last ${minutes} minutes, now ${rate(recent)}` });
  const medians = binned(model.roundTrips, sample => sample.median);
  const highs = binned(model.roundTrips, sample => sample.high);
  const trip = model.roundTrips.at(-1);
  rttPlot.draw({ main: medians, second: highs, label: trip ? `Round trip over the last ${minutes} minutes, now median ${duration(trip.median)}, 95th percentile ${duration(trip.high)}` : 'Round trip, not measured yet' });
}

const queueRows = new Map();
function renderQueue() {
  const queue = model.overview?.queue ?? {};
  const most = Math.max(1, ...Object.values(queue).map(line => line.waiting));
  let total = 0;
  for (const priority of PRIORITIES) {
    let parts = queueRows.get(priority);
    if (!parts) {
      parts = { row: el('tr'), waiting: el('td', { class: 'number' }), meter: meter(), oldest: el('td', { class: 'number' }) };
      parts.row.append(el('th', { scope: 'row' }, priority[0] + priority.slice(1).toLowerCase()), parts.waiting, el('td', { class: 'track' }, parts.meter), parts.oldest);
      $('queue').tBodies[0].append(parts.row);
      queueRows.set(priority, parts);
    }
    const line = queue[priority] ?? { waiting: 0, oldest_s: null };
    total += line.waiting;
    setText(parts.waiting, number(line.waiting));
    setText(parts.oldest, line.oldest_s == null ? '–' : duration(line.oldest_s * 1_000));
    setMeter(parts.meter, line.waiting / most);
    setAttribute(parts.row, 'data-none', line.waiting ? null : '');
  }
  setText($('queue-now'), total ? `${number(total)} waiting` : 'nothing waits');
}

const themes = ['system', 'light', 'dark'];
function setTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  $('theme-button').textContent = `Theme: ${theme}`;
  try { localStorage.setItem('lifeline-theme', theme); } catch { /* Then it is chosen anew each time. */ }
}

function storedTheme() {
  try { return localStorage.getItem('lifeline-theme'); } catch { return null; }
}

let theme = themes.includes(storedTheme()) ? storedTheme() : 'system';
setTheme(theme);
$('theme-button').addEventListener('click', () => setTheme(theme = themes[(themes.indexOf(theme) + 1) % themes.length]));
$('key-button').hidden = !keys.get();
$('key-button').addEventListener('click', () => { keys.set(''); location.reload(); });
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && detail.id && !document.querySelector('dialog[open]')) detail.close();
  // As elsewhere: a stroke leads to the search, unless one is writing.
  if (event.key === '/' && !event.target.matches('input, select, textarea')) { $('task-text').focus(); event.preventDefault(); }
});

$('throughput-now').append(el('span', { class: 'key-main' }), 'ended per second ', el('span', { class: 'key-second' }), 'failed');
$('rtt-now').append(el('span', { class: 'key-main' }), 'median ', el('span', { class: 'key-second' }), '95th percentile');
const throughputPlot = new Plot($('throughput-plot'), { area: true, unit: value => rate(value) });
const rttPlot = new Plot($('rtt-plot'), { unit: value => (value < 10_000 ? duration(value).replace('.0 ', ' ') : shortDuration(value)) });
const workers = new Workers();
const tasks = new Tasks();
setInterval(() => schedule(), 1_000);
schedule(true);
live.run();
const linked = /^#task=(.+)$/.exec(location.hash);
if (linked) detail.open(decodeURIComponent(linked[1]));
