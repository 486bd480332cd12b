// Candles in several lengths: as many are drawn as a screen has room for, each made of all that it stands for.

const STEPS = [1, 60, 180, 300, 900, 1800, 3600, 7200, 14400, 21600, 28800, 43200, 86400, 259200, 604800, 30 * 86400];
const LEAST_PIXELS = 4;

// ts in seconds (open time); open, high, low come as differences from the close.
function candleLevels(table, step) {
  const n = table.rows;
  const base = { step, n, t: table.ts, o: table.open, h: table.high, l: table.low, c: table.close };
  for (const key of ["o", "h", "l"]) {
    const column = base[key];
    for (let i = 0; i < n; i++) column[i] += base.c[i];
  }
  const made = new Map([[step, base]]);
  const steps = STEPS.filter((s) => s >= step && s % step === 0);
  return {
    base,
    // The finest candles of which the range has no more than there is room for.
    fitting(range, pixels) {
      const room = Math.max(1, Math.floor(pixels / LEAST_PIXELS));
      const wanted = steps.find((s) => range / s <= room) ?? steps.at(-1);
      if (!made.has(wanted)) made.set(wanted, folded(base, wanted));
      return made.get(wanted);
    },
  };
}

function folded(base, step) {
  const offset = step === 604800 ? 4 * 86400 : 0; // weeks open on Mondays
  const room = Math.min(base.n, Math.ceil((base.t[base.n - 1] - base.t[0]) / step) + 2);
  const [t, o, h, l, c] = Array.from({ length: 5 }, () => new Float64Array(room));
  let k = -1;
  for (let i = 0; i < base.n; i++) {
    const open = Math.floor((base.t[i] - offset) / step) * step + offset;
    if (k < 0 || t[k] !== open) {
      k++;
      t[k] = open;
      o[k] = base.o[i];
      h[k] = base.h[i];
      l[k] = base.l[i];
    } else {
      if (base.h[i] > h[k]) h[k] = base.h[i];
      if (base.l[i] < l[k]) l[k] = base.l[i];
    }
    c[k] = base.c[i];
  }
  const n = k + 1;
  return { step, n, t: t.subarray(0, n), o: o.subarray(0, n), h: h.subarray(0, n), l: l.subarray(0, n), c: c.subarray(0, n) };
}

// The first index whose value is >= wanted.
function lowerBound(values, wanted, n = values.length) {
  let low = 0;
  let high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

function stepName(step) {
  if (step >= 30 * 86400) return "30d";
  if (step >= 604800) return "1w";
  if (step >= 86400) return `${step / 86400}d`;
  if (step >= 3600) return `${step / 3600}h`;
  return step >= 60 ? `${step / 60}m` : `${step}s`;
}
