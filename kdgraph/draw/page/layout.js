// Where everything stands: a pure function of a view and of how far each layer is unfolded (0 to 1).
// Unfolding stretches space: two monotone piecewise-linear maps move all else out of the way, so nothing
// overlaps.

const TITLE = 38; // px kept above an inside for the layer's name
const PAD = 14;
const CORNER = 6; // px that a wire keeps from the corners of its box

// The map of one axis. Spans: [{from, to, scale}]; slope 1 outside them, their largest scale inside.
function axis(spans) {
  const cuts = [...new Set(spans.flatMap((span) => [span.from, span.to]))].sort((a, b) => a - b);
  if (!cuts.length) return (value) => value;
  const slopes = cuts.slice(1).map((end, i) => slope(spans, cuts[i], end));
  const starts = [cuts[0]];
  slopes.forEach((steep, i) => starts.push(starts[i] + steep * (cuts[i + 1] - cuts[i])));
  return (value) => {
    let i = cuts.length - 1;
    while (i >= 0 && cuts[i] > value) i -= 1;
    return i < 0 ? value : starts[i] + (slopes[i] ?? 1) * (value - cuts[i]);
  };
}

function slope(spans, from, to) {
  let most = 1;
  for (const span of spans) if (span.from <= from && span.to >= to && span.scale > most) most = span.scale;
  return most;
}

function openSize(key) {
  const inside = scene.insides[key];
  return { w: inside.width + 2 * PAD, h: inside.height + PAD + TITLE };
}

// Amounts: Map key -> 0..1. Boxes come out with x, y at their top left.
function layout(view, amounts) {
  const open = view.boxes.filter((box) => amounts.get(box.key) > 0);
  const span = (box, at, size) => {
    const wanted = openSize(box.key)[size];
    const grown = box[size] + amounts.get(box.key) * Math.max(0, wanted - box[size]);
    return { from: box[at] - box[size] / 2, to: box[at] + box[size] / 2, scale: grown / box[size] };
  };
  const X = axis(open.map((box) => span(box, "x", "w")));
  const Y = axis(open.map((box) => span(box, "y", "h")));
  const boxes = new Map(view.boxes.map((box) => [box.key, placed(box, X, Y, amounts.get(box.key) > 0)]));
  const marks = new Map(view.marks.map((mark) => [mark.term, placed(mark, X, Y, false)]));
  const rect = new Map(view.boxes.map((box) => [box.key, box]));
  const wires = view.wires.map((wire) =>
    route(
      wire.points,
      X,
      Y,
      end(rect.get(wire.from), boxes.get(wire.from)),
      end(rect.get(wire.to), boxes.get(wire.to)),
    ),
  );
  const marked = new Map(view.marks.map((mark) => [mark.term, mark]));
  const edges = view.edges.map((edge) => {
    const key = touched(rect, edge);
    return route(
      edge.points,
      X,
      Y,
      end(rect.get(key), boxes.get(key)),
      end(marked.get(edge.term), marks.get(edge.term)),
    );
  });
  return {
    boxes,
    marks,
    wires,
    edges,
    bands: view.bands.map((band) => ({ ...band, y: Y(band.y), h: Y(band.y + band.h) - Y(band.y) })),
    lanes: view.lanes.map((lane) => ({ ...lane, x: X(lane.x), w: X(lane.x + lane.w) - X(lane.x) })),
    x: X(0),
    y: Y(0),
    w: X(view.width) - X(0),
    h: Y(view.height) - Y(0),
  };
}

function placed(box, X, Y, stretched) {
  if (!stretched) return { x: X(box.x) - box.w / 2, y: Y(box.y) - box.h / 2, w: box.w, h: box.h };
  const x = X(box.x - box.w / 2);
  const y = Y(box.y - box.h / 2);
  return { x, y, w: X(box.x + box.w / 2) - x, h: Y(box.y + box.h / 2) - y };
}

// The box of a view that an edge starts at: the tapped one, or the one that holds it. A model that teaches
// itself is tapped twice, so of several the one that the line touches.
function touched(rects, edge) {
  const keys = endsOf(edge.term)
    .filter((key) => role(key) === edge.side)
    .map((key) => holder(rects, key))
    .filter(Boolean);
  const [x, y] = edge.points[0];
  const off = (key) => {
    const box = rects.get(key);
    return Math.max(Math.abs(x - box.x) - box.w / 2, Math.abs(y - box.y) - box.h / 2);
  };
  return keys.reduce(
    (best, key) => (best !== null && Math.abs(off(best)) <= Math.abs(off(key)) ? best : key),
    null,
  );
}

function holder(rects, key) {
  let at = key;
  while (at && !rects.has(at)) at = owner.get(at) ?? scene.boxes[at]?.parent;
  return at;
}

const end = (before, after) => (before && after ? { before, after } : null);

// A polyline under the two maps, its ends put back onto the borders of their boxes.
function route(points, X, Y, start, finish) {
  const moved = points.map(([x, y]) => [X(x), Y(y)]);
  const last = points.length - 1;
  if (start) mend(moved, points, 0, 1, start);
  if (finish) mend(moved, points, last, last - 1, finish);
  return last === 1 ? bent(moved, points) : moved;
}

// Puts the point i onto the border of its box; its neighbour j follows, so that the segment stays straight.
function mend(moved, points, i, j, { before, after }) {
  const flat = points[i][1] === points[j][1] && points[i][0] !== points[j][0];
  const [along, across, size, breadth] = flat ? [0, 1, "w", "h"] : [1, 0, "h", "w"];
  const [at, side] = flat ? ["x", "y"] : ["y", "x"];
  const far = points[i][along] >= before[at];
  moved[i][along] = far ? after[at] + after[size] : after[at];
  const room = Math.min(CORNER, after[breadth] / 2);
  const kept = clamp(moved[i][across], after[side] + room, after[side] + after[breadth] - room);
  moved[i][across] = kept;
  if (points.length > 2) moved[j][across] = kept;
}

// One straight segment whose ends went apart becomes a Z with its bend in the middle.
function bent([a, b], points) {
  const flat = points[0][1] === points[1][1];
  if (a[flat ? 1 : 0] === b[flat ? 1 : 0]) return [a, b];
  const middle = flat ? (a[0] + b[0]) / 2 : (a[1] + b[1]) / 2;
  return flat ? [a, [middle, a[1]], [middle, b[1]], b] : [a, [a[0], middle], [b[0], middle], b];
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
