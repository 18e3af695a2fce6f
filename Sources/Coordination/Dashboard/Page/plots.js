// Two small line plots, drawn in the pixels that there are.

function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map(step => step * power).find(step => step >= value * 1.02) ?? 20 * power;
}

class Plot {
  constructor(box, { area = false, unit }) {
    this.box = box;
    this.unit = unit;
    this.grid = svg('g');
    this.area = svg('path', { class: area ? 'area' : 'none', fill: 'none' });
    if (area) this.area.removeAttribute('fill');
    this.main = svg('path', { class: 'main' });
    this.second = svg('path', { class: 'second' });
    this.root = svg('svg', { role: 'img' }, this.grid, this.area, this.second, this.main);
    box.append(this.root);
    new ResizeObserver(entries => {
      const { width, height } = entries[0].contentRect;
      this.size = { width, height };
      schedule();
    }).observe(this.root);
  }

  // `lines`: for each of main and second, points [x from 0 to 1, value] with null where nothing is known.
  draw({ main, second = [], label }) {
    if (!this.size?.width) return;
    const { width, height } = this.size;
    const [left, right, top, bottom] = [44, 4, 8, 18];
    const highest = Math.max(...main.map(point => point?.[1] ?? 0), ...second.map(point => point?.[1] ?? 0));
    const ceiling = niceCeiling(highest);
    const x = share => left + share * (width - left - right);
    const y = value => top + (1 - Math.min(1, value / ceiling)) * (height - top - bottom);
    const minutes = model.windowMs / 60_000;
    const shape = `${width}x${height}:${ceiling}:${minutes}`;
    if (this.shape !== shape) {
      this.shape = shape;
      this.root.setAttribute('viewBox', `0 0 ${width} ${height}`);
      this.grid.replaceChildren();
      for (const step of [0, 0.5, 1]) {
        const at = Math.round(y(step * ceiling)) + 0.5;
        this.grid.append(
          svg('path', { class: step ? 'grid' : 'base', d: `M${left} ${at}H${width - right}` }),
          svg('text', { x: left - 8, y: at + 3.5, 'text-anchor': 'end' }, step ? this.unit(step * ceiling) : '0'));
      }
      for (const [share, text, anchor] of [[0, `${minutes} min ago`, 'start'], [0.5, `${minutes / 2} min ago`, 'middle'], [1, 'now', 'end']]) {
        this.grid.append(svg('text', { x: x(share), y: height - 3, 'text-anchor': anchor }, text));
      }
    }
    const path = points => {
      let [text, pen] = ['', false];
      for (const point of points) {
        if (!point) { pen = false; continue; }
        text += `${pen ? 'L' : 'M'}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`;
        pen = true;
      }
      return text;
    };
    const drawn = path(main);
    this.main.setAttribute('d', drawn);
    const known = main.filter(Boolean);
    this.area.setAttribute('d', known.length > 1 ? `${drawn}V${y(0)}H${x(known[0][0]).toFixed(1)}Z` : '');
    this.second.setAttribute('d', path(second));
    setAttribute(this.root, 'aria-label', label);
  }
}

// Means of a series in 120 bins, which is as much as a plot of this size can show.
function binned(series, value) {
  const binMs = model.windowMs / 120;
  const end = Math.ceil(model.now() / binMs) * binMs;
  const bins = 120;
  const sums = new Array(bins).fill(0);
  const counts = new Array(bins).fill(0);
  for (const sample of series) {
    const bin = bins - 1 - Math.floor((end - sample.at) / binMs);
    if (bin < 0 || bin >= bins) continue;
    sums[bin] += value(sample);
    counts[bin] += 1;
  }
  // The newest bin is not full yet; it would jump about.
  const points = sums.map((sum, bin) => (counts[bin] ? [bin / (bins - 1), sum / counts[bin]] : null)).slice(0, -1);
  // Bins may be narrower than the time between two samples: only what is missing for longer is a gap.
  let known = -1;
  points.forEach((point, bin) => {
    if (!point) return;
    if (known >= 0 && (bin - known) * binMs <= 8_000) {
      for (let between = known + 1; between < bin; between += 1) {
        const share = (between - known) / (bin - known);
        points[between] = [between / (bins - 1), points[known][1] * (1 - share) + point[1] * share];
      }
    }
    known = bin;
  });
  return points;
}
