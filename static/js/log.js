/* A log that is followed stays at its end, unless somebody scrolled up to read. */
(() => {
  "use strict";
  let atEnd = true;
  const log = () => document.querySelector("pre.log");
  const toEnd = () => {
    const shown = log();
    if (shown && atEnd) shown.scrollTop = shown.scrollHeight;
  };
  document.addEventListener("scroll", (event) => {
    const shown = event.target;
    if (shown.matches?.("pre.log")) atEnd = shown.scrollHeight - shown.scrollTop - shown.clientHeight < 24;
  }, true);
  document.addEventListener("htmx:afterSettle", toEnd);
  toEnd();
})();
