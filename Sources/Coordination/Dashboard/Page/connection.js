// The coordinator's HTTP interface: questions, orders, and the stream of events that keeps the model fresh.

class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title || `HTTP ${status}`);
    this.status = status;
  }
}

const keys = {
  get() { try { return sessionStorage.getItem('lifeline-key') ?? ''; } catch { return this.value ?? ''; } },
  set(key) {
    this.value = key;
    try { if (key) sessionStorage.setItem('lifeline-key', key); else sessionStorage.removeItem('lifeline-key'); } catch { /* Kept for this page only. */ }
  },
};

// Relative to the page, so that it also works behind a proxy that adds a prefix.
function address(path, query = {}) {
  const url = new URL(`api/v1/${path}`, location.href.split('#')[0]);
  for (const [key, value] of Object.entries(query)) if (value != null && value !== '') url.searchParams.set(key, value);
  return url;
}

async function ask(path, { query, method = 'GET', signal, accept = 'application/json' } = {}) {
  const headers = { Accept: accept };
  const key = keys.get();
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address(path, query), { method, headers, signal, cache: 'no-store', credentials: 'omit' });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'the coordinator cannot be reached');
  }
  if (response.ok) return response;
  let said = {};
  try { said = await response.json(); } catch { /* Not one of ours: its status has to do. */ }
  throw new Problem(response.status, said.title ?? said.error, said.detail ?? said.message);
}

const askJSON = async (path, options) => (await ask(path, options)).json();
const taskPath = (id, rest = '') => `tasks/${encodeURIComponent(id)}${rest}`;

// Server-sent events out of a stream of bytes. `hear` gets each event's name and data.
async function readEvents(response, hear, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const began = performance.now();
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      let [name, data] = ['message', ''];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith('data:')) data += (data ? '\n' : '') + line.slice(line[5] === ' ' ? 6 : 5);
        else if (line.startsWith('event:')) name = line.slice(6).trim();
      }
      if (data) hear(name, JSON.parse(data));
    }
    statistics.applied(performance.now() - began);
  }
}

const live = {
  state: 'connecting', retryAt: null, attempt: 0, problem: '', wasLost: false,

  // For as long as the page is open: connect, load, follow; when the line breaks, wait a little and begin anew.
  async run() {
    for (;;) {
      const control = new AbortController();
      try {
        await this.follow(control);
        this.problem = 'the coordinator ended the stream';
      } catch (error) {
        if (error.status === 401) {
          this.set('connecting');
          await askForKey(keys.get() ? error.message : '');
          continue;
        }
        this.problem = control.signal.aborted ? control.signal.reason.message : error.message;
      } finally {
        control.abort();
      }
      await this.pause();
    }
  },

  async follow(control) {
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => control.abort(new Error('the coordinator has fallen silent')), LIMITS.silenceMs);
    };
    heard();
    try {
      const response = await ask('events', { signal: control.signal, accept: 'text/event-stream' });
      // Whatever changes from here on comes as an event, and is newer than what a list says about the same task.
      const touched = new Set();
      this.touched = touched;
      const events = readEvents(response, (name, data) => this.hear(name, data), heard);
      events.catch(() => {});
      await Promise.race([this.load(control.signal, touched), events]);
      this.touched = null;
      this.attempt = 0;
      this.set('live');
      const polling = this.pollWorkers(control.signal);
      await Promise.race([events, polling]);
    } finally {
      clearTimeout(silence);
      this.touched = null;
    }
  },

  async pause() {
    const { first, last } = LIMITS.retryMs;
    const longest = Math.min(last, first * 2 ** this.attempt);
    this.attempt += 1;
    const wait = longest / 2 + Math.random() * (longest / 2);
    this.retryAt = Date.now() + wait;
    this.set('lost');
    await new Promise(resolve => { this.retryNow = resolve; setTimeout(resolve, wait); });
    this.retryAt = null;
  },

  set(state) {
    if (state === this.state) return;
    if (state === 'lost') announce('Connection to the coordinator lost');
    if (state === 'live' && this.wasLost) announce('Connected again');
    this.wasLost = state === 'lost' || (this.wasLost && state !== 'live');
    this.state = state;
    schedule();
  },

  hear(name, data) {
    switch (name) {
      case 'task_changed':
        this.touched?.add(data.task_id);
        model.putTask(data);
        detail.taskChanged(data);
        break;
      case 'worker_connected':
      case 'worker_disconnected':
      case 'worker_changed':
        if (data.state) model.putWorker(data); else this.workersAreStale?.();
        break;
      case 'overview': model.putOverview(data); break;
      default: return;
    }
    schedule();
  },

  async load(signal, touched) {
    const [overview, workers] = await Promise.all([askJSON('overview', { signal }), askJSON('workers', { signal })]);
    model.putOverview(overview);
    model.putWorkers(workers.workers);
    // What is shown stays until it is known to be gone: after a loss of the line the page is not to be empty for a while.
    const doubtful = new Set(model.tasks.keys());
    model.isPartial = false;
    const total = Object.values(overview.tasks ?? {}).reduce((sum, count) => sum + count, 0);
    // Where not all can be kept, what an operator looks at first comes first.
    const parts = total <= LIMITS.tasks ? [''] : ['running', 'assigned', 'paused', 'failed', 'queued', 'completed', 'cancelled'];
    for (const status of parts) await this.loadTasks({ status }, { signal, touched, doubtful });
    for (const id of doubtful) {
      const task = model.tasks.get(id);
      if (task && !touched.has(id) && !model.isPartial) model.forget(task);
    }
    model.fillThroughput();
    detail.loadAnew();
    schedule();
  },

  async loadTasks(query, { signal, touched, doubtful } = {}) {
    let cursor = '';
    do {
      const page = await askJSON('tasks', { query: { ...query, limit: LIMITS.page, cursor }, signal });
      for (const task of page.tasks) {
        doubtful?.delete(task.task_id);
        if (touched?.has(task.task_id)) continue;
        if (model.tasks.size >= LIMITS.tasks && !model.tasks.has(task.task_id)) {
          const [old] = doubtful ?? [];
          if (!old) { model.isPartial = true; return; }
          doubtful.delete(old);
          if (model.tasks.has(old)) model.forget(model.tasks.get(old));
        }
        model.putTask(task);
      }
      cursor = page.next_cursor;
      schedule();
    } while (cursor);
  },

  // Round-trip times and slots have no events of their own. A large fleet is asked more rarely.
  async pollWorkers(signal) {
    for (;;) {
      const wait = model.workers.size > 300 ? 5_000 : 2_000;
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, wait);
        this.workersAreStale = () => { clearTimeout(timer); setTimeout(resolve, 100); };
        signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
      });
      let workers;
      // One answer that fails to come is no loss of the line; the silence of the events tells that.
      try { ({ workers } = await askJSON('workers', { signal })); } catch (error) { if (signal.aborted || error.status === 401) throw error; else continue; }
      const began = performance.now();
      model.putWorkers(workers);
      statistics.applied(performance.now() - began);
      schedule();
    }
  },
};
