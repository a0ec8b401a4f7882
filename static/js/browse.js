/* Keys and ticks of a list. `j` and `k` move the focus from row to row, so a screen reader reads
   it; what the keys do, the links, boxes and buttons of the page do as well. Off at the reader's
   wish, for people whose voice or hand sends stray letters. */
(() => {
  "use strict";
  const list = () => document.querySelector("[data-list]");
  const links = () => [...(list()?.querySelectorAll("[data-row]") ?? [])];
  const boxes = () => [...(list()?.querySelectorAll('input[name="pk"]') ?? [])];
  const bar = () => document.getElementById("bulk");
  const OFF = "stillroom.listKeysOff";
  let lastTicked = null;
  let here = -1;

  function move(step) {
    const rows = links();
    if (!rows.length) return;
    const focused = rows.indexOf(document.activeElement?.closest("tr")?.querySelector("[data-row]"));
    here = Math.min(Math.max((focused >= 0 ? focused : here) + step, 0), rows.length - 1);
    show(rows[here]);
  }

  function show(link) {
    for (const row of document.querySelectorAll("tr.here")) row.classList.remove("here");
    link.closest("tr").classList.add("here");
    link.focus({ preventScroll: true });
    link.closest("tr").scrollIntoView({ block: "center" });
  }

  const row = () => document.querySelector("tr.here");

  function count() {
    const told = bar()?.querySelector("[data-count]");
    if (!told) return;
    const ticked = boxes().filter((box) => box.checked).length;
    const one = ticked === 1 ? "1 row ticked" : `${ticked} rows ticked`;
    const words = bar().elements.all?.checked ? "All that match, on every page" : one;
    if (told.textContent !== words) told.textContent = words;
    const all = list().querySelector("[data-tick-all]");
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
  }

  function tickAll(on) {
    for (const box of boxes()) box.checked = on;
    count();
  }

  function tickTo(box) {
    const all = boxes();
    const [from, to] = [all.indexOf(lastTicked), all.indexOf(box)].sort((a, b) => a - b);
    if (from >= 0) for (const one of all.slice(from, to + 1)) one.checked = box.checked;
  }

  /* One row: sent by itself, and only that row comes back. Several: the bar's own button. */
  function judge(deed) {
    const form = bar();
    const button = form?.querySelector(`button[value="${deed}"]`);
    if (!button) return;
    if (boxes().some((box) => box.checked) || form.elements.all?.checked) return button.click();
    const one = row();
    const box = one?.querySelector('input[name="pk"]');
    if (!box || !form.elements.address) {
      if (box) box.checked = true;
      if (box) button.click();
      return;
    }
    const values = { pk: box.value, deed, address: form.elements.address.value };
    const at = here;
    window.htmx
      .ajax("POST", form.getAttribute("action"), {
        source: one, target: one, swap: "outerHTML", select: `#${one.id}`, values,
      })
      .then(() => {
        const rows = links();
        here = Math.min(at, rows.length - 1);
        const back = document.getElementById(one.id)?.querySelector("[data-row]") ?? rows[here];
        if (back && document.activeElement === document.body) show(back);
      });
  }

  const press = (selector) => document.querySelector(selector)?.click();
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: () => row()?.querySelector('input[name="pk"]')?.click(),
    X: () => tickAll(!boxes().every((box) => box.checked)),
    a: () => judge("accept"),
    r: () => judge("reject"),
    n: () => press('.list-foot [rel="next"], .page-actions [rel="next"]'),
    p: () => press('.list-foot [rel="prev"], .page-actions [rel="prev"]'),
    "/": () => document.querySelector('input[type="search"]')?.focus(),
  };

  const typing = (place) =>
    place.matches("textarea, select, input:not([type=checkbox])") || place.isContentEditable;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (localStorage.getItem(OFF) || !list() || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!box.matches?.('input[name="pk"]')) return;
    if (event.shiftKey) tickTo(box);
    lastTicked = box;
    count();
  });

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-tick-all]")) tickAll(box.checked);
    if (box.matches('#bulk [name="all"]')) count();
    if (box.matches("[data-keys-on]")) {
      if (box.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "yes");
    }
  });

  document.addEventListener("htmx:afterSettle", count);
  for (const box of document.querySelectorAll("[data-keys-on]")) {
    box.checked = !localStorage.getItem(OFF);
  }
  if (bar() && list()) count();
})();
