"use strict";
// Problems and transcripts. All text of a model is data: it enters the page through textContent and nothing else.

const MATH = "http://www.w3.org/1998/Math/MathML";
const OUTCOMES = JSON.parse(document.getElementById("outcomes").textContent); // code: [name, mark]
const PAGE = 200; // rows drawn at once
const index = JSON.parse(document.getElementById("index").textContent);
const chunks = new Map();

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Control characters and marks that reorder text are shown, not obeyed; joiners stay within emoji and scripts that join.
const HIDDEN = /((?<=[\p{Lo}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d](?=[\p{Lo}\p{M}\p{Extended_Pictographic}]))|[\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
function visible(text) {
  return String(text).replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(HIDDEN, (c, joiner) => joiner ?? "\u27e8U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");
}

// A formula: [tag, attributes, parts], of the few attributes that report/html.py lets through.
function formula([tag, attributes, parts]) {
  const node = document.createElementNS(MATH, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...parts.map((part) => typeof part === "string" ? visible(part) : formula(part)));
  return node;
}

// What a model or a problem says: text, or pieces of it with formulas between.
function written(said) {
  const node = element("pre");
  for (const piece of [].concat(said)) {
    if (typeof piece === "string") node.append(visible(piece));
    else node.append(formula(piece.math)), node.lastChild.setAttribute("title", visible(piece.source));
  }
  return node;
}

function plain(said) { return [].concat(said).map((piece) => piece.source ?? piece).join(""); }

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
  const [name, mark] = OUTCOMES[code], node = element("i", "cell o-" + name, mark);
  node.title = "sample " + (number + 1) + ": " + name.replaceAll("_", " ");
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
  search.placeholder = "problem id, or Enter to search texts";
  search.setAttribute("aria-label", "problem id, or Enter to search texts");
  tools.append(filter, order, search, count);
  host.append(tools, list, more);
  let shown = [], drawn = 0, holding = null; // the problems whose texts hold what is searched
  function draw() {
    const part = document.createDocumentFragment();
    for (const problem of shown.slice(drawn, drawn + PAGE)) part.append(row(problem, () => open(host, shown, problem)));
    list.append(part);
    drawn = Math.min(shown.length, drawn + PAGE);
    more.hidden = drawn >= shown.length;
    more.textContent = "show more (" + (shown.length - drawn).toLocaleString() + " left)";
  }
  function choose() {
    const wanted = search.value.toLowerCase();
    shown = problems.filter((p) => FILTERS[filter.value][1](p) && (holding ? holding.has(p) : p[0].toLowerCase().includes(wanted)));
    if (order.value !== "given") shown.sort(ORDERS[order.value][1]);
    count.textContent = shown.length.toLocaleString() + " of " + problems.length.toLocaleString();
    list.replaceChildren();
    drawn = 0;
    draw();
  }
  async function find() {
    const wanted = search.value.toLowerCase(), found = new Set();
    if (!wanted) return;
    for (const problem of problems.filter((p) => p[3] !== null)) {
      const { messages, samples } = (await transcripts(problem[3]))[problem[4]];
      const said = [...messages.map((m) => m.content), ...samples.flatMap((s) => [s.thinking, s.answer])];
      if (said.some((text) => plain(text).toLowerCase().includes(wanted))) found.add(problem);
      if (search.value.toLowerCase() !== wanted) return;
    }
    holding = found;
    choose();
  }
  for (const control of [filter, order]) control.addEventListener("input", choose);
  search.addEventListener("input", () => { holding = null; choose(); });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") find(); });
  more.addEventListener("click", draw);
  choose();
}

function row(problem, chosen) {
  const [id, codes, tokens] = problem;
  const button = element("button", "problem"), cells = element("span", "cells");
  [...codes].forEach((code, i) => cells.append(cell(code, i)));
  button.append(element("span", "id", visible(id)), element("span", "share", correct(problem) + "/" + codes.length), cells,
    element("span", "share", Math.round(tokens).toLocaleString() + " tok"));
  button.addEventListener("click", chosen);
  return button;
}

// A dialog for one problem; the arrow keys go on to the next of the list, with Shift to the next sample.
function open(host, list, problem, number) {
  const dialog = element("dialog"), body = element("div");
  let steps;
  async function show(problem, number) {
    steps = { ArrowLeft: list[list.indexOf(problem) - 1], ArrowRight: list[list.indexOf(problem) + 1] };
    const header = element("header"), buttons = element("span", "tools");
    for (const [key, words] of [["ArrowLeft", "\u2190 previous"], ["ArrowRight", "next \u2192"]]) {
      const button = element("button", "", words);
      button.disabled = !steps[key];
      button.addEventListener("click", () => show(steps[key]));
      buttons.append(button);
    }
    const close = element("button", "", "close");
    close.addEventListener("click", () => dialog.close());
    buttons.append(close);
    header.append(element("h3", "", visible(problem[0])), buttons);
    const content = element("div");
    body.replaceChildren(header, content);
    dialog.scrollTop = 0;
    await transcript(content, problem, number, (i) => mark([host.dataset.grid, problem[0], i + 1]));
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || !(event.key in steps)) return;
    event.preventDefault();
    if (event.shiftKey) {
      const pressed = dialog.querySelector('.samples [aria-pressed="true"]');
      (event.key === "ArrowLeft" ? pressed?.previousSibling : pressed?.nextSibling)?.click();
    } else if (steps[event.key]) show(steps[event.key]);
  });
  dialog.addEventListener("close", () => { dialog.remove(); mark([]); });
  dialog.append(body);
  document.body.append(dialog);
  dialog.showModal();
  show(problem, number);
}

