// Elements from plain values. Text is only ever set as text: nothing that a user wrote can become HTML.

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  append(made, children);
  return made;
}

function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

// Fill a section of the page, or take it away when there is nothing to show.
function section(id, title, about, ...children) {
  const place = document.getElementById(id);
  place.replaceChildren();
  append(place, [el("h2", {}, title), about ? el("p", { class: "about quiet" }, about) : null, ...children]);
  return place;
}

function dropSection(id) {
  document.getElementById(id).remove();
}

// columns: [{title, value(row), number}]; numbers are set right-aligned in figures of equal width.
function simpleTable(columns, rows, { caption = null, empty = "None." } = {}) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const side = (column) => (column.number ? "number" : column.tight ? "tight" : null);
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      {},
      caption ? el("caption", {}, caption) : null,
      el("thead", {}, el("tr", {}, columns.map((c) => el("th", { class: side(c), scope: "col" }, c.title)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, columns.map((c) => {
        const value = c.value(row);
        return el("td", { class: [side(c), c.tone && c.tone(row)].filter(Boolean).join(" ") || null }, value);
      })))),
    ),
  );
}

function pairs(entries) {
  return el("dl", {}, entries.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
