// The list of tasks, and what is chosen from it.

class Tasks {
  constructor() {
    this.status = '';
    this.worker = '';
    this.shown = [];
    this.list = new VirtualList($('task-list'), {
      label: 'Tasks',
      columns: [['State'], ['Task'], ['Run'], ['Worker'], ['Try', 'number'], ['Priority'], ['Time', 'number']],
      key: task => task.task_id, empty: '',
      create: row => this.create(row), update: (parts, task, row) => this.update(parts, task, row),
    });
    this.chips = new Map();
    for (const status of ['', ...STATUSES]) {
      const chip = el('button', { type: 'button', 'aria-pressed': String(status === ''), onclick: () => this.choose(status) });
      this.chips.set(status, chip);
      $('task-status').append(chip);
    }
    this.workerChip = el('button', { type: 'button', 'aria-pressed': 'true', hidden: true, onclick: () => this.showWorker('') });
    $('task-status').append(this.workerChip);
    $('task-text').addEventListener('input', () => this.changed());
    $('task-run').addEventListener('change', () => { this.changed(); this.loadMore(); });
  }

  choose(status) {
    this.status = status;
    for (const [name, chip] of this.chips) setAttribute(chip, 'aria-pressed', String(name === status));
    this.changed();
    this.loadMore();
  }

  showWorker(id) {
    this.worker = id;
    this.workerChip.hidden = !id;
    setText(this.workerChip, `On ${id} ✕`);
    setAttribute(this.workerChip, 'aria-label', `Only tasks on ${id}; show all`);
    if (id) $('tasks').focus();
    this.changed();
  }

  changed() {
    this.stale = true;
    $('task-list').scrollTop = 0;
    this.list.active = 0;
    schedule(true);
  }

  // Where the coordinator has more tasks than the page keeps, a choice is asked for by itself.
  async loadMore() {
    const query = { status: this.status, run: $('task-run').value };
    if (!model.isPartial || (!query.status && !query.run)) return;
    try { await live.loadTasks(query); } catch (error) { toast('Could not load these tasks:', `${error.message}.`, true); }
    this.changed();
  }

  create(row) {
    const cell = (kind) => el('td', { role: 'cell', class: kind });
    const parts = {
      state: stateMark('queued'), open: el('button', { type: 'button', class: 'open' }), run: cell('dim'), worker: cell(), attempt: cell('number'),
      priority: cell('dim'), time: cell('number'),
    };
    parts.open.addEventListener('click', () => detail.open(row.item.task_id, parts.open));
    row.append(
      el('td', { role: 'cell' }, parts.state), el('th', { role: 'rowheader', scope: 'row' }, parts.open), parts.run, parts.worker, parts.attempt,
      parts.priority, parts.time);
    return parts;
  }

  update(parts, task, row) {
    setState(parts.state, task.status);
    setText(parts.open, task.name || task.task_id);
    setAttribute(parts.open, 'title', task.task_id);
    setText(parts.run, task.run ?? '–');
    setText(parts.worker, task.worker_id ?? '–');
    setText(parts.attempt, task.attempt ? String(task.attempt) : '–');
    setText(parts.priority, (task.priority ?? '').toLowerCase());
    const now = model.now();
    setText(parts.time, task.rank === 1 ? shortDuration(now - task.submitted)
      : task.started ? shortDuration((task.ended ?? now) - task.started) : '–');
    row.classList.toggle('chosen', detail.id === task.task_id);
  }

  matches(task) {
    if (this.status && task.status !== this.status && !(this.status === 'running' && task.status === 'assigned')) return false;
    if (this.run && task.run !== this.run) return false;
    if (this.worker && task.worker_id !== this.worker) return false;
    if (!this.text) return true;
    task.words ??= `${task.name} ${task.task_id} ${task.run ?? ''} ${task.worker_id ?? ''} ${task.command?.join(' ') ?? ''} ${task.reason ?? ''}`.toLowerCase();
    return this.text.every(word => task.words.includes(word));
  }

  render() {
    const isAnew = this.stale || model.tasksAnew;
    if (isAnew || model.changed.size) {
      this.stale = model.tasksAnew = false;
      this.run = $('task-run').value;
      const text = $('task-text').value.trim().toLowerCase();
      this.text = text ? text.split(/\s+/) : null;
      // A few that changed are put where they belong; sorting all of them each time would take longest of everything here.
      const { changed } = model;
      const fresh = [];
      for (const task of isAnew ? model.tasks.values() : [...changed].map(id => model.tasks.get(id))) if (task && this.matches(task)) fresh.push(task);
      fresh.sort(Tasks.before);
      this.shown = isAnew ? fresh : Tasks.merged(this.shown.filter(task => !changed.has(task.task_id)), fresh);
      changed.clear();
      this.renderRuns();
    }
    this.renderChips();
    this.list.show(this.shown, this.emptyText());
  }

  static before(a, b) { return a.rank - b.rank || a.order - b.order || (a.task_id < b.task_id ? -1 : 1); }

  static merged(old, fresh) {
    if (!fresh.length) return old;
    const all = [];
    let next = 0;
    for (const task of old) {
      while (next < fresh.length && Tasks.before(fresh[next], task) < 0) all.push(fresh[next++]);
      all.push(task);
    }
    return all.concat(fresh.slice(next));
  }

  emptyText() {
    if (live.state === 'connecting') return 'Loading…';
    return model.tasks.size ? 'No task matches.' : 'No tasks yet. Submit one: lifeline submit -- make test';
  }

  renderChips() {
    const counts = model.overview?.tasks ?? {};
    const count = status => (counts[status] ?? 0) + (status === 'running' ? counts.assigned ?? 0 : 0);
    const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
    setText(this.chips.get(''), `All ${number(all)}`);
    for (const status of STATUSES) setText(this.chips.get(status), `${status[0].toUpperCase()}${status.slice(1)} ${number(count(status))}`);
    const filtered = this.status || this.run || this.worker || this.text;
    setText($('tasks-now'), filtered ? `${number(this.shown.length)} shown`
      : model.isPartial ? `${number(model.tasks.size)} kept here; choose a run or a status for others` : '');
  }

  // Changing the choices while somebody chooses would take the list out of his hands.
  renderRuns() {
    const select = $('task-run');
    if (document.activeElement === select) return;
    const runs = [...model.runs.keys()].slice(-LIMITS.runs).reverse();
    if (this.run && !runs.includes(this.run)) runs.push(this.run);
    const text = runs.join('\n');
    if (text === this.runsShown) return;
    this.runsShown = text;
    select.replaceChildren(el('option', { value: '' }, 'All runs'), ...runs.map(run => el('option', { value: run }, run)));
    select.value = this.run ?? '';
  }
}
