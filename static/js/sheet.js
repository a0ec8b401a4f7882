/* Comparisons open over the page: the server renders them, the dialog holds them. Without this
   script the same links open a page of their own. */
(() => {
  "use strict";

  const dialog = () => document.getElementById("sheet");

  async function open(url) {
    await htmx.ajax("GET", url, { source: dialog(), target: "#sheet-body", swap: "innerHTML" });
    if (!document.getElementById("sheet-title") || dialog().open) return;
    dialog().showModal();
    document.getElementById("sheet-title").focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-diff]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !dialog()) return;
    event.preventDefault();
    open(link.href);
  });

  window.sheet = { open };
})();
