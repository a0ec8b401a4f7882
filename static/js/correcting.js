/* Correcting a card where it stands. What is being written is kept in this browser until it is
   saved as a rationale; a judgement is not sent over an unsaved correction. */
(() => {
  "use strict";

  const name = (editor) => `stillroom-correction-${editor.dataset.pk}`;
  const fields = (editor) => [...editor.querySelectorAll("[name=thought], [name=answer]")];
  const values = (editor) => Object.fromEntries(fields(editor).map((each) => [each.name, each.value]));
  const changed = (editor) => fields(editor).some((each) => each.value !== each.defaultValue);
  const place = (number) => document.getElementById(`correction-${number}`);

  async function open(number) {
    const link = ranking.card(number)?.querySelector("[data-edit]");
    if (!link) return;
    const there = place(number).querySelector(".editor");
    if (!there) await htmx.ajax("GET", link.getAttribute("href"), { source: place(number), target: place(number), swap: "innerHTML" });
    const editor = place(number).querySelector(".editor");
    if (!editor) return;
    if (!there) restore(editor);
    const text = editor.querySelector("[name=thought]");
    text.focus();
    text.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  function restore(editor) {
    const kept = localStorage.getItem(name(editor));
    if (!kept) return;
    const typed = JSON.parse(kept);
    for (const each of fields(editor)) each.value = typed[each.name] ?? each.value;
    ranking.say("What you had begun to write is restored.");
  }

  function forget(editor) {
    localStorage.removeItem(name(editor));
  }

  function close(editor) {
    const number = Number(editor.closest(".candidate").dataset.number);
    forget(editor);
    editor.remove();
    ranking.focus(number);
  }

  async function save(editor, accept) {
    const target = editor.closest(".correction");
    const number = Number(target.closest(".candidate").dataset.number);
    const sent = { ...values(editor), ...(accept ? { accept: "yes" } : {}) };
    const key = name(editor);
    await htmx.ajax("POST", editor.dataset.correct, { source: target, target, swap: "innerHTML", values: sent });
    if (!target.querySelector(".corrected")) {
      const again = target.querySelector(".editor");
      for (const each of again ? fields(again) : []) each.value = sent[each.name];
      return;
    }
    localStorage.removeItem(key);
    ranking.focus(number);
    ranking.say(`Saved as a correction of rationale ${number}.`);
  }

  document.addEventListener("input", (event) => {
    const editor = event.target.closest(".editor");
    if (!editor || !editor.closest("#judgement")) return;
    try {
      localStorage.setItem(name(editor), JSON.stringify(values(editor)));
    } catch {
      // A full or forbidden store: the text is still in its field.
    }
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("#judgement [data-edit]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(Number(link.closest(".candidate").dataset.number));
    }
    const editor = event.target.closest("#judgement .editor");
    const button = event.target.closest("button");
    if (!editor || !button) return;
    event.preventDefault();
    if ("cancel" in button.dataset) close(editor);
    else save(editor, button.name === "accept");
  });

  // A correction that was refused comes back with the reason.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.target?.matches?.(".correction") || event.detail.xhr.status !== 422) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  });

  document.addEventListener(
    "submit",
    (event) => {
      if (event.target.id !== "judgement") return;
      const editor = [...event.target.querySelectorAll(".editor")].find(changed);
      if (!editor) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      let notice = editor.querySelector("[role=alert]");
      if (!notice) {
        notice = Object.assign(document.createElement("p"), { className: "notice bad" });
        notice.setAttribute("role", "alert");
        editor.prepend(notice);
      }
      notice.textContent = "This correction is not saved yet. Save or cancel it, then submit.";
      editor.querySelector("[name=thought]").focus();
    },
    true,
  );

  window.correcting = { open };
})();
