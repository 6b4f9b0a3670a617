// Calls of the language model: prompt and reply, made into elements only when they are opened.
const CALLS = DATA.calls;
const textAt = (place) => DATA.texts[place] ?? "";

function callInFull(call) {
  const host = el("div", { class: "call-body" });
  const facts = [call.model, call.seconds !== undefined && `${show(call.seconds, 3)} s`, call.tokens_in !== undefined && `${call.tokens_in} tokens in, ${call.tokens_out} out`, call.finish && `ended: ${call.finish}`];
  host.append(el("p", { class: "note" }, facts.filter(Boolean).join(" · ")));
  if (call.error) host.append(el("p", { class: "bad" }, call.error));
  for (const problem of call.problems) host.append(el("p", { class: "bad" }, `Not used: ${problem}`));
  if (!call.prompt.length) host.append(el("p", { class: "none" }, "Its texts had no room in this report; they are in the journal."));
  for (const [role, place] of call.prompt) host.append(el("details", {}, el("summary", {}, `${role} message (${textAt(place).length} characters)`), el("pre", {}, textAt(place))));
  if (call.reply !== null) host.append(el("details", { open: "" }, el("summary", {}, "reply"), el("pre", {}, pretty(textAt(call.reply)))));
  return host;
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 1); } catch { return text; }
}

let callsShown = 30;
function callList() {
  const host = document.getElementById("calls");
  if (!host) return;
  const wanted = document.getElementById("by-purpose").value;
  const list = CALLS.filter((c) => !wanted || (wanted === "failed" ? c.error || c.reply === null : c.purpose === wanted)).slice().reverse();
  host.replaceChildren(...list.slice(0, callsShown).map((call) => {
    const outcome = call.error ? "failed" : call.reply === null ? "no reply" : call.trials.length ? `trial ${call.trials.join(", ")}` : call.purpose === "review" ? `asked about trial ${call.subjects.filter(Boolean).join(", ")}` : "no trial came of it";
    const box = el("details", { class: "call" }, el("summary", {}, el("b", {}, call.purpose), ` at ${show(call.at, 4)} s `, el("span", { class: `pill ${call.error ? "failed" : ""}` }, outcome), call.seconds !== undefined ? el("span", { class: "note" }, ` ${show(call.seconds, 3)} s, ${call.tokens_in + call.tokens_out} tokens`) : ""));
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(callInFull(call)); });
    return box;
  }));
  const more = document.getElementById("more-calls");
  more.hidden = list.length <= callsShown;
  more.textContent = `Show more of ${list.length}`;
  if (DATA.left_out) host.append(el("p", { class: "note" }, `The texts of the ${DATA.left_out} oldest calls had no room in this report; they are in the journal.`));
}
