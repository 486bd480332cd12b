// Reads the tables that report/page/packing.py wrote: compressed byte planes of codes, 0 for no value.

async function inflate(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readColumn(bytes, at, rows, column) {
  const found = new Float64Array(rows);
  for (let k = column.width - 1; k >= 0; k--) {
    const plane = at + k * rows;
    for (let i = 0; i < rows; i++) found[i] = found[i] * 256 + bytes[plane + i];
  }
  const scale = 10 ** column.decimals;
  let before = 0;
  for (let i = 0; i < rows; i++) {
    const code = found[i] - 1;
    if (code < 0) {
      found[i] = NaN;
      continue;
    }
    const step = code % 2 ? -(code + 1) / 2 : code / 2;
    before = column.delta ? before + step : step;
    found[i] = before / scale;
  }
  return found;
}

// Returns {rows, has(name), [name]: Float64Array}; of texts {codes, texts} with text(row).
async function unpack(facts, name) {
  const described = facts.packed[name];
  if (!described) return null;
  const place = document.getElementById(`table-${name}`);
  const bytes = await inflate(place.textContent);
  const table = { rows: described.rows };
  let at = 0;
  for (const column of described.columns) {
    const values = readColumn(bytes, at, described.rows, column);
    at += column.width * described.rows;
    table[column.name] = column.texts ? { codes: values, texts: column.texts, text: (i) => column.texts[values[i]] } : values;
  }
  return table;
}
