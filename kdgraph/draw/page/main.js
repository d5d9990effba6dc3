// What the user does, put together; then the start.

function refresh(options) {
  const rebuilt = drawing.view !== state.view;
  draw(options);
  if (rebuilt) buildHeadings();
  paintPanel();
  paintDetail();
  keepHash();
  schedule();
}

function paintDetail() {
  for (const button of document.querySelectorAll("#detail button")) {
    button.setAttribute("aria-checked", String(button.dataset.detail === detail()));
  }
  for (const id of ["fold-all", "unfold-all"]) document.getElementById(id).disabled = state.view === "stages";
}

function show(name) {
  state.view = name === "stages" ? "stages" : "layers";
  state.unfolded = new Set(name === "nodes" ? Object.keys(scene.insides) : []);
  if (selection().some((key) => !standIn(key))) clear(); // a stage is no layer
  refresh();
  overlook();
  const keys = selection().map(standIn).filter(Boolean);
  if (keys.length && name === "nodes") centre(rectOf(keys[0]), 0.6);
}

const READABLE = 0.75; // the zoom that an unfolded layer is brought to

// The corner of the layer stays where it is in the window while all else makes room.
function flip(key, unfolded = !state.unfolded.has(key)) {
  if (!foldable(key)) return;
  const before = rectOf(key);
  if (unfolded) state.unfolded.add(key);
  else state.unfolded.delete(key);
  if (!unfolded && owner.get(state.cursor) === key) choose(key);
  const [left, top] = before ? [before.x * camera.k + camera.x, before.y * camera.k + camera.y] : [0, 0];
  const hold = (done) => {
    const now = rectOf(key);
    if (now && before) aim(left - now.x * camera.k, top - now.y * camera.k, camera.k);
    if (now && done && unfolded && camera.k < READABLE) centre(now, READABLE);
  };
  refresh({ animate: hold });
  hold(!drawing.gliding);
}

function unfoldOrOpen(key) {
  if (foldable(key) && state.view === "layers") return flip(key);
  const child = Object.entries(scene.boxes).findLast(
    ([at, it]) => it.parent === key && inView.layers?.has(at),
  );
  if (child && state.view === "stages") go(child[0]);
}

function select(key) {
  choose(key);
  refresh();
}

// Opens what hides a box, selects it and brings it into the middle.
function go(key, { focus = true } = {}) {
  open(key);
  choose(key);
  refresh();
  centre(rectOf(key));
  if (focus) focusBox(key);
}

function goTerm(term) {
  if (pairNamed.has(term)) return goPair(pairNamed.get(term));
  clear();
  state.term = term;
  if (!scene.views[state.view].marks.some((mark) => mark.term === term)) state.view = "layers";
  refresh();
  const rect = drawing.layout.marks.get(term);
  if (rect) centre(rect, 0.6);
}

function goPair(pair) {
  clear();
  for (const key of [pair.teacher, pair.student]) open(key);
  choose(pair.teacher);
  choose(pair.student);
  refresh();
  keepInSight(pair.student, pair.teacher);
}

function pairUp(key) {
  const other = counterpart(key);
  if (!other) return;
  open(other);
  choose(other);
  refresh();
  focusBox(other);
  keepInSight(...selection());
}

// ---- clicks

function clickPicture(event) {
  if (dragged || event.target.closest("#zoom")) return;
  const hit = event.target.closest("g.toggle, g.box, g.mark, g.edge");
  if (!hit) {
    clear();
    return refresh();
  }
  if (hit.matches("g.toggle")) return flip(hit.parentNode.dataset.key);
  if (hit.dataset.term) return pickTerm(hit.dataset.term);
  select(hit.dataset.key);
  focusBox(hit.dataset.key);
}

function pickTerm(term) {
  if (pairNamed.has(term)) return goPair(pairNamed.get(term));
  clear();
  state.term = term;
  refresh();
}

function watch() {
  stage.addEventListener("click", clickPicture);
  canvas.addEventListener("dblclick", (event) => {
    const key = event.target.closest("g.box")?.dataset.key;
    if (key && !event.target.closest("g.toggle")) unfoldOrOpen(key);
  });
  world.addEventListener("pointerover", (event) => hover(event.target.closest("g.box")?.dataset.key ?? null));
  world.addEventListener("pointerleave", () => hover(null));
  world.addEventListener("focusin", (event) => {
    const key = event.target.closest("g.box")?.dataset.key;
    if (key && key !== state.cursor && event.target.matches(":focus-visible")) select(key);
  });
  document.addEventListener("keydown", key);
  addEventListener("hashchange", () => location.hash !== written && start());
  addEventListener("beforeprint", beforePrint);
  addEventListener("afterprint", afterPrint);
  darkSystem.addEventListener("change", paintTheme);
  const clicks = {
    "unfold-all": () => show("nodes"),
    "fold-all": () => show("layers"),
    fit,
    theme: nextTheme,
    "help-open": openHelp,
    "panel-toggle": togglePanel,
    "zoom-in": () => zoomBy(1.25),
    "zoom-out": () => zoomBy(0.8),
    "zoom-level": () => zoomBy(1 / camera.k),
  };
  for (const [id, action] of Object.entries(clicks))
    document.getElementById(id).addEventListener("click", () => action());
  for (const button of document.querySelectorAll("#detail button"))
    button.addEventListener("click", () => show(button.dataset.detail));
}

function start() {
  readHash();
  measure();
  refresh();
  overlook();
  const key = selection()[0];
  if (key) centre(rectOf(key));
  apply();
}

document.getElementById("title").textContent = scene.title;
document.getElementById("subtitle").textContent = scene.subtitle;
document.title = scene.title;
paintTheme();
watch();
watchPointer();
watchSearch();
start();

window.kdgraph = {
  scene,
  fold: (key) => flip(key, false),
  unfold: (key) => (open(key), flip(key, true)),
  select: (key) => go(key),
};
