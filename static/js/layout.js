/* Side by side or stacked: at once here, and remembered by the server. */
document.getElementById("layout-form")?.addEventListener("submit", (event) => {
  const form = event.target;
  const layout = event.submitter.value;
  event.preventDefault();
  document.getElementById("work").dataset.layout = layout;
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === layout));
  }
  const body = new URLSearchParams(new FormData(form, event.submitter));
  fetch(form.action, { method: "POST", body, redirect: "manual" });
});
