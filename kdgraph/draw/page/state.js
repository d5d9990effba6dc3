// The scene, what is looked up in it, and what the user has chosen. Nothing here touches the document.

const scene = JSON.parse(document.getElementById("scene").textContent);
const roles = [...new Set(scene.models.map((model) => model.role))];

// A spec may have several teachers, each a role of its own name; an edge is drawn between the student and
// one of them.
const side = (name) => (name === "student" ? "student" : "teacher");
const sides = [...new Set(roles.map(side))].sort(); // the student first

// What a mark between the models stands for: a term of a spec, or a candidate pair.
const pairs = scene.pairs ?? [];
const pairNamed = new Map(pairs.map((pair) => [pair.name, pair]));
const colourOf = (name) =>
  Object.hasOwn(scene.terms, name) ? `c${scene.terms[name].colour % 10}` : "c-pair";
const endsOf = (name) =>
  scene.terms[name]?.boxes ?? [pairNamed.get(name)?.student, pairNamed.get(name)?.teacher].filter(Boolean);

// Key of a box inside a layer -> key of that layer.
const owner = new Map();
for (const [layer, inside] of Object.entries(scene.insides)) {
  for (const box of inside.boxes) owner.set(box.key, layer);
}

const inView = {};
for (const [name, view] of Object.entries(scene.views))
  inView[name] = new Set(view.boxes.map((box) => box.key));

const state = {
  view: scene.detail === "stages" ? "stages" : "layers",
  unfolded: new Set(), // keys of layers
  selected: {}, // side -> key: at most one box of the student and one of a teacher
  cursor: null, // the box that the keyboard is on
  term: null,
};

const foldable = (key) => Object.hasOwn(scene.insides, key);
const role = (key) => scene.boxes[key].role;
const selection = () => sides.map((name) => state.selected[name]).filter(Boolean);

function detail() {
  if (state.view === "stages") return "stages";
  const all = Object.keys(scene.insides);
  return all.length && all.every((key) => state.unfolded.has(key)) ? "nodes" : "layers";
}

// Whether a box is drawn now.
function visible(key) {
  if (inView[state.view]?.has(key)) return true;
  return state.view === "layers" && owner.has(key) && state.unfolded.has(owner.get(key));
}

// The box that stands for another one that is hidden: its layer, or its stage. Null where none is drawn.
function standIn(key) {
  for (let at = key; at; at = owner.get(at) ?? scene.boxes[at]?.parent) if (visible(at)) return at;
  return null;
}

// Opens what hides a box; true where something had to be opened.
function open(key) {
  if (visible(key)) return false;
  if (owner.has(key)) {
    state.view = "layers";
    state.unfolded.add(owner.get(key));
  } else {
    state.view = inView.layers?.has(key) ? "layers" : "stages";
  }
  return true;
}

function choose(key) {
  state.term = null;
  state.selected[side(role(key))] = key;
  state.cursor = key;
}

function clear() {
  state.term = null;
  state.selected = {};
}

// What each model's other model has in its place: a candidate pair, the same name, or the same path.
const pairOf = new Map();
for (const pair of pairs) {
  if (!pairOf.has(pair.student)) pairOf.set(pair.student, pair.teacher);
  if (!pairOf.has(pair.teacher)) pairOf.set(pair.teacher, pair.student);
}

function counterpart(key) {
  if (pairOf.has(key)) return pairOf.get(key);
  const box = scene.boxes[key];
  const others = Object.keys(scene.boxes).filter(
    (other) => side(role(other)) !== side(box.role) && depth(other) === depth(key),
  );
  const same = (test) => others.find((other) => test(scene.boxes[other])) ?? null;
  const name = box.names[0];
  return same((other) => name && other.names[0] === name) ?? same((other) => other.path === box.path);
}

// 0 for a layer, 1 for a stage, 2 for what is inside a layer.
const depth = (key) => (inView.stages?.has(key) ? 1 : owner.has(key) ? 2 : 0);
