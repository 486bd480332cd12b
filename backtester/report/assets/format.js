// Numbers and times for people. A minus is a real minus, times are UTC, what is unknown is a dash.

const DASH = "–";
const formats = new Map();

function decimal(value, places, sign = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  const key = `${places}${sign}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat("en-US", {
      minimumFractionDigits: places,
      maximumFractionDigits: places,
      signDisplay: sign ? "exceptZero" : "negative",
    }));
  }
  return formats.get(key).format(value).replace("-", "−");
}

// As many places as an amount of this size needs.
function placesFor(value) {
  const size = Math.abs(value);
  if (size === 0 || size >= 1) return 2;
  return Math.min(8, 2 + Math.ceil(-Math.log10(size)));
}

const integer = (value) => decimal(value, 0);
const percent = (value, places = 2, sign = false) =>
  value === null || value === undefined || Number.isNaN(value) ? DASH : `${decimal(value * 100, places, sign)} %`;
const money = (value, sign = false) =>
  value === null || value === undefined || value === "" ? DASH : decimal(Number(value), placesFor(Number(value)), sign);

function exact(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  return value.toLocaleString("en-US", { maximumFractionDigits: 10 }).replace("-", "−");
}

const pad = (value) => String(value).padStart(2, "0");

// seconds since the epoch → 2024-01-31 14:05
function time(seconds, withSeconds = false) {
  if (!Number.isFinite(seconds)) return DASH;
  const d = new Date(seconds * 1000);
  const clock = `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}`;
  return `${day(seconds)} ${clock}${withSeconds ? ":" + pad(d.getUTCSeconds()) : ""}`;
}

function day(seconds) {
  const d = new Date(seconds * 1000);
  return `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())}`;
}

function span(seconds) {
  if (!Number.isFinite(seconds)) return DASH;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  if (minutes < 120) return `${minutes} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${decimal(hours, 1)} h` : `${decimal(hours / 24, 1)} d`;
}

const words = (name) => String(name).replaceAll("_", " ");
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const isoTime = (text) => (text ? Date.parse(/Z|[+-]\d\d:\d\d$/.test(text) ? text : text + (text.length > 10 ? "Z" : "T00:00:00Z")) / 1000 : NaN);
const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");
