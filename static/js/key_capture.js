/* In the list of keys a field takes the key that is pressed, as it would be heard on the page. */
(() => {
  "use strict";

  const PRINTED = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", " ": "Space", Backspace: "⌫", Delete: "Del", PageUp: "PgUp", PageDown: "PgDn" };
  const SILENT = new Set(["Tab", "Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "Dead", "Process", "Unidentified"]);

  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("[data-key]");
    if (!field || SILENT.has(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.value = event.key === "Escape" ? "" : PRINTED[event.key] || event.key;
  });
})();
