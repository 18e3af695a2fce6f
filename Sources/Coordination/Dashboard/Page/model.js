// What the page knows of the fleet. Events change it; nothing here touches the document.

const ENDED = new Set(['completed', 'failed', 'cancelled']);
const ACTIVE = new Set(['running', 'assigned', 'paused']);
const PRIORITIES = ['CRITICAL', 'HIGH', 'NORMAL', 'LOW', 'BACKGROUND'];
const STATUSES = ['running', 'queued', 'paused', 'failed', 'completed', 'cancelled'];

const model = {
  tasks: new Map(), // by id; with the times as numbers, and what a search looks at
  workers: new Map(), // by id; with `spans`, when each was in which state
  running: new Map(), // worker → ids of its tasks
  runs: new Map(), // run → how many tasks
  overview: null,
  windowMs: LIMITS.windowsMs[0],
  clockOffset: 0, // the coordinator's clock minus this one's
  seconds: [], // {at, ended, failed}, one a second
  roundTrips: [], // {at, median, high}
  reconnections: [], // {at, count}: the coordinator's total
  onAway() {}, // hears of each worker that goes
  isPartial: false, // more tasks exist than are kept
  changed: new Set(), // ids of tasks that the list has not taken notice of
  tasksAnew: true, workersVersion: 0,

  now() { return Date.now() + this.clockOffset; },

  // Tasks

  putTask(task) {
    const known = this.tasks.get(task.task_id);
    if (known) this.forget(known);
    else if (this.tasks.size >= LIMITS.tasks) this.makeRoom();
    task.submitted = milliseconds(task.submitted_at);
    task.started = milliseconds(task.started_at);
    task.ended = milliseconds(task.finished_at);
    // Active ones first, then those that wait, then those that ended; the newest of each first, except in the queue.
    task.rank = ACTIVE.has(task.status) ? 0 : task.status === 'queued' ? 1 : 2;
    task.order = task.rank === 0 ? -(task.started ?? task.submitted) : task.rank === 1
      ? PRIORITIES.indexOf(task.priority) * 1e13 + task.submitted : -(task.ended ?? task.submitted);
    task.words = null;
    this.tasks.set(task.task_id, task);
    if (task.run) this.runs.set(task.run, (this.runs.get(task.run) ?? 0) + 1);
    if (task.rank === 0 && task.worker_id) {
      const ids = this.running.get(task.worker_id);
      if (ids) ids.add(task.task_id); else this.running.set(task.worker_id, new Set([task.task_id]));
    }
    this.changed.add(task.task_id);
  },

  forget(task) {
    this.tasks.delete(task.task_id);
    this.changed.add(task.task_id);
    const count = this.runs.get(task.run);
    if (count > 1) this.runs.set(task.run, count - 1); else this.runs.delete(task.run);
    const ids = this.running.get(task.worker_id);
    if (ids?.delete(task.task_id) && ids.size === 0) this.running.delete(task.worker_id);
  },

  // A tenth at a time, so that it is not done for each task that comes.
  makeRoom() {
    this.isPartial = true;
    let excess = Math.ceil(LIMITS.tasks / 10);
    for (const wanted of [2, 1, 0]) {
      for (const task of this.tasks.values()) {
        if (excess <= 0) return;
        if (task.rank === wanted) { this.forget(task); excess -= 1; }
      }
    }
  },

  // Workers

  putWorker(worker) {
    const known = this.workers.get(worker.worker_id);
    const merged = { ...known, ...worker, spans: known?.spans ?? [] };
    merged.rtt = merged.rtt_s == null ? null : merged.rtt_s * 1_000;
    this.workers.set(worker.worker_id, merged);
    if (known?.state === 'connected' && (merged.state === 'disconnected' || merged.state === 'lost')) this.onAway(worker.worker_id);
    const since = milliseconds(merged.connected_at);
    const last = merged.spans.at(-1);
    if (merged.state === 'connected' && since && last?.state === 'connected' && since > last.from + 1_500) {
      // It was away while nobody told us.
      last.to = Math.max(last.from, since - 1_000);
      merged.spans.push({ state: 'disconnected', from: last.to, to: since }, { state: 'connected', from: since, to: null });
    }
    const from = merged.state === 'connected' && since && (!last || since >= last.from) ? since : this.now();
    this.stateOfWorker(merged, merged.state, from);
    this.workersVersion += 1;
  },

  stateOfWorker(worker, state, from) {
    const last = worker.spans.at(-1);
    if (last && last.to === null && last.state === state) return;
    if (last && last.to === null) last.to = Math.max(last.from, from);
    worker.spans.push({ state, from, to: null });
    const horizon = this.now() - LIMITS.windowsMs.at(-1);
    while (worker.spans.length > LIMITS.spans || (worker.spans[0].to ?? Infinity) < horizon) worker.spans.shift();
  },

  // A worker that the coordinator no longer lists is forgotten here as well.
  putWorkers(workers) {
    const ids = new Set(workers.map(worker => worker.worker_id));
    for (const id of this.workers.keys()) if (!ids.has(id)) this.workers.delete(id);
    for (const worker of workers) this.putWorker(worker);
    const times = [];
    for (const worker of this.workers.values()) {
      if (worker.rtt !== null && worker.state !== 'disconnected' && worker.state !== 'lost') times.push(worker.rtt);
    }
    if (times.length) {
      times.sort((a, b) => a - b);
      this.roundTrips.push({
        at: this.now(), median: median(times), high: times[Math.min(times.length - 1, Math.ceil(times.length * 0.95) - 1)],
        worst: times.at(-1),
      });
    }
    this.trim(this.roundTrips);
  },

  awayTimes(worker) {
    const now = this.now();
    const horizon = now - this.windowMs;
    let [times, total, wasAway] = [0, 0, false];
    for (const span of worker.spans) {
      const isAway = (span.state === 'disconnected' || span.state === 'lost') && (span.to ?? now) >= horizon;
      // Away and then given up is one absence.
      if (isAway && !wasAway) times += 1;
      if (isAway) total += (span.to ?? now) - Math.max(span.from, horizon);
      wasAway = isAway;
    }
    return { times, total };
  },

  // The overview, once a second

  putOverview(overview) {
    const at = milliseconds(overview.time);
    const before = this.overview;
    if (at) this.clockOffset = at - Date.now();
    this.overview = overview;
    this.windowMs = LIMITS.windowsMs.find(length => length >= overview.uptime_s * 800) ?? LIMITS.windowsMs.at(-1);
    const { totals } = overview;
    if (!totals) return;
    // Totals begin anew with a coordinator; nothing can be said about the second in which they did.
    if (before?.totals && totals.completed >= before.totals.completed && this.secondsAt) {
      const span = Math.max(0.2, (at - this.secondsAt) / 1_000);
      const ended = key => Math.max(0, totals[key] - before.totals[key]) / span;
      const failed = ended('failed');
      this.seconds.push({ at, ended: ended('completed') + failed + ended('cancelled'), failed });
    }
    this.secondsAt = at;
    this.reconnections.push({ at, count: totals.reconnections });
    this.trim(this.seconds);
    this.trim(this.reconnections);
  },

  // What happened before this page was opened, as far as the tasks' own times tell it.
  fillThroughput() {
    if (this.isPartial || this.seconds.length > 30) return;
    const now = this.now();
    const first = this.seconds[0]?.at ?? now;
    const bins = new Map();
    for (const task of this.tasks.values()) {
      if (task.rank !== 2 || !task.ended || task.ended >= first || task.ended < now - LIMITS.windowsMs.at(-1)) continue;
      const second = Math.floor(task.ended / 1_000) * 1_000;
      const bin = bins.get(second) ?? { at: second, ended: 0, failed: 0 };
      bin.ended += 1;
      if (task.status === 'failed') bin.failed += 1;
      bins.set(second, bin);
    }
    for (let at = Math.min(...bins.keys()); at < first; at += 1_000) {
      if (!bins.has(at)) bins.set(at, { at, ended: 0, failed: 0 });
    }
    this.seconds = [...bins.values()].sort((a, b) => a.at - b.at).concat(this.seconds);
  },

  trim(series) {
    const horizon = this.now() - LIMITS.windowsMs.at(-1) - 5_000;
    let stale = 0;
    while (stale < series.length && series[stale].at < horizon) stale += 1;
    if (stale) series.splice(0, stale);
  },
};
