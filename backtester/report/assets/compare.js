// The page of a comparison: what was compared, the curves on one axis, the bridge, the figures, where the runs part.

const CURVES = ["blue", "orange", "teal", "violet", "gold", "grey"];

function drawRuns(facts) {
  document.getElementById("subtitle").textContent = facts.runs.map((run) => `${run.letter} ${run.run_id}`).join(", ");
  section("runs", "Runs", null,
    facts.remarks.map((remark) => el("p", { class: "banner" }, remark)),
    simpleTable([
      { title: "", value: (run) => run.letter },
      { title: "run", value: (run) => run.run_id, tone: () => "tight" },
      { title: "strategy", value: (run) => run.strategy, tone: () => "tight" },
      { title: "range", value: (run) => `${run.start} to ${run.end}`, tone: () => "tight" },
      { title: "status", value: (run) => run.status, tone: () => "tight" },
    ], facts.runs));
}

function drawEquity(facts) {
  const { seconds, curves, unit } = facts.curves;
  const host = section("equity", "Equity", "Drag over a range to zoom, double click to see all.");
  const format = (value) => decimal(value, Math.abs(value) >= 1000 ? 0 : 4);
  const series = curves.map((curve, place) =>
    line(facts.runs[place].letter, CURVES[place % CURVES.length], format, place < CURVES.length ? {} : { dash: [5, 3] }));
  timeChart(host, "equity", {
    series,
    data: [seconds, ...curves.map((curve) => curve.values)],
    y: { label: `equity, ${unit}`, format },
    height: 340,
    range: [seconds[0], seconds[seconds.length - 1]],
  });
}

function drawBridge(facts) {
  const bridge = facts.bridge;
  if (!bridge) return dropSection("bridge");
  if (!bridge.lines) return section("bridge", "From A to B", null, el("p", { class: "empty" }, `No bridge: ${bridge.reason}.`));
  const rows = [
    { name: "final equity of A", amount: bridge.from, whole: true },
    ...bridge.lines,
    { name: "final equity of B", amount: bridge.to, whole: true },
  ];
  section("bridge", "From A to B", "What the difference of final equity is made of. The lines add up exactly.",
    simpleTable([
      { title: "", value: (row) => row.name },
      { title: bridge.currency, number: true, value: (row) => row.amount.replace("-", "−"), tone: (row) => (row.whole ? "" : tone(Number(row.amount))) },
      { title: "trades", number: true, value: (row) => row.trades || "" },
    ], rows));
}

function drawFigures(facts) {
  const two = facts.runs.length === 2;
  const columns = [
    { title: "", value: (row) => words(row.name), tone: () => "tight" },
    ...facts.runs.map((run, place) => ({ title: run.letter, number: true, value: (row) => row.cells[place] })),
  ];
  if (two) columns.push({ title: "B − A", number: true, value: (row) => row.difference }, { title: "", value: (row) => row.verdict });
  section("figures", "Figures", two ? null : "* best, where more or less of it is better", simpleTable(columns, facts.figures));
}

function drawDifferences(facts) {
  const columns = [
    { title: "", value: (row) => row[0] },
    ...facts.runs.map((run, place) => ({ title: run.letter, value: (row) => row[place + 1] })),
  ];
  section("differences", "What was different before they began", null,
    Object.entries(facts.differences).map(([name, rows]) => [
      el("h3", {}, sentence(name)), simpleTable(columns, rows, { empty: "The same." })]));
}

function drawParting(id, title, parting) {
  if (parting === undefined) return dropSection(id);
  if (parting === null) return section(id, title, null, el("p", { class: "empty" }, "There is none within the time that both cover."));
  section(id, title, null,
    simpleTable([
      { title: "field", value: (row) => row[0] }, { title: "A", value: (row) => row[1] }, { title: "B", value: (row) => row[2] },
    ], parting.fields, { empty: "" }),
    ["A", "B"].map((letter, place) => [el("h3", {}, letter), el("pre", {}, parting.told[place] || "nothing at that time")]));
}

const facts = JSON.parse(document.getElementById("facts").textContent);
setUpTheme();
drawRuns(facts);
drawEquity(facts);
drawBridge(facts);
drawFigures(facts);
drawDifferences(facts);
drawParting("event", "The first event that differs", facts.event);
drawParting("decision", "The first decision that differs", facts.decision);
document.documentElement.dataset.ready = 1;
