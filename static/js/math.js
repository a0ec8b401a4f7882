/* Sets the mathematics that curation/text/rendering.py has marked. KaTeX is fetched only by a page
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

  /** KaTeX writes some styles as attributes, which the content policy refuses; as properties they
      are allowed. */
  function withStylesAsProperties(deed) {
    const { setAttribute } = Element.prototype;
    Element.prototype.setAttribute = function (name, value) {
      if (name === "style") this.style.cssText = value;
      else setAttribute.call(this, name, value);
    };
    try {
      deed();
    } finally {
      Element.prototype.setAttribute = setAttribute;
    }
  }

  function set(span) {
    if (span.dataset.set) return; // two events may have found it
    span.dataset.set = "yes";
    const source = span.textContent;
    const options = { ...OPTIONS, displayMode: span.classList.contains("display") };
    try {
      withStylesAsProperties(() => katex.render(source, span, options));
      span.classList.add("set");
      span.title = source;
    } catch {
      span.textContent = source;
    }
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
