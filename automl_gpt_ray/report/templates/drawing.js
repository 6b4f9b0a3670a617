"use strict";
// Drawing: elements, scales, axes. Text enters the page as text nodes only.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const num = (v) => (v === null || v === undefined ? null : typeof v === "number" ? v : v === "Infinity" ? Infinity : v === "-Infinity" ? -Infinity : NaN);
const ok = (v) => typeof v === "number" && Number.isFinite(v);
const better = (a, b) => (DATA.mode === "max" ? a > b : a < b);
const SOURCES = { default: 0, classical: 1, language: 2, local: 3, recalled: 4, random: 5 };
const colour = (source) => `var(--s${source in SOURCES ? SOURCES[source] : 6})`;

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value;
    else node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}
const el = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
const sv = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);

function show(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

function ticks(low, high, count) {
  const span = high - low || 1;
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step) found.push(Number(t.toPrecision(10)));
  return found;
}

// Of a logarithmic axis: 1, 2 and 5 times the powers of ten, or those alone where they are many.
function logTicks(low, high, count) {
  const found = [], powers = Math.log10(high / low);
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++)
    for (const m of powers < count / 2 ? [1, 2, 5] : [1]) found.push(Number((m * 10 ** k).toPrecision(3)));
  const inside = found.filter((t) => t >= low && t <= high), skip = Math.ceil(inside.length / (count * 1.5));
  return inside.filter((t, i) => i % skip === 0);
}

function quantile(sorted, q) {
  if (!sorted.length) return NaN;
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(q * (sorted.length - 1))))];
}

// The range worth showing: the good end whole, the bad end without its worst tail, which one explosion would fill.
// Positive values to be minimised that span two powers of ten get a logarithmic axis.
function range(values, tail = 0.05) {
  const found = values.filter(ok).sort((a, b) => a - b);
  if (!found.length) return [0, 1];
  let low = DATA.mode === "max" ? quantile(found, tail) : found[0];
  let high = DATA.mode === "max" ? found[found.length - 1] : quantile(found, 1 - tail);
  if (high - low < 1e-12) { const pad = Math.abs(high) * 0.05 || 0.5; low -= pad; high += pad; }
  if (DATA.mode === "min" && low > 0 && high / low > 50) return Object.assign([low / 1.25, high * 1.25], { log: true });
  const pad = (high - low) * 0.06;
  return [low - pad, high + pad];
}

// A chart with axes; x and y map values to pixels, y cut off at the edges.
function chart(host, { height = 260, x, y, xlabel = "", ylabel = "", wholeX = false, left = 52, top = 12 }) {
  const width = Math.max(220, host.clientWidth || 600);
  const box = { left, right: width - 14, top, bottom: height - (xlabel ? 38 : 24) };
  const root = sv("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  const span = (d) => d[1] - d[0] || 1;
  const px = (v) => box.left + ((v - x[0]) / span(x)) * (box.right - box.left);
  const part = (v) => (y.log ? Math.log(Math.max(v, y[0] / 2) / y[0]) / Math.log(y[1] / y[0]) : (v - y[0]) / span(y));
  const py = (v) => Math.min(box.bottom + 2, Math.max(box.top - 4, box.bottom - part(v) * (box.bottom - box.top)));
  for (const t of (y.log ? logTicks : ticks)(y[0], y[1], Math.max(2, Math.floor((box.bottom - box.top) / 45)))) {
    root.append(sv("line", { x1: box.left, x2: box.right, y1: py(t), y2: py(t), class: "grid" }),
      sv("text", { x: box.left - 6, y: py(t) + 4, class: "tick end" }, show(t)));
  }
  for (const t of ticks(x[0], x[1], Math.max(2, Math.floor((box.right - box.left) / 80)))) {
    if (wholeX && !Number.isInteger(t)) continue;
    root.append(sv("text", { x: px(t), y: box.bottom + 16, class: "tick mid" }, show(t)));
  }
  root.append(sv("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }));
  if (xlabel) root.append(sv("text", { x: (box.left + box.right) / 2, y: height - 5, class: "label mid" }, xlabel));
  if (ylabel) ylabel += y.log ? " (log scale)" : "";
  if (ylabel) root.append(sv("text", { x: 0, y: 0, class: "label mid", transform: `translate(11 ${(box.top + box.bottom) / 2}) rotate(-90)` }, ylabel));
  host.replaceChildren(root);
  return { root, px, py, box, width, height };
}

// A path through points; NaN breaks it.
function path(points, px, py, stair = false) {
  let text = "", pen = false, before = null;
  for (const [a, b] of points) {
    const value = num(b);
    if (!ok(value)) { pen = false; continue; }
    const [X, Y] = [px(a).toFixed(1), py(value).toFixed(1)];
    text += !pen ? `M${X} ${Y}` : stair ? `L${X} ${py(before).toFixed(1)}L${X} ${Y}` : `L${X} ${Y}`;
    pen = true; before = value;
  }
  return text;
}

function band(points, px, py) {
  const sound = points.filter((p) => ok(num(p[2])) && ok(num(p[3])));
  if (!sound.length) return "";
  const line = (list, k) => list.map((p) => `${px(p[0]).toFixed(1)} ${py(num(p[k])).toFixed(1)}`).join("L");
  return `M${line(sound, 2)}L${line([...sound].reverse(), 3)}Z`;
}

// What happens to a trial, as shapes of about 9 pixels around (x, y).
const SHAPES = {
  pause: (x, y) => `M${x - 3} ${y - 4}v8M${x + 3} ${y - 4}v8`,
  stop: (x, y) => `M${x - 3} ${y - 3}h6v6h-6Z`,
  resume: (x, y) => `M${x - 3} ${y - 4}l7 4l-7 4Z`,
  revise: (x, y) => `M${x} ${y - 5}l5 5l-5 5l-5-5Z`,
  audit: (x, y) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z`,
  failed: (x, y) => `M${x - 4} ${y - 4}l8 8M${x + 4} ${y - 4}l-8 8`,
  other: (x, y) => `M${x - 2} ${y}h4`,
};
const shape = (what, x, y) => sv("path", { d: (SHAPES[what] || SHAPES.other)(Number(x.toFixed(1)), Number(y.toFixed(1))), class: `mark ${what}` });
const sign = (what) => sv("svg", { viewBox: "0 0 14 14", width: 14, height: 14, class: "sign", "aria-hidden": "true" }, shape(what, 7, 7));

const TIP = el("div", { class: "tip", role: "status" });
function tip(node, text) {
  node.addEventListener("pointerenter", () => { TIP.textContent = text(); TIP.style.display = "block"; });
  node.addEventListener("pointermove", (e) => {
    TIP.style.left = `${Math.min(e.clientX + 14, innerWidth - TIP.offsetWidth - 8)}px`;
    TIP.style.top = `${Math.min(e.clientY + 14, innerHeight - TIP.offsetHeight - 8)}px`;
  });
  node.addEventListener("pointerleave", () => { TIP.style.display = "none"; });
  return node;
}

const legend = (items) => el("div", { class: "legend" }, items.map(([fill, text, kind]) =>
  el("span", {}, el("i", { class: kind || "dot", style: `--c:${fill}` }), text)));
