// The panel with nothing selected: models, edges or candidate pairs, how to read the picture, notes.

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
          `Compiled: ${whole(kept.nodes)} nodes, ${short(kept.params)} parameters, ${flops(kept.flops)}`,
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
    it.span,
    it.mask,
    it.adapter && `${it.adapter}${it.adapter_params ? `, ${parameters(it.adapter_params)}` : ""}`,
  ];
  return h(
    "button",
    { class: "item", "data-term": term, onclick: () => goTerm(term) },
    dot(it.colour),
    h("span", {}, h("b", {}, it.title ?? it.name), h("small", {}, small.filter(Boolean).join(" · "))),
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
      sides.length > 1 ? " The student is drawn mirrored, so that the two heads meet." : "",
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
