// Dragging, the wheel, and two fingers.

const pointers = new Map();
let dragged = false;

function watchPointer() {
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, release);
  new ResizeObserver(resized).observe(stage);
  document.documentElement.classList.toggle("framed", window !== window.parent);
}

function wheel(event) {
  // In the frame of a report the wheel scrolls the report, until the drawing has been clicked.
  if (window !== window.parent && !document.hasFocus() && !event.ctrlKey) return;
  event.preventDefault();
  const { left, top } = camera;
  const lines = event.deltaMode === 1 ? 18 : 1;
  if (event.shiftKey && !event.ctrlKey) {
    stopGlide();
    return aim(camera.x - (event.deltaY || event.deltaX) * lines, camera.y, camera.k);
  }
  const speed = event.ctrlKey ? 0.01 : 0.0016;
  zoomBy(
    Math.exp(-clamp(event.deltaY * lines, -240, 240) * speed),
    event.clientX - left,
    event.clientY - top,
  );
}

function press(event) {
  if (event.button > 1 || event.target.closest("#zoom")) return;
  stopGlide();
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size === 1) dragged = false;
}

function move(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  if (!dragged && pointers.size === 1 && apart(before, now) < 4) return;
  if (!dragged) stage.setPointerCapture(event.pointerId);
  dragged = true;
  stage.classList.add("dragging");
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  if (other) pinch(before, now, other);
  else aim(camera.x + now[0] - before[0], camera.y + now[1] - before[1], camera.k);
  pointers.set(event.pointerId, now);
}

function pinch(before, now, other) {
  const { left, top } = camera;
  const middle = [(now[0] + other[0]) / 2 - left, (now[1] + other[1]) / 2 - top];
  zoomBy(apart(now, other) / Math.max(1, apart(before, other)), ...middle);
  aim(camera.x + (now[0] - before[0]) / 2, camera.y + (now[1] - before[1]) / 2, camera.k);
}

function release(event) {
  pointers.delete(event.pointerId);
  if (!pointers.size) stage.classList.remove("dragging");
}

// The middle of what is seen stays in the middle.
function resized() {
  const before = { w: camera.w, h: camera.h };
  measure();
  if (!before.w || !camera.w) return fit();
  aim(camera.x + (camera.w - before.w) / 2, camera.y + (camera.h - before.h) / 2, camera.k);
}
