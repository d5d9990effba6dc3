// Stripes of the levels behind the picture, and the headings that stay in the window: levels at the left,
// models and their columns above.

const stripes = document.getElementById("stripes");
const gutter = document.getElementById("gutter"); // the stripes once more, above the picture and behind the labels
const bandLabels = document.getElementById("band-labels");
const heads = document.getElementById("heads");
const shown = { bands: [], lanes: [], roles: [] };

function buildHeadings() {
  const view = scene.views[state.view];
  shown.bands = view.bands.map((band, i) => {
    const rects = [stripes, gutter].map(() => svg("rect", { x: 0, class: i % 2 ? "odd" : "even" }));
    const stride = band.stride ? h("span", {}, `stride ${band.stride}`) : null;
    return { rects, label: h("div", { class: "band" }, h("b", {}, band.label), stride) };
  });
  shown.lanes = view.lanes.map((lane) => h("div", { class: "lane" }, brief(lane.label)));
  shown.roles = scene.models.map((model) =>
    h("div", { class: `model role-${side(model.role)}` }, ...modelHeading(model)),
  );
  [stripes, gutter].forEach((place, i) => place.replaceChildren(...shown.bands.map((band) => band.rects[i])));
  bandLabels.replaceChildren(...shown.bands.map((band) => band.label));
  heads.replaceChildren(...shown.roles, ...shown.lanes);
  for (const label of [...shown.roles, ...shown.lanes]) label.wide = label.scrollWidth; // once, not while panning
  shown.lanes.forEach((label, i) => {
    label.brief = { words: brief(view.lanes[i].label), wide: label.wide };
    label.textContent = view.lanes[i].label;
    label.full = { words: view.lanes[i].label, wide: label.scrollWidth };
  });
}

function modelHeading(model) {
  const costs = `${parameters(model.params)}, ${flops(model.flops)}`;
  const left = model.kept ? `${parameters(model.kept.params)}, ${flops(model.kept.flops)}` : costs;
  const kept = left === costs ? "" : ` → compiled ${short(model.kept.params)}, ${flops(model.kept.flops)}`;
  const name = scene.models.length > 1 ? h("i", {}, model.role) : null;
  return [name, h("b", {}, model.name), h("span", { title: costs + kept }, costs + kept)];
}

function placeHeadings() {
  const { bands, lanes } = drawing.layout;
  bands.forEach((band, i) => placeBand(shown.bands[i], band));
  placeLanes(lanes);
  const spans = scene.models.map((model) => spanOf(lanes.filter((lane) => lane.role === model.role)));
  spans.forEach((span, i) => placeModel(shown.roles[i], ...roomOf(span, spans)));
}

function spanOf(lanes) {
  if (!lanes.length) return [0, camera.w];
  const ends = lanes.flatMap((lane) => [lane.x, lane.x + lane.w]);
  return [Math.min(...ends), Math.max(...ends)].map((x) => x * camera.k + camera.x);
}

// A heading may be wider than its model, up to half way to the next one.
function roomOf([left, right], spans) {
  const before = spans.filter(([, end]) => end <= left).map(([, end]) => (end + left) / 2 + 10);
  const after = spans.filter(([start]) => start >= right).map(([start]) => (start + right) / 2 - 10);
  return [left, right, Math.max(-Infinity, ...before), Math.min(Infinity, ...after)];
}

function placeBand({ rects, label }, band) {
  const top = band.y * camera.k + camera.y;
  const height = band.h * camera.k;
  for (const rect of rects) {
    rect.setAttribute("y", top);
    rect.setAttribute("height", Math.max(0, height));
    rect.setAttribute("width", camera.w);
  }
  const middle = (Math.max(top, 52) + Math.min(top + height, camera.h)) / 2;
  label.style.transform = `translateY(${clamp(middle, top + 18, top + Math.max(18, height - 18))}px) translateY(-50%)`;
  label.classList.toggle("slim", height < 34);
  label.classList.toggle("gone", height < 15);
}

// In full where all have room, else in brief, and then without what would run into the one before.
function placeLanes(lanes) {
  const middles = lanes.map((lane) => (lane.x + lane.w / 2) * camera.k + camera.x);
  const order = middles.map((_, i) => i).sort((a, b) => middles[a] - middles[b]);
  const half = (i) => shown.lanes[i].full.wide / 2 + 5;
  const roomy = order.every((i, at) => !at || middles[i] - middles[order[at - 1]] > half(i) + half(order[at - 1]));
  let free = -Infinity;
  for (const i of order) {
    const { words, wide } = roomy ? shown.lanes[i].full : shown.lanes[i].brief;
    const left = middles[i] - wide / 2;
    put(shown.lanes[i], "textContent", words);
    shown.lanes[i].style.transform = `translateX(${left}px)`;
    shown.lanes[i].classList.toggle("gone", left < free);
    if (left >= free) free = left + wide + 10;
  }
}

// A model's heading stays in the window as long as some of the model does.
function placeModel(label, left, right, least, most) {
  const [from, to] = [Math.max(least, INSETS.left - 8), Math.min(most, camera.w - 12)];
  const seen = Math.min(right, to) - Math.max(left, from);
  const wide = Math.min(label.wide, to - from);
  const middle = (Math.max(left, from) + Math.min(right, to)) / 2;
  put(label.style, "maxWidth", `${Math.max(0, Math.round(to - from))}px`);
  label.style.transform = `translateX(${clamp(middle - wide / 2, from, to - wide)}px)`;
  label.classList.toggle("gone", seen < 40 || to - from < 60);
}