// A sample's address: `#grid/problem/sample`, each part encoded.
function mark(parts) { history.replaceState(null, "", parts.length ? "#" + parts.map(encodeURIComponent).join("/") : location.pathname + location.search); }

function follow() {
  const [name, id, number] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const host = [...document.querySelectorAll("[data-grid]")].find((h) => h.dataset.grid === name);
  const problem = host && index[name].find((p) => p[0] === id);
  if (problem && !document.querySelector("dialog")) open(host, index[name], problem, Number(number) - 1);
}

async function transcript(body, problem, number, shown) {
  const [, codes, , chunk, place] = problem;
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
  for (const message of data.messages) body.append(element("div", "quiet", message.role), written(message.content));
  body.append(element("div", "quiet", "target"), element("pre", "", visible(typeof data.target === "string" ? data.target : JSON.stringify(data.target, null, 1))));
  const buttons = element("div", "samples"), view = element("div");
  body.append(buttons, view);
  function show(i) {
    [...buttons.children].forEach((b, n) => b.setAttribute("aria-pressed", String(n === i)));
    view.replaceChildren(...sample(data.samples[i], codes[i]));
    shown(i);
  }
  data.samples.forEach((_, i) => {
    const button = element("button");
    button.append(cell(codes[i], i), String(i + 1));
    button.addEventListener("click", () => show(i));
    buttons.append(button);
  });
  const wrong = [...codes].findIndex((c) => c !== "c");
  show(number in data.samples ? number : Math.max(0, wrong));
}

function sample(data, code) {
  const facts = [OUTCOMES[code][0].replaceAll("_", " "), "extracted " + (data.extracted === null ? "nothing" : JSON.stringify(data.extracted)),
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
  parts.push(data.answer.length ? written(data.answer) : element("pre", "", "(no answer)"));
  if (Object.keys(data.detail).length) {
    const fold = element("details");
    fold.append(element("summary", "", "what the verifier says"), element("pre", "", visible(JSON.stringify(data.detail, null, 1))));
    parts.push(fold);
  }
  for (const fork of data.forks) parts.push(forked(fork));
  return parts;
}

// What the sample answered when its thinking was closed at a budget.
function forked(data) {
  const fold = element("details"), head = element("summary");
  const facts = ["at " + data.budget.toLocaleString() + " thinking tokens: " + OUTCOMES[data.outcome][0].replaceAll("_", " "),
    "extracted " + (data.extracted === null ? "nothing" : JSON.stringify(data.extracted)), data.answer_tokens.toLocaleString() + " answer tokens"];
  if (data.replayed) facts.push("answered after the run");
  head.append(cell(data.outcome, 0), " " + visible(facts.join(" \u00b7 ")));
  fold.append(head, data.answer.length ? written(data.answer) : element("pre", "", "(no answer)"));
  return fold;
}

for (const host of document.querySelectorAll("[data-grid]")) grid(host, index[host.dataset.grid]);
addEventListener("hashchange", follow);
follow();
