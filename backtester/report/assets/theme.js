// Light and dark: what the reader's system says, until the switch says otherwise. Charts ask for colours as they draw.

const redraws = [];
const colours = new Map();

function colour(name) {
  if (!colours.has(name)) {
    colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return colours.get(name);
}

function themed() {
  colours.clear();
  for (const redraw of redraws) redraw();
}

function setUpTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => {
    try {
      if (value) localStorage.setItem("bt-theme", value);
      return localStorage.getItem("bt-theme");
    } catch {
      return null; // a page opened from a file may have no storage
    }
  };
  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  const button = document.getElementById("theme");
  const label = () => {
    const dark = (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
    button.textContent = dark ? "Light" : "Dark";
    return dark;
  };
  button.addEventListener("click", () => {
    root.dataset.theme = label() ? "light" : "dark";
    remembered(root.dataset.theme);
    label();
    themed();
  });
  system.addEventListener("change", () => {
    label();
    themed();
  });
  label();
}
