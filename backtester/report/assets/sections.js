// The parts of the page that are words and tables.

const metricOf = (facts, name) => {
  const found = facts.metrics[name];
  return found && typeof found === "object" && "value" in found ? found : null;
};
const valueOf = (facts, name) => metricOf(facts, name)?.value ?? null;

const MONEY_NAMES = /pnl|fees|funding|slippage|equity|expectancy$|avg_win$|avg_loss$|^best$|^worst$|interest|liquidation/;
const SHARE_NAMES = /return|cagr|volatility|drawdown|rate$|share|exposure|^var_|^cvar_|_pct$|ulcer|alpha|coverage/;

// A figure as text, by its name and what it is.
function shownFigure(name, metric) {
  const { value } = metric;
  if (value === null || value === undefined) return DASH;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (metric.currency) return `${money(value)} ${metric.currency}`;
  if (typeof value === "string") return value;
  if (Number.isInteger(value) && /^n_|count|consecutive|concurrent|trials|samples/.test(name)) return integer(value);
  if (metric.unit) return `${decimal(value, 1)} ${metric.unit}`;
  if (SHARE_NAMES.test(name) && !/exposure_avg|leverage/.test(name)) return percent(value);
  if (MONEY_NAMES.test(name) && !Number.isInteger(value)) return money(value);
  return Number.isInteger(value) && Math.abs(value) > 999 ? integer(value) : decimal(value, Number.isInteger(value) ? 0 : 3);
}

function drawHeader(facts) {
  const { run } = facts;
  document.getElementById("title").textContent = run.strategy;
  const symbols = run.symbols.length > 6 ? `${run.symbols.slice(0, 6).join(", ")} and ${run.symbols.length - 6} more` : run.symbols.join(", ");
  document.getElementById("subtitle").textContent = `${symbols} · ${run.timeframe} candles · ${shownTime(run.range.start)} to ${shownTime(run.range.end)} UTC`;
  const badge = (text, kind = "") => el("span", { class: `badge ${kind}` }, text);
  const certificate = facts.certificate;
  const proof = certificate ? (certificate.verdict === "proven" ? ["proven: does not look ahead", "good"] : [`check: ${certificate.verdict}`, "bad"]) : ["unproven: not checked for looking ahead"];
  const liquidated = Object.values(facts.liquidation?.liquidations ?? {}).reduce((a, b) => a + b, 0);
  const open = Object.keys(facts.final.positions ?? {}).filter((name) => Number(facts.final.positions[name].qty) !== 0).length;
  append(document.getElementById("badges"), [
    badge(run.status, run.status === "complete" ? "good" : "bad"),
    badge(...proof),
    liquidated ? badge(`liquidated ${liquidated === 1 ? "once" : `${liquidated} times`}`, "bad") : null,
    metricOf(facts, "max_drawdown")?.flag === "ruined" ? badge("ruined: equity fell to zero", "bad") : null,
    open ? badge(`${open} position${open === 1 ? "" : "s"} still open at the end`) : null,
    facts.warnings.length ? badge(`${facts.warnings.length} warning${facts.warnings.length === 1 ? "" : "s"}`) : null,
  ]);
  const fault = document.getElementById("fault");
  if (run.status !== "complete") {
    fault.hidden = false;
    fault.textContent = run.status === "failed"
      ? `The run failed at ${shownTime(run.range.last_tick)} UTC: ${run.error}. What it did until then is shown.`
      : `The run was interrupted at ${shownTime(run.range.last_tick)} UTC. What it did until then is shown; it is not the whole range.`;
  }
}

