// The picture: elements are made once for a view and moved by each layout; folding is the same layout at
// amounts between 0 and 1.

const world = document.getElementById("world");
const canvas = document.getElementById("drawing");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const drawing = {
  view: null,
  layout: null,
  amounts: new Map(),
  elements: new Map(),
  marks: new Map(),
  wires: [],
  edges: [],
};
const insides = new Map(); // layer key -> {group, wires}; made when first unfolded
let wiresOf = new Map(); // box key -> paths that start or end there

function draw({ animate = null } = {}) {
  if (drawing.view !== state.view) build();
  const wanted = new Map([...state.unfolded].map((key) => [key, 1]));
  const changed = [...new Set([...wanted.keys(), ...drawing.amounts.keys()])].filter(
    (key) => (wanted.get(key) ?? 0) !== (drawing.amounts.get(key) ?? 0),
  );
  if (animate && changed.length === 1 && !still.matches && state.view === "layers")
    glide(changed[0], wanted, animate);
  else settle(wanted);
  paintSelection();
}

function build() {
  cancelAnimationFrame(drawing.frame);
  const view = scene.views[state.view];
  Object.assign(drawing, { view: state.view, elements: new Map(), marks: new Map(), amounts: new Map() });
  drawing.wires = view.wires.map((wire) => ({
    ...wire,
    path: svg("path", { class: `wire${wire.pruned ? " pruned" : ""}` }),
  }));
  drawing.edges = view.edges.map((it) => ({ ...it, group: edge(it) }));
  for (const at of view.boxes) drawing.elements.set(at.key, box(at.key, at.w, at.h));
  for (const at of view.marks) drawing.marks.set(at.term, mark(at.term, at.w, at.h));
  world.replaceChildren(
    ...drawing.wires.map((wire) => wire.path),
    ...drawing.edges.map((it) => it.group),
    ...drawing.elements.values(),
    ...drawing.marks.values(),
  );
}

function settle(amounts) {
  cancelAnimationFrame(drawing.frame);
  drawing.gliding = false;
  drawing.amounts = amounts;
  place();
  indexWires();
}

// Folds or unfolds one layer over 200 ms; `hold` is told of each layout, so that the view can stay where it
// is.
function glide(key, wanted, hold) {
  cancelAnimationFrame(drawing.frame);
  drawing.gliding = true;
  const from = drawing.amounts.get(key) ?? 0;
  const to = wanted.get(key) ?? 0;
  const start = performance.now();
  const step = () => {
    const t = clamp((performance.now() - start) / 200, 0, 1);
    if (t === 1) settle(wanted);
    else {
      drawing.amounts = new Map(wanted).set(key, from + (to - from) * (1 - (1 - t) ** 3));
      place();
      drawing.frame = requestAnimationFrame(step);
    }
    hold(t === 1);
  };
  step();
}

function place() {
  const at = (drawing.layout = layout(scene.views[drawing.view], drawing.amounts));
  canvas.setAttribute("width", at.w);
  canvas.setAttribute("height", at.h);
  for (const [key, rect] of at.boxes) placeBox(key, rect, drawing.amounts.get(key) ?? 0);
  for (const [term, rect] of at.marks)
    drawing.marks.get(term).setAttribute("transform", `translate(${rect.x} ${rect.y})`);
  drawing.wires.forEach((wire, i) => wire.path.setAttribute("d", rounded(at.wires[i]) + head(at.wires[i])));
  drawing.edges.forEach((it, i) => {
    for (const path of it.group.children) path.setAttribute("d", rounded(at.edges[i]));
  });
}

function placeBox(key, rect, amount) {
  const element = drawing.elements.get(key);
  element.setAttribute("transform", `translate(${rect.x} ${rect.y})`);
  if (!foldable(key) || drawing.view !== "layers") return;
  size(element.querySelector(":scope > .body"), rect.w, rect.h);
  for (const ring of element.querySelectorAll(":scope > .tapped > .ring")) size(ring, rect.w + 8, rect.h + 8);
  element.classList.toggle("open", amount > 0);
  element.setAttribute("aria-expanded", String(state.unfolded.has(key)));
  const arrow = element.querySelector(":scope > .toggle");
  arrow.setAttribute("transform", `translate(${rect.w - 20} ${amount > 0 ? 19 : 15}) rotate(${amount * 90})`);
  fill(key, element, rect, amount);
}

function size(rect, w, h) {
  rect.setAttribute("width", w);
  rect.setAttribute("height", h);
}

function fill(key, element, rect, amount) {
  if (amount === 0) {
    insides.get(key)?.group.remove();
    return;
  }
  if (!insides.has(key)) insides.set(key, inside(key));
  const { group } = insides.get(key);
  if (group.parentNode !== element) element.append(group);
  const it = scene.insides[key];
  const x = (rect.w - it.width) / 2;
  const y = TITLE + Math.max(0, (rect.h - TITLE - PAD - it.height) / 2);
  group.setAttribute("transform", `translate(${x} ${y})`);
  group.style.opacity = amount < 1 ? amount ** 3 : "";
  placeMap(key, element.querySelector(":scope > .map"), rect);
}

// The name of an unfolded layer as it is read from afar, across what is inside.
function placeMap(key, words, rect) {
  const size = Math.min(
    120,
    rect.h * 0.4,
    (rect.w * 0.86) / (width(scene.boxes[key].title, "600 10px") / 10),
  );
  words.style.setProperty("--size", `${size.toFixed(1)}px`);
  words.setAttribute("x", rect.w / 2);
  words.setAttribute("y", rect.h / 2);
  words.parentNode.append(words);
}

function indexWires() {
  wiresOf = new Map();
  const opened = [...drawing.amounts.keys()].flatMap((key) => insides.get(key)?.wires ?? []);
  for (const wire of [...drawing.wires, ...opened]) {
    for (const key of [wire.from, wire.to]) {
      if (!wiresOf.has(key)) wiresOf.set(key, []);
      wiresOf.get(key).push(wire.path);
    }
  }
}

function elementOf(key) {
  return drawing.elements.get(key) ?? world.querySelector(`g.box[data-key="${CSS.escape(key)}"]`);
}

// Where a box is now, in the picture's own lengths.
function rectOf(key) {
  const at = drawing.layout.boxes.get(key);
  if (at) return at;
  const layer = owner.get(key);
  const outer = drawing.layout.boxes.get(layer);
  if (!outer || !visible(key)) return null;
  const it = scene.insides[layer];
  const inner = it.boxes.find((box) => box.key === key);
  const x = outer.x + (outer.w - it.width) / 2;
  const y = outer.y + TITLE + Math.max(0, (outer.h - TITLE - PAD - it.height) / 2);
  return { x: x + inner.x - inner.w / 2, y: y + inner.y - inner.h / 2, w: inner.w, h: inner.h };
}
