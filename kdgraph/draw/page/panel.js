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

// ---- a selection

function selected() {
  const chosen = selection();
  const made = chosenEdge();
  const ordered = [state.cursor, ...chosen].filter(
    (key, i, all) => chosen.includes(key) && all.indexOf(key) === i,
  );
  return [made ? edgeCard(made) : null, ...ordered.map(boxCard), made ? null : hint(chosen[0])];
}

function edgeCard({ yaml, fits, words }) {
  const said = h("p", { class: `fits ${fits}`, id: "fits" }, quoted(capital(words)));
  if (!yaml) return h("section", { class: "card" }, heading("Edge"), said);
  const button = h(
    "button",
    { class: "primary", id: "copy-yaml", onclick: () => copy(yaml, button) },
    icon(COPY),
    "Copy",
  );
  return h(
    "section",
    { class: "card edge-card" },
    h("div", { class: "row" }, heading("Edge for a spec"), button),
    h("pre", { id: "yaml", tabindex: "0" }, coloured(yaml)),
    said,
  );
}

const quoted = (words) => words.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
const capital = (words) => words[0].toUpperCase() + words.slice(1);

// Keys of the YAML in another tone; the text is the same.
function coloured(yaml) {
  return yaml.split(/([\w-]+(?=:))/).map((part, i) => (i % 2 ? h("span", { class: "key" }, part) : part));
}

function boxCard(key) {
  const it = scene.boxes[key];
  const names = it.layout
    ? it.names.map((name, i) => copyRow(name, i === 0 && semantic(it) ? `role-${side(it.role)}` : ""))
    : [];
  return h(
    "section",
    { class: "card" },
    h(
      "div",
      { class: "row" },
      h("h2", { class: "big" }, it.title),
      roles.length > 1 ? h("span", { class: `tag role-${side(it.role)}` }, it.role) : null,
    ),
    it.pruned ? h("p", { class: "quiet" }, "Pruned: no edge and no output needs it.") : null,
    h("h3", {}, "Names to tap"),
    names.length
      ? h("div", { class: "names-list" }, names)
      : h("p", { class: "quiet" }, "Its value is not a tensor that an edge can compare."),
    facts(boxFacts(it)),
    termsOf(it),
    pairsOf(key),
    foldButton(key),
  );
}

function boxFacts(it) {
  return [
    ["Module", it.path && !it.names.includes(it.path) ? copyRow(it.path) : h("code", {}, it.path)],
    ["Type", it.repeats > 1 ? `${it.type}, drawn once for ×${it.repeats}` : it.type],
    ["Value", it.layout ? layoutName(it.layout) : ""],
    ["Shape", sizes(it.shape)],
    [
      "Stride",
      it.stride ? `${it.stride}${it.level ? ` (${it.level.toUpperCase()})` : ""}` : it.level?.toUpperCase(),
    ],
    ["Parameters", it.params ? whole(it.params) : "none"],
    ["Cost", it.flops ? flops(it.flops) : ""],
    ["Nodes", it.nodes > 1 ? whole(it.nodes) : ""],
  ];
}

function termsOf(it) {
  if (!it.terms.length) return null;
  return h("div", {}, h("h3", {}, "Read by"), h("div", { class: "list" }, it.terms.map(termRow)));
}

function pairsOf(key) {
  const own = pairs.filter((pair) => pair.student === key || pair.teacher === key);
  return own.length
    ? h("div", {}, h("h3", {}, "Candidate pairs"), h("div", { class: "list" }, own.map(pairRow)))
    : null;
}

function foldButton(key) {
  if (!foldable(key) || state.view !== "layers") return null;
  const open = state.unfolded.has(key);
  return h(
    "button",
    { class: "plain", onclick: () => flip(key) },
    open ? "Fold" : `Unfold its ${scene.boxes[key].nodes} nodes`,
    h("kbd", {}, "Enter"),
  );
}

function hint(key) {
  const other = sides.find((name) => name !== side(role(key)));
  if (!other) return null;
  const button = counterpart(key)
    ? h("button", { class: "plain", onclick: () => pairUp(key) }, "Select its counterpart", h("kbd", {}, "x"))
    : null;
  return h(
    "section",
    { class: "card hint" },
    h(
      "p",
      { class: "quiet" },
      `Click a box of the ${other} too, and the YAML of an edge between the two appears here.`,
    ),
    button,
  );
}

// ---- a term

function termCard(term) {
  const it = scene.terms[term];
  return [
    h(
      "section",
      { class: "card" },
      h(
        "div",
        { class: "row" },
        h("h2", { class: "big" }, dot(it.colour), it.name),
        h("span", { class: "tag" }, "edge"),
      ),
      facts([
        ["Criterion", it.criterion],
        ["Options", it.options],
        ["Weight", it.weight],
        ["Mask", it.mask],
        ["Level", it.level?.toUpperCase()],
        ["Adapter", it.adapter],
        [
          "Its cost",
          it.adapter
            ? [
                it.adapter_params ? parameters(it.adapter_params) : "",
                it.adapter_flops ? flops(it.adapter_flops) : "",
              ]
                .filter(Boolean)
                .join(", ")
            : "",
        ],
      ]),
    ),
    ...it.boxes.map((key, i) => tapCard(key, it.taps[i], i ? "teacher" : "student")),
  ];
}

