// The trades: sorted by any column, filtered, a page at a time; choosing one shows it on the chart.

const PAGE_ROWS = 25;

// Decimal places with which the middle one of these numbers has so many digits in all: one number of them for a column.
function placesOf(values, digits) {
  const sizes = values.filter((v) => v > 0).sort();
  const middle = sizes.length ? sizes[Math.floor(sizes.length / 2)] : 1;
  return Math.min(8, Math.max(0, digits - Math.ceil(Math.log10(middle) + 1e-9)));
}

class TradeTable {
  constructor(trades, currency, choose) {
    this.trades = trades;
    this.choose = choose;
    this.order = { column: 0, down: false };
    this.page = 0;
    this.chosen = -1;
    this.columns = this.columnsOf(currency);
  }

  columnsOf(currency) {
    const t = this.trades;
    const many = t.currency && (t.currency.texts.length > 1 || t.currency.texts[0] !== currency);
    const unit = many ? "" : `, ${currency}`;
    const held = Float64Array.from({ length: t.rows }, (_, i) => (t.exit_time[i] - t.entry_time[i]) / 1e6);
    const quantityPlaces = placesOf(t.qty, 5);
    const pricePlaces = placesOf(t.entry_price, 6);
    const number = Float64Array.from({ length: t.rows }, (_, i) => i + 1);
    const value = (title, key, shown, tint) => t[key] && { title, key, sort: t[key], number: true, shown: (i) => shown(t[key][i]), tint };
    const text = (title, key) => t[key] && t[key].texts.some((one) => one) && { title, key, texts: t[key], shown: (i) => t[key].text(i) || DASH };
    const ratio = (title, key) => t[key] && t[key].some((v) => !Number.isNaN(v)) && value(title, key, (v) => percent(v, 2));
    return [
      { title: "#", key: "number", sort: number, number: true, shown: (i) => i + 1 },
      text("Instrument", "instrument"),
      t.strategy && t.strategy.texts.length > 1 && text("Strategy", "strategy"),
      text("Side", "side"),
      value(`Net profit${unit}`, "net_pnl", (v) => money(v, true), true),
      many && text("In", "currency"),
      t.r && t.r.some((v) => !Number.isNaN(v)) && value("R", "r", (v) => decimal(v, 2, true), true),
      { title: "Entry, UTC", key: "entry_time", sort: t.entry_time, shown: (i) => time(t.entry_time[i] / 1e6) },
      { title: "Exit, UTC", key: "exit_time", sort: t.exit_time, shown: (i) => time(t.exit_time[i] / 1e6) },
      { title: "Held", key: "held", sort: held, number: true, shown: (i) => span(held[i]) },
      value("Quantity", "qty", (v) => decimal(v, quantityPlaces)),
      value("Entry price", "entry_price", (v) => decimal(v, pricePlaces)),
      value("Exit price", "exit_price", (v) => decimal(v, pricePlaces)),
      ratio("MAE", "mae_pct"),
      ratio("MFE", "mfe_pct"),
      value(`Fees${unit}`, "fees", (v) => money(v)),
      text("Left by", "exit_reason"),
      text("Entry tag", "entry_tag"),
      text("Exit tag", "exit_tag"),
    ].filter(Boolean);
  }

  mount(host) {
    const t = this.trades;
    this.search = el("input", { type: "search", placeholder: "Filter: tag, side, reason …", "aria-label": "Filter trades", oninput: () => this.refresh(true) });
    const choice = (label, options) => el("select", { "aria-label": label, onchange: () => this.refresh(true) }, options.map(([value, text]) => el("option", { value }, text)));
    this.result = choice("Result", [["", "All results"], ["win", "Wins"], ["loss", "Losses"]]);
    this.instrument = choice("Instrument", [["", "All instruments"], ...t.instrument.texts.map((one) => [one, one])]);
    this.count = el("span", { class: "quiet", "aria-live": "polite" });
    this.back = el("button", { type: "button", onclick: () => this.turn(-1), "aria-label": "Previous page" }, "‹");
    this.on = el("button", { type: "button", onclick: () => this.turn(1), "aria-label": "Next page" }, "›");
    this.head = el("tr");
    this.body = el("tbody");
    host.append(
      el("div", { class: "tools" }, this.search, this.result, t.instrument.texts.length > 1 ? this.instrument : null, el("span", { class: "space" }), this.count, this.back, this.on),
      el("div", { class: "scroll" }, el("table", { class: "trades" }, el("thead", {}, this.head), this.body)),
    );
    this.refresh(true);
  }

