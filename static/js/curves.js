/* The curves of a run: a chart for each chosen metric, fed by a JSON address with a cursor. What is
   chosen, the scale and the smoothing stand in the address, so a reload or another reader sees the
   same. */
(() => {
  "use strict";
  const box = document.getElementById("curves");
  if (!box || !window.charts) return;
  const { colour, smooth, positive, options, line, HEIGHT } = window.charts;
  const asked = new URLSearchParams(location.search);
  const first = box.dataset.first.split(",");
  const chosen = new Set(asked.has("metrics") ? asked.get("metrics").split(",") : first);
  const view = { log: asked.get("log") === "1", smoothing: Number(asked.get("smooth")) || 0 };
  const data = new Map(); // metric → [steps, values], thinned by the server
  const charts = new Map(); // metric → {figure, plot}
  let last = -1;
  let missing = true; // some chosen metric was never fetched

  const make = (tag, fields = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), fields);
    made.append(...inside);
    return made;
  };

  /* --- the controls -------------------------------------------------------------------------- */

  const bar = make("div", { className: "toolbar curve-bar" });
  const picker = make("details", { className: "menu curve-picker" }, make("summary", { textContent: "Metrics" }));
  const panel = make("div", { className: "menu-panel" });
  picker.append(panel);
  const logBox = make("input", { type: "checkbox", id: "curve-log", checked: view.log });
  const range = make("input", { type: "range", id: "curve-smooth", min: 0, max: 0.99, step: 0.01, value: view.smoothing });
  const told = make("output", { textContent: view.smoothing.toFixed(2) });
  bar.append(
    picker,
    make("label", { htmlFor: "curve-log" }, logBox, " Log scale"),
    make("span", { className: "smoothing" }, make("label", { htmlFor: "curve-smooth" }, "Smoothing"), range, told),
  );
  const grid = make("div", { className: "curve-grid" });

  logBox.addEventListener("change", () => { view.log = logBox.checked; remember(); remake(); });
  range.addEventListener("input", () => {
    view.smoothing = Number(range.value);
    told.textContent = view.smoothing.toFixed(2);
    remember();
    remake();
  });

  function remember() {
    const now = new URL(location.href);
    const set = (name, value) => (value ? now.searchParams.set(name, value) : now.searchParams.delete(name));
    const same = chosen.size === first.length && first.every((name) => chosen.has(name));
    set("metrics", same ? "" : [...chosen].join(","));
    set("log", view.log ? "1" : "");
    set("smooth", view.smoothing ? view.smoothing.toFixed(2) : "");
    history.replaceState(history.state, "", now);
  }

  function offer(groups) {
    for (const [title, names] of groups) {
      let set = panel.querySelector(`fieldset[data-title="${title}"]`);
      if (!set) {
        set = make("fieldset", {}, make("legend", { textContent: title }));
        set.dataset.title = title;
        panel.append(set);
      }
      for (const name of names) {
        if (data.has(name)) continue;
        data.set(name, [[], []]);
        const tick = make("input", { type: "checkbox", value: name, checked: chosen.has(name) });
        tick.addEventListener("change", () => choose(name, tick.checked));
        set.append(make("label", {}, tick, ` ${name}`));
      }
    }
  }

  function choose(name, on) {
    on ? chosen.add(name) : chosen.delete(name);
    remember();
    if (on && !data.get(name)[0].length) again();
    else draw();
  }

  /* --- the charts ---------------------------------------------------------------------------- */

  function columns(name) {
    const [steps, raw] = data.get(name);
    const values = view.log ? positive(raw) : raw;
    return view.smoothing ? [steps, values, smooth(values, view.smoothing)] : [steps, values];
  }

  function add(name) {
    const figure = make("figure", { className: "curve card" }, make("figcaption", { textContent: name }));
    const after = wanted().indexOf(name);
    grid.insertBefore(figure, grid.children[after] ?? null);
    const accent = colour("accent");
    const few = data.get(name)[0].length < 3;
    const series = view.smoothing
      ? [line(name, accent, { alpha: 0.45, width: 1 }), line("smoothed", accent)]
      : [line(name, accent, { points: { show: few } })];
    const width = Math.max(240, figure.clientWidth - 24);
    const plot = new uPlot(options({ box, width, log: view.log, series, sync: "run", label: "step" }), columns(name), figure);
    charts.set(name, { figure, plot });
  }

  const wanted = () => [...data.keys()].filter((name) => chosen.has(name) && data.get(name)[0].length);

  /** A chart for those who do not see it: where it began and where it is. */
  function inWords(name) {
    const [steps, values] = data.get(name);
    const at = (place) => `${values.at(place)?.toPrecision(4) ?? "nothing"} in ${steps.at(place)}`;
    return `${name} by step: ${at(0)}, ${at(-1)}`;
  }

  function drop(name) {
    charts.get(name).plot.destroy();
    charts.get(name).figure.remove();
    charts.delete(name);
  }

  function draw() {
    const names = new Set(wanted());
    for (const name of [...charts.keys()]) if (!names.has(name)) drop(name);
    for (const name of names) {
      if (charts.has(name)) charts.get(name).plot.setData(columns(name));
      else add(name);
      charts.get(name).figure.setAttribute("aria-label", inWords(name));
    }
  }

  function remake() {
    for (const name of [...charts.keys()]) drop(name);
    draw();
  }

  /* --- the points ---------------------------------------------------------------------------- */

  const LONGEST = 3000; // points of one chart before the server thins them anew

  function take(series) {
    for (const [name, [steps, values]] of Object.entries(series)) {
      const kept = data.get(name);
      kept[0] = kept[0].concat(steps);
      kept[1] = kept[1].concat(values);
    }
  }

  function forget() {
    for (const name of data.keys()) data.set(name, [[], []]);
    last = -1;
  }

  async function fetchPoints() {
    if ([...data.values()].some(([steps]) => steps.length > LONGEST)) forget();
    const query = new URLSearchParams({ after: last, names: [...chosen].join(",") });
    const answer = await fetch(`${box.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const said = await answer.json();
    offer(said.groups);
    if (said.groups.length && !grid.isConnected) box.replaceChildren(bar, grid);
    take(said.series);
    if (said.last > last || missing) draw();
    last = said.last;
    missing = false;
    return said.over;
  }

  async function turn() {
    let wait = 2000;
    try {
      if (await fetchPoints()) return;
    } catch {
      wait = 10000; // the host is away for a moment; go on from the same step
    }
    setTimeout(turn, document.hidden ? 5 * wait : wait);
  }

  /* A metric that was not asked for before: all chosen ones from the beginning. */
  async function again() {
    forget();
    missing = true;
    try {
      await fetchPoints();
    } catch {
      /* the next turn fetches it */
    }
  }

  addEventListener("resize", () => {
    for (const { figure, plot } of charts.values()) plot.setSize({ width: Math.max(240, figure.clientWidth - 24), height: HEIGHT });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", remake);
  document.addEventListener("theme:changed", remake);
  turn();
})();
