// What all line charts share: axes in UTC with units, colours of the theme, one width, one zoom.

const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const charts = {}; // by name, for who looks at the page from outside

const utcDate = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");

function axis(overrides) {
  return {
    stroke: () => colour("quiet"),
    font: FONT,
    labelFont: FONT,
    labelSize: 18,
    grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { stroke: () => colour("grid"), width: 1, size: 4 },
    ...overrides,
  };
}

// Month and year in words of their own, so that 1/2 is never a question.
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function timeTicks(u, ticks) {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
  let lastDay = "";
  return ticks.map((tick) => {
    const d = new Date(tick * 1000);
    const date = `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`;
    const today = day(tick);
    const newDay = today !== lastDay;
    const newYear = lastDay.slice(0, 4) !== today.slice(0, 4);
    lastDay = today;
    if (step >= 300 * 86400) return String(d.getUTCFullYear());
    if (step >= 27 * 86400) return newYear ? `${MONTHS[d.getUTCMonth()]}\n${d.getUTCFullYear()}` : MONTHS[d.getUTCMonth()];
    if (step >= 86400) return newYear ? `${date}\n${d.getUTCFullYear()}` : date;
    const clock = `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}${step < 60 ? ":" + pad(d.getUTCSeconds()) : ""}`;
    return newDay ? `${clock}\n${date} ${d.getUTCFullYear()}` : clock;
  });
}

const timeAxis = () => axis({ space: 70, size: 40, values: timeTicks });

function valueAxis(label, format, size = 64) {
  const narrow = innerWidth < 620;
  return axis({ size: narrow ? size - 16 : size, label, labelSize: narrow ? 14 : 18, space: 34, values: (u, ticks) => ticks.map(format) });
}

// Charts over the same time zoom together: dragging over one shows that range on all, a double click everything.
function zoomGroup() {
  const members = [];
  let busy = false;
  return (u, whole) => {
    members.push({ u, whole });
    return () => {
      if (busy) return;
      busy = true;
      const { min, max } = u.scales.x;
      for (const other of members) {
        if (other.u !== u && (other.u.scales.x.min !== min || other.u.scales.x.max !== max)) other.u.setScale("x", { min, max });
      }
      busy = false;
    };
  };
}

const byTime = zoomGroup();

// options: series (uPlot's, without the first), data [seconds, ...columns], y (label and format), height, range [from, to]
function timeChart(host, name, { series, data, y, height, range, group = byTime, yRange = null, hooks = {} }) {
  const place = el("div", { class: "chart", "data-chart": name });
  host.append(place);
  let spread = () => {};
  const [from, to] = range;
  const u = new uPlot(
    {
      width: Math.max(240, place.clientWidth),
      height,
      tzDate: utcDate,
      scales: {
        x: { time: true, range: (self, min, max) => (min === null || max <= min ? [from, to] : [Math.max(from, min), Math.min(to, max)]) },
        y: yRange ? { range: yRange } : {},
      },
      axes: [timeAxis(), valueAxis(y.label, y.format, y.size)],
      cursor: { sync: { key: "time" }, drag: { x: true, y: false, dist: 6 }, points: { size: 6 } },
      legend: { live: true },
      series: [{ label: "UTC", value: (self, v) => (v === null ? DASH : time(v)) }, ...series],
      hooks: { ...hooks, setScale: [(self, key) => key === "x" && spread()] },
    },
    data,
    place,
  );
  spread = group(u);
  u.setScale("x", { min: from, max: to });
  follow(u, place, height);
  charts[name] = u;
  return u;
}

// Keep a chart as wide as its place, in the colours of the theme.
function follow(u, place, height) {
  let width = u.width;
  new ResizeObserver(() => {
    const now = Math.max(240, place.clientWidth);
    if (now !== width) u.setSize({ width: (width = now), height });
  }).observe(place);
  redraws.push(() => u.redraw(false, true));
}

function line(label, name, format, extra = {}) {
  return {
    label,
    stroke: () => colour(name),
    width: 1.5,
    points: { show: false },
    spanGaps: true,
    value: (u, v) => (v === null || v === undefined ? DASH : format(v)),
    ...extra,
  };
}

// The last known value of a curve at other times; null before its first.
function heldAt(times, values, at) {
  const found = new Array(at.length).fill(null);
  let k = -1;
  for (let i = 0; i < at.length; i++) {
    while (k + 1 < times.length && times[k + 1] <= at[i]) k++;
    if (k >= 0 && !Number.isNaN(values[k])) found[i] = values[k];
  }
  return found;
}

function mergedTimes(a, b) {
  const all = new Float64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  all.sort();
  let n = 0;
  for (let i = 0; i < all.length; i++) if (i === 0 || all[i] !== all[n - 1]) all[n++] = all[i];
  return all.subarray(0, n);
}

const seconds = (micros) => micros.map((value) => value / 1e6);
