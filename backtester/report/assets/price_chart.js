// One instrument's candles with its trades, and what the strategy noted. The wheel zooms, dragging moves, two fingers do both.

const LEAST_CANDLES = 12;
const FEW_TRADES = 60; // in view: marks of full size; up to MANY_TRADES of half; above that a dot and a line
const MANY_TRADES = 240;

class PriceChart {
  constructor(place, readout, height) {
    this.place = place;
    this.readout = readout;
    this.height = height;
    this.show = { trades: true, levels: true, notes: true };
    this.chosen = -1;
    this.u = null;
  }

  // levels: candleLevels(...); trades: columns of this instrument, by entry; lines, marks: what was noted
  set({ levels, decimals, trades, lines, marks, unit, name }) {
    Object.assign(this, { levels, decimals, trades, lines, marks, name, chosen: -1 });
    const { base } = levels;
    this.from = base.t[0];
    this.to = base.t[base.n - 1] + base.step;
    if (this.u) this.u.destroy();
    this.place.replaceChildren();
    this.u = new uPlot(
      {
        width: Math.max(240, this.place.clientWidth),
        height: this.height,
        tzDate: utcDate,
        scales: { x: { time: true, auto: false }, y: { auto: false } },
        axes: [timeAxis(), valueAxis(unit, (v) => decimal(v, this.axisPlaces()), 76)],
        cursor: { drag: { x: false, y: false, setScale: false }, points: { show: false }, dataIdx: () => null },
        legend: { show: false },
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: { draw: [() => this.draw()], setCursor: [() => this.read()] },
      },
      [[this.from, this.to], [null, null]],
      this.place,
    );
    if (!this.watching) {
      new ResizeObserver(() => {
        const width = Math.max(240, this.place.clientWidth);
        if (this.u && width !== this.u.width) {
          this.u.setSize({ width, height: this.height });
          this.view(this.min, this.max);
        }
      }).observe(this.place);
      redraws.push(() => this.u.redraw(false, true));
      this.watching = true;
    }
    this.hands();
    this.view(this.from, this.to);
    charts.price = this.u;
  }

  axisPlaces() {
    const { min, max } = this.u.scales.y;
    const step = (max - min) / 8;
    return Math.min(this.decimals, Math.max(0, Math.ceil(-Math.log10(step || 1))));
  }

  // Show [min, max], seconds; kept inside of what there is.
  view(min, max) {
    const whole = this.to - this.from;
    const least = Math.min(whole, LEAST_CANDLES * this.levels.base.step);
    let width = Math.min(whole * 1.02, Math.max(least, max - min));
    const margin = width * 0.5;
    min = Math.max(this.from - (width >= whole ? whole * 0.01 : margin), (min + max - width) / 2);
    max = Math.min(this.to + (width >= whole ? whole * 0.01 : margin), min + width);
    min = max - width;
    this.min = min;
    this.max = max;
    this.level = this.levels.fitting(max - min, this.u.bbox.width / devicePixelRatio || this.u.width - 76);
    const { t, h, l, step } = this.level;
    const first = Math.max(0, lowerBound(t, min - step));
    const last = Math.min(this.level.n, lowerBound(t, max, this.level.n));
    let low = Infinity;
    let high = -Infinity;
    for (let i = first; i < last; i++) {
      if (l[i] < low) low = l[i];
      if (h[i] > high) high = h[i];
    }
    if (low > high) [low, high] = [this.u.scales.y.min ?? 0, this.u.scales.y.max ?? 1];
    const room = (high - low || Math.abs(high) * 0.01 || 1) * 0.07;
    this.drawn = { first, last };
    this.u.batch(() => {
      this.u.setScale("x", { min, max });
      this.u.setScale("y", { min: low - room, max: high + room });
    });
    this.read();
  }

  zoom(factor, around = (this.min + this.max) / 2) {
    this.view(around - (around - this.min) * factor, around + (this.max - around) * factor);
  }

