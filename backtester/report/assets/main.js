// Puts the page together: words first, then the curves, then the candles of the first instrument.

const KEY = [
  ["▲", "ink", "entry (▲ long, ▼ short)"],
  ["■", "ink", "exit"],
  ["—", "blue", "won"],
  ["╌", "orange", "lost"],
  ["┄", "bad", "stop at entry"],
  ["┄", "good", "target at entry"],
];

async function main() {
  const began = performance.now();
  const facts = JSON.parse(document.getElementById("facts").textContent);
  setUpTheme();
  drawHeader(facts);
  drawHeadline(facts);
  drawMonths(facts);
  drawCosts(facts);
  drawBreakdowns(facts);
  drawStability(facts);
  drawRisk(facts);
  drawAssumptions(facts);
  drawWarnings(facts);
  drawProof(facts);
  drawFigures(facts);
  drawData(facts);
  drawConfig(facts);

  if (typeof DecompressionStream === "undefined") {
    const fault = document.getElementById("fault");
    fault.hidden = false;
    fault.textContent = "This browser is too old to unpack the charts and the trades (it has no DecompressionStream).";
    return;
  }
  const [equity, benchmark, exposure, trades] = await Promise.all(["equity", "benchmark", "exposure", "trades"].map((name) => unpack(facts, name)));
  drawCurves(facts, equity, benchmark);
  document.documentElement.dataset.firstChart = Math.round(performance.now() - began);
  drawRolling(facts, equity, exposure);
  drawDistributions(facts, trades);
  const price = await drawPrice(facts, trades);
  drawTrades(facts, trades, price);
  drawNavigation();
  document.documentElement.dataset.ready = Math.round(performance.now() - began);
}

// Returns show(trade row), which brings a trade into view; null when there is no chart.
async function drawPrice(facts, trades) {
  const series = facts.prices;
  const drawable = series.filter((one) => one.table);
  const missing = series.filter((one) => !one.table);
  if (!series.length) {
    dropSection("price");
    return null;
  }
  const absent = missing.length
    ? el("p", { class: "empty" }, `No candles of ${missing.map((one) => one.instrument).join(", ")}: ${missing[0].why}. bt report RUN --data DIR says where the lake is now.`)
    : null;
  if (!drawable.length) {
    section("price", "Price and trades", null, absent);
    return null;
  }
  const about = el("p", { class: "about quiet" });
  const readout = el("div", { class: "readout" });
  const place = el("div", { class: "chart pans", "data-chart": "price" });
  const choice = el("select", { "aria-label": "Instrument" }, drawable.map((one, i) => el("option", { value: i }, one.instrument)));
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, onclick: act }, text);
  const toggle = (text, what) => {
    const made = button(text, `Show ${text.toLowerCase()}`, () => {
      chart.show[what] = !chart.show[what];
      made.setAttribute("aria-pressed", String(chart.show[what]));
      chart.u.redraw(false);
    });
    made.setAttribute("aria-pressed", "true");
    return made;
  };
  const key = el("ul", { class: "key" });
  const host = section("price", "Price and trades", null, about);
  const chart = new PriceChart(place, readout, Math.min(460, Math.max(320, Math.round(innerHeight * 0.55))));
  append(host, [
    el("div", { class: "tools" }, drawable.length > 1 ? choice : null,
      button("−", "Zoom out", () => chart.zoom(2)), button("+", "Zoom in", () => chart.zoom(0.5)), button("All", "Show everything", () => chart.view(chart.from, chart.to)),
      el("span", { class: "space" }), toggle("Trades", "trades"), toggle("Stops and targets", "levels"), toggle("Notes", "notes")),
    readout, place, key, absent,
  ]);

  const unpacked = new Map();
  let shown = -1;
  async function show(index) {
    const one = drawable[index];
    if (!unpacked.has(index)) {
      const table = await unpack(facts, one.table);
      const step = table.rows > 1 ? stepSeconds(one.timeframe) : 60;
      const levels = candleLevels(table, step);
      const features = featureLines(one.features ? await unpack(facts, one.features.table) : null);
      const noted = notesOf(facts.notes, one.instrument, levels.base);
      const known = new Set(features.map((line) => line.label));
      noted.lines = noted.lines.filter((line) => !known.has(line.label));
      const lines = [...features, ...noted.lines].slice(0, LINE_INKS.length);
      lines.forEach((line, i) => (line.ink = LINE_INKS[i]));
      unpacked.set(index, { levels, trades: tradesOf(trades, one.instrument), features, lines, noted, marks: noted.marks });
    }
    const found = unpacked.get(index);
    const { base } = found.levels;
    shown = index;
    choice.value = String(index);
    const finer = one.timeframe === facts.run.timeframe ? "" : ` The run's candles are of ${facts.run.timeframe}; the page holds those of ${one.timeframe}, so that it stays small.`;
    const left = facts.counts.notes > facts.notes.length ? ` Of ${integer(facts.counts.notes)} notes the first ${integer(facts.notes.length)} are shown.` : "";
    const indicators = aboutLines(facts, one, found);
    about.textContent = `${integer(base.n)} candles of ${one.timeframe}, and ${integer(found.trades.n)} closed trades. Wheel or two fingers zoom, dragging moves, a double click shows everything.${finer}${indicators}${left}`;
    key.replaceChildren(...[...KEY, ...found.lines.map((l) => [l.dots ? "·" : "—", l.ink, l.label]), ...(found.marks.t.length ? [["❘", "violet", "note"]] : [])]
      .map(([sign, ink, text]) => el("li", {}, el("span", { class: "swatch", style: { color: `var(--${ink})` } }, sign), text)));
    const quote = quoteOf(one.instrument, facts.run.currency);
    chart.set({ ...found, decimals: one.decimals, unit: quote ? `price, ${quote}` : "price", name: one.instrument });
  }
  choice.addEventListener("change", () => show(Number(choice.value)));
  await show(0);

  return async (row) => {
    const market = trades.instrument.text(row).split("@")[0];
    const index = drawable.findIndex((one) => one.instrument === market);
    if (index < 0) return;
    if (index !== shown) await show(index);
    chart.showTrade(chart.trades.rows.indexOf(row));
    host.scrollIntoView({ block: "start" });
  };
}

