// What stands between two models: the mark of a term or of a candidate pair, and its lines.

function mark(name, w, h) {
  const rows = (
    Object.hasOwn(scene.terms, name) ? termLines(scene.terms[name]) : pairLines(pairNamed.get(name))
  ).slice(0, Math.max(1, Math.floor((h - 8) / 13)));
  const room = w - 30;
  const group = svg("g", {
    class: `mark ${colourOf(name)}`,
    "data-term": name,
    tabindex: "-1",
    role: "button",
    "aria-label": `edge ${rows.map(([, words]) => words).join(", ")}`,
    "aria-pressed": "false",
  });
  group.append(svg("rect", { class: "body", width: w, height: h, rx: Math.min(8, h / 2) }));
  group.append(svg("rect", { class: "bar", x: 9, y: 9, width: 4, height: Math.max(4, h - 18), rx: 2 }));
  const top = h / 2 - ((rows.length - 1) * 12.5) / 2 + 4;
  rows.forEach(([css, words], i) => {
    const font = i ? "10.5px" : "600 12px";
    group.append(text(21, top + 12.5 * i, `near ${css}`, cut(words, font, room)));
  });
  const [[, title]] = rows;
  const size = Math.min(26, (w - 40) / (width(title, "600 10px") / 10), h * 0.5);
  group.append(text(21, h / 2 + size * 0.36, "far", title, { style: `font-size:${size.toFixed(1)}px` }));
  return group;
}

function termLines(it) {
  const options = it.options ? `${it.criterion} · ${it.options}` : it.criterion;
  return [
    ["title", it.title ?? it.name],
    ["shape", options],
    ["fine", `weight ${it.weight}` + (it.mask ? ` · ${it.mask}` : "")],
    it.span ? ["fine", it.span] : null,
    it.adapter ? ["fine", it.adapter] : null,
  ].filter(Boolean);
}

function pairLines(it) {
  const [ours, theirs] = it.taps;
  const channels = channelsOf(it);
  return [
    ["title", ours === theirs ? ours : it.name],
    ["shape", ours === theirs ? channels : `${ours} → ${theirs}`],
    ["fine", channels],
  ].filter(([, words], i, all) => words && all.findIndex((row) => row[1] === words) === i);
}

function edge(it) {
  const group = svg("g", { class: `edge ${colourOf(it.term)}`, "data-term": it.term });
  group.append(svg("path", { class: "grip" }), svg("path", { class: "line" }));
  return group;
}
