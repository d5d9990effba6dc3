// Cards of what is selected: boxes, the edge between two of them, a term.

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
    ["Module", it.path && (it.names.includes(it.path) ? h("code", {}, it.path) : copyRow(it.path))],
    [it.path ? "Type" : "Contains", it.repeats > 1 ? `${it.type}, drawn once for ×${it.repeats}` : it.type],
    ["Value", it.layout && it.shape ? layoutName(it.layout) : ""],
    ["Shape", sizes(it.shape)],
    [
      "Stride",
      it.stride ? `${it.stride}${it.level ? ` (${it.level.toUpperCase()})` : ""}` : it.level?.toUpperCase(),
    ],
    ["Alike", it.alike?.length ? it.alike.map((path) => copyRow(path)) : ""],
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
        h("h2", { class: "big" }, dot(it.colour), it.title ?? it.name),
        h("span", { class: "tag" }, "edge"),
      ),
      facts([
        ["Criterion", it.criterion],
        ["Options", it.options],
        ["Weight", it.weight],
        ["Counts", it.span],
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
    ...it.boxes.map((key, i) => tapCard(key, it.taps[i], it.sides?.[i] ?? (i ? "teacher" : "student"))),
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
