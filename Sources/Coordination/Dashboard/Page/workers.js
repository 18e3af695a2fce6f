// The list of workers: who is there, since when, how far away, and with what.

const TROUBLE = { lost: 0, disconnected: 1, draining: 2, connected: 3 };

class Workers {
  constructor() {
    this.list = new VirtualList($('worker-list'), {
      label: 'Workers',
      columns: [['Worker'], [''], ['Back', 'number'], ['Round trip', 'number'], ['Slots'], ['Runs'], ['Orders', '', true]],
      key: worker => worker.worker_id, empty: '',
      create: row => this.create(row), update: (parts, worker) => this.update(parts, worker),
    });
    for (const [id, event] of [['worker-text', 'input'], ['worker-order', 'change']]) {
      $(id).addEventListener(event, () => { this.stale = true; $('worker-list').scrollTop = 0; schedule(true); });
    }
  }

  create(row) {
    const parts = {
      state: stateMark('connected'), open: el('button', { type: 'button', class: 'open' }),
      strip: svg('svg', { class: 'strip', viewBox: '0 0 600 16', preserveAspectRatio: 'none', role: 'img' }),
      back: el('td', { role: 'cell', class: 'number' }), rtt: el('td', { role: 'cell', class: 'number' }), slots: el('span'), meter: meter(),
      runs: el('td', { role: 'cell' }), drain: el('button', { type: 'button' }, 'Drain'),
      paths: ['unknown', 'on', 'leaving', 'off'].map(name => svg('path', { class: name })),
    };
    parts.strip.append(...parts.paths);
    parts.state.lastChild.className = 'unseen';
    parts.open.addEventListener('click', () => tasks.showWorker(row.item.worker_id));
    parts.drain.addEventListener('click', () => this.drain(row.item));
    parts.name = el('span', {});
    parts.open.append(parts.state, parts.name);
    row.append(
      el('th', { role: 'rowheader', scope: 'row' }, parts.open), el('td', { role: 'cell' }, parts.strip), parts.back, parts.rtt,
      el('td', { role: 'cell' }, el('span', { class: 'load' }, parts.slots, parts.meter)), parts.runs, el('td', { role: 'cell' }, parts.drain));
    return parts;
  }

  update(parts, worker) {
    const ids = model.running.get(worker.worker_id);
    const count = ids?.size ?? 0;
    setState(parts.state, worker.state);
    setText(parts.name, ` ${worker.worker_id}`);
    setAttribute(parts.open, 'title', `${worker.worker_id}${worker.remote_address ? `, ${worker.remote_address}` : ''}: show its tasks`);
    setText(parts.back, worker.reconnections ? number(worker.reconnections) : '–');
    const isAway = worker.state === 'disconnected' || worker.state === 'lost';
    setText(parts.rtt, isAway || worker.rtt === null ? '–' : duration(worker.rtt));
    setText(parts.slots, `${count}/${worker.slots}`);
    setMeter(parts.meter, worker.slots ? count / worker.slots : 0);
    const names = [];
    for (const id of ids ?? []) {
      names.push(model.tasks.get(id)?.name || id);
      if (names.length === 3) break;
    }
    const away = isAway ? `${worker.state === 'lost' ? 'lost' : 'away'} ${duration(model.now() - (worker.spans.at(-1)?.from ?? model.now()))}` : '';
    setText(parts.runs, away || names.join(', ') || (worker.state === 'draining' ? 'leaving' : 'idle'));
    setAttribute(parts.runs, 'class', isAway ? 'tone-bad' : names.length ? null : 'dim');
    parts.drain.disabled = worker.state !== 'connected';
    setAttribute(parts.drain, 'aria-label', `Drain ${worker.worker_id}`);
    this.drawStrip(parts, worker);
  }

  // Connected is a tall block, leaving half of one, away a low line, and before the page was opened a hair.
  drawStrip(parts, worker) {
    const now = model.now();
    const horizon = now - model.windowMs;
    const at = time => Math.max(0, Math.min(600, ((time - horizon) / model.windowMs) * 600));
    const shapes = { unknown: '', on: '', leaving: '', off: '' };
    const block = (name, from, to, top, height) => { shapes[name] += `M${from.toFixed(1)} ${top}H${to.toFixed(1)}v${height}H${from.toFixed(1)}z`; };
    let covered = 0;
    const known = worker.spans.length ? at(worker.spans[0].from) : 600;
    if (known > 0) block('unknown', 0, known, 8, 1);
    for (const span of worker.spans) {
      let [from, to] = [Math.max(covered, at(span.from)), at(span.to ?? now)];
      const isOn = span.state === 'connected';
      // However short it was, that somebody was away must be seen.
      if (!isOn && (span.to ?? now) >= horizon) to = Math.max(to, Math.min(600, from + 5));
      if (to <= from) continue;
      if (isOn) block('on', from, to, 3, 10);
      else if (span.state === 'draining') block('leaving', from, to, 8, 5);
      else block('off', from, to, 10, 4);
      covered = to;
    }
    const names = ['unknown', 'on', 'leaving', 'off'];
    parts.paths.forEach((path, index) => setAttribute(path, 'd', shapes[names[index]]));
    const { times, total } = model.awayTimes(worker);
    setAttribute(parts.strip, 'aria-label', times ? `away ${times === 1 ? 'once' : `${times} times`}, ${duration(total)} together` : 'not away');
  }

  async drain(worker) {
    const count = model.running.get(worker.worker_id)?.size ?? 0;
    const done = await order({
      path: `workers/${encodeURIComponent(worker.worker_id)}/drain`, doing: `drain ${worker.worker_id}`, done: `${worker.worker_id} takes nothing more and leaves.`,
      question: {
        title: `Drain ${worker.worker_id}?`, yes: 'Drain worker', no: 'Keep it',
        text: `It takes nothing more, ${count ? `finishes or hands back the ${plural(count, 'task')} it runs` : 'runs nothing now'}, and disconnects. It does not come back by itself.`,
      },
    });
    if (done) live.workersAreStale?.();
  }

  render() {
    setText(this.list.head.children[1], `Last ${model.windowMs / 60_000} minutes`);
    if (this.stale || this.version !== model.workersVersion) {
      this.stale = false;
      this.version = model.workersVersion;
      const wanted = $('worker-text').value.trim().toLowerCase();
      let shown = [...model.workers.values()];
      if (wanted) shown = shown.filter(worker => worker.worker_id.toLowerCase().includes(wanted) || STATE_WORDS[worker.state]?.includes(wanted) || worker.state.includes(wanted));
      const name = (a, b) => (a.worker_id < b.worker_id ? -1 : 1);
      const load = worker => (model.running.get(worker.worker_id)?.size ?? 0) / (worker.slots || 1);
      const orders = {
        trouble: (a, b) => TROUBLE[a.state] - TROUBLE[b.state] || name(a, b), name,
        rtt: (a, b) => (b.rtt ?? -1) - (a.rtt ?? -1) || name(a, b), busy: (a, b) => load(b) - load(a) || name(a, b),
      };
      this.shown = shown.sort(orders[$('worker-order').value]);
      const away = [...model.workers.values()].filter(worker => worker.state === 'disconnected' || worker.state === 'lost').length;
      setText($('workers-now'), wanted ? `${number(shown.length)} of ${number(model.workers.size)}` : away ? `${number(away)} away` : '');
    }
    this.list.show(this.shown, model.workers.size ? 'No worker matches.' : 'No worker has registered yet. Start one: lifeline worker --worker-id w1');
  }
}