// Says which lines are drawn, where they come from, and which are not.
function aboutLines(facts, one, { features, noted }) {
  const said = [];
  const names = (lines) => lines.map((line) => line.label).join(", ");
  if (features.length) said.push(` Lines: the signal's features ${names(features)}${one.features.every > 1 ? `, one value of ${one.features.every}` : ""}, computed again.`);
  if (one.features?.others.length) said.push(` Not drawn, being no prices: ${one.features.others.join(", ")}.`);
  if (noted.lines.length) said.push(` Noted by the strategy: ${names(noted.lines)}.`);
  if (facts.features_missing) said.push(` The signal's features are not drawn: ${facts.features_missing}.`);
  return said.length ? said.join("") : " No indicators are drawn: the strategy noted no figures (self.note).";
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const stepSeconds = (timeframe) => parseInt(timeframe, 10) * UNITS[timeframe.at(-1)];
const quoteOf = (instrument, currency) => (instrument.endsWith(currency) || instrument.includes(`${currency}_`) ? currency : "");

function drawTrades(facts, trades, show) {
  const open = openAtTheEnd(facts);
  const still = open.length ? [el("h3", {}, "Still open at the end"), simpleTable([
    { title: "Instrument", tight: true, value: (p) => p.instrument },
    { title: "Side", value: (p) => p.side },
    { title: "Since, UTC", value: (p) => (p.entry_time ? shownTime(p.entry_time) : DASH) },
    { title: "Quantity", number: true, value: (p) => exact(Math.abs(Number(p.qty))) },
    { title: "Entry price", number: true, value: (p) => exact(p.entry_price === undefined ? null : Number(p.entry_price)) },
    { title: "Unrealised", number: true, value: (p) => (p.unrealised === undefined ? DASH : `${money(p.unrealised, true)} ${p.currency ?? ""}`), tone: (p) => tone(Number(p.unrealised ?? 0)) },
  ], open)] : null;
  if (!trades || trades.rows === 0) {
    const why = open.length ? "No trade closed. What is open counts in equity, not among trades." : "The run made no trade.";
    section("trades", "Trades", null, el("p", { class: "empty" }, why), still);
    return;
  }
  const host = section("trades", "Trades", show ? "Round trips from flat to flat. A click on one shows it on the chart." : "Round trips from flat to flat.");
  const table = new TradeTable(trades, facts.run.currency, async (row) => {
    table.mark(row);
    if (show) await show(row);
  });
  table.mount(host);
  append(host, [still]);
}

// What metrics.json says of open trades; of a run from before it did, the positions that were left.
function openAtTheEnd(facts) {
  if (Array.isArray(facts.metrics.open_trades)) return facts.metrics.open_trades;
  return Object.entries(facts.final.positions ?? {})
    .filter(([, p]) => Number(p.qty) !== 0)
    .map(([instrument, p]) => ({ instrument, side: Number(p.qty) > 0 ? "long" : "short", qty: p.qty }));
}

function drawNavigation() {
  const links = [...document.querySelectorAll("main > section")].map((one) => el("a", { href: `#${one.id}` }, one.dataset.title));
  document.getElementById("nav").replaceChildren(...links);
}

main().catch((error) => {
  const fault = document.getElementById("fault");
  fault.hidden = false;
  fault.textContent = `This page could not be drawn whole: ${error.message}`;
  console.error(error);
});
