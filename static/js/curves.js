// The curves of a run: one small chart per chosen metric, fed by a JSON address with a cursor.
(() => {
  const box = document.getElementById("curves");
  if (!box || !window.uPlot) return;
  const SHOWN_FIRST = ["loss", "reward_mean", "probe_accuracy", "grad_norm", "completion_tokens", "kl"];
  const remembered = JSON.parse(localStorage.getItem("stillroom-curves") || "null");
  const chosen = new Set(remembered || SHOWN_FIRST);
  const data = new Map(); // metric → [steps, values]
  const charts = new Map(); // metric → {figure, plot}
  let last = -1;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const accent = () => style("--accent") || "#b0632a";
  const ink = () => getComputedStyle(box).color;

  const picker = document.createElement("fieldset");
  picker.className = "curve-picker";
  picker.append(Object.assign(document.createElement("legend"), { textContent: "Metrics" }));
  const grid = document.createElement("div");
  grid.className = "curve-grid";

  function offer(name) {
    const label = document.createElement("label");
    const tick = Object.assign(document.createElement("input"), { type: "checkbox", value: name, checked: chosen.has(name) });
    tick.addEventListener("change", () => {
      tick.checked ? chosen.add(name) : chosen.delete(name);
      localStorage.setItem("stillroom-curves", JSON.stringify([...chosen]));
      draw();
    });
    label.append(tick, ` ${name}`);
    picker.append(label);
    data.set(name, [[], []]);
  }

  function options(name, width) {
    const axis = { stroke: ink, grid: { stroke: () => style("--line") || "rgba(128,128,128,.25)", width: 1 }, ticks: { show: false }, size: 36, font: "11px Inter, sans-serif" };
    return {
      width, height: 180, title: "", legend: { show: true }, cursor: { drag: { x: true, y: false } },
      scales: { x: { time: false } },
      axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => String(Number(tick.toPrecision(6)))) }],
      series: [{ label: "step" }, { label: name, stroke: accent, width: 1.5, points: { show: data.get(name)[0].length < 3 }, value: (_, v) => (v == null ? "–" : Number(v.toPrecision(4)).toString()) }],
    };
  }

  function make(name) {
    const figure = document.createElement("figure");
    figure.className = "curve card";
    figure.append(Object.assign(document.createElement("figcaption"), { textContent: name }));
    figure.setAttribute("aria-label", `${name} by step`);
    grid.append(figure);
    const plot = new uPlot(options(name, Math.max(240, figure.clientWidth - 24)), data.get(name), figure);
    charts.set(name, { figure, plot });
  }

  function draw() {
    for (const [name, [steps]] of data) {
      const wanted = chosen.has(name) && steps.length > 0;
      if (wanted && !charts.has(name)) make(name);
      else if (wanted) charts.get(name).plot.setData(data.get(name));
      else if (charts.has(name)) {
        charts.get(name).plot.destroy();
        charts.get(name).figure.remove();
        charts.delete(name);
      }
    }
  }

  function take(series) {
    for (const [name, [steps, values]] of Object.entries(series)) {
      const kept = data.get(name);
      kept[0] = kept[0].concat(steps);
      kept[1] = kept[1].concat(values);
    }
  }

  async function turn() {
    let wait = 2000;
    try {
      const answer = await fetch(`${box.dataset.url}?after=${last}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const said = await answer.json();
      for (const name of said.names) if (!data.has(name)) offer(name);
      if (said.names.length && !grid.isConnected) box.replaceChildren(picker, grid);
      take(said.series);
      if (said.last > last) draw();
      last = said.last;
      if (said.over) return;
    } catch {
      wait = 10000; // the host is away for a moment; go on from the same step
    }
    setTimeout(turn, wait);
  }

  addEventListener("resize", () => {
    for (const { figure, plot } of charts.values()) plot.setSize({ width: Math.max(240, figure.clientWidth - 24), height: 180 });
  });
  const redraw = () => charts.forEach(({ plot }) => plot.redraw(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("theme:changed", redraw);
  turn();
})();
