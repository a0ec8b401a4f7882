/* The keyboard of the review page. What a key does is in ranking.js. */
(() => {
  "use strict";

  const skip = () => document.getElementById("skip");
  const help = () => document.getElementById("help");
  const writes = (target) => target.matches("textarea, input[type=text], input[type=number]");

  function toggleSkip() {
    if (!skip()) return;
    skip().open = !skip().open;
    if (skip().open) skip().querySelector("input[type=radio]").focus();
  }

  /** With the skip box open, a number chooses the reason and sends it. */
  function skipBecause(number) {
    const reasons = skip().querySelectorAll("input[type=radio]");
    const chosen = reasons[number - 1];
    if (!chosen) return;
    chosen.checked = true;
    document.getElementById("skip-submit").click(); // a click, for htmx to see which button it was
  }

  function beside(step) {
    const all = ranking.numbers();
    const at = all.indexOf(ranking.current());
    ranking.focus(at < 0 ? all[0] : all[(at + step + all.length) % all.length]);
  }

  const deeds = {
    "=": () => ranking.tieTheNext(),
    0: () => ranking.current() && ranking.out(ranking.current()),
    a: () => ranking.current() && ranking.decide(ranking.current(), "accept"),
    r: () => ranking.current() && ranking.decide(ranking.current(), "reject"),
    A: () => ranking.acceptBest(),
    c: () => ranking.confirm(),
    u: () => ranking.undo(),
    Backspace: () => ranking.undo(),
    s: toggleSkip,
    "?": () => help().showModal(),
    g: () => {
      const guidelines = document.querySelector(".guidelines");
      if (guidelines) guidelines.open = !guidelines.open;
    },
    ArrowLeft: () => beside(-1),
    ArrowRight: () => beside(1),
  };

  function arrows(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const onCard = event.target.matches(".candidate");
    if (!step || !(event.altKey || onCard) || !ranking.current()) return false;
    ranking.move(ranking.current(), step);
    return true;
  }

  function submit(event) {
    if (event.repeat || event.target.closest("button, summary, a, textarea")) return false;
    const button = event.target.closest("#skip") ? "skip-submit" : "submit";
    document.getElementById(button).click();
    return true;
  }

  function handle(event) {
    if (arrows(event)) return true;
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.key === "Enter") return submit(event);
    if (event.key === "Escape" && skip()?.open) return toggleSkip(), true;
    if (writes(event.target)) return false;
    if (/^[1-9]$/.test(event.key)) {
      if (skip()?.open) skipBecause(Number(event.key));
      else ranking.pick(Number(event.key));
      return true;
    }
    const radio = event.target.matches("input[type=radio]") && event.key.startsWith("Arrow");
    if (radio || !Object.hasOwn(deeds, event.key)) return false;
    deeds[event.key]();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (!ranking.form() || help()?.open) return;
    if (event.target.closest("#layout-form")) return;
    if (handle(event)) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-do=help]")) help().showModal();
  });

  // After a swap the reader begins at the refusal, or at the new question.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "work") return;
    window.scrollTo({ top: 0, behavior: "instant" });
    const first = document.querySelector("#work [role=alert]") || document.getElementById("question-title");
    first?.focus({ preventScroll: true });
  });
})();
