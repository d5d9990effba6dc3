// How the page looks beyond the picture: the theme, the panel's place, the sheet of paper.

// Remembered as long as the page is open

const THEMES = {
  auto: [
    "Theme: as the system",
    "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 2.5v11M8 5l3.6-1M8 8h5.4M8 11l3.6 1",
  ],
  light: [
    "Theme: light",
    "M8 5.25a2.75 2.75 0 1 0 0 5.5 2.75 2.75 0 0 0 0-5.5zM8 1.5v1.25M8 13.25v1.25M1.5 8h1.25M13.25 8h1.25M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  ],
  dark: ["Theme: dark", "M13 9.6A5.5 5.5 0 0 1 6.4 3a5.5 5.5 0 1 0 6.6 6.6z"],
};
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";

function paintTheme() {
  const dark = theme === "dark" || (theme === "auto" && darkSystem.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  const [words, d] = THEMES[theme];
  button.title = words;
  button.setAttribute("aria-label", words);
  button.replaceChildren(icon(d));
}

function nextTheme() {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  paintTheme();
}

function togglePanel() {
  const hidden = document.body.classList.toggle("wide");
  document.getElementById("panel-toggle").setAttribute("aria-expanded", String(!hidden));
}

// ---- printing: the whole picture, whatever the window shows

function beforePrint() {
  document.documentElement.dataset.theme = "light";
  const { x, y, w, h } = drawing.layout;
  canvas.setAttribute("viewBox", `${x - 16} ${y - 16} ${w + 32} ${h + 32}`);
  canvas.setAttribute("data-zoom", "near");
  for (const name of ["width", "height"]) canvas.setAttribute(name, "100%");
}

function afterPrint() {
  paintTheme();
  canvas.removeAttribute("viewBox");
  lastZoom = "";
  place();
  apply();
}
