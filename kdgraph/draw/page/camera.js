// Panning and zooming: one CSS transform on the element around the picture. An SVG transform would lay out
// all text anew on each frame. Headings and stripes follow in the window's own lengths.

const stage = document.getElementById("stage");
const plane = document.getElementById("plane");
const INSETS = { top: 66, right: 28, bottom: 56, left: 88 };
const camera = { x: 0, y: 0, k: 1, w: 0, h: 0, left: 0, top: 0 };

function aim(x, y, k) {
  const { w, h } = drawing.layout;
  camera.k = clamp(k, 0.04, 4);
  // The middle of the window stays on the picture, so that it cannot get lost.
  const [mx, my] = [(camera.w + INSETS.left) / 2, (camera.h + INSETS.top) / 2];
  camera.x = clamp(x, mx - (drawing.layout.x + w) * camera.k, mx - drawing.layout.x * camera.k);
  camera.y = clamp(y, my - (drawing.layout.y + h) * camera.k, my - drawing.layout.y * camera.k);
  schedule();
}

let scheduled = 0;
function schedule() {
  scheduled ||= requestAnimationFrame(() => {
    scheduled = 0;
    apply();
  });
}

let lastZoom = "";
function apply() {
  plane.style.transform = `translate(${camera.x.toFixed(2)}px, ${camera.y.toFixed(2)}px) scale(${camera.k.toFixed(5)})`;
  const zoom = camera.k < 0.13 ? "tiny dust" : camera.k < 0.31 ? "tiny" : camera.k < 0.68 ? "far" : "near";
  if (zoom !== lastZoom) canvas.setAttribute("data-zoom", (lastZoom = zoom));
  put(document.getElementById("zoom-level"), "textContent", `${Math.round(camera.k * 100)}%`);
  placeHeadings();
}

// Sets what is not so yet: whatever is set anew costs a layout.
function put(object, property, value) {
  if (object[property] !== value) object[property] = value;
}

function zoomBy(factor, px = camera.w / 2, py = camera.h / 2) {
  stopGlide();
  const k = clamp(camera.k * factor, 0.04, 4);
  const ratio = k / camera.k;
  aim(px - (px - camera.x) * ratio, py - (py - camera.y) * ratio, k);
}

function fit() {
  stopGlide();
  const { x, y, w, h } = drawing.layout;
  const room = { w: camera.w - INSETS.left - INSETS.right, h: camera.h - INSETS.top - INSETS.bottom };
  const k = clamp(Math.min(room.w / w, room.h / h), 0.04, 1.25);
  aim(INSETS.left + (room.w - w * k) / 2 - x * k, INSETS.top + (room.h - h * k) / 2 - y * k, k);
}

// Flies to where no more than the margin is empty, as far as the picture is large enough.
function flyInside(x, y, k) {
  const at = drawing.layout;
  const within = (value, start, length, low, high) => {
    const [least, most] = [high - (start + length) * k, low - start * k];
    return least <= most ? clamp(value, least, most) : (least + most) / 2;
  };
  fly(
    within(x, at.x, at.w, INSETS.left, camera.w - INSETS.right),
    within(y, at.y, at.h, INSETS.top, camera.h - INSETS.bottom),
    k,
  );
}

// The first sight of a view: all of it where that can be read, else its top.
function overlook() {
  fit();
  const { x, y, w } = drawing.layout;
  const room = camera.w - INSETS.left - INSETS.right;
  const k = Math.min(room / w, 0.3);
  if (k > camera.k * 1.1) aim(INSETS.left + (room - w * k) / 2 - x * k, INSETS.top - y * k, k);
}

// Moves a rectangle into the middle, large enough to read; never zooms out.
function centre(rect, least = 1) {
  const k = Math.max(camera.k, Math.min(least, (camera.w - 120) / rect.w));
  const x = (camera.w + INSETS.left) / 2 - (rect.x + rect.w / 2) * k;
  const y = (camera.h + INSETS.top) / 2 - (rect.y + Math.min(rect.h, camera.h / k / 2) / 2) * k;
  flyInside(x, y, k);
}

let flight = 0;
function fly(x, y, k) {
  stopGlide();
  if (still.matches) return aim(x, y, k);
  const from = { ...camera };
  const start = performance.now();
  const step = () => {
    const t = clamp((performance.now() - start) / 260, 0, 1);
    const e = 1 - (1 - t) ** 3;
    aim(from.x + (x - from.x) * e, from.y + (y - from.y) * e, from.k + (k - from.k) * e);
    flight = t < 1 ? requestAnimationFrame(step) : 0;
  };
  step();
}

function stopGlide() {
  cancelAnimationFrame(flight);
  flight = 0;
}

// Brings boxes into the window where some of them are outside or hidden by the headings; zooms out if it
// must.
function keepInSight(...keys) {
  const rects = keys.map(rectOf).filter(Boolean);
  if (!rects.length) return;
  const rect = rects.reduce(around);
  const { x, y, k, w, h } = camera;
  const [left, top] = [rect.x * k + x, rect.y * k + y];
  const inSight =
    left >= INSETS.left && top >= INSETS.top && left + rect.w * k <= w - 16 && top + rect.h * k <= h - 16;
  if (inSight) return;
  const most = Math.min((w - INSETS.left - INSETS.right) / rect.w, (h - INSETS.top - INSETS.bottom) / rect.h);
  const zoom = keys.length > 1 ? Math.min(k, most) : k;
  flyInside(
    (w + INSETS.left) / 2 - (rect.x + rect.w / 2) * zoom,
    (h + INSETS.top) / 2 - (rect.y + rect.h / 2) * zoom,
    zoom,
  );
}

function around(a, b) {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { x, y, w: Math.max(a.x + a.w, b.x + b.w) - x, h: Math.max(a.y + a.h, b.y + b.h) - y };
}

function measure() {
  const { left, top, width: w, height: h } = stage.getBoundingClientRect();
  Object.assign(camera, { left, top, w, h });
}
