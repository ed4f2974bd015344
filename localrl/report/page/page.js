"use strict";
// Problems and transcripts. All text of a model is data: it enters the page through textContent and nothing else.

const OUTCOMES = { c: "correct", w: "wrong", n: "no_answer", t: "truncated", l: "looped", o: "verifier_timeout", e: "verifier_error", x: "engine_error" };
const PAGE = 200; // rows drawn at once
const index = JSON.parse(document.getElementById("index").textContent);
const chunks = new Map();

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Control characters and marks that reorder text are shown, not obeyed.
function visible(text) {
  return String(text).replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (c) => "\u27e8U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");
}

async function transcripts(name) {
  if (!chunks.has(name)) {
    const packed = Uint8Array.from(atob(document.getElementById(name).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    chunks.set(name, JSON.parse(await new Response(stream).text()));
    if (chunks.size > 8) chunks.delete(chunks.keys().next().value);
  }
  return chunks.get(name);
}

function cell(code, number) {
  const node = element("i", "cell o-" + OUTCOMES[code]);
  node.title = "sample " + (number + 1) + ": " + OUTCOMES[code].replaceAll("_", " ");
  return node;
}

function correct(problem) { return problem[1].split("c").length - 1; }

const FILTERS = {
  all: ["all problems", () => true],
  mixed: ["sometimes right", (p) => correct(p) > 0 && correct(p) < p[1].length],
  never: ["never right", (p) => correct(p) === 0],
  always: ["always right", (p) => correct(p) === p[1].length],
  cut: ["cut off or looped", (p) => /[tl]/.test(p[1])],
  failed: ["verifier or engine failed", (p) => /[oex]/.test(p[1])],
};
const ORDERS = {
  given: ["in order", () => 0],
  hard: ["hardest first", (a, b) => correct(a) / a[1].length - correct(b) / b[1].length],
  long: ["longest first", (a, b) => b[2] - a[2]],
};

function choice(options, label) {
  const select = element("select");
  select.setAttribute("aria-label", label);
  for (const [key, [words]] of Object.entries(options)) {
    const option = element("option", "", words);
    option.value = key;
    select.append(option);
  }
  return select;
}

function grid(host, problems) {
  const tools = element("div", "tools"), list = element("div"), more = element("button", "more");
  const filter = choice(FILTERS, "which problems"), order = choice(ORDERS, "order"), search = element("input"), count = element("span", "quiet");
  search.type = "search";
  search.placeholder = "problem id";
  search.setAttribute("aria-label", "problem id");
  tools.append(filter, order, search, count);
  host.append(tools, list, more);
  let shown = [], drawn = 0;
  function draw() {
    const part = document.createDocumentFragment();
    for (const problem of shown.slice(drawn, drawn + PAGE)) part.append(row(problem));
    list.append(part);
    drawn = Math.min(shown.length, drawn + PAGE);
    more.hidden = drawn >= shown.length;
    more.textContent = "show more (" + (shown.length - drawn).toLocaleString() + " left)";
  }
  function choose() {
    const wanted = search.value.toLowerCase();
    shown = problems.filter((p) => FILTERS[filter.value][1](p) && p[0].toLowerCase().includes(wanted));
    if (order.value !== "given") shown.sort(ORDERS[order.value][1]);
    count.textContent = shown.length.toLocaleString() + " of " + problems.length.toLocaleString();
    list.replaceChildren();
    drawn = 0;
    draw();
  }
  for (const control of [filter, order, search]) control.addEventListener("input", choose);
  more.addEventListener("click", draw);
  choose();
}

function row(problem) {
  const [id, codes, tokens] = problem;
  const button = element("button", "problem"), cells = element("span", "cells");
  [...codes].forEach((code, i) => cells.append(cell(code, i)));
  button.append(element("span", "id", visible(id)), element("span", "share", correct(problem) + "/" + codes.length), cells,
    element("span", "share", Math.round(tokens).toLocaleString() + " tok"));
  button.addEventListener("click", () => open(problem));
  return button;
}

async function open(problem) {
  const [id, codes, , chunk, place] = problem;
  const dialog = element("dialog"), header = element("header"), close = element("button", "", "close"), body = element("div");
  header.append(element("h3", "", visible(id)), close);
  dialog.append(header, body);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  if (chunk === null) {
    body.append(element("p", "", "This report was made without this problem's transcripts (see --transcripts, --max-texts and --max-mb)."));
    return;
  }
  let data;
  try {
    data = (await transcripts(chunk))[place];
  } catch (error) {
    body.append(element("p", "", "This browser cannot unpack the transcripts: " + error));
    return;
  }
  for (const message of data.messages) body.append(element("div", "quiet", message.role), element("pre", "", visible(message.content)));
  body.append(element("div", "quiet", "target"), element("pre", "", visible(typeof data.target === "string" ? data.target : JSON.stringify(data.target, null, 1))));
  const buttons = element("div", "samples"), view = element("div");
  body.append(buttons, view);
  function show(i) {
    [...buttons.children].forEach((b, n) => b.setAttribute("aria-pressed", String(n === i)));
    view.replaceChildren(...sample(data.samples[i], codes[i]));
  }
  data.samples.forEach((_, i) => {
    const button = element("button");
    button.append(cell(codes[i], i), String(i + 1));
    button.addEventListener("click", () => show(i));
    buttons.append(button);
  });
  const wrong = [...codes].findIndex((c) => c !== "c");
  show(wrong < 0 ? 0 : wrong);
}

function sample(data, code) {
  const facts = [OUTCOMES[code].replaceAll("_", " "), "extracted " + (data.extracted === null ? "nothing" : JSON.stringify(data.extracted)),
    data.thinking_tokens.toLocaleString() + " thinking and " + data.answer_tokens.toLocaleString() + " answer tokens", "seed " + data.seed];
  if (data.finish) facts.push("ended by " + data.finish);
  if (data.ttft_s !== null) facts.push("first token after " + data.ttft_s.toFixed(2) + " s");
  if (data.tokens_per_s !== null) facts.push(data.tokens_per_s.toFixed(1) + " tokens/s");
  const parts = [element("p", "quiet", visible(facts.join(" \u00b7 ")))];
  if (data.thinking) {
    const fold = element("details");
    fold.append(element("summary", "", "thinking"), element("pre", "", visible(data.thinking)));
    fold.open = !data.answer;
    parts.push(fold);
  }
  parts.push(element("pre", "", data.answer ? visible(data.answer) : "(no answer)"));
  if (Object.keys(data.detail).length) {
    const fold = element("details");
    fold.append(element("summary", "", "what the verifier says"), element("pre", "", visible(JSON.stringify(data.detail, null, 1))));
    parts.push(fold);
  }
  return parts;
}

for (const host of document.querySelectorAll("[data-grid]")) grid(host, index[host.dataset.grid]);
