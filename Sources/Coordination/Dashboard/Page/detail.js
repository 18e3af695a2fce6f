// One task: what it is, its attempts and checkpoints, its output as it is written, and what can be done to it.

const detail = {
  id: null, task: null, stream: 'stdout', follows: true, log: null, timer: null,

  open(id, opener) {
    if (this.id === id) return;
    if (!this.id) this.opener = opener;
    this.stopLog();
    Object.assign(this, { id, task: null, parts: null, stream: 'stdout', follows: true, data: new Map() });
    const title = el('h2', { id: 'detail-title', tabindex: -1 }, model.tasks.get(id)?.name || id);
    const parts = this.parts = {
      title, buttons: el('div', { class: 'buttons' }), facts: el('dl', { class: 'facts' }), attempts: el('section', { 'aria-label': 'Attempts' }),
      checkpoints: el('section', { 'aria-label': 'Checkpoints' }), log: el('pre', { class: 'log', tabindex: 0, role: 'log', 'aria-live': 'off', 'aria-label': 'Output' }),
      logState: el('span', { class: 'dim' }), streams: new Map(),
    };
    const streamChips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Stream' });
    for (const stream of ['stdout', 'stderr']) {
      const chip = el('button', { type: 'button', 'aria-pressed': String(stream === this.stream), onclick: () => this.showStream(stream) }, stream);
      parts.streams.set(stream, chip);
      streamChips.append(chip);
    }
    const follow = el('input', { type: 'checkbox', checked: true, onchange: event => {
      this.follows = event.target.checked;
      if (this.follows) parts.log.scrollTop = parts.log.scrollHeight;
    } });
    $('detail').replaceChildren(
      el('header', {}, title, el('button', { type: 'button', class: 'quiet', onclick: () => this.close() }, 'Close'), el('span', { class: 'id' }, id), parts.buttons),
      el('section', { 'aria-label': 'Facts' }, parts.facts), parts.attempts, parts.checkpoints,
      el('section', { class: 'logs', 'aria-label': 'Output' }, el('h3', {}, 'Output'),
        el('div', { class: 'logs-bar' }, streamChips, parts.logState, el('label', {}, follow, 'Follow')), parts.log));
    $('detail').hidden = false;
    $('detail').scrollTop = 0;
    parts.title.focus();
    history.replaceState(null, '', `#task=${encodeURIComponent(id)}`);
    this.load();
    this.startLog();
    schedule(true);
  },

  close() {
    this.stopLog();
    clearTimeout(this.timer);
    Object.assign(this, { id: null, task: null, timer: null });
    $('detail').hidden = true;
    $('detail').replaceChildren();
    history.replaceState(null, '', location.pathname + location.search);
    if (this.opener?.isConnected) this.opener.focus(); else $('tasks').focus();
    schedule(true);
  },

  // Changes may come many times a second; the details are asked for once.
  taskChanged(task) {
    if (task.task_id !== this.id) return;
    if (this.task) { Object.assign(this.task, task); this.isStale = true; }
    this.timer ??= setTimeout(() => { this.timer = null; this.load(); }, 500);
    if (this.log?.ended && ACTIVE.has(task.status)) this.startLog();
  },

  // After a loss of the line: what changed meanwhile was told to nobody.
  loadAnew() {
    if (!this.id) return;
    this.load();
    if (this.log?.isBroken) this.startLog();
  },

  async load() {
    const id = this.id;
    if (!id) return;
    this.loadedAt = performance.now();
    try {
      const answer = await askJSON(taskPath(id));
      if (this.id !== id) return;
      this.task = answer;
      this.isStale = true;
      schedule(true);
      this.loadCheckpoints(id, answer.checkpoints);
    } catch (error) {
      if (this.id === id && !this.task) this.parts.facts.replaceChildren(el('dd', { class: 'wide problem' }, `Could not be loaded: ${error.message}.`));
    }
  },

  // What small ones hold is shown; a checkpoint never changes, so each is asked for once.
  async loadCheckpoints(id, checkpoints) {
    for (const { id: name, bytes } of [...checkpoints].reverse()) {
      if (this.id !== id) return;
      if (bytes > LIMITS.checkpointBytes || this.data.has(name)) continue;
      this.data.set(name, '');
      try { this.data.set(name, (await (await ask(taskPath(id, `/checkpoints/${encodeURIComponent(name)}`))).text()).trim()); } catch { this.data.delete(name); return; }
      this.isStale = true;
      schedule();
    }
  },

  render() {
    if (!this.id || !this.task) return;
    // Checkpoints come without an event.
    if (ACTIVE.has(this.task.status) && live.state === 'live' && performance.now() - this.loadedAt > LIMITS.lookAgainMs) this.load();
    const { task, parts } = this;
    if (this.isStale) {
      this.isStale = false;
      setText(parts.title, task.name || task.task_id);
      this.renderButtons(task);
      this.renderFacts(task);
      this.renderAttempts(task);
      this.renderCheckpoints(task);
    }
    const started = milliseconds(task.started_at);
    if (started && parts.time) setText(parts.time, duration((milliseconds(task.finished_at) ?? model.now()) - started));
  },

  renderButtons(task) {
    const shape = `${task.status}`;
    if (this.parts.buttons.shape === shape) return;
    this.parts.buttons.shape = shape;
    const hadFocus = this.parts.buttons.contains(document.activeElement);
    const make = (text, kind, act) => el('button', { type: 'button', class: kind, onclick: act }, text);
    const orders = [];
    if (ENDED.has(task.status)) {
      orders.push(make('Retry', 'strong', () => this.retry()));
    } else {
      if (task.status === 'running') orders.push(make('Pause', '', () => this.order('pause', 'Pausing')));
      if (task.status === 'paused') orders.push(make('Resume', 'strong', () => this.order('resume', 'Resuming')));
      orders.push(make('Cancel task', 'danger', () => this.cancel()));
    }
    this.parts.buttons.replaceChildren(...orders);
    if (hadFocus) (orders[0] ?? this.parts.title).focus();
  },

  order(what, word, question) {
    const name = this.task?.name || this.id;
    return order({ path: taskPath(this.id, `/${what}`), doing: `${what} ${name}`, done: `${word} ${name}.`, question });
  },

  cancel() {
    const name = this.task?.name || this.id;
    return this.order('cancel', 'Cancelling', {
      title: 'Cancel this task?', yes: 'Cancel task', no: 'Let it run',
      text: `${name} ${ACTIVE.has(this.task?.status) ? 'is ended where it runs (SIGTERM, then SIGKILL)' : 'is not started any more'}. It can be retried as a new task.`,
    });
  },

  async retry() {
    const answer = await this.order('retry', 'Submitted again:');
    const id = answer && (answer.task_id ?? answer.task?.task_id);
    if (id) this.open(id);
  },

  renderFacts(task) {
    const facts = [];
    const fact = (name, value, wide = false) => {
      if (value == null || value === '') return;
      facts.push(el('dt', { class: wide ? 'first' : null }, name), el('dd', { class: wide ? 'wide' : null }, value));
    };
    this.parts.time = el('span', {});
    fact('State', stateMark(task.status));
    fact('Exit code', task.exit_code == null ? null : String(task.exit_code));
    fact('Run', task.run);
    fact('Priority', (task.priority ?? '').toLowerCase());
    fact('Worker', task.worker_id);
    fact('Time', task.started_at ? this.parts.time : null);
    fact('Submitted', task.submitted_at && dayTime.format(milliseconds(task.submitted_at)));
    fact('Progress', task.progress == null ? null : `${Math.round(task.progress * 100)} %`);
    fact('Reason', task.reason, true);
    fact('Command', task.command ? el('code', {}, task.command.join(' ')) : task.kind ? el('code', {}, `${task.kind} ${JSON.stringify(task.input ?? {})}`) : null, true);
    fact('Result', task.result == null ? null : el('code', {}, JSON.stringify(task.result)), true);
    this.parts.facts.replaceChildren(...facts);
  },

  renderAttempts(task) {
    const attempts = task.attempts ?? [];
    const rows = attempts.map(attempt => {
      const started = milliseconds(attempt.started_at);
      const ended = milliseconds(attempt.ended_at);
      const from = attempt.resumed_from;
      const words = [
        attempt.exit_code == null ? '' : `exit code ${attempt.exit_code}`, attempt.reason,
        from ? `continued from checkpoint ${from.attempt}.${from.number}` : '',
      ].filter(Boolean).join('; ');
      return el('tr', {}, el('td', {}, String(attempt.attempt)), el('td', {}, stateMark(attempt.outcome)), el('td', {}, attempt.worker_id),
        el('td', { class: 'number' }, started ? clockTime.format(started) : '–'), el('td', { class: 'number' }, ended ? shortDuration(ended - started) : '–'),
        el('td', { class: 'why' }, words));
    });
    this.parts.attempts.replaceChildren(
      el('h3', {}, 'Attempts', el('small', {}, attempts.length ? '' : 'none yet')),
      ...(rows.length ? [this.history('Attempts', ['No.', 'Outcome', 'Worker', 'Began', 'Took', 'Why'], rows)] : []));
  },

  renderCheckpoints(task) {
    const checkpoints = task.checkpoints ?? [];
    const rows = [...checkpoints].reverse().map(checkpoint => el('tr', {},
      el('td', {}, `${checkpoint.attempt}.${checkpoint.number}`), el('td', {}, clockTime.format(milliseconds(checkpoint.created_at))),
      el('td', { class: 'number' }, `${number(checkpoint.bytes)} B`), el('td', {}, el('code', {}, this.data.get(checkpoint.id) ?? ''))));
    this.parts.checkpoints.replaceChildren(
      el('h3', {}, 'Checkpoints', el('small', {}, checkpoints.length ? 'the newest first' : 'none')),
      ...(rows.length ? [this.history('Checkpoints', ['No.', 'Taken', 'Size', 'Data'], rows)] : []));
  },

  history(label, names, rows) {
    return el('div', { class: 'scroller' }, el('table', { class: 'history', 'aria-label': label },
      el('thead', {}, el('tr', {}, ...names.map(name => el('th', { scope: 'col', class: ['Began', 'Took', 'Size'].includes(name) ? 'number' : null }, name)))),
      el('tbody', {}, ...rows)));
  },

  // Output

  showStream(stream) {
    this.stream = stream;
    for (const [name, chip] of this.parts.streams) setAttribute(chip, 'aria-pressed', String(name === stream));
    this.startLog();
  },

  stopLog() {
    this.log?.control.abort();
    this.log = null;
  },

  async startLog() {
    this.stopLog();
    const log = this.log = { control: new AbortController(), waiting: '', length: 0, ended: false };
    const { parts, stream, id } = this;
    parts.log.replaceChildren();
    setText(parts.logState, 'loading');
    const say = text => { if (this.log === log) setText(parts.logState, text); };
    try {
      const response = await ask(taskPath(id, '/logs'), { query: { stream, follow: 'true' }, signal: log.control.signal, accept: 'text/plain' });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      say('live');
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        log.waiting = (log.waiting + value).slice(-LIMITS.logCharacters);
        schedule();
      }
      log.ended = true;
      say(log.length + log.waiting.length ? 'to its end' : 'nothing was written');
      schedule();
    } catch (error) {
      if (log.control.signal.aborted) return;
      log.ended = log.isBroken = true;
      say(`broken off: ${error.message}`);
    }
  },

  renderLog() {
    const { log, parts } = this;
    if (!log?.waiting) return;
    const pre = parts.log;
    const text = log.waiting;
    log.waiting = '';
    log.length += text.length;
    pre.append(text);
    while (log.length > LIMITS.logCharacters && pre.childNodes.length > 1) {
      log.length -= pre.firstChild.data.length;
      pre.firstChild.remove();
    }
    if (this.follows) pre.scrollTop = pre.scrollHeight;
  },
};
