// The search box: a list of matches, and a jump that opens what hides them.

const field = document.getElementById("search");
const list = document.getElementById("matches");
const MOST = 12;
const found = { keys: [], at: -1, gone: false }; // gone: the one at `at` has been jumped to

const index = Object.entries(scene.boxes).map(([key, it], order) => ({
  key,
  order,
  depth: depth(key),
  words: [...it.names, it.path, it.title, it.type, ...(it.alike ?? [])].filter(Boolean).map((word) => word.toLowerCase()),
}));

function look(query) {
  const wanted = query.trim().toLowerCase();
  found.keys = wanted ? matches(wanted) : [];
  found.at = found.keys.length ? 0 : -1;
  found.gone = false;
  paintMatches(wanted);
}

// Whole names first, then beginnings, then the rest; what is drawn now before what is inside it.
function matches(wanted) {
  const ranked = [];
  for (const it of index) {
    if (it.depth === 1 && state.view !== "stages") continue; // its layers are found by the same names
    const rank = closest(it.words, wanted);
    if (rank < 3)
      ranked.push({
        key: it.key,
        rank: rank * 10 + (state.view === "stages" && it.depth < 2 ? 1 - it.depth : it.depth),
        order: it.order,
      });
  }
  return ranked.sort((a, b) => a.rank - b.rank || a.order - b.order).map((it) => it.key);
}

// A name as it is, or all of the words asked for somewhere in the names: `neck p4`, `model.10 attn`.
function closest(words, wanted) {
  const whole = Math.min(...words.map((word) => closeness(word, wanted)));
  const all = wanted.split(/\s+/).every((part) => words.some((word) => word.includes(part)));
  return Math.min(whole, all ? 2 : 3);
}

function closeness(word, wanted) {
  if (word === wanted) return 0;
  if (word.startsWith(wanted)) return 1;
  return word.includes(wanted) ? 2 : 3;
}

function paintMatches(wanted) {
  list.hidden = !wanted;
  field.setAttribute("aria-expanded", String(!list.hidden));
  if (list.hidden) return list.replaceChildren();
  const first = clamp(found.at - MOST + 1, 0, Math.max(0, found.keys.length - MOST));
  const rows = found.keys.slice(first, first + MOST).map((key, i) => matchRow(key, first + i));
  const words = found.keys.length ? `${found.at + 1} of ${found.keys.length}` : "Nothing of that name";
  list.replaceChildren(...rows, h("p", { class: "count-line" }, words));
  field.setAttribute("aria-activedescendant", found.at >= 0 ? `match-${found.at}` : "");
}

function matchRow(key, i) {
  const it = scene.boxes[key];
  const row = h(
    "div",
    {
      class: "match",
      role: "option",
      id: `match-${i}`,
      "data-key": key,
      "aria-selected": String(i === found.at),
    },
    h("span", { class: `swatch part-${it.part}` }),
    h("span", { class: "what" }, h("b", {}, it.title), h("small", {}, semantic(it) || it.path)),
    roles.length > 1 ? h("span", { class: `tag role-${side(it.role)}` }, it.role) : null,
  );
  row.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the field keeps the focus
    found.at = i;
    jump();
  });
  return row;
}

function jump() {
  if (found.at < 0) return;
  found.gone = true;
  go(found.keys[found.at], { focus: false });
  paintMatches(field.value);
  list.hidden = true; // it would lie over what was jumped to
}

function searchKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && found.keys.length) {
    event.preventDefault();
    found.at = (found.at + step + found.keys.length) % found.keys.length;
    found.gone = false;
    paintMatches(field.value);
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (found.gone) found.at = (found.at + 1) % found.keys.length;
    jump();
  } else if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    leaveSearch();
  }
}

function leaveSearch() {
  look("");
  field.value = "";
  field.blur();
  focusBox(state.cursor);
}

function watchSearch() {
  field.addEventListener("input", () => look(field.value));
  field.addEventListener("focus", () => field.value && paintMatches(field.value));
  field.addEventListener("blur", () => {
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
  });
  field.addEventListener("keydown", searchKey);
}
