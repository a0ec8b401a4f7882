/* Nothing is lost: every change goes to the server as a draft, and to this browser until the
   server has it. A judgement that could not be sent is sent when the connection is back. */
(() => {
  "use strict";

  const WAIT = 500; // ms after the last change
  const RETRY = 4000;
  const AHEAD = 1500; // ms after which the next item is asked for
  const IDLE = 60000; // no time is counted after a minute without a sign of life
  const SAID = /^(rank|decision|reason|merit|note|wrong|label)-|^as_shown$/;
  const KEEP = 240000; // how often reading alone prolongs the hold

  const form = () => document.getElementById("judgement");
  const name = () => `stillroom-draft-${document.getElementById("work")?.dataset.assignment}`;
  const field = (key) => form().querySelector(`[name=${key}]`);

  let version = 0; // counts changes
  let sent = 0; // the change that the server has
  let busy = false;
  let timer = 0;
  let leaving = false;
  let submitLater = false;
  let alive = Date.now();
  let prolonged = Date.now();

  const entries = () =>
    [...new FormData(form())].filter(([key]) => SAID.test(key));

  function show(text) {
    const saved = document.getElementById("saved");
    if (saved) saved.textContent = text;
  }

  function notice(text) {
    let shown = document.getElementById("draft-notice");
    if (!shown) {
      shown = document.createElement("p");
      shown.id = "draft-notice";
      shown.className = "notice warn";
      shown.setAttribute("role", "alert");
      document.getElementById("work")?.prepend(shown);
    }
    shown.textContent = text;
  }

  const clearNotice = () => document.getElementById("draft-notice")?.remove();

  function keepHere() {
    const kept = { edition: form().dataset.edition, entries: entries() };
    try {
      localStorage.setItem(name(), JSON.stringify(kept));
    } catch {
      // A full or forbidden store: the server's draft is still there.
    }
  }

  function later(wait) {
    clearTimeout(timer);
    timer = setTimeout(send, wait);
  }

  async function send() {
    if (!form() || busy || leaving) return;
    busy = true;
    const at = form();
    const sending = version;
    const key = name();
    try {
      const answer = await fetch(at.dataset.draft, {
        method: "POST",
        body: new URLSearchParams(new FormData(at)),
        headers: { Accept: "application/json" },
      });
      if (answer.redirected || !answer.ok) throw new Refused(answer);
      const { state } = await answer.json();
      if (at === form()) arrived(sending, key, state);
    } catch (error) {
      if (at === form()) failed(error);
    } finally {
      busy = false;
    }
  }

  class Refused extends Error {
    constructor(answer) {
      super(`The server answered ${answer.status}.`);
      this.signedOut = answer.redirected || answer.status === 403;
    }
  }

  function arrived(sending, key, state) {
    sent = sending;
    prolonged = Date.now();
    clearNotice();
    if (state === "submitted") notice("This one was submitted from another window. Enter goes on to the next.");
    else if (state === "lost") notice("Your hold on this one ran out and somebody else has it now. What you submit is kept beside theirs.");
    if (version === sending) {
      localStorage.removeItem(key);
      show("Draft saved");
    } else later(WAIT);
    if (submitLater) {
      submitLater = false;
      document.getElementById("submit").click();
    }
  }

  function failed(error) {
    keepHere();
    show("Kept in this browser");
    if (error.signedOut) {
      notice("You are signed out. Sign in again in another tab, then reload this page: your work is kept in this browser.");
      return;
    }
    notice(
      submitLater
        ? "No connection. Your judgement is kept in this browser and will be submitted when the connection is back."
        : "No connection. Your work is kept in this browser and will be saved when the connection is back.",
    );
    later(RETRY);
  }

  /** What this browser kept because the server never got it. */
  function restore() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(name()));
    } catch {
      localStorage.removeItem(name());
    }
    if (!kept) return;
    if (kept.edition !== form().dataset.edition) return localStorage.removeItem(name());
    fill(kept.entries);
    document.dispatchEvent(new CustomEvent("judgement:restored"));
    version += 1;
    show("Restored from this browser");
    later(0);
  }

  function fill(kept) {
    const said = new Map();
    for (const [key, value] of kept) said.set(key, [...(said.get(key) || []), value]);
    for (const each of form().querySelectorAll("input, textarea")) {
      if (!SAID.test(each.name)) continue;
      const values = said.get(each.name) || [];
      if (each.matches("[type=radio], [type=checkbox]")) {
        each.checked = values.includes(each.value) || (each.value === "" && !values.length);
      } else each.value = values[0] || "";
    }
    for (const [key, values] of said) if (key.startsWith("label-")) stepLabels.carry(key, values[0]);
  }

  function start() {
    version = sent = 0;
    leaving = submitLater = false;
    clearTimeout(timer);
    if (!form()) return;
    restore();
    const at = form();
    if (at.dataset.ahead) setTimeout(() => at === form() && keepNextReady(at), AHEAD);
  }

  /** The next item is leased and rendered while this one is read; if not, nothing is lost. */
  function keepNextReady(at) {
    const body = new URLSearchParams({ csrfmiddlewaretoken: at.querySelector("[name=csrfmiddlewaretoken]").value });
    fetch(at.dataset.ahead, { method: "POST", body }).catch(() => {});
  }

  document.addEventListener("judgement:changed", () => {
    version += 1;
    alive = Date.now();
    keepHere();
    later(WAIT);
  });

  document.addEventListener("submit", (event) => {
    if (event.target !== form()) return;
    clearTimeout(timer);
    if (!form().hasAttribute("hx-post") || !window.htmx) leaving = true;
  });

  // What was submitted needs no copy here; a refusal comes back with all that was typed.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (!requestConfig.elt?.matches?.("#judgement")) return;
    if (xhr.responseURL.includes("/accounts/")) {
      event.detail.shouldSwap = false;
      failed({ signedOut: true });
      return;
    }
    if (xhr.status === 422) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
    if (event.detail.shouldSwap) localStorage.removeItem(name());
  });

  const ours = (event) => event.detail.elt?.matches?.("#judgement");

  document.addEventListener("htmx:sendError", (event) => {
    if (!ours(event)) return;
    submitLater = true;
    failed({ signedOut: false });
  });

  document.addEventListener("htmx:responseError", (event) => {
    if (!ours(event)) return;
    const status = event.detail.xhr.status;
    if (status === 403) return failed({ signedOut: true });
    keepHere();
    notice(`The server could not take it (error ${status}). Your work is kept in this browser; press Enter to try again.`);
  });

  document.addEventListener("htmx:afterSwap", (event) => event.target.id === "work" && start());
  window.addEventListener("online", () => later(0));
  window.addEventListener("beforeunload", (event) => {
    if (form() && version > sent && !leaving) event.preventDefault();
  });

  for (const sign of ["pointermove", "keydown", "scroll"]) {
    window.addEventListener(sign, () => (alive = Date.now()), { passive: true });
  }
  setInterval(() => {
    if (!form() || document.hidden) return;
    if (Date.now() - alive < IDLE) field("seconds").value = Number(field("seconds").value || 0) + 1;
    if (Date.now() - prolonged > KEEP && alive > prolonged) later(0);
  }, 1000);

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