  showTrade(row) {
    const { entry, exit } = this.trades;
    this.chosen = row;
    const middle = (entry[row] + exit[row]) / 2;
    const half = Math.max((exit[row] - entry[row]) * 1.1, 30 * this.levels.base.step);
    this.view(middle - half, middle + half);
  }

  draw() {
    const { ctx, bbox } = this.u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    if (this.chosen >= 0) this.drawChosen(ctx);
    this.drawCandles(ctx);
    if (this.show.notes) this.drawNotes(ctx);
    if (this.show.trades) this.drawTrades(ctx);
    ctx.restore();
  }

  x(seconds) {
    return this.u.valToPos(seconds, "x", true);
  }

  y(price) {
    return this.u.valToPos(price, "y", true);
  }

  drawCandles(ctx) {
    const { t, o, h, l, c, step } = this.level;
    const { first, last } = this.drawn ?? { first: 0, last: 0 };
    const width = Math.max(1, Math.round((this.x(this.min + step) - this.x(this.min)) * 0.7));
    const wick = Math.max(1, Math.round(devicePixelRatio));
    for (const rising of [true, false]) {
      ctx.fillStyle = colour(rising ? "blue" : "orange");
      for (let i = first; i < last; i++) {
        if (c[i] >= o[i] !== rising) continue;
        const middle = Math.round(this.x(t[i] + step / 2));
        const top = this.y(Math.max(o[i], c[i]));
        const bottom = this.y(Math.min(o[i], c[i]));
        const high = this.y(h[i]);
        ctx.fillRect(middle - wick / 2, high, wick, Math.max(1, this.y(l[i]) - high));
        ctx.fillRect(middle - width / 2, top, width, Math.max(1, bottom - top));
      }
    }
  }

  drawNotes(ctx) {
    ctx.lineWidth = 1.4 * devicePixelRatio;
    for (const { t, v, ink, dots } of this.lines) {
      const first = Math.max(0, lowerBound(t, this.min) - 1);
      const last = Math.min(t.length, lowerBound(t, this.max) + 1);
      if (dots) {
        const side = 4 * devicePixelRatio;
        ctx.fillStyle = colour(ink);
        for (let i = first; i < last; i++) ctx.fillRect(this.x(t[i]) - side / 2, this.y(v[i]) - side / 2, side, side);
        continue;
      }
      ctx.strokeStyle = colour(ink);
      ctx.beginPath();
      let broken = true;
      for (let i = first; i < last; i++) {
        if (Number.isNaN(v[i])) {
          broken = true;
          continue;
        }
        if (broken) ctx.moveTo(this.x(t[i]), this.y(v[i]));
        else ctx.lineTo(this.x(t[i]), this.y(v[i]));
        broken = false;
      }
      ctx.stroke();
    }
    const size = 4 * devicePixelRatio;
    const top = this.u.bbox.top + size * 1.5;
    ctx.fillStyle = colour("violet");
    const { t } = this.marks;
    for (let i = lowerBound(t, this.min); i < t.length && t[i] <= this.max; i++) {
      const x = this.x(t[i]);
      ctx.fillRect(x - size / 4, top - size, size / 2, size * 2);
    }
  }

  drawChosen(ctx) {
    const { entry, exit } = this.trades;
    const { top, height } = this.u.bbox;
    const left = this.x(entry[this.chosen]);
    ctx.fillStyle = colour("mark");
    ctx.fillRect(left - 2, top, Math.max(4, this.x(exit[this.chosen]) - left + 4), height);
  }

