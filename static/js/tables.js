/* A table that is wider than the screen scrolls sideways; it takes the focus then, so that the
   arrow keys can scroll it. */
(() => {
  "use strict";

  function reach() {
    for (const wrap of document.querySelectorAll(".table-wrap")) {
      if (wrap.scrollWidth > wrap.clientWidth) wrap.tabIndex = 0;
      else wrap.removeAttribute("tabindex");
    }
  }

  document.addEventListener("DOMContentLoaded", reach);
  document.addEventListener("htmx:load", reach);
  addEventListener("resize", reach);
})();
