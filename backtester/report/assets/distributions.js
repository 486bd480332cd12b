// How trades spread: R multiples and returns, as histograms with losses and wins apart.

// At most `most` classes of a round width, with 0 on an edge; the outermost 0.5 % on each side end in the outer classes.
function classesOf(values, most = 41) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
  const low = Math.min(0, at(0.005));
  const high = Math.max(0, at(0.995));
  const raw = (high - low || Math.abs(high) || 1) / most;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const width = [1, 2, 2.5, 5, 10].map((k) => k * unit).find((w) => w >= raw * 0.999);
  const first = Math.floor(low / width + 1e-9);
  const last = Math.max(first, Math.ceil(high / width - 1e-9) - 1);
  const counts = new Array(last - first + 1).fill(0);
  for (const v of sorted) counts[Math.min(last, Math.max(first, Math.floor(v / width + 1e-9))) - first]++;
  return { width, first, counts, clipped: sorted[0] < first * width || sorted.at(-1) > (last + 1) * width };
}

function histogram(host, name, title, values, format, unit) {
  const found = classesOf(values);
  const centres = found.counts.map((_, i) => (found.first + i + 0.5) * found.width);
  const place = el("div", { class: "chart", "data-chart": name });
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const middle = Float64Array.from(values).sort()[Math.floor(values.length / 2)];
  const outer = found.clipped ? " The outer bars hold all that lies beyond them." : "";
  host.append(el("div", {}, el("h3", {}, title), el("p", { class: "about quiet" },
    `${integer(values.length)} trades, mean ${format(mean)}, median ${format(middle)}.${outer}`), place));
  const bars = (pick) => found.counts.map((n, i) => (pick(centres[i]) ? n : null));
  const height = 230;
  const half = found.width / 2;
  const count = (u, v) => (v === null || v === undefined ? DASH : integer(v));
  const u = new uPlot(
    {
      width: Math.max(240, place.clientWidth),
      height,
      scales: { x: { time: false, range: () => [centres[0] - half, centres.at(-1) + half] }, y: { range: (self, min, max) => [0, Math.max(1, max) * 1.08] } },
      axes: [axis({ label: unit, size: 34, space: 56, values: (self, ticks) => ticks.map(format) }), valueAxis("trades", (v) => (Number.isInteger(v) ? integer(v) : ""), 56)],
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      legend: { live: true },
      series: [
        { label: "from", value: (self, v) => (v === null ? DASH : `${format(v - half)} to ${format(v + half)}`) },
        { label: "Losses", stroke: () => colour("orange"), fill: () => colour("orange"), paths: uPlot.paths.bars({ size: [0.88, 100] }), points: { show: false }, value: count },
        { label: "Wins", stroke: () => colour("blue"), fill: () => colour("blue"), paths: uPlot.paths.bars({ size: [0.88, 100] }), points: { show: false }, value: count },
      ],
    },
    [centres, bars((c) => c < 0), bars((c) => c > 0)],
    place,
  );
  follow(u, place, height);
  charts[name] = u;
}

function drawDistributions(facts, trades) {
  if (!trades || trades.rows === 0) return dropSection("distributions");
  const known = (column) => (column ? Array.from(column).filter((v) => !Number.isNaN(v)) : []);
  const place = section("distributions", "Distributions of trades", null, el("div", { class: "grid-2" }));
  const host = place.querySelector(".grid-2");
  const multiples = known(trades.r);
  if (multiples.length) {
    histogram(host, "r", "R multiples", multiples, (v) => `${decimal(v, 2)}`, "net profit / risk at the initial stop");
  } else {
    host.append(el("div", {}, el("h3", {}, "R multiples"), el("p", { class: "empty" },
      "No trade declared an initial stop, so there is no risk to measure profit by.")));
  }
  const shares = [];
  if (trades.equity_at_entry && trades.net_pnl) {
    for (let i = 0; i < trades.rows; i++) {
      const share = trades.net_pnl[i] / trades.equity_at_entry[i];
      if (Number.isFinite(share)) shares.push(share);
    }
  }
  if (shares.length) histogram(host, "returns", "Net profit, % of equity at entry", shares.map((v) => v * 100), (v) => decimal(v, 2), "%");
  else histogram(host, "returns", `Net profit per trade, ${facts.run.currency}`, known(trades.net_pnl), (v) => money(v), facts.run.currency);
}
