// The charts of the whole run: anytime, calibration, importance, trust, parallel coordinates.
const trialTip = (n) => { const t = TRIALS[n - 1]; return t ? `trial ${n} (${t.source}, ${t.state}): ${DATA.metric} ${show(num(t.value))} after ${t.last} ${DATA.step}s` : `trial ${n}`; };
const open = (n) => { location.hash = `trial-${n}`; };

// What the best is compared with: the better half of the trials and the default, well spread; others lie at the edge.
function nearTheBest(values, start) {
  const found = values.filter(ok).sort((a, b) => (better(a, b) ? -1 : 1)), middle = found[Math.floor(found.length / 2)];
  const edge = DATA.mode === "max" ? Math.min : Math.max, span = Math.abs(found[0] - middle) * 5;
  const worst = edge(DATA.mode === "max" ? found[0] - span : found[0] + span, ok(start) ? start : found[0]);
  return range(found.filter((v) => !better(worst, v)).concat(span ? [] : found), 0);
}

function anytimeChart(host, by) {
  const k = by === "steps" ? 0 : 1;
  const { best, trials, default: start } = DATA.anytime;
  if (!trials.length) { host.replaceChildren(el("p", { class: "none" }, "No trial has reported a value yet.")); return; }
  const most = Math.max(...best.map((p) => p[k]), ...trials.map((p) => p[k]), 1e-9);
  const values = [...trials.map((p) => num(p[2])), num(start)];
  const c = chart(host, { height: 300, x: [0, most * 1.02], y: nearTheBest(values, num(start)), wholeX: by === "steps", ylabel: DATA.metric,
    xlabel: by === "steps" ? `training ${DATA.step}s, over all trials` : "seconds since the start" });
  const cut = (v) => c.py(v) > c.box.bottom || c.py(v) < c.box.top - 2;
  if (ok(num(start))) c.root.append(sv("line", { x1: c.box.left, x2: c.box.right, y1: c.py(start), y2: c.py(start), class: "reference" }),
    sv("text", { x: c.box.right, y: c.py(start) - 5, class: "tick end" }, `default ${show(num(start))}`));
  for (const p of trials) {
    const t = TRIALS[p[3] - 1], value = num(p[2]);
    const dot = cut(value)
      ? sv("path", { d: `M${c.px(p[k]) - 4} ${c.box.bottom - 8}h8l-4 6z`, style: `fill:${colour(t.source)}`, class: "trial" })
      : sv("circle", { cx: c.px(p[k]), cy: c.py(value), r: trials.length > 400 ? 2 : 3.6, style: `fill:${colour(t.source)}`, class: "trial" });
    dot.addEventListener("click", () => open(p[3]));
    c.root.append(tip(dot, () => trialTip(p[3])));
  }
  c.root.append(sv("path", { d: path(best.map((p) => [p[k], p[2]]), c.px, c.py, true), class: "best" }));
  host.append(legend([["var(--ink)", "best so far", "line"], ...[...new Set(TRIALS.map((t) => t.source))].map((s) => [colour(s), `best of a trial by ${s}`])]));
  const hidden = trials.filter((p) => cut(num(p[2]))).length;
  if (hidden) host.append(el("p", { class: "note" }, `${hidden === 1 ? "One trial lies" : `${hidden} trials lie`} beyond the edge (triangles).`));
}

const SHADES = ["var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)", "var(--s0)", "var(--s6)"];
function calibrationChart(host) {
  const shown = DATA.calibration.filter((c) => c.points.length);
  if (!shown.length) return;
  const c = chart(host, { height: 300, x: [0, 1], y: [0, 1], xlabel: "promised share below", ylabel: "real share below" });
  c.root.append(sv("line", { x1: c.px(0), y1: c.py(0), x2: c.px(1), y2: c.py(1), class: "reference" }));
  shown.forEach((s, i) => {
    const shift = (i - (shown.length - 1) / 2) * 7;
    const at = (p) => c.px(p.nominal) + shift;
    c.root.append(sv("path", { d: s.points.map((p, j) => `${j ? "L" : "M"}${at(p)} ${c.py(p.real)}`).join(""), class: "curve", style: `stroke:${SHADES[i % 7]};opacity:.55` }));
    for (const p of s.points) {
      c.root.append(sv("line", { x1: at(p), x2: at(p), y1: c.py(p.low), y2: c.py(p.high), style: `stroke:${SHADES[i % 7]}`, class: "whisker" }),
        tip(sv("circle", { cx: at(p), cy: c.py(p.real), r: 4.5, style: `fill:${SHADES[i % 7]}` }),
          () => `${s.source}: ${(100 * p.real).toFixed(0)} % of ${s.questions} truths lay below its ${(100 * p.nominal).toFixed(0)} % quantile`));
    }
  });
  host.append(legend([...shown.map((s, i) => [SHADES[i % 7], `${s.source} (${s.questions} forecasts)`]), ["var(--faint)", "perfect", "line"]]));
}

