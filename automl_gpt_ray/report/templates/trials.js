// Every trial: small charts, a table, and one trial in full.
const TRIALS = DATA.trials;
const QUIET = ["advised", "discarded", "forget", "resume"];
const Y_ALL = range(TRIALS.flatMap((t) => t.curve.map((p) => num(p[1]))));
const PAGE = 24;
let shown = PAGE, asTable = false;

// The forecast to draw: the proposer's own before the start, else the first made while it trained.
const forecastOf = (t) => t.log || t.forecasts[0] || null;

function drawTrial(host, t, { height, y, full, forecast }) {
  const log = forecast === undefined ? forecastOf(t) : forecast;
  const c = chart(host, full
    ? { height, x: [0, DATA.maxStep * 1.02], y, xlabel: DATA.step, ylabel: DATA.metric, wholeX: true }
    : { height, x: [0, DATA.maxStep * 1.02], y, left: 36, wholeX: true, top: 6 });
  const tint = `--c:${colour(t.source)}`;
  if (log) c.root.append(sv("path", { d: band(log.points, c.px, c.py), class: "band", style: tint }),
    sv("path", { d: path(log.points, c.px, c.py), class: "median", style: tint }));
  if (log && log.points.length === 1) { const p = log.points[0]; c.root.append(sv("line", { x1: c.px(p[0]), x2: c.px(p[0]), y1: c.py(num(p[2])), y2: c.py(num(p[3])), class: "single", style: tint })); }
  c.root.append(sv("path", { d: path(t.curve, c.px, c.py), class: "curve real" }));
  if (t.curve.length === 1 || full) for (const [s, v] of t.curve) if (ok(num(v)) && t.curve.length <= 60) {
    const dot = sv("circle", { cx: c.px(s), cy: c.py(num(v)), r: full ? 3 : 2.4, class: "point" });
    c.root.append(full ? tip(dot, () => `${DATA.step} ${s}: ${show(num(v), 5)}`) : dot);
  }
  const at = (step) => { const p = [...t.curve].reverse().find((q) => q[0] <= step && ok(num(q[1]))) || t.curve.find((q) => ok(num(q[1]))); return p ? c.py(num(p[1])) : (c.box.top + c.box.bottom) / 2; };
  const seen = {};
  for (const m of t.marks) {
    if (!full && QUIET.includes(m.what)) continue;
    const stack = (seen[m.step] = (seen[m.step] || 0) + 1);
    if (!full && stack > 1) continue;
    // Above the curve; below it where there is no room.
    const here = at(m.step), room = here - 11 * stack > c.box.top;
    const mark = shape(m.what, c.px(m.step), room ? here - 11 * stack : here + 11 * stack);
    c.root.append(full ? tip(mark, () => `${DATA.step} ${m.step}: ${m.words}${m.by ? ` by ${m.by}` : ""}. ${m.reason}`) : mark);
  }
  if (t.state === "failed") c.root.append(shape("failed", c.px(t.last) + 8, t.curve.length ? at(t.last) : (c.box.top + c.box.bottom) / 2));
  return c;
}

function chosen() {
  const [source, state, sort] = ["by-source", "by-state", "sort"].map((id) => document.getElementById(id).value);
  const list = TRIALS.filter((t) => (!source || t.source === source) && (!state || (state === "marked" ? t.marks.length : t.state === state)));
  const worth = (t) => (ok(num(t.value)) ? num(t.value) : DATA.mode === "max" ? -Infinity : Infinity);
  if (sort === "best") list.sort((a, b) => (better(worth(a), worth(b)) ? -1 : better(worth(b), worth(a)) ? 1 : a.n - b.n));
  if (sort === "latest") list.reverse();
  if (sort === "longest") list.sort((a, b) => b.seconds - a.seconds);
  return list;
}

function trialGrid() {
  const host = document.getElementById("trials"), list = chosen(), part = list.slice(0, shown);
  if (!list.length) host.replaceChildren(el("p", { class: "none" }, "No such trial."));
  else if (asTable) host.replaceChildren(el("div", { class: "scroll" }, trialTable(part)));
  else {
    host.replaceChildren(el("div", { class: "grid-of" }, part.map((t) => {
      const plot = el("div", { class: "plot" });
      const card = el("button", { class: `card${t.n === DATA.best ? " top" : ""}`, type: "button", onclick: () => open(t.n), "aria-label": trialTip(t.n) },
        el("span", { class: "cap" }, el("b", {}, `${t.n === DATA.best ? "★ " : ""}${t.n}`), el("i", { class: "dot", style: `--c:${colour(t.source)}` }), el("span", { class: "who" }, t.source), t.state === "completed" ? "" : el("span", { class: `pill ${t.state}` }, t.state), el("b", { class: "right" }, show(num(t.value)))), plot);
      return card;
    })));
    host.querySelectorAll(".card").forEach((card, i) => {
      const t = part[i];
      drawTrial(card.querySelector(".plot"), t, { height: 104, y: Y_ALL });
    });
  }
  const more = document.getElementById("more");
  more.hidden = list.length <= shown;
  more.textContent = `Show ${Math.min(PAGE * 4, list.length - shown)} more of ${list.length}`;
}

