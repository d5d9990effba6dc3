// SVG elements, and the paths of lines.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter(Boolean));
  return element;
}

const text = (x, y, css, words, more = {}) => svg("text", { x, y, class: css, ...more }, words);

const RADIUS = 9;

// A polyline with round corners.
function rounded(points) {
  let d = `M${points[0]}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const [before, corner, after] = [points[i - 1], points[i], points[i + 1]];
    const r = Math.min(RADIUS, apart(before, corner) / 2, apart(corner, after) / 2);
    d += `L${towards(corner, before, r)}Q${corner} ${towards(corner, after, r)}`;
  }
  return d + `L${points.at(-1)}`;
}

function smooth(points) {
  let d = `M${points[0]}`;
  for (let i = 1; i + 2 < points.length; i += 3) d += `C${points[i]} ${points[i + 1]} ${points[i + 2]}`;
  return d;
}

// An open arrow head at the end of a line, part of the same path: markers are slow by the thousand.
function head(points, size = 4.5) {
  const tip = points.at(-1);
  const from = points.findLast((point) => apart(point, tip) > 0.01) ?? [tip[0], tip[1] - 1];
  const back = towards(tip, from, size);
  const [dx, dy] = [(back[0] - tip[0]) * 0.8, (back[1] - tip[1]) * 0.8];
  return `M${[back[0] - dy, back[1] + dx]}L${tip}L${[back[0] + dy, back[1] - dx]}`;
}

const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

function towards(from, to, distance) {
  const length = apart(from, to) || 1;
  return [0, 1].map((i) => +(from[i] + ((to[i] - from[i]) * distance) / length).toFixed(2));
}
