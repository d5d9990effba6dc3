// Numbers, shapes and layouts in words, the same everywhere on the page.

const NO_BREAK = "\u00a0";

function short(number, unit = "") {
  const steps = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "K"],
  ];
  const [size, letter] = steps.find(([size]) => number >= size) ?? [1, ""];
  const value = number / size;
  const digits = size === 1 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const tail = letter + unit;
  return value.toFixed(digits) + (tail ? NO_BREAK + tail : "");
}

const sizes = (shape) => (shape ? shape.join("×") : "");
const parameters = (count) => `${short(count)} ${count === 1 ? "parameter" : "parameters"}`;
const flops = (count) => short(count, "FLOPs");
// Where there is little room an arrow says which way a lane goes.
const brief = (words) => words.replace(", top-down", " ↑").replace(", bottom-up", " ↓");
const whole = (number) => number.toLocaleString("en-US").replaceAll(",", "\u202f");

// The last line of a box: what it costs, or nothing for what costs nothing.
function cost(box) {
  const parts = [];
  if (box.params) parts.push(short(box.params) + NO_BREAK + "params");
  if (box.flops) parts.push(flops(box.flops));
  return parts.join(" · ");
}

const channelsOf = ({ channels: [ours, theirs] }) =>
  ours && theirs ? `${ours === theirs ? ours : `${ours} → ${theirs}`} channels` : "";

const semantic = (box) => (box.names.length && box.names[0] !== box.path ? box.names[0] : "");

const LAYOUTS = {
  features: "features",
  cls: "class logits",
  dfl: "box distributions",
  box: "boxes",
  mask: "mask coefficients",
  kpt: "keypoints",
  angle: "angles",
};
const layoutName = (layout) => LAYOUTS[layout] ?? layout;

// What a screen reader says of a box.
function spoken(key) {
  const box = scene.boxes[key];
  const parts = [box.role, box.title];
  if (semantic(box)) parts.push(semantic(box));
  if (box.shape) parts.push(sizes(box.shape));
  if (box.stride) parts.push(`stride ${box.stride}`);
  if (box.terms.length) parts.push(`tapped by ${box.terms.join(", ")}`);
  if (box.pruned) parts.push("pruned");
  return parts.join(", ");
}

// A text cut to a width. The end of a dotted path says more than its beginning, so a path is cut in its
// middle.
const pen = document.createElement("canvas").getContext("2d");
const FACE = '-apple-system, "Segoe UI", Inter, Roboto, "Helvetica Neue", Arial, sans-serif';
const measured = new Map();

function width(text, font) {
  const key = font + text;
  if (!measured.has(key)) {
    pen.font = `${font} ${FACE}`;
    measured.set(key, pen.measureText(text).width);
  }
  return measured.get(key);
}

function cut(text, font, room, middle = false) {
  if (width(text, font) <= room) return text;
  let low = 0;
  let high = text.length - 1;
  while (low < high) {
    const count = Math.ceil((low + high) / 2);
    if (width(shortened(text, count, middle), font) <= room) low = count;
    else high = count - 1;
  }
  return shortened(text, low, middle);
}

function shortened(text, count, middle) {
  if (!middle) return text.slice(0, count).trimEnd() + "…";
  const head = Math.floor(count / 3);
  return text.slice(0, head) + "…" + text.slice(text.length - (count - head));
}