function drawHeadline(facts) {
  const { metrics } = facts;
  const figure = (name, title, more = null) => {
    const metric = metricOf(facts, name);
    if (!metric) return null;
    const none = metric.value === null;
    const text = none ? DASH : shownFigure(name, metric);
    const [, number, unit] = metric.currency && !none ? text.match(/^(\S+) (.*)$/) : [null, text, ""];
    return el("div", { class: "figure", "data-figure": name },
      el("div", { class: "name" }, title),
      el("div", { class: none ? "value none" : `value ${/return|cagr|net_pnl/.test(name) ? tone(Number(metric.value)) : ""}` }, number, unit ? el("small", {}, ` ${unit}`) : null),
      el("div", { class: "more" }, none ? words(metric.reason ?? "not known") : more, metric.flag && !none ? ` ${words(metric.flag)}` : null));
  };
  const drawdown = metrics.max_drawdown ?? {};
  const dates = drawdown.peak && drawdown.trough ? `${shownTime(drawdown.peak).slice(0, 10)} to ${shownTime(drawdown.trough).slice(0, 10)}` : null;
  const held = metrics.benchmark?.total_return;
  const heldReturn = held && typeof held === "object" ? held.value : held;
  const error = valueOf(facts, "sharpe_se");
  const deflated = valueOf(facts, "deflated_sharpe");
  const open = valueOf(facts, "n_open");
  const share = metrics.costs?.share_of_gross_profit;
  const shareValue = share && typeof share === "object" ? share.value : share;
  const costLine = (name) => Number((metrics.costs?.lines ?? []).find((one) => one.name === name)?.value ?? 0);
  const price = costLine("price_pnl");
  const paid = -["slippage", "fees", "liquidation", "funding"].reduce((sum, name) => sum + costLine(name), 0);
  const costs = Number.isFinite(shareValue) ? `all costs: ${percent(shareValue, 1)} of gross profit`
    : price < 0 ? `all costs: ${percent(paid / -price, 1)} of the gross loss, on top of it` : null;
  const liquidation = -costLine("liquidation");
  const counts = `${integer(valueOf(facts, "n_wins") ?? 0)} won, ${integer(valueOf(facts, "n_losses") ?? 0)} lost`;
  section("headline", "Summary", null, el("div", { class: "cards" },
    figure("total_return", "Net return", Number.isFinite(heldReturn) ? `buy and hold ${percent(heldReturn, 2, true)}` : null),
    figure("cagr", "Return a year (CAGR)"),
    figure("final_equity", "Final equity", `from ${money(valueOf(facts, "initial_equity"))}`),
    figure("max_drawdown", "Max drawdown", dates),
    figure("sharpe", "Sharpe ratio", error === null ? null : `± ${decimal(error, 2)} standard error${deflated === null ? ", not deflated" : ""}`),
    figure("sortino", "Sortino ratio"),
    figure("n_trades", "Trades", open ? `and ${integer(open)} still open` : counts),
    figure("win_rate", "Win rate", open ? counts : null),
    figure("profit_factor", "Profit factor"),
    valueOf(facts, "expectancy_r") === null ? null : figure("expectancy_r", "Mean R a trade"),
    figure("exposure_time", "Time in the market"),
    figure("fees", "Fees", costs),
    liquidation ? el("div", { class: "figure", "data-figure": "liquidation_fees" },
      el("div", { class: "name" }, "Liquidation fees"), el("div", { class: "value" }, money(liquidation)),
      el("div", { class: "more" }, "among the fees")) : null,
    figure("funding", "Funding"),
    deflated === null ? null : figure("deflated_sharpe", "Deflated Sharpe", `of ${integer(metrics.deflated_sharpe.trials)} trials`),
  ));
}

const COST_TITLES = { price_pnl: "Price profit before slippage", liquidation: "Liquidation fees", insurance: "Paid by the insurance fund", net: "Net profit" };

