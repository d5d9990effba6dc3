// The panel at the right: what is selected, the YAML of an edge, or an overview.

const panel = document.getElementById("panel");

function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function paintPanel() {
  const parts = state.term !== null ? termCard(state.term) : selection().length ? selected() : overview();
  panel.replaceChildren(...parts.filter(Boolean));
  panel.scrollTop = 0;
}

const heading = (words) => h("h2", {}, words);
const facts = (rows) =>
  h(
    "dl",
    {},
    rows.filter(([, value]) => value).flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
  );
const dot = (colour) => h("span", { class: `dot c${colour}` });

function copyRow(words, css = "") {
  const button = h(
    "button",
    {
      class: "copy",
      title: `Copy ${words}`,
      "aria-label": `Copy ${words}`,
      onclick: () => copy(words, button),
    },
    icon(COPY),
  );
  return h("div", { class: `name ${css}` }, h("code", {}, broken(words)), button);
}

// A long dotted path may break after its dots.
const broken = (words) => words.split(/(?<=\.)/).flatMap((part) => [part, h("wbr")]);

const COPY =
  "M5.5 5.5V3.75c0-.7.55-1.25 1.25-1.25h5.5c.7 0 1.25.55 1.25 1.25v5.5c0 .7-.55 1.25-1.25 1.25H10.5M3.75 5.5h5.5c.7 0 1.25.55 1.25 1.25v5.5c0 .7-.55 1.25-1.25 1.25h-5.5c-.7 0-1.25-.55-1.25-1.25v-5.5c0-.7.55-1.25 1.25-1.25z";
const icon = (d) =>
  svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d }));
