/* The menus of the top bar are <details>: they close on Escape and on a click beside them. */
(() => {
  "use strict";
  const open = () => document.querySelectorAll(".menu[open]");

  document.addEventListener("click", (event) => {
    for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of open()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // On a narrow screen the sections are a row that scrolls: begin at the one we are in.
  const row = document.querySelector(".side");
  const here = row?.querySelector("[aria-current]");
  if (here && row.scrollWidth > row.clientWidth) {
    row.scrollLeft = here.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }
})();
