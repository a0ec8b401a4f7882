/* The steps of the cards: which one is read, and what is said of each. As everywhere on the page
   the inputs are the truth: a radio group for each step, and for each card the number of the first
   wrong step, which says that the steps before it are good. */
(() => {
  "use strict";

  const form = () => document.getElementById("judgement");
  const asks = () => form()?.dataset.asksSteps === "yes";
  const card = (number) => document.getElementById(`card-${number}`);
  const steps = (number) => [...card(number).querySelectorAll(".step")];
  const wrong = (inside) => inside.closest(".candidate").querySelector("[name^=wrong-]");
  const numberOf = (inside) => Number(inside.closest(".candidate").dataset.number);
  const stepOf = (item) => Number(item.dataset.step);
  const radios = (item) => [...item.querySelectorAll(".labels input")];
  const said = (item) => radios(item).find((each) => each.checked)?.value || "";
  const current = () => document.activeElement?.closest(".step");
  const inputs = () => [...(form()?.querySelectorAll("[name^=label-], [name^=wrong-]") || [])];

  /** What is said, to be undone: [name, value] of every input that says something. */
  const read = () =>
    inputs()
      .filter((each) => each.value && (each.type !== "radio" || each.checked))
      .map((each) => [each.name, each.value]);

  function write(entries) {
    const wanted = new Map(entries);
    for (const each of inputs()) {
      if (each.type === "radio") each.checked = wanted.get(each.name) === each.value;
      else each.value = wanted.get(each.name) || "";
    }
  }

  /** A label of a step that is folded away travels in a hidden input. */
  function carry(name, value) {
    if (!form() || form().querySelector(`[name="${name}"]`)) return;
    form().append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    form().lastElementChild.dataset.unshown = "";
  }

  /** Steps that have been unfolded take over what the hidden inputs carried for them. */
  function unfolded() {
    for (const hidden of form()?.querySelectorAll("[data-unshown]") || []) {
      const own = [...form().querySelectorAll(`input[type=radio][name="${hidden.name}"]`)];
      if (!own.length) continue;
      for (const each of own) each.checked = each.value === hidden.value;
      hidden.remove();
    }
    draw();
  }

  /** The label of each step as seen: its own, or what the first wrong step says of it. */
  function draw() {
    if (!asks()) return;
    for (const one of document.querySelectorAll("#candidates .candidate")) {
      const typed = wrong(one).value;
      const first = typed === "" ? null : Number(typed);
      for (const item of one.querySelectorAll(".step")) {
        const step = stepOf(item);
        const led = first === null ? "" : first === 0 || step < first ? "good" : step === first ? "bad" : "";
        item.dataset.label = said(item) || led;
        item.dataset.led = said(item) ? "" : led && "yes";
        for (const each of radios(item)) each.dataset.was = each.checked ? "yes" : "";
      }
    }
  }

  function focus(item) {
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  /** To the next step or the one before, from the step or the card that has the focus. */
  function go(number, by) {
    const all = steps(number);
    const here = current();
    const at = here && numberOf(here) === number ? all.indexOf(here) + by : by > 0 ? 0 : all.length - 1;
    if (all[at]) return focus(all[at]);
    ranking.say(at < 0 ? "This is the first step." : "This is the last step shown.");
  }

  function label(item, value) {
    if (!asks() || !item) return;
    const next = said(item) === value ? "" : value;
    for (const each of radios(item)) each.checked = each.value === next;
    ranking.commit(`Step ${stepOf(item)} of rationale ${numberOf(item)} is ${next || "not labelled"}.`);
  }

  /** This step is the first wrong one; once more takes it back. 0: every step is right. */
  function firstWrong(number, step) {
    if (!asks()) return;
    const input = wrong(card(number));
    if (step > Number(input.max)) return ranking.say(`Rationale ${number} has ${input.max} steps.`);
    input.value = input.value === String(step) ? "" : String(step);
    if (input.value) {
      for (const item of steps(number)) {
        if (step && stepOf(item) > step) break;
        for (const each of radios(item)) each.checked = false;
      }
    }
    const whole = step ? `Step ${step} of rationale ${number} is the first wrong one.` : `Every step of rationale ${number} is right.`;
    ranking.commit(input.value ? whole : `The first wrong step of rationale ${number} is not said.`);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do=first-wrong]");
    if (button) firstWrong(numberOf(button), stepOf(button.closest(".step")));
    const choice = event.target.closest(".labels input");
    if (!choice) return;
    const again = choice.dataset.was === "yes"; // a second click takes it back
    if (again) choice.checked = false;
    const item = choice.closest(".step");
    ranking.commit(`Step ${stepOf(item)} of rationale ${numberOf(item)} is ${again ? "not labelled" : choice.value}.`);
  });

  document.addEventListener("input", (event) => {
    if (event.target.matches("#judgement [name^=wrong-]")) ranking.commit("");
  });
  document.addEventListener("htmx:afterSettle", unfolded);

  window.stepLabels = { read, write, carry, draw, go, label, firstWrong, current, asks, steps };
})();