// Cost lines as bars from gross profit down to net; they add up exactly, which the last line shows.
function drawCosts(facts) {
  const costs = facts.metrics.costs;
  const shown = (Array.isArray(costs?.lines) ? costs.lines : []).filter((one) => Number(one.value) !== 0 || /price|fees/.test(one.name));
  if (!shown.length) return dropSection("costs");
  if (costs.net !== undefined) shown.push({ name: "net", value: costs.net });
  const amount = (one) => Number(one.value);
  const largest = Math.max(...shown.map((one) => Math.abs(amount(one)))) || 1;
  const whose = Array.isArray(costs.whose) ? costs.whose.filter((one) => Number(one.value) !== 0) : [];
  section("costs", "What it cost", `In ${facts.run.currency}, from what the prices gave to what was left. The lines add up to the net exactly.`,
    el("div", { class: "bars" }, shown.map((one) => {
      const value = amount(one);
      const sum = /^net/.test(one.name) ? " sum" : "";
      return [
        el("div", { class: `label${sum}` }, COST_TITLES[one.name] ?? sentence(words(one.name))),
        el("div", { class: "track" }, el("div", { class: "fill", style: { width: `${(Math.abs(value) / largest) * 100}%`, background: `var(--${value >= 0 ? "blue" : "orange"})` } })),
        el("div", { class: `amount${sum} ${tone(value)}` }, money(value, true)),
      ];
    })),
    whose.length ? el("p", { class: "about below quiet" }, `Of the net: ${whose.map((one) => `${words(one.name)} ${money(one.value, true)}`).join(", ")}.`) : null);
}

const BREAKDOWN_TITLES = {
  symbol: "Instrument", strategy: "Strategy", tag: "Tag", side: "Side", exit_reason: "Left by", hour: "Hour of entry (UTC)",
  weekday: "Weekday of entry (UTC)", month: "Month", trend: "Trend", volatility_regime: "Volatility", session: "Session",
};

function drawBreakdowns(facts) {
  const breakdowns = facts.metrics.breakdowns ?? {};
  const known = [...Object.keys(BREAKDOWN_TITLES), ...Object.keys(breakdowns).filter((name) => !BREAKDOWN_TITLES[name])];
  const names = known.filter((name) => Array.isArray(breakdowns[name]) && breakdowns[name].length);
  const strategies = strategyTable(facts);
  if (!names.length && !strategies) return dropSection("breakdowns");
  const plain = (value) => (value && typeof value === "object" ? value.value : value);
  const host = el("div");
  const optional = (rows, title, key, shown, tint) => rows.some((row) => plain(row[key]) !== undefined) && {
    title, number: true, value: (row) => shown(plain(row[key])), tone: tint && ((row) => tone(Number(plain(row[key])))),
  };
  const show = (name) => {
    const rows = breakdowns[name];
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.name === name));
    host.replaceChildren(simpleTable([
      { title: BREAKDOWN_TITLES[name] ?? sentence(words(name)), tight: name === "symbol", value: (row) => (row.key === "" ? "none" : row.key) },
      optional(rows, "Trades", "n_trades", integer),
      optional(rows, "Won", "win_rate", (v) => percent(v, 1)),
      optional(rows, "Profit factor", "profit_factor", (v) => decimal(v, 2)),
      optional(rows, "Gross", "gross_pnl", (v) => money(v, true)),
      optional(rows, "Fees", "fees", (v) => money(v)),
      optional(rows, "Slippage", "slippage", (v) => money(v)),
      optional(rows, "Funding", "funding", (v) => money(v, true)),
      optional(rows, "Net profit", "net_pnl", (v) => money(v, true), true),
      optional(rows, "Mean", "expectancy", (v) => money(v, true)),
    ].filter(Boolean), rows));
  };
  const buttons = names.map((name) => el("button", { type: "button", "data-name": name, onclick: () => show(name) }, BREAKDOWN_TITLES[name] ?? sentence(words(name))));
  section("breakdowns", "Where it came from", names.length ? `Closed trades, money in ${facts.run.currency}.` : null, el("div", { class: "tools" }, buttons), host, strategies);
  if (names.length) show(names[0]);
}

