/* A part of the page that renews itself takes nothing from its reader: the focus stays, what was
   unfolded stays unfolded, and of all that is new only a changed `data-said` is said aloud. */
(() => {
  "use strict";
  const renewed = (element) => /\bevery\b/.test(element?.getAttribute?.("hx-trigger") || "");
  const reachable = (part) => [...part.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
  const folds = (part) => [...part.querySelectorAll("details")];
  const alike = (one, other) =>
    ["href", "name", "value", "type"].every((name) => one.getAttribute(name) === other.getAttribute(name)) &&
    one.tagName === other.tagName && one.textContent === other.textContent;

  let before = null;

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    before = null;
    if (!part?.id) return;
    if (!renewed(part)) return (before = { id: part.id, open: [] });
    const at = reachable(part).find((each) => each === document.activeElement);
    const twins = at ? reachable(part).filter((each) => alike(each, at)) : [];
    const open = folds(part).map((each) => each.open);
    before = { id: part.id, said: part.dataset.said, at, nth: twins.indexOf(at), open };
  });

  document.addEventListener("htmx:afterSwap", () => {
    const part = before && document.getElementById(before.id);
    if (!part) return;
    const { said, at, nth, open } = before;
    before = null;
    const news = part.closest("[data-said]") || part.querySelector("[data-said]");
    folds(part).forEach((each, place) => { if (place in open) each.open = open[place]; });
    if (news?.dataset.said && news.dataset.said !== said) document.getElementById("said").textContent = news.dataset.said;
    if (!at || document.activeElement !== document.body) return;
    const twins = reachable(part).filter((each) => alike(each, at));
    (twins[nth] || twins[0] || document.getElementById("main")).focus({ preventScroll: true });
  });
})();