  refresh(anew) {
    if (anew) {
      this.rows = this.matching();
      this.page = 0;
    }
    this.sort();
    this.paint();
  }

  matching() {
    const t = this.trades;
    const wanted = this.search.value.trim().toLowerCase();
    const texts = this.columns.filter((c) => c.texts);
    const hits = texts.map((c) => c.texts.texts.map((one) => one.toLowerCase().includes(wanted)));
    const rows = [];
    for (let i = 0; i < t.rows; i++) {
      if (wanted && !texts.some((c, k) => hits[k][c.texts.codes[i]])) continue;
      if (this.result.value === "win" && !(t.net_pnl[i] > 0)) continue;
      if (this.result.value === "loss" && !(t.net_pnl[i] < 0)) continue;
      if (this.instrument.value && t.instrument.text(i) !== this.instrument.value) continue;
      rows.push(i);
    }
    return rows;
  }

  // Texts are listed in order, so that their numbers sort as they do; what is unknown comes last either way.
  sort() {
    const { column, down } = this.order;
    const { sort, texts } = this.columns[column];
    const values = texts ? texts.codes : sort;
    const sign = down ? -1 : 1;
    this.rows.sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return sign * (x - y) || a - b;
    });
  }

  sortBy(column) {
    this.order = { column, down: this.order.column === column ? !this.order.down : Boolean(this.columns[column].number && column) };
    this.page = 0;
    this.refresh(false);
  }

  turn(by) {
    this.page += by;
    this.paint();
  }

  // Go to the page of a trade and mark it.
  mark(row) {
    this.chosen = row;
    const at = this.rows.indexOf(row);
    if (at >= 0) this.page = Math.floor(at / PAGE_ROWS);
    this.paint();
  }

  paint() {
    const pages = Math.max(1, Math.ceil(this.rows.length / PAGE_ROWS));
    this.page = Math.min(pages - 1, Math.max(0, this.page));
    const { column, down } = this.order;
    this.head.replaceChildren(...this.columns.map((c, i) => el("th",
      { scope: "col", class: c.number ? "number" : null, "aria-sort": i === column ? (down ? "descending" : "ascending") : null },
      el("button", { type: "button", onclick: () => this.sortBy(i) }, c.title + (i === column ? (down ? " ↓" : " ↑") : "")))));
    const seen = this.rows.slice(this.page * PAGE_ROWS, (this.page + 1) * PAGE_ROWS);
    this.body.replaceChildren(...seen.map((i) => el("tr",
      { class: i === this.chosen ? "chosen" : null, tabindex: 0, "data-row": i, onclick: () => this.choose(i), onkeydown: (e) => e.key === "Enter" && this.choose(i) },
      this.columns.map((c) => el("td", { class: [c.number && "number", c.tint && tone(c.sort[i])].filter(Boolean).join(" ") || null }, c.shown(i))))));
    if (!seen.length) this.body.append(el("tr", {}, el("td", { colspan: this.columns.length, class: "empty" }, "No trade matches.")));
    const of = this.rows.length === this.trades.rows ? "" : ` of ${integer(this.trades.rows)}`;
    this.count.textContent = seen.length ? `${integer(this.page * PAGE_ROWS + 1)}–${integer(this.page * PAGE_ROWS + seen.length)} of ${integer(this.rows.length)}${of && ` (${of.trim()})`}` : "";
    this.back.disabled = this.page === 0;
    this.on.disabled = this.page >= pages - 1;
  }
}
