/* A number outside the guide's range is warned of while it is typed; it may be launched all the
   same. The method's own default is never warned of. */
(() => {
  "use strict";
  function words(field) {
    const value = Number(field.value);
    if (field.value.trim() === "" || Number.isNaN(value)) return "";
    if (value === Number(field.dataset.own)) return "";
    const low = Number(field.dataset.low);
    const high = Number(field.dataset.high);
    if (value >= low && value <= high) return "";
    const label = field.closest(".field").querySelector("label").textContent.trim();
    return `${label} is ${field.value}; the guide recommends ${field.dataset.low} to ${field.dataset.high}.`;
  }

  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.dataset?.low) return;
    const place = field.closest(".field");
    const said = words(field);
    let note = place.querySelector(".unusual");
    if (!said) return note?.remove();
    if (!note) {
      note = Object.assign(document.createElement("p"), { className: "help unusual" });
      note.setAttribute("role", "status");
      place.append(note);
    }
    if (note.textContent !== said) note.textContent = said;
  });
})();
