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
  const names = darkSystem.matches ? ["auto", "light", "dark"] : ["auto", "dark", "light"]; // each click shows
  theme = names[(names.indexOf(theme) + 1) % names.length];
  paintTheme();
}

function togglePanel() {
  const hidden = document.body.classList.toggle("wide");
  document.getElementById("panel-toggle").setAttribute("aria-expanded", String(!hidden));
}

const sheet = document.createElement("style");
let printed = null;

// What stands around the picture in the window: title, models, lanes and levels.
function labels() {
  const { x, y, bands, lanes } = drawing.layout;
  const view = scene.views[state.view];
  const words = (at, height, size, line, anchor = "middle") =>
    text(at, height, "printed", line, { style: `font-size:${size}px`, "text-anchor": anchor });
  const rows = bands.map((band, i) => words(x - 20, band.y + band.h / 2, 15, view.bands[i].label, "end"));
  const columns = lanes.map((lane, i) => words(lane.x + lane.w / 2, y - 16, 13, view.lanes[i].label));
  const models = scene.models.map((model) => {
    const own = lanes.filter((lane) => lane.role === model.role);
    const ends = own.flatMap((lane) => [lane.x, lane.x + lane.w]);
    const middle = (Math.min(...ends) + Math.max(...ends)) / 2;
    const costs = `${parameters(model.params)}, ${flops(model.flops)}`;
    return words(middle, y - 46, 17, `${roles.length > 1 ? `${model.role}: ` : ""}${model.name}, ${costs}`);
  });
  return svg("g", {}, words(x, y - 84, 24, scene.title, "start"), ...models, ...columns, ...rows);
}

// ---- printing: the whole picture, whatever the window shows

function beforePrint() {
  document.documentElement.dataset.theme = "light";
  const { x, y, w, h } = drawing.layout;
  canvas.append((printed = labels()));
  canvas.setAttribute("viewBox", `${x - 110} ${y - 120} ${w + 130} ${h + 140}`);
  sheet.textContent = `@page { size: ${w > h ? "landscape" : "portrait"} }`;
  document.head.append(sheet);
  canvas.setAttribute("data-zoom", "near");
  for (const name of ["width", "height"]) canvas.setAttribute(name, "100%");
}

function afterPrint() {
  paintTheme();
  printed.remove();
  sheet.remove();
  canvas.removeAttribute("viewBox");
  lastZoom = "";
  place();
  apply();
}
