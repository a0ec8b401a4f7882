/* Light, dark, or as the system has it. Loaded before the styles, so that nothing flashes. */
(() => {
  "use strict";
  const KEY = "stillroom-theme";
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // a browser that keeps nothing follows the system
    }
  }

  function apply(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  function mark() {
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      const chosen = button.dataset.themeChoice === (root.dataset.theme || "system");
      button.setAttribute("aria-pressed", String(chosen));
    }
  }

  function choose(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It holds for this page then.
    }
    apply(theme);
    mark();
    document.dispatchEvent(new CustomEvent("theme:changed"));
  }

  apply(stored());
  addEventListener("storage", (event) => {
    if (event.key === KEY) apply(event.newValue);
    mark();
  });
  document.addEventListener("DOMContentLoaded", mark);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-theme-choice]");
    if (button) choose(button.dataset.themeChoice);
  });
})();
