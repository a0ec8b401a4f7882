/* What every chart of a run shares: axes in the page's colours, a crosshair that moves in all
   charts at once, smoothing and a logarithmic scale. `window.charts` is used by curves.js and
   compare.js. */
(() => {
  "use strict";
  if (!window.uPlot) return;
  const HEIGHT = 190;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => (value == null ? "–" : Number(value.toPrecision(5)).toString());
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e9) return `${Number((value / 1e9).toPrecision(4))} G`;
    if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))} M`;
    return String(Number(value.toPrecision(6)));
  };

  /* A canvas takes no light-dark(); the browser resolves it on a real element. */
  function colour(name) {
    const probe = document.createElement("span");
    probe.hidden = true;
    probe.className = `ink-${name}`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  /* An exponential mean that starts at the first value, corrected for that start. */
  function smooth(values, weight) {
    let mean = 0;
    let seen = 0;
    return values.map((value) => {
      if (value == null) return null;
      mean = weight * mean + (1 - weight) * value;
      seen = weight * seen + (1 - weight);
      return mean / seen;
    });
  }

  const positive = (values) => values.map((value) => (value > 0 ? value : null));

  function axes(box) {
    const ink = () => getComputedStyle(box).color;
    const axis = {
      stroke: ink,
      grid: { stroke: () => style("--line") || "#8884", width: 1 },
      ticks: { show: false },
      font: "11px Inter, sans-serif",
    };
    const ticks = (_, found) => found.map((tick) => (tick == null ? "" : short(tick)));
    return [{ ...axis, size: 32, values: ticks }, { ...axis, size: 58, values: ticks }];
  }

  function options({ box, width, log, series, sync, label }) {
    return {
      width,
      height: HEIGHT,
      legend: { show: true, live: true },
      cursor: { sync: { key: sync, setSeries: false }, drag: { x: true, y: false }, points: { size: 5 } },
      scales: { x: { time: false }, y: log ? { distr: 3, log: 10 } : {} },
      axes: axes(box),
      series: [{ label, value: (_, v) => (v == null ? "–" : short(v)) }, ...series],
    };
  }

  const line = (label, stroke, more = {}) => ({
    label, stroke, width: 1.5, spanGaps: true, points: { show: false }, value: (_, v) => number(v), ...more,
  });

  window.charts = { HEIGHT, colour, smooth, positive, options, line, style };
})();
