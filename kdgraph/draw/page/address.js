// The address keeps the state, so that a reload or a link shows the same.

let written = "";
function keepHash() {
  const parts = [`detail=${detail()}`, ...selection().map((key) => `box=${encodeURI(key)}`)];
  if (state.term !== null) parts.push(`term=${encodeURIComponent(state.term)}`);
  written = `#${parts.join("&")}`;
  if (location.protocol === "about:") return; // in the frame of a report there is no address to keep
  if (location.hash !== written) history.replaceState(null, "", written);
}

function readHash() {
  const asked = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const wanted = asked.get("detail") ?? scene.detail;
  clear();
  state.view = wanted === "stages" ? "stages" : "layers";
  state.unfolded = new Set(wanted === "nodes" ? Object.keys(scene.insides) : []);
  const keys = asked.getAll("box").filter((key) => Object.hasOwn(scene.boxes, key));
  for (const key of keys) {
    open(key);
    choose(key);
  }
  if (Object.hasOwn(scene.terms, asked.get("term"))) state.term = asked.get("term");
}
