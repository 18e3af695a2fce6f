// What the page says by itself: news for screen readers, results of orders, questions before what cannot be undone.

// Few and short, or nobody listens any more.
function announce(text) { $('announcer').textContent = text; }

// Many workers may go at once; that is one piece of news.
const awayNews = {
  ids: new Set(), timer: null,
  add(id) {
    this.ids.add(id);
    this.timer ??= setTimeout(() => {
      const still = [...this.ids].filter(id => model.workers.get(id)?.state !== 'connected');
      this.timer = null;
      this.ids.clear();
      if (still.length) announce(still.length === 1 ? `Worker ${still[0]} is away` : `${number(still.length)} workers are away`);
    }, 2_000);
  },
};

model.onAway = id => awayNews.add(id);

function toast(strong, text, failed = false) {
  const close = () => node.remove();
  const node = el('div', { class: failed ? 'toast failed' : 'toast', role: failed ? 'alert' : 'status' },
    el('p', {}, el('b', {}, strong), text ? ` ${text}` : ''), el('button', { type: 'button', class: 'quiet', onclick: close }, 'Dismiss'));
  const box = $('toasts');
  while (box.children.length >= LIMITS.toasts) box.firstChild.remove();
  box.append(node);
  // What failed stays until it was read.
  if (!failed) setTimeout(close, 7_000);
}

// Resolves to whether the person agreed. Escape says no, and so does Enter at once: the focus begins on "no".
function confirmed({ title, text, yes, no = 'Keep it' }) {
  const dialog = $('confirm');
  $('confirm-title').textContent = title;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  $('confirm-no').textContent = no;
  return new Promise(resolve => {
    const back = document.activeElement;
    dialog.returnValue = '';
    $('confirm-yes').onclick = () => dialog.close('yes');
    $('confirm-no').onclick = () => dialog.close('no');
    dialog.onclose = () => {
      if (back?.isConnected) back.focus();
      resolve(dialog.returnValue === 'yes');
    };
    dialog.showModal();
    $('confirm-no').focus();
  });
}

// An order to the coordinator, after the question that belongs to it, and what became of it in words.
async function order({ path, question, doing, done }) {
  if (question && !(await confirmed(question))) return false;
  try {
    const response = await ask(path, { method: 'POST' });
    const text = await response.text();
    toast(done);
    return text ? JSON.parse(text) : {};
  } catch (error) {
    if (error.status === 401) {
      await askForKey(error.message);
      return false;
    }
    const why = error.status === 403 ? `${error.message}. Use a key with another role: “Forget key”, above.` : `${error.message}.`;
    toast(`Could not ${doing}:`, why.replace(/\.\.$/, '.'), true);
    return false;
  }
}

let keyQuestion = null;
function askForKey(problem) {
  keyQuestion ??= new Promise(resolve => {
    const dialog = $('key');
    $('key-problem').hidden = !problem;
    $('key-problem').textContent = problem ? `Not accepted: ${problem}` : '';
    $('key-input').value = '';
    // Without a key there is nothing behind this question to go back to.
    dialog.oncancel = event => event.preventDefault();
    $('key-form').onsubmit = () => {
      keys.set($('key-input').value.trim());
      $('key-input').value = '';
      $('key-button').hidden = false;
      keyQuestion = null;
      setTimeout(resolve);
    };
    dialog.onclose = () => { if (keyQuestion) dialog.showModal(); };
    if (!dialog.open) dialog.showModal();
    $('key-input').focus();
  });
  return keyQuestion;
}
