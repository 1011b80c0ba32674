// A page that is watched: parts of it come anew as events. Without this every page works; it only has to be loaded again.
"use strict";
for (const root of document.querySelectorAll("[data-live]")) {
  const sign = root.querySelector("[data-live-sign]");
  const say = (live) => {
    if (!sign) return;
    sign.hidden = false;
    sign.textContent = live ? "Live" : "Not live";
    sign.classList.toggle("on", live);
  };
  const source = new EventSource(root.dataset.live);
  source.onopen = () => say(true);
  source.onerror = () => say(false);
  addEventListener("pagehide", () => source.close());
  for (const part of root.querySelectorAll("[data-part]")) {
    source.addEventListener(part.dataset.part, (event) => {
      const { digest, html } = JSON.parse(event.data);
      if (part.dataset.digest === digest) return;
      // What somebody types into is left alone; it comes with the next load.
      if (part.querySelector("form[data-touched]")) return;
      const known = new Set([...part.querySelectorAll("[data-key]")].map((e) => e.dataset.key));
      const open = new Set([...part.querySelectorAll("details[open][id]")].map((e) => e.id));
      const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
      const scrolled = [...part.querySelectorAll("[data-scroll]")].map((e) => e.scrollLeft);
      part.innerHTML = html;
      part.dataset.digest = digest;
      for (const id of open) {
        const again = document.getElementById(id);
        if (again) again.open = true;
      }
      for (const e of part.querySelectorAll("[data-key]")) {
        if (!known.has(e.dataset.key)) e.classList.add("fresh");
      }
      part.querySelectorAll("[data-scroll]").forEach((e, n) => { e.scrollLeft = scrolled[n] || 0; });
      if (focus) document.getElementById(focus)?.focus();
    });
  }
}
addEventListener("input", (event) => event.target.form?.setAttribute("data-touched", ""));
// A click elsewhere closes the menu.
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