function trialTable(list) {
  const names = ["trial", "by", "state", DATA.metric, `best ${DATA.step}`, `${DATA.step}s`, "seconds", "why"];
  return el("table", {}, el("thead", {}, el("tr", {}, names.map((n) => el("th", {}, n)))), el("tbody", {}, list.map((t) => el("tr", {},
    el("td", {}, el("a", { href: `#trial-${t.n}` }, `${t.n === DATA.best ? "★ " : ""}${t.n}`)), el("td", {}, t.source), el("td", {}, el("span", { class: `pill ${t.state}` }, t.failure || t.state)),
    el("td", { class: "n" }, show(num(t.value))), el("td", { class: "n" }, show(t.best_step)), el("td", { class: "n" }, t.last), el("td", { class: "n" }, show(t.seconds, 3)), el("td", { class: "why" }, t.reason)))));
}

const value = (v) => (typeof v === "number" ? show(v, 6) : String(v));
function pairs(rows) { return el("table", { class: "pairs" }, el("tbody", {}, rows.map(([a, b]) => el("tr", {}, el("th", {}, a), el("td", {}, b))))); }

function trialInFull(n) {
  const t = TRIALS[n - 1], dialog = document.getElementById("trial");
  if (!t) return;
  const plot = el("div", { class: "plot" }), body = el("div", { class: "body" });
  const logs = [...(t.log ? [t.log] : []), ...t.forecasts];
  const own = [...t.curve.map((p) => num(p[1])), ...logs.flatMap((l) => l.points.map((p) => num(p[1])))];
  const draw = (log) => drawTrial(plot, t, { height: 300, y: range(own, 0), full: true, forecast: log || null });
  const pick = el("select", { "aria-label": "forecast", onchange: (e) => draw(logs[Number(e.target.value)]) },
    logs.map((l, i) => el("option", { value: i }, `${l === t.log ? "predicted before it began" : `forecast after ${DATA.step} ${l.at}`} (${l.source})`)));
  const go = (d) => el("button", { type: "button", onclick: () => { if (TRIALS[n - 1 + d]) open(n + d); }, disabled: !TRIALS[n - 1 + d] && "" , "aria-label": d < 0 ? "previous trial" : "next trial" }, d < 0 ? "‹" : "›");
  body.append(
    el("p", {}, el("b", {}, `Proposed by ${t.source}: `), t.reason), ...t.notes.map((note) => el("p", { class: "note" }, `Note: ${note}`)),
    t.parent ? el("p", {}, `Goes on from ${DATA.step} ${t.parent.step} of trial ${t.parent.n ?? "?"}.`) : "",
    t.state === "failed" ? el("p", { class: "bad" }, `Failed (${t.failure || "error"}) after ${DATA.step} ${t.last}. ${t.message}`) : "",
    t.diverged ? el("p", { class: "bad" }, `${t.diverged} reported values were not finite; the curve breaks there.`) : "",
    logs.length ? el("p", {}, "Band: ", pick, " (80 % interval, dashed middle)") : el("p", { class: "note" }, "Nothing was forecast of this trial: nothing was known to forecast from."), plot,
    pairs([["state", t.failure ? `${t.state} (${t.failure})` : t.state], [`best ${DATA.metric}`, `${show(num(t.value), 6)}${t.best_step ? ` at ${DATA.step} ${t.best_step}` : ""}`], ["trained", `${t.last} of ${DATA.maxStep} ${DATA.step}s, ${show(t.seconds, 3)} s; began at ${show(t.began, 4)} s`], ["id", t.id]]),
    t.marks.length ? el("h4", {}, "What happened to it") : "",
    el("ul", { class: "marks" }, t.marks.map((m) => el("li", {}, sign(m.what), " ", `${DATA.step} ${m.step}: `, el("b", {}, m.words), m.by ? ` by ${m.by}` : "", `: ${m.reason}`, m.predicted !== null ? ` (expected final value ${show(num(m.predicted))})` : ""))),
    el("h4", {}, "Configuration"), pairs(Object.entries(t.config).map(([k, v]) => [k, k in t.revised ? `${value(v)} → ${value(t.revised[k])} (revised)` : value(v)])));
  const call = t.call && CALLS.find((c) => c.id === `${t.call}-repair` && c.reply !== null) || CALLS.find((c) => c.id === t.call);
  if (call) body.append(el("h4", {}, "Prompt and reply that it came from"), callInFull(call));
  dialog.replaceChildren(el("header", {}, el("h3", { tabindex: -1, autofocus: "" }, `${t.n === DATA.best ? "★ " : ""}Trial ${t.n}`), el("span", { class: `pill ${t.state}` }, t.state), go(-1), go(1), el("button", { type: "button", class: "close", onclick: () => dialog.close(), "aria-label": "close" }, "✕")), body, TIP);
  if (!dialog.open) dialog.showModal();
  draw(logs[0]);
  dialog.scrollTop = 0;
}