  drawTrades(ctx) {
    const { entry, exit, entryPrice, exitPrice, stop, target, long, net, n } = this.trades;
    const seen = [];
    for (let i = 0; i < n; i++) if (exit[i] >= this.min && entry[i] <= this.max) seen.push(i);
    const dpr = devicePixelRatio;
    const size = seen.length <= FEW_TRADES ? dpr : seen.length <= MANY_TRADES ? dpr * 0.6 : 0;
    this.seenTrades = seen.length;
    for (const i of seen) {
      const x0 = this.x(entry[i]);
      const x1 = this.x(exit[i]);
      const y0 = this.y(entryPrice[i]);
      const y1 = this.y(exitPrice[i]);
      if (this.show.levels && x1 - x0 > 8 * dpr) {
        this.levelLine(ctx, x0, x1, stop[i], "bad");
        this.levelLine(ctx, x0, x1, target[i], "good");
      }
      ctx.strokeStyle = colour(net[i] >= 0 ? "blue" : "orange");
      ctx.lineWidth = (i === this.chosen ? 2 : 1.1) * dpr;
      ctx.setLineDash(net[i] >= 0 ? [] : [4 * dpr, 3 * dpr]);
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1, y1);
      ctx.stroke();
      ctx.setLineDash([]);
      if (size || i === this.chosen) {
        triangle(ctx, x0, y0, 5.5 * (size || dpr), long[i]);
        square(ctx, x1, y1, 4 * (size || dpr));
      } else {
        ctx.fillStyle = colour("ink");
        ctx.fillRect(x0 - 1, y0 - 1, 2 * dpr, 2 * dpr);
      }
    }
  }

  levelLine(ctx, x0, x1, price, ink) {
    if (Number.isNaN(price)) return;
    const y = this.y(price);
    ctx.strokeStyle = colour(ink);
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x0, y);
    ctx.lineTo(x1, y);
    ctx.stroke();
    ctx.setLineDash([]);
  }

  // The line of text above the chart: the candle under the pointer, and what was noted then.
  read() {
    const left = this.u.cursor.left;
    const { t, o, h, l, c, n, step } = this.level;
    const shown = `${this.name}, candles of ${stepName(step)}${step === this.levels.base.step ? "" : ` made of ${stepName(this.levels.base.step)}`}`;
    if (left === null || left === undefined || left < 0) {
      this.readout.replaceChildren(shown);
      return;
    }
    const at = this.u.posToVal(left, "x");
    const i = lowerBound(t, at + 1e-9, n) - 1;
    if (i < 0 || at >= t[i] + step) {
      this.readout.replaceChildren(`${shown} · ${time(at)} no candle`);
      return;
    }
    const part = (name, value) => [` ${name} `, el("b", {}, decimal(value, this.decimals))];
    const notes = this.lines.map((one) => {
      const k = lowerBound(one.t, at + 1e-9) - 1;
      return k >= 0 ? part(one.label, one.v[k]) : [];
    });
    const k = lowerBound(this.marks.t, t[i]);
    const mark = k < this.marks.t.length && this.marks.t[k] < t[i] + step ? ` · ${this.marks.text[k]}` : "";
    this.readout.replaceChildren();
    append(this.readout, [`${shown} · `, el("b", {}, time(t[i])), part("open", o[i]), part("high", h[i]), part("low", l[i]), part("close", c[i]), notes, mark]);
  }

  // Wheel, drag, pinch and double click.
  hands() {
    const over = this.u.over;
    const fingers = new Map();
    const place = (event) => event.clientX - over.getBoundingClientRect().left;
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      const at = this.u.posToVal(place(event), "x");
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const shift = ((this.max - this.min) * event.deltaX) / over.clientWidth;
        this.view(this.min + shift, this.max + shift);
      } else this.zoom(1.0015 ** Math.max(-400, Math.min(400, event.deltaY * (event.deltaMode ? 30 : 1))), at);
    }, { passive: false });
    over.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, place(event));
      over.setPointerCapture(event.pointerId);
      this.place.classList.add("panning");
    });
    over.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = [...fingers.values()];
      fingers.set(event.pointerId, place(event));
      const now = [...fingers.values()];
      const perPixel = (this.max - this.min) / over.clientWidth;
      if (now.length === 1) {
        const shift = (before[0] - now[0]) * perPixel;
        this.view(this.min + shift, this.max + shift);
      } else if (now.length === 2) {
        const apart = (p) => Math.max(10, Math.abs(p[0] - p[1]));
        const shift = ((before[0] + before[1] - now[0] - now[1]) / 2) * perPixel;
        const around = this.u.posToVal((now[0] + now[1]) / 2, "x");
        this.view(this.min + shift, this.max + shift);
        this.zoom(apart(before) / apart(now), around);
      }
    });
    const lifted = (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) this.place.classList.remove("panning");
    };
    over.addEventListener("pointerup", lifted);
    over.addEventListener("pointercancel", lifted);
    over.addEventListener("dblclick", () => this.view(this.from, this.to));
  }
}

