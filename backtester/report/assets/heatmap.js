// Monthly returns as a table of years and months, tinted by size and sign; the number says it without the colour.

function drawMonths(facts) {
  const months = facts.metrics.monthly_returns;
  if (!Array.isArray(months) || !months.length) return dropSection("months");
  const byYear = new Map();
  for (const one of months) {
    const [year, month] = one.month.split("-").map(Number);
    if (!byYear.has(year)) byYear.set(year, new Map());
    byYear.get(year).set(month, one);
  }
  const largest = Math.max(0.001, ...months.map((m) => Math.abs(m.return ?? 0)));
  const tint = (value) => `rgba(var(--heat-${value >= 0 ? "up" : "down"}), ${(0.06 + 0.5 * Math.min(1, Math.abs(value) / largest)).toFixed(3)})`;
  const partial = months.some((m) => m.partial);
  const cell = (one) => {
    if (!one || one.return === null || one.return === undefined) return el("td", {});
    const title = `${one.month}: ${percent(one.return, 2, true)}${one.partial ? ", a part of the month" : ""}`;
    return el("td", { style: { background: tint(one.return) }, title }, decimal(one.return * 100, 1, true) + (one.partial ? "*" : ""));
  };
  const rows = [...byYear].sort((a, b) => a[0] - b[0]).map(([year, found]) => {
    const whole = [...found.values()].reduce((product, one) => product * (1 + (one.return ?? 0)), 1) - 1;
    return el("tr", {}, el("th", { scope: "row" }, year), Array.from({ length: 12 }, (_, i) => cell(found.get(i + 1))),
      el("td", { class: "total" }, decimal(whole * 100, 1, true)));
  });
  section("months", "Monthly returns",
    `Per cent, of equity at the start of each month (UTC).${partial ? " * a part of the month." : ""}`,
    el("div", { class: "scroll" }, el("table", { class: "heat" },
      el("thead", {}, el("tr", {}, el("th", {}), MONTHS.map((m) => el("th", { scope: "col" }, m)), el("th", { scope: "col" }, "Year"))),
      el("tbody", {}, rows))));
}
