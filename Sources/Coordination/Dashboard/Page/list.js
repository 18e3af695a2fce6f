// A table of any length of which only the rows in sight exist. One row is in the order of the Tab key; arrows move on.

class VirtualList {
  // `create(row)` fills a new row and returns its parts; `update(parts, item)` shows an item in them.
  constructor(box, { label, columns, key, create, update, empty }) {
    Object.assign(this, { box, key, create, update, items: [], rows: new Map(), spare: [], active: 0 });
    this.head = el('tr', { role: 'row', 'aria-rowindex': 1 }, ...columns.map(([name, kind, hidden]) => el(
      'th', { scope: 'col', role: 'columnheader', class: kind }, hidden ? el('span', { class: 'unseen' }, name) : name)));
    this.body = el('tbody', { role: 'rowgroup' });
    this.table = el('table', { role: 'table', 'aria-label': label }, el('thead', { role: 'rowgroup' }, this.head), this.body);
    this.empty = el('p', { class: 'empty', hidden: true }, empty);
    box.append(this.table, this.empty);
    box.addEventListener('scroll', () => schedule(true), { passive: true });
    this.body.addEventListener('keydown', event => this.keyPressed(event));
    this.body.addEventListener('focusin', event => {
      const row = event.target.closest('tr');
      if (row?.item) this.setActive(this.items.indexOf(row.item), row);
    });
    new ResizeObserver(() => { this.measure(); schedule(true); }).observe(box);
    this.measure();
  }

  measure() {
    const style = getComputedStyle(document.documentElement);
    this.rowHeight = parseFloat(style.getPropertyValue('--row')) * parseFloat(style.fontSize);
    this.height = this.box.clientHeight;
  }

  show(items, emptyText) {
    this.items = items;
    const none = items.length === 0;
    if (this.empty.hidden === none) this.empty.hidden = !none;
    if (none) setText(this.empty, emptyText);
    if (this.table.hidden !== none) this.table.hidden = none;
    if (this.active >= items.length) this.active = Math.max(0, items.length - 1);
    setAttribute(this.table, 'aria-rowcount', String(items.length + 1));
    const height = `${items.length * this.rowHeight}px`;
    if (this.body.style.height !== height) this.body.style.height = height;
    this.render();
  }

  render() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - 4);
    const last = Math.min(this.items.length, Math.ceil((this.box.scrollTop + this.height) / this.rowHeight) + 4);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest('tr') : null;
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(this.key(this.items[index]), index);
    // The row that has the focus stays, wherever it has moved to, or the focus would be lost.
    if (focused) {
      const key = this.key(focused.item);
      if (!wanted.has(key)) {
        const index = this.items.findIndex(item => this.key(item) === key);
        if (index >= 0) wanted.set(key, index);
      }
      if (wanted.has(key)) this.active = wanted.get(key);
    }
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      this.rows.delete(key);
      if (row === focused) { this.box.tabIndex = -1; this.box.focus({ preventScroll: true }); }
      row.remove();
      if (this.spare.length < 40) this.spare.push(row);
    }
    let cursor = this.body.firstChild;
    for (const [key, index] of [...wanted].sort((a, b) => a[1] - b[1])) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.spare.pop() ?? this.newRow();
        this.rows.set(key, row);
      }
      const item = this.items[index];
      row.item = item;
      setAttribute(row, 'aria-rowindex', String(index + 2));
      const top = `translateY(${index * this.rowHeight}px)`;
      if (row.style.transform !== top) row.style.transform = top;
      this.update(row.parts, item, row);
      this.setTab(row, index === this.active);
      // In the document as in sight. The focused row itself is never moved: what stands before it is taken out.
      if (row === focused) while (cursor && cursor !== row) { const next = cursor.nextSibling; cursor.remove(); cursor = next; }
      if (row === cursor) cursor = cursor.nextSibling; else this.body.insertBefore(row, cursor);
    }
    if (this.items.length && !this.rows.has(this.key(this.items[this.active]))) {
      // The row that Tab would lead to is out of sight: let it be the first in sight.
      const index = Math.min(this.items.length - 1, Math.ceil(this.box.scrollTop / this.rowHeight));
      this.setActive(index);
    }
  }

  newRow() {
    const row = el('tr', { role: 'row' });
    row.parts = this.create(row);
    return row;
  }

  setTab(row, isActive) {
    if (row.isActive === isActive) return;
    row.isActive = isActive;
    for (const button of row.querySelectorAll('button')) button.tabIndex = isActive ? 0 : -1;
  }

  setActive(index) {
    if (index < 0) return;
    this.active = index;
    const key = this.items[index] && this.key(this.items[index]);
    for (const [other, row] of this.rows) this.setTab(row, other === key);
  }

  keyPressed(event) {
    const row = event.target.closest('tr');
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.height / this.rowHeight) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      const buttons = [...row.querySelectorAll('button:not(:disabled)')];
      buttons[buttons.indexOf(event.target) + (event.key === 'ArrowRight' ? 1 : -1)]?.focus();
    } else if (event.key in steps) {
      const index = Math.max(0, Math.min(this.items.length - 1, this.items.indexOf(row.item) + steps[event.key]));
      this.focus(index);
    } else return;
    event.preventDefault();
  }

  focus(index) {
    const top = index * this.rowHeight;
    const space = this.height - this.table.tHead.offsetHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > this.box.scrollTop + space) this.box.scrollTop = top + this.rowHeight - space;
    this.setActive(index);
    this.render();
    this.rows.get(this.key(this.items[index]))?.querySelector('button')?.focus({ preventScroll: true });
  }
}
