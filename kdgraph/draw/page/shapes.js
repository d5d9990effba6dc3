// A box and what is inside it. Boxes are drawn at their own origin and moved by a transform.

const ROOM = 11; // px between a box's border and its words

function box(key, w, h) {
  const it = scene.boxes[key];
  const canFold = foldable(key);
  const group = svg("g", {
    class: `box part-${it.part} role-${side(it.role)}${it.pruned ? " pruned" : ""}${it.layout ? "" : " mute"}`,
    "data-key": key,
    tabindex: "-1",
    role: "button",
    "aria-label": spoken(key),
    "aria-pressed": "false",
    "aria-expanded": canFold ? "false" : null,
  });
  if (it.terms.length) group.append(ring(it, w, h));
  group.append(svg("rect", { class: "body", width: w, height: h, rx: 7 }));
  group.append(...lines(it, w, h, canFold));
  if (canFold) group.append(...openTitle(key), toggle(w));
  if (!owner.has(key)) group.append(farTitle(it, w, h));
  return group;
}

// Thick, in the colour of the criterion that reads the box; of several criteria, dashes in turn.
function ring(it, w, h) {
  const colours = [...new Set(it.terms.map(colourOf))];
  const dash = (i) =>
    i ? { "stroke-dasharray": `12 ${12 * (colours.length - 1)}`, "stroke-dashoffset": 12 * i } : {};
  const rings = colours.map((colour, i) =>
    svg("rect", { class: `ring ${colour}`, x: -4, y: -4, width: w + 8, height: h + 8, rx: 10.5, ...dash(i) }),
  );
  return svg("g", { class: "tapped" }, ...rings);
}

// What a box says, as far as its height allows.
function lines(it, w, h, canFold) {
  const room = w - 2 * ROOM;
  const title = it.repeats > 1 ? `${it.title} ×${it.repeats}` : it.title;
  if (h < 50) {
    const first = h >= 32 ? h / 2 - 3 : h / 2 + 4;
    const words = [text(ROOM - 2, first, "near title small", cut(title, "600 11.5px", room + 4, true))];
    if (h >= 32)
      words.push(text(ROOM - 2, h / 2 + 11, "near fine", cut(sizes(it.shape) || it.type, "10px", room + 4)));
    return words;
  }
  const words = [text(ROOM, 19, "near title", cut(title, "600 13px", room - (canFold ? 16 : 0)))];
  const rows = [tapLine(it, room), shapeLine(it, room), costLine(it, room)].filter(Boolean);
  const pitch = Math.min(15, (h - 26) / 3);
  rows.slice(0, Math.floor((h - 22) / 13)).forEach((row, i) => {
    row.setAttribute("y", 19 + pitch * (i + 1));
    words.push(row);
  });
  return words;
}

function tapLine(it, room) {
  const name = it.shape ? semantic(it) : it.names.join(", ");
  return name
    ? text(ROOM, 0, "near tap", cut(name, "500 11px", room, true))
    : text(ROOM, 0, "near path", cut(it.path, "11px", room, true));
}

function shapeLine(it, room) {
  if (!it.shape) return null;
  const stride = it.stride ? svg("tspan", { class: "stride", dx: 6 }, `/${it.stride}`) : null;
  return svg("text", { x: ROOM, class: "near shape" }, cut(sizes(it.shape), "11px", room - 26), stride);
}

function costLine(it, room) {
  return cost(it) ? text(ROOM, 0, "near fine", cut(cost(it), "10px", room)) : null;
}

// What is read from afar, as large as the box allows: the title, and below it the tap of the neck or backbone.
function farTitle(it, w, h) {
  const tap = /^(neck|backbone)\./.test(semantic(it)) && h > 50 && !it.title.includes(" P") ? semantic(it) : "";
  const words = brief(it.title);
  const size = fittingSize(words, w, tap ? 24 : 30, h * (h < 56 ? 0.5 : tap ? 0.36 : 0.42));
  const title = farLine(words, w, h / 2 + (tap ? -0.12 : 0.36) * size, size, "");
  if (!tap) return title;
  const small = fittingSize(tap, w, 22, h * 0.32);
  return svg("g", {}, title, farLine(tap, w, h / 2 + 0.95 * small, small, " tap"));
}

const fittingSize = (words, w, most, room) =>
  Math.min(most, (w - 14) / (width(words, "600 10px") / 10), room);

function farLine(words, w, y, size, css) {
  const look = { style: `font-size:${size.toFixed(1)}px`, "text-anchor": "middle" };
  return text(w / 2, y, `far${css}`, words, look);
}

function openTitle(key) {
  const it = scene.boxes[key];
  const room = openSize(key).w - 56 - width(sizes(it.shape), "11px");
  const title = cut(it.title, "600 13px", room * 0.6);
  const name = cut(semantic(it) || it.path, "500 11px", room - width(title, "600 13px") - 20, true);
  const words = svg(
    "text",
    { x: PAD + 2, y: 24, class: "opened" },
    svg("tspan", { class: "title" }, title),
    svg("tspan", { class: semantic(it) ? "tap" : "path", dx: 10 }, name),
    svg("tspan", { class: "shape", dx: 10 }, sizes(it.shape)),
  );
  return [words, text(0, 0, "map", it.title, { "text-anchor": "middle" })];
}

function toggle(w) {
  return svg(
    "g",
    { class: "toggle", transform: `translate(${w - 20} 15)` },
    svg("title", {}, "Unfold or fold (Enter)"),
    svg("rect", { x: -11, y: -11, width: 24, height: 24, rx: 5 }),
    svg("path", { d: "M-2.5 -4 1.5 0 -2.5 4" }),
  );
}

// ---- insides

function inside(key) {
  const it = scene.insides[key];
  const group = svg("g", { class: "inside" });
  for (const frame of it.frames ?? []) group.append(frameOf(frame));
  const wires = it.wires.map((wire) => {
    const path = svg("path", { class: "wire", d: smooth(wire.points) + head(wire.points, 4) });
    group.append(path);
    return { ...wire, path };
  });
  for (const at of it.boxes) {
    const element = box(at.key, at.w, at.h);
    element.setAttribute("transform", `translate(${at.x - at.w / 2} ${at.y - at.h / 2})`);
    group.append(element);
  }
  return { group, wires };
}

function frameOf(frame) {
  const [x, y] = [frame.x - frame.w / 2, frame.y - frame.h / 2];
  return svg(
    "g",
    { class: "frame" },
    svg("rect", { x, y, width: frame.w, height: frame.h, rx: 8 }),
    text(x + frame.w - 8, y + 15, "near", frame.label, { "text-anchor": "end" }),
  );
}
