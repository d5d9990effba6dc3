// Copying to the clipboard, and saying so.

async function copy(words, button) {
  const done = (await byClipboard(words)) || byCommand(words);
  toast(done ? "Copied" : "Copying was refused: select the text instead");
  if (done && button) flash(button);
}

async function byClipboard(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    return false; // absent, or refused, as on some pages opened from a file
  }
}

function byCommand(words) {
  const area = h("textarea", { class: "unseen", readonly: "" });
  area.value = words;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus?.({ preventScroll: true });
  return done;
}

function flash(button) {
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
}

let toasting = 0;
function toast(words) {
  const place = document.getElementById("toast");
  place.textContent = words;
  place.classList.add("shown");
  clearTimeout(toasting);
  toasting = setTimeout(() => place.classList.remove("shown"), 1600);
}
