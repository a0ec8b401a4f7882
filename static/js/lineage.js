/* A picture that is wider than the screen begins at what it is about. */
(() => {
  "use strict";
  const picture = document.querySelector(".lineage-picture");
  const here = picture?.querySelector(".here");
  if (!here) return;
  const box = here.getBoundingClientRect();
  picture.scrollLeft += box.left + box.width / 2 - picture.getBoundingClientRect().left - picture.clientWidth / 2;
})();
