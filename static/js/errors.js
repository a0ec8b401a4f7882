/* A request behind the page that failed says so in one sentence; nothing fails in silence.
   The review form speaks for itself (draft.js), for it also keeps what was typed. */
(() => {
  "use strict";
  const LOGIN = document.currentScript.dataset.login;
  const AWAY = "No connection to the server. What is shown may be out of date; try again when it is back.";
  const SENTENCES = {
    400: "The server did not understand that. Reload the page and try again.",
    403: "That was refused: your role does not allow it, or you signed out meanwhile. Reload the page.",
    404: "That is no longer there. Reload the page.",
    409: "Somebody else changed that meanwhile. Reload the page to see it as it is now.",
    413: "That is more than the server takes in one request.",
    429: "Too many requests at once. Wait a moment and try again.",
    503: "The server is busy or being restarted, or its files are out of reach. Try again in a moment.",
  };
  const speaksForItself = (event) => event.detail.elt?.closest?.("#judgement");

  function say(sentence, link) {
    const alerts = document.getElementById("alerts");
    if (alerts.dataset.said === sentence) return; // a poll that fails again need not shout again
    const notice = Object.assign(document.createElement("p"), { className: "notice bad" });
    notice.setAttribute("role", "alert");
    const words = Object.assign(document.createElement("span"), { textContent: `${sentence} ` });
    if (link) words.append(link);
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
    close.addEventListener("click", hush);
    notice.append(words, close);
    alerts.replaceChildren(notice);
    alerts.dataset.said = sentence;
  }

  function hush() {
    const alerts = document.getElementById("alerts");
    alerts.replaceChildren();
    delete alerts.dataset.said;
  }

  const sentenceFor = (status) =>
    SENTENCES[status] ||
    `The server could not do that (error ${status}). Try again; if it stays, tell whoever runs it.`;

  document.addEventListener("htmx:responseError", (event) => {
    if (!speaksForItself(event)) say(sentenceFor(event.detail.xhr.status));
  });
  for (const lost of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(lost, (event) => speaksForItself(event) || say(AWAY));
  }

  // A session that ended answers with the login page: it must not land inside a table.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    if (speaksForItself(event) || !xhr.responseURL) return;
    if (new URL(xhr.responseURL).pathname !== LOGIN) return;
    event.detail.shouldSwap = false;
    const link = Object.assign(document.createElement("a"), { textContent: "Sign in again" });
    link.href = `${LOGIN}?next=${encodeURIComponent(location.pathname + location.search)}`;
    say("You are signed out.", link);
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && document.getElementById("alerts").dataset.said === AWAY) hush();
  });
})();
