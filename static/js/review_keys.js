/* The keyboard of the review page. Which key does what comes with the page (data-keys), for every
   person has their own; what a deed does is in ranking.js, steps.js, sheet.js and correcting.js. */
(() => {
  "use strict";

  const skip = () => document.getElementById("skip");
  const writes = (target) => target.matches("textarea, input[type=text], input[type=number], select");
  const current = () => ranking.current();

  let map = new Map(); // key → deed
  let pending = null; // a deed that waits for a number

  function learn() {
    const keys = JSON.parse(ranking.form()?.dataset.keys || "{}");
    map = new Map(Object.entries(keys).filter(([, key]) => key).map(([deed, key]) => [key, deed]));
    if (!map.has("Backspace")) map.set("Backspace", "undo");
    wait(null);
  }

  /* ---- deeds that need a number ---- */

  const ASKED = {
    swap: (from) => (from ? `Swap rationale ${from} with which?` : "Swap which two? Press their numbers."),
    diff: (from) => (from ? `Compare rationale ${from} with which?` : "Compare which two? Press their numbers."),
    first_wrong: (from) => `Which step of rationale ${from} is the first wrong one? 0: none.`,
  };

  function wait(next) {
    pending = next;
    const hint = document.getElementById("pending");
    if (hint) hint.textContent = next ? ASKED[next.deed](next.from) + (next.typed ? ` ${next.typed}…` : "") : "";
    if (next && !next.typed) ranking.say(ASKED[next.deed](next.from));
  }

  function compare(from, to) {
    const links = ranking.card(from)?.querySelectorAll("[data-diff]") || [];
    const link = [...links].find((each) => each.textContent === String(to));
    if (link) sheet.open(link.href);
  }

  function answer(digit) {
    const { deed, from, typed } = pending;
    if (deed === "first_wrong") return answerStep(from, typed + digit);
    if (!ranking.card(digit)) return;
    if (!from) return wait({ deed, from: digit });
    wait(null);
    if (deed === "swap") ranking.swap(from, digit);
    else compare(from, digit);
  }

  /** The number of a step may have several figures: as soon as no more can follow, it is said. */
  function answerStep(from, typed) {
    const most = Number(ranking.card(from).querySelector("[name^=wrong-]").max);
    if (typed !== "0" && Number(typed) * 10 <= most) return wait({ deed: "first_wrong", from, typed });
    wait(null);
    stepLabels.firstWrong(from, Number(typed));
  }

  /* ---- what can be done ---- */

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
    const at = all.indexOf(current());
    ranking.focus(at < 0 ? all[0] : all[(at + step + all.length) % all.length]);
  }

  function toggle(details, field) {
    if (!details) return;
    details.open = !details.open;
    if (details.open && field) details.querySelector(field)?.focus();
  }

  const seen = (element) => element.offsetParent !== null;

  function why() {
    const box = current() && ranking.card(current()).querySelector(".why");
    if (!box) return;
    box.open = true;
    [...box.querySelectorAll("input, textarea")].find(seen)?.focus();
  }

  function firstWrong() {
    if (!stepLabels.asks() || !current()) return;
    const item = stepLabels.current();
    if (item) stepLabels.firstWrong(current(), Number(item.dataset.step));
    else wait({ deed: "first_wrong", from: current(), typed: "" });
  }

  const withCard = (deed) => () => (current() ? deed(current()) : ranking.say("Press the number of a card first."));
  const label = (value) => () => stepLabels.label(stepLabels.current(), value);
  const otherLayout = () => document.querySelector("#layout-form button[aria-pressed=false]");

  const deeds = {
    tie: () => ranking.tieTheNext(),
    better: withCard((number) => ranking.move(number, -1)),
    worse: withCard((number) => ranking.move(number, 1)),
    out: withCard((number) => ranking.out(number)),
    swap: () => wait({ deed: "swap", from: current() }),
    confirm: () => ranking.confirm(),
    accept: withCard((number) => ranking.decide(number, "accept")),
    reject: withCard((number) => ranking.decide(number, "reject")),
    best: () => ranking.acceptBest(),
    why,
    next_step: () => stepLabels.go(current() || 1, 1),
    last_step: () => stepLabels.go(current() || 1, -1),
    first_wrong: firstWrong,
    all_right: withCard((number) => stepLabels.firstWrong(number, 0)),
    good: label("good"),
    neutral: label("neutral"),
    bad: label("bad"),
    left: () => beside(-1),
    right: () => beside(1),
    more: withCard((number) => ranking.card(number).querySelector("[data-more]")?.click()),
    diff: () => wait({ deed: "diff", from: current() }),
    edit: withCard((number) => correcting.open(number)),
    layout: () => otherLayout()?.click(),
    guidelines: () => toggle(document.querySelector(".guidelines")),
    undo: () => ranking.undo(),
    skip: toggleSkip,
    mine: () => document.getElementById("mine").click(),
    help: () => document.getElementById("help").showModal(),
  };

  /** Arrows that move a card do so on the card and its steps; with Alt from anywhere in it. */
  function arrows(event, deed) {
    const onCard = event.target.matches(".candidate, .step");
    if (!(event.altKey || onCard) || !current()) return false;
    deeds[deed]();
    return true;
  }

  function submit(event) {
    if (event.repeat) return false;
    if (event.key === "Enter" && event.target.closest("button, summary, a, textarea, .editor")) return false;
    const button = event.target.closest("#skip") ? "skip-submit" : "submit";
    document.getElementById(button).click();
    return true;
  }

  /** The number pressed; on keyboards that need Shift for numbers, also without. */
  function figure(event) {
    if (/^\d$/.test(event.key)) return event.key;
    const bare = !event.shiftKey && !map.has(event.key) && /^Digit(\d)$/.exec(event.code);
    return bare ? bare[1] : "";
  }

  function escape() {
    if (pending) return wait(null), true;
    if (skip()?.open) return toggleSkip(), true;
    const inside = document.activeElement?.closest(".candidate");
    if (!inside || inside === document.activeElement) return false;
    ranking.focus(Number(inside.dataset.number));
    return true;
  }

  function handle(event) {
    const deed = map.get(event.key);
    const moves = (deed === "better" || deed === "worse") && event.key.startsWith("Arrow");
    if (moves && !event.target.closest(".editor")) return arrows(event, deed);
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.key === "Escape") return escape();
    if (deed === "submit" && pending?.typed) return answerStepNow();
    if (deed === "submit" && (event.key.length > 1 || !writes(event.target))) return submit(event);
    if (writes(event.target)) return false;
    const digit = figure(event);
    if (digit && pending && (digit !== "0" || pending.deed === "first_wrong")) {
      answer(pending.deed === "first_wrong" ? digit : Number(digit));
      return true;
    }
    if (digit && digit !== "0") {
      if (skip()?.open) skipBecause(Number(digit));
      else ranking.pick(Number(digit));
      return true;
    }
    const radio = event.target.matches("input[type=radio]") && event.key.startsWith("Arrow");
    const space = event.key === " " && event.target.matches("button, summary, input, a");
    if (radio || space || !deed) return false;
    wait(null);
    deeds[deed]();
    return true;
  }

  function answerStepNow() {
    const { from, typed } = pending;
    wait(null);
    stepLabels.firstWrong(from, Number(typed));
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (!ranking.form() || document.querySelector("dialog[open]") || event.isComposing) return;
    if (event.target.closest("#layout-form")) return;
    if (handle(event)) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-do=help]")) deeds.help();
    const swap = event.target.closest("[data-do=swap]");
    if (swap) wait({ deed: "swap", from: Number(swap.closest(".candidate").dataset.number) });
    const chip = pending && event.target.closest("[data-chip]");
    if (chip && pending.deed !== "first_wrong") answer(Number(chip.dataset.chip));
  });

  // After a swap the reader begins at the refusal, at the new question, or at what says there is none.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "work") return;
    learn();
    window.scrollTo({ top: 0, behavior: "instant" });
    const first = document.querySelector("#work [role=alert]") || document.querySelector("#question-title, #work .empty h2");
    first?.focus({ preventScroll: true });
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", learn);
  else learn();
})();
