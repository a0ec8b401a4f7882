/* Sets the mathematics that curation/rendering.py has marked. KaTeX is fetched only by a page
   that needs it. What KaTeX cannot read stays as it was written. */
(() => {
  "use strict";
  const { script, style } = document.currentScript.dataset;
  const OPTIONS = { trust: false, strict: "ignore", maxExpand: 200, maxSize: 20, throwOnError: true };
  let loading = null;

  function load() {
    loading ??= new Promise((done, failed) => {
      document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: style }));
      const tag = Object.assign(document.createElement("script"), { src: script, onload: done, onerror: failed });
      document.head.append(tag);
    });
    return loading;
  }

  function set(span) {
    const source = span.textContent;
    try {
      katex.render(source, span, { ...OPTIONS, displayMode: span.classList.contains("display") });
      span.classList.add("set");
      span.title = source;
    } catch {
      span.textContent = source;
    }
    span.dataset.set = "yes";
  }

  async function setAll(root) {
    const spans = [...root.querySelectorAll(".math:not([data-set])")];
    if (!spans.length) return;
    await load();
    spans.forEach(set);
  }

  document.addEventListener("DOMContentLoaded", () => setAll(document));
  document.addEventListener("htmx:load", (event) => setAll(event.detail.elt));
})();
