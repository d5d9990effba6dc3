// What stands out: the selection, a term with all it reads, the wires of the box under the pointer.

function paintSelection() {
  for (const element of world.querySelectorAll(".selected, .lit")) {
    element.classList.remove("selected", "lit");
    if (element.hasAttribute("aria-pressed")) element.setAttribute("aria-pressed", "false");
  }
  for (const key of selection())
    pressed(elementOf(standIn(key) ?? ""), standIn(key) === key ? "selected" : "lit");
  world.classList.toggle("focused", state.term !== null);
  for (const pair of pairs)
    if (selection().length > 1 && endsOf(pair.name).every((key) => selection().includes(key)))
      paintTerm(pair.name);
  if (state.term !== null) paintTerm(state.term);
  hover(null);
  rove();
}

function pressed(element, css) {
  element?.classList.add(css);
  if (css === "selected") element?.setAttribute("aria-pressed", "true");
}

function paintTerm(term) {
  pressed(drawing.marks.get(term), "selected");
  for (const key of endsOf(term)) elementOf(standIn(key) ?? "")?.classList.add("lit");
  for (const it of drawing.edges) if (it.term === term) it.group.classList.add("lit");
}

// One box at a time can be reached by Tab.
function rove() {
  world.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  const key = state.cursor && visible(state.cursor) ? state.cursor : scene.views[drawing.view].boxes[0]?.key;
  elementOf(key ?? "")?.setAttribute("tabindex", "0");
}

// The wires of the box under the pointer, else those of the selected ones.
let hot = [];
function hover(key) {
  for (const path of hot) path.classList.remove("hot");
  const keys = key ? [key] : selection().map(standIn);
  hot = keys.flatMap((each) => wiresOf.get(each) ?? []);
  for (const path of hot) path.classList.add("hot");
}