function triangle(ctx, x, y, size, up) {
  const away = up ? 1 : -1;
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(x - size, y + away * size * 1.7);
  ctx.lineTo(x + size, y + away * size * 1.7);
  ctx.closePath();
  marked(ctx);
}

function square(ctx, x, y, size) {
  ctx.beginPath();
  ctx.rect(x - size, y - size, 2 * size, 2 * size);
  marked(ctx);
}

function marked(ctx) {
  ctx.fillStyle = colour("ink");
  ctx.strokeStyle = colour("card");
  ctx.lineWidth = devicePixelRatio;
  ctx.fill();
  ctx.stroke();
}

// Columns of one instrument's trades. A hedged position (um:BTCUSDT@long) is drawn on its market.
function tradesOf(trades, instrument) {
  const rows = [];
  const matching = new Set();
  if (trades) {
    trades.instrument.texts.forEach((text, code) => text.split("@")[0] === instrument && matching.add(code));
    for (let i = 0; i < trades.rows; i++) if (matching.has(trades.instrument.codes[i])) rows.push(i);
  }
  const pick = (column, scale = 1) => Float64Array.from(rows, (i) => (column ? column[i] / scale : NaN));
  return {
    rows,
    n: rows.length,
    entry: pick(trades && trades.entry_time, 1e6),
    exit: pick(trades && trades.exit_time, 1e6),
    entryPrice: pick(trades && trades.entry_price),
    exitPrice: pick(trades && trades.exit_price),
    stop: pick(trades && trades.stop),
    target: pick(trades && trades.target),
    net: pick(trades && trades.net_pnl),
    long: rows.map((i) => trades.side.text(i) === "long"),
  };
}

const LINE_INKS = ["gold", "violet", "teal", "grey", "good", "bad"];

// The features of a signal, as columns of the page; lines begin with "line ".
function featureLines(table) {
  if (!table) return [];
  return Object.keys(table).filter((key) => key.startsWith("line ")).map((key) => ({ label: key.slice(5), t: table.ts, v: table[key] }));
}

// Notes with numbers near the price become lines, by name; every other note a mark at the top, with its text.
function notesOf(notes, instrument, base) {
  const mine = notes.filter((note) => {
    const cause = String(note.cause_id ?? "");
    return !cause.includes(":") || cause.split("/")[0] === instrument;
  });
  const found = new Map();
  let low = Infinity;
  let high = 0;
  for (let i = 0; i < base.n; i++) {
    if (base.l[i] < low) low = base.l[i];
    if (base.h[i] > high) high = base.h[i];
  }
  for (const note of mine) {
    for (const [key, text] of Object.entries(note.values ?? {})) {
      const value = Number(text);
      if (text === "" || !(value >= low * 0.5 && value <= high * 2)) continue;
      if (!found.has(key)) found.set(key, { label: key, t: [], v: [] });
      found.get(key).t.push(note.ts / 1e6);
      found.get(key).v.push(value);
    }
  }
  const lines = [...found.values()].filter((one) => one.t.length >= 10);
  // What is noted now and then is points: a line would claim values in between.
  for (const one of lines) one.dots = one.t.length < (0.5 * (one.t.at(-1) - one.t[0])) / base.step;
  const drawn = new Set(lines.map((one) => one.label));
  const rest = mine.filter((note) => !Object.keys(note.values ?? {}).some((key) => drawn.has(key)));
  const text = (note) => [note.text, ...Object.entries(note.values ?? {}).map(([k, v]) => `${k}=${v}`)].join(" ");
  return { lines, marks: { t: rest.map((note) => note.ts / 1e6), text: rest.map(text) } };
}