// What each of several strategies made of its share; the rows add up to the account.
function strategyTable(facts) {
  const found = facts.run.strategies;
  if (!found?.parts) return null;
  const rows = [...Object.entries(found.parts), ["reserve", found.reserve], ["account", found.account]].filter(([, row]) => row);
  const amount = (title, key, sign = false) => ({ title, number: true, value: ([, row]) => money(row[key], sign) });
  const count = (title, key) => ({ title, number: true, value: ([, row]) => (row[key] === undefined ? DASH : integer(row[key])) });
  return [el("h3", {}, "Strategies and their shares"), simpleTable([
    { title: "Strategy", value: ([name]) => name },
    { title: "Share", number: true, value: ([, row]) => (row.share === undefined ? DASH : percent(Number(row.share), 0)) },
    amount("Equity at the start", "start_equity"),
    amount("at the end", "end_equity"),
    amount("Realised", "realised", true),
    amount("Unrealised", "unrealised", true),
    amount("Fees", "fees"),
    amount("Funding", "funding", true),
    count("Trades", "trades"),
    count("Fills", "fills"),
  ], rows)];
}

function drawStability(facts) {
  const { stability, bootstrap } = facts.metrics;
  const windows = Array.isArray(stability?.windows) ? stability.windows : [];
  const figures = bootstrap?.figures ? Object.entries(bootstrap.figures) : [];
  if (!windows.length && !figures.length) return dropSection("stability");
  const ratio = (v) => decimal(v, 2);
  const parts = [];
  if (windows.length) {
    const share = typeof stability.positive_share === "object" ? stability.positive_share?.value : stability.positive_share;
    parts.push(el("h3", {}, `Parts of the run${Number.isFinite(share) ? `: ${percent(share, 0)} of them gained` : ""}`), simpleTable([
      { title: "From", tight: true, value: (w) => shownTime(w.start) },
      { title: "to", tight: true, value: (w) => shownTime(w.end) },
      { title: "Return", number: true, value: (w) => percent(w.return, 2, true), tone: (w) => tone(w.return) },
      { title: "Sharpe", number: true, value: (w) => ratio(w.sharpe) },
      { title: "Max drawdown", number: true, value: (w) => percent(w.max_drawdown) },
      { title: "Trades", number: true, value: (w) => integer(w.n_trades) },
    ], windows));
  }
  if (figures.length) {
    const shown = (name, v) => (v === null || v === undefined ? DASH : SHARE_NAMES.test(name) ? percent(v) : ratio(v));
    parts.push(
      el("h3", {}, "How sure"),
      el("p", { class: "about quiet" }, `Its ${bootstrap.days ? integer(bootstrap.days) + " " : ""}whole days drawn again in blocks of ${bootstrap.block_days ?? "some"}, ${integer(bootstrap.samples)} times, seed ${bootstrap.seed}. ${bootstrap.left_out ? `Parts of days at its ends, which made ${percent(bootstrap.left_out, 2, true)}, are left out.` : ""}`),
      simpleTable([
        { title: "Figure", value: ([name]) => sentence(words(name)) },
        { title: "5 %", number: true, value: ([name, f]) => shown(name, f.p05) },
        { title: "median", number: true, value: ([name, f]) => shown(name, f.p50) },
        { title: "95 %", number: true, value: ([name, f]) => shown(name, f.p95) },
      ], figures),
    );
  }
  section("stability", "Stability", null, parts);
}

function drawRisk(facts) {
  const { risk, refusals, counts } = facts;
  const named = (event) => event.breaker ?? event.instrument ?? event.who ?? "";
  const what = (event) => [event.state, event.action, event.reason].filter(Boolean).map(words).join(", ");
  const numbers = (event) => Object.entries(event.numbers ?? {}).map(([k, v]) => `${words(k)} ${String(v).replace(/^-/, "−")}`).join(", ");
  const more = (counts.risk ?? 0) > risk.length ? ` The first ${integer(risk.length)} of ${integer(counts.risk)}.` : "";
  section("risk", "Risk events", `Breakers, margin calls, liquidations and commands.${more}`,
    simpleTable([
      { title: "When, UTC", value: (e) => time(e.tick / 1e6, true) },
      { title: "What", value: (e) => (e.topic === "control" ? "command" : e.breaker ? "breaker" : "margin") },
      { title: "Which", value: named },
      { title: "Did", value: what },
      { title: "Measured", value: numbers },
    ], risk, { empty: "Nothing tripped, nobody commanded, nothing was liquidated." }),
    Object.keys(refusals).length ? [
      el("h3", {}, "Orders that were refused"),
      simpleTable([{ title: "Reason", value: ([reason]) => words(reason) }, { title: "Orders", number: true, value: ([, n]) => integer(n) }], Object.entries(refusals)),
    ] : null);
}

