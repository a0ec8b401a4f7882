/* The curves of several runs in one chart. The metric, the axis, the scale and the smoothing stand
   in the address; the metric and the axis are a plain form as well. */
(() => {
  "use strict";
  const box = document.getElementById("overlay");
  if (!box || !window.charts) return;
  const { colour, smooth, positive, options, line } = window.charts;
  const form = document.getElementById("overlay-form");
  const asked = new URLSearchParams(location.search);
  const view = { log: asked.get("log") === "1", smoothing: Number(asked.get("smooth")) || 0 };
  let found = null;
  let plot = null;

  form.elements.log.checked = view.log;
  form.elements.smooth.value = view.smoothing;

  /* One column of x for all runs, and for each run its values there, with gaps between. */
  function joined(runs) {
    const tables = runs.map((run) => [run.x, shaped(run.y)]);
    return tables.length ? uPlot.join(tables) : [[]];
  }

  function shaped(values) {
    const kept = view.log ? positive(values) : values;
    return view.smoothing ? smooth(kept, view.smoothing) : kept;
  }

  function draw() {
    if (!found) return;
    plot?.destroy();
    box.replaceChildren();
    if (!found.runs.length) {
      box.append(Object.assign(document.createElement("p"), { className: "muted", textContent: "None of these runs has this metric." }));
      return;
    }
    const order = JSON.parse(box.dataset.runs);
    const dashes = [[], [6, 4], [2, 3], [9, 3, 2, 3]];
    const series = found.runs.map((run) => {
      const place = order.indexOf(run.run);
      return line(run.title, colour(`run-${place + 1}`), { dash: dashes[place % 4], width: 1.75 });
    });
    const label = form.elements.x.value === "seconds" ? "seconds" : "step";
    const width = Math.max(280, box.clientWidth);
    plot = new uPlot({ ...options({ box, width, log: view.log, series, sync: "beside", label }), height: 360 }, joined(found.runs), box);
  }

  async function fetchPoints() {
    const query = new URLSearchParams(location.search);
    query.set("metric", form.elements.metric.value);
    query.set("x", form.elements.x.value);
    const answer = await fetch(`${box.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    found = await answer.json();
    draw();
  }

  function remember() {
    const now = new URL(location.href);
    const set = (name, value) => (value ? now.searchParams.set(name, value) : now.searchParams.delete(name));
    set("metric", form.elements.metric.value);
    set("x", form.elements.x.value === "seconds" ? "seconds" : "");
    set("log", view.log ? "1" : "");
    set("smooth", view.smoothing ? String(view.smoothing) : "");
    history.replaceState(history.state, "", now);
  }

  form.addEventListener("input", (event) => {
    view.log = form.elements.log.checked;
    view.smoothing = Number(form.elements.smooth.value);
    remember();
    if (["metric", "x"].includes(event.target.name)) fetchPoints();
    else draw();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    remember();
    fetchPoints();
  });
  addEventListener("resize", () => plot?.setSize({ width: Math.max(280, box.clientWidth), height: 360 }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.addEventListener("theme:changed", draw);
  fetchPoints();
})();
