// What is drawn when, and what the controls do.
document.body.append(TIP);
const at = (id) => document.getElementById(id);
let by = "steps";

function drawAll() {
  anytimeChart(at("anytime"), by);
  if (at("calibration")) calibrationChart(at("calibration"));
  importanceChart(at("importance"));
  sharesChart(at("shares"));
  parallelChart(at("parallel"));
  trialGrid();
}

function fill(id, values) { for (const value of values) at(id).append(el("option", { value }, value)); }
fill("by-source", [...new Set(TRIALS.map((t) => t.source))].sort());
fill("by-state", [...new Set(TRIALS.map((t) => t.state))].sort());
if (TRIALS.some((t) => t.marks.length)) at("by-state").append(el("option", { value: "marked" }, "with decisions"));
for (const id of ["by-source", "by-state", "sort"]) at(id).addEventListener("change", () => { shown = PAGE; trialGrid(); });
at("more").addEventListener("click", () => { shown += PAGE * 4; trialGrid(); });
at("as-table").addEventListener("click", (e) => { asTable = !asTable; e.target.textContent = asTable ? "As charts" : "As a table"; e.target.setAttribute("aria-pressed", asTable); trialGrid(); });
for (const button of document.querySelectorAll("[data-by]")) button.addEventListener("click", () => {
  by = button.dataset.by;
  document.querySelectorAll("[data-by]").forEach((b) => b.setAttribute("aria-pressed", b === button));
  anytimeChart(at("anytime"), by);
});
if (at("calls")) {
  fill("by-purpose", [...new Set(CALLS.map((c) => c.purpose))]);
  if (CALLS.some((c) => c.error || c.reply === null)) at("by-purpose").append(el("option", { value: "failed" }, "failed"));
  at("by-purpose").addEventListener("change", callList);
  at("more-calls").addEventListener("click", () => { callsShown += 60; callList(); });
  callList();
}
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", async () => {
  const text = at(button.dataset.copy).textContent;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
  catch { getSelection().selectAllChildren(at(button.dataset.copy)); button.textContent = "Selected"; }
});

function follow() {
  const found = /^#trial-(\d+)$/.exec(location.hash);
  if (found) trialInFull(Number(found[1]));
}
at("trial").addEventListener("close", () => { document.body.append(TIP); TIP.style.display = "none"; history.replaceState(null, "", location.pathname + location.search); });
at("trial").addEventListener("click", (e) => { if (e.target === at("trial")) at("trial").close(); });
addEventListener("hashchange", follow);
let width = innerWidth, timer = 0;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; clearTimeout(timer); timer = setTimeout(drawAll, 120); } });
drawAll();
follow();
document.documentElement.dataset.ready = "yes";