function importanceChart(host) {
  if (!DATA.importance.length) { host.replaceChildren(el("p", { class: "none" }, "Too few trials with a value to tell what mattered.")); return; }
  const top = DATA.importance[0][1] || 1;
  host.replaceChildren(...DATA.importance.slice(0, 15).map(([name, w]) => el("div", { class: "bar" },
    el("span", { class: "name", title: name }, name), el("span", { class: "track" }, el("span", { style: `width:${(100 * w) / top}%` })), el("span", { class: "value" }, `${(100 * w).toFixed(0)} %`))));
}

function sharesChart(host) {
  const names = [...new Set(DATA.shares.flatMap(([, s]) => Object.keys(s)))];
  if (names.length < 2) { host.replaceChildren(el("p", { class: "none" }, names.length ? `Only ${names[0]} proposed, besides the start: there was nothing to share.` : "No shares were recorded.")); return; }
  const most = DATA.shares[DATA.shares.length - 1][0];
  const c = chart(host, { height: 220, x: [1, Math.max(2, most)], y: [0, 1], xlabel: "trial", ylabel: "share of trials", wholeX: true });
  for (const name of names) {
    c.root.append(tip(sv("path", { d: path(DATA.shares.map(([n, s]) => [n, s[name] === undefined ? NaN : s[name]]), c.px, c.py, true), class: "curve", style: `stroke:${colour(name)}` }), () => name));
  }
  host.append(legend(names.map((n) => [colour(n), n, "line"])));
}

// From the worst (0) to the best (1) of the run, by rank: one outlier would take all colours.
function rankOf(values) {
  const sorted = values.filter(ok).sort((a, b) => (better(a, b) ? 1 : -1));
  const place = new Map(sorted.map((v, i) => [v, i / Math.max(1, sorted.length - 1)]));
  return (v) => (place.has(v) ? place.get(v) : 0);
}
const heat = (r) => `color-mix(in oklab, var(--good) ${Math.round(100 * r)}%, var(--poor))`;

function parallelChart(host) {
  const { axes, lines, left_out } = DATA.parallel;
  if (!axes.length || lines.length < 2) { host.replaceChildren(el("p", { class: "none" }, "Too few trials or hyperparameters to draw.")); return; }
  const width = Math.max(host.clientWidth || 600, (axes.length + 1) * 104), height = 330, top = 34, bottom = height - 16;
  const root = sv("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  const values = lines.map((l) => num(l[1])), rank = rankOf(values), y = range(values, 0.1);
  const X = (i) => 58 + (i * (width - 148)) / axes.length, Y = (p) => bottom - p * (bottom - top);
  const part = (v) => (y.log ? Math.log(v / y[0]) / Math.log(y[1] / y[0]) : (v - y[0]) / (y[1] - y[0]));
  const V = (v) => Math.min(1, Math.max(0, part(v)));
  const order = lines.map((l, i) => [rank(values[i]), l]).sort((a, b) => a[0] - b[0]);
  const crowd = Math.min(1, Math.max(0.35, 80 / lines.length));
  for (const [r, [n, v, places]] of order) {
    const points = [...places.map((p, i) => (p === null ? null : [X(i), Y(p)])), [X(axes.length), Y(V(num(v)))]];
    let text = "", pen = false;
    for (const p of points) { if (p) text += `${pen ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}`; pen = Boolean(p); }
    const line = sv("path", { d: text, class: "thread", style: `stroke:${heat(r)};opacity:${(crowd * (0.18 + 0.72 * r ** (crowd < 1 ? 6 : 2)) + (r > 0.97 ? 0.4 : 0)).toFixed(2)};stroke-width:${r > 0.95 ? 2.4 : 1.2}` });
    line.addEventListener("click", () => open(n));
    root.append(tip(line, () => trialTip(n)));
  }
  [...axes, { name: DATA.metric, ticks: (y.log ? logTicks : ticks)(y[0], y[1], 5).map((t) => [V(t), show(t)]) }].forEach((axis, i) => {
    root.append(sv("line", { x1: X(i), x2: X(i), y1: top, y2: bottom, class: "axis" }), sv("text", { x: X(i), y: 14, class: "label mid strong" }, axis.name.length > 15 ? `${axis.name.slice(0, 14)}…` : axis.name));
    for (const [p, text] of axis.ticks) root.append(sv("text", { x: X(i) + 5, y: Y(p) + 4, class: "tick halo" }, text.length > 12 ? `${text.slice(0, 11)}…` : text));
  });
  host.replaceChildren(el("div", { class: "scroll" }, root));
  host.append(legend([["var(--good)", "best trials", "line"], ["var(--poor)", "worst trials", "line"]]));
  if (left_out) host.append(el("p", { class: "note" }, `${left_out} further trials are not drawn: these are the best and the latest.`));
}
