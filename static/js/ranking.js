/* The order of a group. The number inputs are the truth; keys, buttons and drag write them.
   An order is a list of ties, best first: [[3], [1], [4, 2]]. A card in none is not placed.
   Every change goes through `commit`, so that each one can be undone and is announced. */
(() => {
  "use strict";

  const form = () => document.getElementById("judgement");
  const cards = () => [...document.querySelectorAll("#candidates .candidate")];
  const card = (number) => document.getElementById(`card-${number}`);
  const input = (number) => card(number).querySelector("[name^=rank-]");
  const asShown = () => form().querySelector("[name=as_shown]");
  const numbers = () => cards().map((each) => Number(each.dataset.number));
  const ranks = () => form()?.dataset.asksRank === "yes";
  const accepts = () => form()?.dataset.asksAccept === "yes";

  let past = [];
  let now = null;
  let last = null; // the card picked or placed last: what "=" ties to
  let tieNext = false;
  let sortables = [];

  const ordinal = (n) => {
    const teen = n % 100 > 10 && n % 100 < 14;
    return n + (teen ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] || "th");
  };

  function order() {
    if (!ranks()) return [];
    const groups = new Map();
    for (const number of numbers()) {
      const rank = Number.parseInt(input(number).value, 10);
      if (rank >= 1) groups.set(rank, [...(groups.get(rank) || []), number]);
    }
    return [...groups.keys()].sort((a, b) => a - b).map((rank) => groups.get(rank));
  }

  function write(groups) {
    for (const number of numbers()) input(number).value = "";
    let rank = 1;
    for (const tied of groups.filter((each) => each.length)) {
      for (const number of tied) input(number).value = rank;
      rank += tied.length;
    }
  }

  const without = (groups, number) =>
    groups.map((tied) => tied.filter((each) => each !== number)).filter((tied) => tied.length);

  const decision = (number) =>
    card(number).querySelector(".verdict input:checked")?.value || "";

  function setDecision(number, value) {
    for (const each of card(number).querySelectorAll(".verdict input")) {
      each.checked = each.value === value;
    }
    const why = card(number).querySelector(".why");
    if (why && value === "reject") why.open = true;
  }

  const snapshot = () => ({
    places: ranks() ? numbers().map((number) => input(number).value) : [],
    decisions: accepts() ? numbers().map(decision) : [],
    asShown: Boolean(asShown()?.checked),
    steps: stepLabels.read(),
  });

  function restore(state) {
    numbers().forEach((number, at) => {
      if (ranks()) input(number).value = state.places[at];
      if (accepts()) setDecision(number, state.decisions[at]);
    });
    if (asShown()) asShown().checked = state.asShown;
    stepLabels.write(state.steps);
  }

  function say(text) {
    const said = document.getElementById("moves-said");
    if (said) said.textContent = text;
  }

  const words = (groups) => groups.map((tied) => tied.join(" tied with ")).join(", then ");

  function commit(text) {
    const after = snapshot();
    if (JSON.stringify(after) === JSON.stringify(now)) return;
    past.push(now);
    now = after;
    draw();
    const whole = order();
    say(`${text || "Changed."} ${whole.length ? `Order: ${words(whole)}.` : ""}`);
    form().dispatchEvent(new CustomEvent("judgement:changed", { bubbles: true }));
  }

  function change(text, act) {
    if (asShown()) asShown().checked = false;
    act();
    commit(text);
  }

  /* ---- what can be done ---- */

  function focus(number) {
    last = number;
    card(number).focus({ preventScroll: true });
    card(number).scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  /** Place the card after all others, or beside the one before it if "=" was pressed. */
  function pick(number) {
    if (!card(number)) return;
    const before = last;
    const groups = order();
    const placed = groups.some((tied) => tied.includes(number));
    const tied = tieNext;
    tieNext = false;
    focus(number);
    if (!ranks() || (placed && !tied)) return draw();
    const rest = without(groups, number);
    const beside = tied && (rest.find((each) => each.includes(before)) || rest.at(-1));
    if (beside) beside.push(number);
    else rest.push([number]);
    const where = beside ? `tied with ${beside[0]}` : ordinal(place(rest, number));
    change(`Rationale ${number} is ${where}.`, () => write(rest));
  }

  function place(groups, number) {
    let rank = 1;
    for (const tied of groups) {
      if (tied.includes(number)) return rank;
      rank += tied.length;
    }
    return 0;
  }

  function move(number, step) {
    if (!ranks()) return;
    const groups = order();
    const at = groups.findIndex((tied) => tied.includes(number));
    if (at < 0) {
      if (step < 0) pick(number);
      return;
    }
    const alone = groups[at].length === 1;
    const rest = without(groups, number);
    const to = alone ? at + step : step < 0 ? at : at + 1;
    if (to < 0 || (alone && to > rest.length)) return say(`Rationale ${number} is at the end.`);
    rest.splice(to, 0, [number]);
    last = number;
    change(`Rationale ${number} is ${ordinal(place(rest, number))}.`, () => write(rest));
  }

  /** Tie the card with the one above it; a card not placed yet joins the last. */
  function tie(number) {
    const groups = order();
    const at = groups.findIndex((tied) => tied.includes(number));
    const above = at < 0 ? groups.at(-1) : groups[at - 1];
    if (!above) return say("There is nothing above to tie it with.");
    const beside = above[0];
    const rest = without(groups, number);
    rest.find((tied) => tied.includes(beside)).push(number);
    last = number;
    change(`Rationale ${number} is tied with ${beside}.`, () => write(rest));
  }

  function out(number) {
    if (!ranks()) return;
    change(`Rationale ${number} is not placed.`, () => write(without(order(), number)));
  }

  function confirm() {
    if (!ranks()) return;
    write(numbers().map((number) => [number]));
    asShown().checked = true;
    commit("The order is right as shown.");
  }

  function decide(number, value) {
    if (!accepts() || !card(number)) return;
    const next = decision(number) === value ? "" : value;
    setDecision(number, next);
    commit(decided(number, next));
  }

  const decided = (number, value) => `Rationale ${number} is ${value ? `${value}ed` : "undecided"}.`;

  function acceptBest() {
    const best = order()[0];
    if (!accepts() || !best) return say("Nothing is placed yet.");
    for (const number of best) setDecision(number, "accept");
    commit(best.length > 1 ? `Rationales ${best.join(" and ")} are accepted.` : decided(best[0], "accept"));
  }

  /** Two cards change places; one that has none gives its place up. */
  function swap(one, other) {
    if (!ranks() || one === other) return;
    const turned = order().map((tied) => tied.map((n) => (n === one ? other : n === other ? one : n)));
    if (!turned.length) return say("Nothing is placed yet.");
    last = one;
    change(`Rationales ${one} and ${other} are swapped.`, () => write(turned));
  }

  function undo() {
    const before = past.pop();
    if (!before) return say("There is nothing to undo.");
    restore(before);
    now = before;
    tieNext = false;
    draw();
    say(`Undone. ${order().length ? `Order: ${words(order())}.` : "Nothing is placed."}`);
    form().dispatchEvent(new CustomEvent("judgement:changed", { bubbles: true }));
  }

  function tieTheNext() {
    if (!ranks()) return;
    if (!order().length) return say("Place a rationale first.");
    tieNext = true;
    draw();
    say("The next number is tied with the one before.");
  }

  /* ---- what is seen ---- */

  function chip(number, tied) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = number;
    button.dataset.chip = number;
    button.setAttribute("aria-label", `Go to rationale ${number}`);
    item.dataset.number = number;
    if (tied) item.dataset.tied = "yes";
    item.append(button);
    return item;
  }

  function draw() {
    const groups = order();
    for (const number of numbers()) {
      const rank = place(groups, number);
      const tied = groups.some((each) => each.includes(number) && each.length > 1);
      const label = card(number).querySelector("[data-ordinal]");
      if (label) label.textContent = rank ? ordinal(rank) + (tied ? " =" : "") : "Place";
      card(number).dataset.rank = rank || "";
      card(number).toggleAttribute("aria-describedby", false);
      if (rank && label) card(number).setAttribute("aria-describedby", label.id);
      card(number).dataset.decision = accepts() ? decision(number) : "";
    }
    const placed = document.getElementById("order");
    stepLabels.draw();
    if (!placed) return;
    placed.replaceChildren(...groups.flatMap((each) => each.map((n, at) => chip(n, at > 0))));
    placed.dataset.tieNext = tieNext ? "yes" : "";
    const flat = groups.flat();
    const rest = numbers().filter((number) => !flat.includes(number));
    document.getElementById("unplaced").replaceChildren(...rest.map((n) => chip(n, false)));
  }

  /** After a drag: the dragged chip stands alone where it was dropped; other ties stay. */
  function dropped(event) {
    const moved = Number(event.item.dataset.number);
    const before = without(order(), moved);
    const groups = [];
    let joined = null;
    for (const item of document.querySelectorAll("#order > li")) {
      const number = Number(item.dataset.number);
      const home = before.find((tied) => tied.includes(number));
      if (number !== moved && home && home === joined) groups.at(-1).push(number);
      else groups.push([number]);
      joined = number === moved ? null : home;
    }
    const text = document.querySelector(`#order > li[data-number="${moved}"]`)
      ? `Rationale ${moved} is ${ordinal(place(groups, moved))}.`
      : `Rationale ${moved} is not placed.`;
    last = moved;
    change(text, () => write(groups));
  }

  function start() {
    past = [];
    last = null;
    tieNext = false;
    for (const each of sortables) each.destroy(); // or Sortable keeps every group that was judged
    sortables = [];
    if (!form()) return;
    for (const choice of form().querySelectorAll(".verdict input[type=radio]")) {
      choice.dataset.was = choice.checked ? "yes" : "";
    }
    now = snapshot();
    draw();
    const lists = [document.getElementById("order"), document.getElementById("unplaced")];
    sortables = lists.filter(Boolean).map((list) =>
      Sortable.create(list, { group: "order", animation: 120, onEnd: dropped }));
  }

  /* ---- the mouse, and typing into the inputs ---- */

  const numberOf = (element) => Number(element.closest(".candidate")?.dataset.number);

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-chip]");
    if (chosen) focus(Number(chosen.dataset.chip));
    const button = event.target.closest("#judgement [data-do]");
    if (!button) return;
    const number = numberOf(button);
    const deeds = {
      better: () => move(number, -1),
      worse: () => move(number, 1),
      tie: () => tie(number),
      out: () => out(number),
      undo,
    };
    deeds[button.dataset.do]?.();
  });

  // A second click on a chosen verdict takes it back.
  document.addEventListener("click", (event) => {
    const choice = event.target.closest(".verdict input[type=radio]");
    if (!choice) return;
    const again = now && now.decisions[numbers().indexOf(numberOf(choice))] === choice.value;
    const value = again ? "" : choice.value;
    setDecision(numberOf(choice), value);
    commit(decided(numberOf(choice), value));
  });

  document.addEventListener("input", (event) => {
    if (!event.target.closest("#judgement")) return;
    if (event.target.matches("[name^=rank-]")) change("", () => {});
    if (event.target.matches("[name^=note-], [name^=reason-], [name^=merit-]")) {
      form().dispatchEvent(new CustomEvent("judgement:changed", { bubbles: true }));
    }
  });

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[name=as_shown]")) return;
    if (event.target.checked) return confirm();
    write([]);
    commit("The order is not confirmed; nothing is placed.");
  });

  document.addEventListener("focusin", (event) => {
    const number = numberOf(event.target);
    if (number && event.target.closest("#judgement")) last = number;
  });

  document.addEventListener("judgement:restored", () => {
    now = snapshot();
    draw();
  });
  document.addEventListener("htmx:afterSwap", (event) => event.target.id === "work" && start());
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();

  window.ranking = {
    pick, move, tie, out, confirm, decide, acceptBest, undo, tieTheNext, focus, form, swap, commit, say, card,
    current: () => numberOf(document.activeElement || document.body) || last,
    numbers,
  };
})();