// `part` is what the box is to the edge: a model that teaches itself is both.
function tapCard(key, name, part) {
  const it = scene.boxes[key];
  return h(
    "section",
    { class: "card" },
    h("h3", {}, `${side(it.role) === part ? it.role : part} tap`),
    copyRow(name, `role-${part}`),
    h("button", { class: "plain", onclick: () => go(key) }, `Go to ${it.title}`),
  );
}

// ---- nothing selected

function overview() {
  return [
    h("section", { class: "card models" }, scene.models.map(modelCard)),
    listOfTerms(),
    listOfPairs(),
    legend(),
    notes(),
  ];
}

function modelCard(model) {
  const kept = model.kept;
  const size = Array.isArray(model.imgsz) ? model.imgsz.join("×") : model.imgsz;
  return h(
    "div",
    { class: "model" },
    h(
      "div",
      { class: "row" },
      h("h2", { class: "big" }, model.name),
      scene.models.length > 1 ? h("span", { class: `tag role-${side(model.role)}` }, model.role) : null,
    ),
    h(
      "p",
      { class: "quiet" },
      [model.task, size && `${size} px`, `${whole(model.nodes)} nodes`].filter(Boolean).join(" · "),
    ),
    h("p", {}, `${parameters(model.params)}, ${flops(model.flops)}`),
    kept
      ? h(
          "p",
          { class: "quiet" },
          `After pruning ${short(kept.params)}, ${flops(kept.flops)}, ${whole(kept.nodes)} nodes`,
        )
      : null,
  );
}

function listOfTerms() {
  const terms = Object.keys(scene.terms);
  if (!terms.length) return null;
  return h(
    "section",
    { class: "card" },
    h("h2", {}, `Edges`, h("span", { class: "count" }, terms.length)),
    h("div", { class: "list" }, terms.map(termRow)),
  );
}

function termRow(term) {
  const it = scene.terms[term];
  const small = [
    it.criterion,
    `weight ${it.weight}`,
    it.mask,
    it.adapter && `${it.adapter}${it.adapter_params ? `, ${parameters(it.adapter_params)}` : ""}`,
  ];
  return h(
    "button",
    { class: "item", "data-term": term, onclick: () => goTerm(term) },
    dot(it.colour),
    h("span", {}, h("b", {}, it.name), h("small", {}, small.filter(Boolean).join(" · "))),
  );
}

function listOfPairs() {
  if (!pairs.length) return null;
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Candidate pairs", h("span", { class: "count" }, pairs.length)),
    h("p", { class: "quiet" }, "Same level and stride. A click gives the edge to copy."),
    h("div", { class: "list" }, pairs.map(pairRow)),
  );
}

function pairRow(pair) {
  const [ours, theirs] = pair.taps;
  const small = [pair.level?.toUpperCase(), pair.stride && `stride ${pair.stride}`, channelsOf(pair)];
  return h(
    "button",
    { class: "item pair", onclick: () => goPair(pair) },
    h(
      "span",
      {},
      h("b", {}, ours === theirs ? ours : `${ours} → ${theirs}`),
      h("small", {}, small.filter(Boolean).join(" · ")),
    ),
  );
}

function legend() {
  const parts = [...new Set(Object.values(scene.boxes).map((it) => it.part))];
  const known = ["input", "backbone", "neck", "head"].filter((part) => parts.includes(part));
  const pruned = Object.values(scene.boxes).some((it) => it.pruned);
  return h(
    "section",
    { class: "card legend" },
    h("h2", {}, "How to read it"),
    h(
      "div",
      { class: "keys" },
      known.map((part) => h("span", {}, h("span", { class: `swatch part-${part}` }), part)),
      (scene.legend ?? []).map((it) =>
        h("span", {}, h("span", { class: `stroke c${it.colour}` }), it.criterion),
      ),
      pruned ? h("span", {}, h("span", { class: "swatch pruned" }), "pruned") : null,
    ),
    h(
      "p",
      { class: "quiet" },
      scene.terms && Object.keys(scene.terms).length
        ? "A ring in a criterion's colour marks what is tapped. Unfold a layer by its arrow; click any box for its names."
        : "Unfold a layer by its arrow; click any box for the names to tap it by.",
    ),
  );
}

function notes() {
  return scene.notes?.length
    ? h(
        "section",
        { class: "card" },
        heading("Notes"),
        h(
          "ul",
          {},
          scene.notes.map((note) => h("li", {}, note)),
        ),
      )
    : null;
}