function drawAssumptions(facts) {
  section("assumptions", "Assumptions in force", null, pairs(Object.entries(facts.assumptions).map(([name, text]) => [sentence(words(name)), text])));
}

function drawWarnings(facts) {
  const { warnings } = facts;
  section("warnings", "Warnings", null, warnings.length ? el("ul", { class: "plain" }, warnings.map((text) => el("li", {}, text))) : el("p", { class: "empty" }, "None."));
}

function drawProof(facts) {
  const { certificate, certificate_fault: fault, run } = facts;
  if (!certificate) {
    section("proof", "Certificate", null, el("p", {}, fault ? `There is one that proves nothing: ${fault}` : "Unproven: nothing shows yet that this run does not look ahead."),
      el("p", { class: "quiet" }, el("code", {}, `bt check runs/${run.id}`), " checks it, and ", el("code", {}, `bt report runs/${run.id}`), " writes this page anew."));
    return;
  }
  const flat = Object.entries(certificate).filter(([name]) => name !== "of");
  section("proof", "Certificate", certificate.verdict === "proven" ? "Checked: this run does not look ahead." : "The check found something.",
    pairs(flat.map(([name, value]) => [sentence(words(name)), typeof value === "object" ? el("code", {}, JSON.stringify(value)) : String(value)])));
}

function drawFigures(facts) {
  const rows = Object.entries(facts.metrics).filter(([, m]) => m && typeof m === "object" && m.definition_id);
  const note = ([, m]) => [m.reason && words(m.reason), m.flag && words(m.flag)].filter(Boolean).join(", ");
  section("figures", "All figures", null, el("details", {}, el("summary", {}, `${rows.length} figures with the ids of their definitions`), simpleTable([
    { title: "Figure", value: ([name]) => sentence(words(name)) },
    { title: "Value", number: true, value: ([name, m]) => shownFigure(name, m) },
    { title: "Note", value: note },
    { title: "Definition", value: ([, m]) => el("code", {}, m.definition_id) },
  ], rows)));
}

function drawData(facts) {
  const { run, data } = facts;
  const versions = Object.entries(run.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const found = run.gaps?.found?.length ?? 0;
  section("data", "Data and digests", "What this result was made of, and by what it can be recognised.",
    pairs([
      ["Run", run.id],
      ["Log", el("span", {}, el("code", {}, run.log.digest), ` ${integer(run.log.lines)} lines`)],
      ["Config", el("code", {}, run.config_digest)],
      ["Engine", el("span", {}, el("code", {}, run.engine_digest), ` git ${run.git.slice(0, 12)}`)],
      ["Strategy", run.class || run.strategy],
      ["Seed", String(run.seed)],
      ["Made with", `${versions}, ${run.platform}`],
      ["Feeds", run.feeds.join(", ")],
      ["Gaps", found ? `${found} (policy: ${run.gaps.policy})` : "none"],
    ]),
    el("details", {}, el("summary", {}, `${integer(data.length)} files of the lake, ${integer(data.reduce((n, d) => n + d.rows, 0))} rows`), simpleTable([
      { title: "File", value: (d) => d.path },
      { title: "Rows", number: true, value: (d) => integer(d.rows) },
      { title: "Content", value: (d) => el("code", {}, d.content.slice(0, 24)) },
      { title: "From", value: (d) => d.sources.join(", ") },
    ], data)),
    el("details", {}, el("summary", {}, "Digests of the tables"), pairs(Object.entries(run.tables).map(([name, digest]) => [name, el("code", {}, digest)]))));
}

function drawConfig(facts) {
  section("config", "Config", "config.toml as the run had it, every default spelled out.", el("details", {}, el("summary", {}, "Show"), el("pre", {}, facts.config)));
}
