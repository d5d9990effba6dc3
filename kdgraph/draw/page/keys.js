// The keyboard.

const HELP = [
  ["/", "search; Enter jumps, again for the next, Escape leaves"],
  ["← ↑ → ↓", "to the nearest box in that direction"],
  ["Tab", "to the next box; Escape leaves the boxes"],
  ["Enter", "unfold or fold the layer"],
  ["x", "select the other model's counterpart too"],
  ["c", "copy the YAML shown"],
  ["1 2 3", "stages, layers, nodes"],
  ["+ − 0", "zoom in, zoom out, fit"],
  ["p", "show or hide the panel"],
  ["Esc", "clear the selection"],
  ["?", "this help"],
];
const MOUSE = [
  ["drag", "move the picture"],
  ["wheel, pinch", "zoom at the pointer; with Shift, move sideways"],
  ["click", "select; one box in each model gives an edge's YAML"],
  ["double click", "unfold or fold the layer"],
];

const WORDS = [
  ["tap", "a named point of a model that an edge reads"],
  ["edge", "a term of the loss: a criterion between a tap of the student and one of the teacher"],
  ["criterion", "how the two are compared; `kdgraph methods` lists them"],
  ["adapter", "what brings the student's channels or size to the teacher's; `auto` adds it where needed"],
  ["P3, P4, …", "levels: maps at stride 8, 16, …"],
  ["o2o", "the one-to-one branch of an end-to-end head; without it, the one-to-many branch"],
];

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const actions = {
  "/": () => field.focus(),
  "?": () => openHelp(),
  1: () => show("stages"),
  2: () => show("layers"),
  3: () => show("nodes"),
  "+": () => zoomBy(1.25),
  "=": () => zoomBy(1.25),
  "-": () => zoomBy(0.8),
  0: () => fit(),
  c: () => copyShown(),
  x: () => state.cursor && pairUp(state.cursor),
  p: () => togglePanel(),
  Escape: () => escape(),
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
  const at = event.target.closest ? event.target : document.body;
  if (at.closest("input, textarea")) return;
  const onPicture = !at.closest("button, pre, aside");
  if (ARROWS[event.key] && onPicture) return handled(event, () => stepTo(nearest(ARROWS[event.key])));
  if (event.key === "Tab" && at.closest("g.box, g.mark")) return tab(event);
  if ((event.key === "Enter" || event.key === " ") && onPicture) return handled(event, () => enter(at));
  if (actions[event.key]) handled(event, actions[event.key]);
}

function handled(event, action) {
  event.preventDefault();
  action();
}

// All boxes and marks drawn, with where they are.
function spots() {
  return [...world.querySelectorAll("g.box")]
    .map((element) => {
      const key = element.dataset.key;
      const rect = rectOf(key);
      return rect ? { key, rect, x: rect.x + rect.w / 2, y: rect.y + rect.h / 2 } : null;
    })
    .filter(Boolean);
}

// The nearest box in a direction; what lies aside counts as farther.
function nearest([dx, dy]) {
  const all = spots();
  const here = all.find((spot) => spot.key === state.cursor) ?? null;
  if (!here) return all[0]?.key ?? null;
  const around = all.filter((spot) => spot !== here && !holds(here, spot) && !holds(spot, here));
  let best = { score: Infinity, key: null };
  for (const spot of around) {
    const ahead = (spot.x - here.x) * dx + (spot.y - here.y) * dy;
    const aside = Math.abs((spot.x - here.x) * dy) + Math.abs((spot.y - here.y) * dx);
    const score = ahead > 1 ? ahead + 2.5 * aside : Infinity;
    if (score < best.score) best = { score, key: spot.key };
  }
  return best.key;
}

const holds = (outer, inner) => owner.get(inner.key) === outer.key;

function stepTo(key) {
  if (!key) return;
  choose(key);
  refresh();
  focusBox(key);
  keepInSight(key);
}

// Tab goes through the boxes in their order and leaves the picture at its end, so that it is no trap.
function tab(event) {
  const keys = [...world.querySelectorAll("g.box")].map((element) => element.dataset.key);
  const next = keys[keys.indexOf(state.cursor) + (event.shiftKey ? -1 : 1)];
  if (next) handled(event, () => stepTo(next));
}

function enter(target) {
  const element = target.closest("g.box, g.mark");
  if (element?.dataset.term) return goTerm(element.dataset.term);
  const key = element?.dataset.key ?? state.cursor;
  if (key) unfoldOrOpen(key);
}

function escape() {
  clear();
  refresh();
  if (document.activeElement?.closest?.("#drawing")) document.activeElement.blur();
}

function focusBox(key) {
  if (key && visible(key)) elementOf(key)?.focus({ preventScroll: true });
}

// A dialog gives the focus back to its button, where the arrows would do nothing.
function backToPicture() {
  document.activeElement?.blur();
  focusBox(state.cursor);
}

function copyShown() {
  const made = chosenEdge();
  if (made?.yaml) copy(made.yaml, document.getElementById("copy-yaml"));
}

function openHelp() {
  const table = (rows, shown) =>
    h(
      "dl",
      {},
      rows.flatMap(([name, words]) => [h("dt", {}, shown(name)), h("dd", {}, words)]),
    );
  const keys = (name) => name.split(" ").map((part) => h("kbd", {}, part));
  const close = h("button", { class: "plain", onclick: () => help.close() }, "Close");
  const help = document.getElementById("help");
  help.replaceChildren(
    h("h2", {}, "Keys"),
    table(HELP, keys),
    h("h2", {}, "Mouse"),
    table(MOUSE, (name) => name),
    h("h2", {}, "Words"),
    table(WORDS, (name) => name),
    close,
  );
  help.addEventListener("close", () => backToPicture(), { once: true });
  help.showModal();
}
