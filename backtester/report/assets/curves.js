// Equity with buy and hold, the fall from its peak below it, then rolling figures and exposure.

function drawCurves(facts, equity, benchmark) {
  const currency = facts.run.currency;
  if (!equity || equity.rows < 2) {
    section("curves", "Equity", null, el("p", { class: "empty" }, "The run ended before there was a curve to draw."));
    return;
  }
  const every = facts.equity_rows > equity.rows
    ? ` ${integer(facts.equity_rows)} points are drawn as ${integer(equity.rows)}: every stretch keeps its first, last, lowest and highest.`
    : "";
  const about = `Account value in ${currency}, open positions at market.${every} Drag to zoom, double-click for everything.`;
  const place = section("curves", "Equity and drawdown", about);
  const own = seconds(equity.ts);
  const range = [own[0], own[own.length - 1]];
  const times = benchmark ? mergedTimes(own, seconds(benchmark.ts)) : own;
  const data = [times, benchmark ? heldAt(own, equity.equity, times) : Array.from(equity.equity)];
  const series = [line("Equity", "blue", money)];
  if (benchmark) {
    data.push(heldAt(seconds(benchmark.ts), benchmark.equity, times));
    series.push(line("Buy and hold", "grey", money, { width: 1.25, dash: [5, 3] }));
  }
  const largest = data.slice(1).reduce((most, values) => values.reduce((m, v) => Math.max(m, Math.abs(v ?? 0)), most), 0);
  const short = (value) => decimal(value, value && largest < 10 ? 4 : 0);
  timeChart(place, "equity", { series, data, y: { label: currency, format: short, size: 72 }, height: 300, range });

  place.append(el("h3", {}, "Drawdown, from the highest equity so far"));
  timeChart(place, "drawdown", {
    series: [line("Drawdown", "orange", (v) => percent(v), { fill: () => colour("soft-orange"), width: 1.25 })],
    data: [own, Array.from(equity.drawdown)],
    y: { label: "%", format: (v) => decimal(v * 100, v > -0.02 && v < 0 ? 1 : 0), size: 72 },
    height: 150,
    range,
    yRange: (u, min) => [min === null || min >= 0 ? -0.01 : min * 1.05, 0],
  });
  worstDrawdowns(place, facts);
}

function worstDrawdowns(place, facts) {
  const deepest = facts.metrics.drawdowns;
  if (!Array.isArray(deepest) || !deepest.length) return;
  place.append(
    el("details", {}, el("summary", {}, "The deepest drawdowns"), simpleTable(
      [
        { title: "From the peak at", tight: true, value: (d) => shownTime(d.peak) },
        { title: "lowest at", tight: true, value: (d) => shownTime(d.trough) },
        { title: "recovered at", tight: true, value: (d) => (d.recovered ? shownTime(d.recovered) : "not yet") },
        { title: "depth", number: true, value: (d) => percent(d.depth) },
      ],
      deepest,
    )),
  );
}

const shownTime = (text) => (text ? time(isoTime(text)) : DASH);

function drawRolling(facts, equity, exposure) {
  const rolling = facts.metrics.rolling;
  const points = rolling && Array.isArray(rolling.points) ? rolling.points : [];
  const curve = equity && exposure && equity.rows >= 2;
  if (!points.length && !curve) return dropSection("rolling");
  const place = section("rolling", "Rolling figures and exposure", null);
  const own = curve ? seconds(equity.ts) : null;
  const range = curve ? [own[0], own[own.length - 1]] : [isoTime(points[0].ts), isoTime(points.at(-1).ts)];
  const known = points.filter((p) => p.sharpe !== null && p.sharpe !== undefined);
  if (known.length > 1) {
    place.append(el("h3", {}, `Sharpe ratio of the ${rolling.window_days} days before, annualised`));
    timeChart(place, "rolling", {
      series: [line("Sharpe", "violet", (v) => decimal(v, 2))],
      data: [known.map((p) => isoTime(p.ts)), known.map((p) => p.sharpe)],
      y: { label: "ratio", format: (v) => decimal(v, Number.isInteger(v) ? 0 : 1), size: 72 },
      height: 160,
      range,
      hooks: { drawAxes: [zeroLine] },
    });
  } else {
    const days = rolling && rolling.window_days ? `${rolling.window_days} days` : "the window";
    place.append(el("p", { class: "empty" }, `No rolling Sharpe ratio: the run is shorter than ${days}, or nothing moved.`));
  }
  if (curve) {
    const length = exposure.rows > 1 ? span((exposure.ts[1] - exposure.ts[0]) / 1e6) : "";
    place.append(el("h3", {}, `Exposure: all positions together, as a share of equity, in stretches of ${length}`));
    timeChart(place, "exposure", {
      series: [
        line("Mean", "teal", (v) => percent(v, 1), { fill: () => colour("soft-teal"), width: 1.25, paths: uPlot.paths.stepped({ align: 1 }) }),
        line("Highest", "grey", (v) => percent(v, 1), { width: 1, paths: uPlot.paths.stepped({ align: 1 }) }),
      ],
      data: [seconds(exposure.ts), Array.from(exposure.mean), Array.from(exposure.highest)],
      y: { label: "% of equity", format: (v) => decimal(v * 100, 0), size: 72 },
      height: 150,
      range,
      yRange: (u, min, max) => [0, max > 0 ? max * 1.05 : 1],
    });
  }
}

function zeroLine(u) {
  const y = u.valToPos(0, "y", true);
  if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
  u.ctx.save();
  u.ctx.strokeStyle = colour("grey");
  u.ctx.lineWidth = 1;
  u.ctx.beginPath();
  u.ctx.moveTo(u.bbox.left, y);
  u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
  u.ctx.stroke();
  u.ctx.restore();
}
