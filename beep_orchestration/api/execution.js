"use strict";

const main = document.getElementById("main");
const id = decodeURIComponent(location.pathname.split("/").pop());
const path = `/workflows/${encodeURIComponent(id)}`;
const STAGES = { extraction: ["chunk", "mentions", "entities", "relations", "wait", "assemble"] };
const SELDOM = new Set(["wait"]); // shown only where there is one
const GROWING = new Set(["mentions", "entities", "relations", "assemble"]);
const PALETTE = ["#4c7bd9", "#2f9e77", "#c9732b", "#8a63d2", "#c2497b", "#3b99b8", "#8a8f2a", "#b0573f", "#5f7f4f", "#6d7485"];
const MOST_EVENTS = 200;
const WORDS = {
  accepted: "accepted", claimed: "a run carries it", parked: "parked: it waits without a process", paused: "paused",
  pause_ended: "the pause has ended", completed: "completed", failed: "failed", cancelled: "cancelled", resumed: "resumed",
  child_started: "a child has started", child_ended: "a child has ended",
};

const parts = {
  head: element("section", { class: "card" }),
  stages: element("div"),
  events: element("ol", { class: "events", ariaLabel: "Events, newest first" }),
  review: element("section", { class: "card review" }),
  graph: element("div", { class: "graph" }),
  counts: element("span", { class: "counts" }),
  legend: element("div", { class: "legend" }),
};
parts.graphCard = element("section", { class: "card" }, element("h2", {}, "Graph", parts.counts), parts.graph, parts.legend);
let status = null;
let message = "";
let shownHead = "";
const cursor = { last: null };
const tookField = element("dd");

function layout() {
  main.replaceChildren(parts.head, parts.review,
    element("div", { class: "grid" },
      element("div", { class: "column" },
        element("section", { class: "card" }, element("h2", {}, "Progress"), parts.stages),
        element("section", { class: "card" }, element("h2", {}, "Events"), parts.events)),
      element("div", { class: "column" },
        parts.graphCard)));
}

// ---------------------------------------------------------------- state and steering

async function act(change) {
  message = "";
  shownHead = "";
  document.activeElement?.blur();
  const steering = [...parts.head.querySelectorAll("button"), ...parts.review.querySelectorAll("button")];
  for (const button of steering) button.disabled = true;
  try {
    await change();
  } catch (error) {
    message = error.message;
  }
  await loadStatus();
  for (const button of steering) button.disabled = false;
}

function send(name, payload = {}) {
  return act(() => ask(`${path}/signals`, { method: "POST", body: { signal_name: name, payload } }));
}

function post(action) {
  return act(() => ask(`${path}/${action}`, { method: "POST" }));
}

function actions() {
  const made = [];
  const button = (text, onclick, kind = "") => made.push(element("button", { onclick, class: kind, type: "button" }, text));
  if (status.status === "running") {
    if (status.paused_at) button("Resume", () => send("resume"), "main");
    else button("Pause", () => send("pause"));
    button("Cancel", async () => {
      if (await confirmed("Cancel this execution? What it completed is kept, and it can be resumed.", "Cancel it")) await post("cancel");
    }, "danger");
  } else if (status.status !== "completed") {
    button("Resume", () => post("resume"), "main");
  }
  return element("div", { class: "actions" }, ...made);
}

function awaitedSignals() {
  return status.status === "running" ? [...new Set(status.waiting_for.flatMap((wait) => wait.signals))] : [];
}

// A decision is somebody's: without a name nothing is sent.
function answer(signal, payload) {
  const name = document.getElementById("by");
  const by = (name?.value ?? localStorage.getItem("beep-name") ?? "").trim();
  if (!by) { name?.focus(); return; }
  localStorage.setItem("beep-name", by);
  send(signal, { by, ...payload });
}

const PAUSED = {
  execution: ["", ""],
  organization: [" with all executions of its organization", " It goes on with: beep resume --all"],
  instance: [" with the whole instance", " It goes on with: beep resume --instance"],
};

function pauses() {
  return status.pauses.map((pause) => {
    const [whom, remedy] = PAUSED[pause.scope];
    const failure = pause.scope === "execution" && status.paused_for ? `${status.paused_for.type}: ${status.paused_for.message}` : "";
    const why = [pause.reason, failure].filter(Boolean).map((each) => `: ${each}`).join("");
    return element("div", { class: "note wait" }, `Paused${whom} since ${moment(pause.since)}${why}.${remedy}`);
  });
}

function waiting() {
  const names = awaitedSignals();
  if (status.status !== "running" || status.waiting_for.length === 0 || names.join() === "resume") return null;
  const child = status.waiting_for.map((wait) => wait.child).find(Boolean);
  const deadlines = status.waiting_for.map((wait) => wait.deadline).filter(Boolean).sort();
  const what = names.length > 0 ? `Waits for ${names.join(", ")}` : child ? "Waits for its child" : "Waits for its time";
  const until = deadlines.length > 0 ? `, until ${moment(deadlines[0])}` : "";
  const since = status.waiting_for.map((wait) => wait.since).sort()[0];
  const name = element("input", {
    id: "by", placeholder: "Your name", ariaLabel: "Your name", maxLength: 200, value: localStorage.getItem("beep-name") ?? "",
  });
  const all = doubts.length > 0 ? " all" : "";
  const decide = names.filter((each) => each === "approve" || each === "reject").sort();
  const buttons = decide.map((each) => element("button", {
    type: "button", class: each === "approve" ? "main" : "danger", onclick: () => answer(each, {}),
  }, `${each === "approve" ? "Approve" : "Reject"}${all}`));
  return element("div", { class: "note wait" }, `${what}${until}, since ${moment(since)}. No process is held meanwhile.`,
    buttons.length > 0 ? element("div", { class: "actions" }, name, ...buttons) : null);
}

function link(execution, text) {
  return element("a", { href: `/workflows/${encodeURIComponent(execution)}` }, text);
}

function fact(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value));
}

function took() {
  return duration((status.completed_at ? new Date(status.completed_at) : new Date()) - new Date(status.started_at));
}

function renderHead() {
  tookField.textContent = took();
  const head = JSON.stringify([status.status, status.pauses, status.waiting_for, status.current_activity, status.attempts, status.error, status.dagster_url, status.children, status.children_by_status, doubts.length > 0, message]);
  const isAnswering = parts.head.contains(document.activeElement) && document.activeElement.tagName === "INPUT";
  if (head === shownHead || isAnswering) return; // a button that is replaced loses the click on it
  shownHead = head;
  const state = mood(status);
  const facts = element("dl", { class: "facts" },
    fact("started", moment(status.started_at)), element("div", {}, element("dt", {}, status.completed_at ? "took" : "for"), tookField),
    fact("attempts", String(status.attempts)));
  if (status.current_activity) facts.append(fact("activity", status.current_activity));
  if (status.dagster_url) facts.append(fact("run", element("a", { href: status.dagster_url, rel: "noreferrer", target: "_blank" }, "in the Dagster UI")));
  if (status.parent_execution_id) facts.append(fact("parent", link(status.parent_execution_id, "its parent")));
  if (status.children.length > 0) {
    const counts = Object.entries(status.children_by_status);
    const more = counts.reduce((sum, [, number]) => sum + number, -status.children.length);
    const all = more > 0 ? element("a", { href: `/?parent_execution_id=${encodeURIComponent(id)}` }, `and ${more} more`) : "";
    facts.append(fact("children", counts.map(([state, number]) => `${number} ${state}`).join(", ")));
    facts.append(fact("by name", element("span", {}, ...status.children.flatMap((child) => [link(child.execution_id, child.name), ` ${child.status} `]), all)));
  }
  parts.head.replaceChildren(...[
    element("div", { class: "head" },
      element("div", {}, element("h1", {}, element("span", { class: `pill ${state}` }, state), ` ${status.about ?? ""}`), element("div", { class: "id" }, id)),
      actions()),
    facts, ...pauses(), waiting(),
    status.error ? element("p", { class: "note bad" }, `${status.error.type}: ${status.error.message}`) : null,
    message ? element("p", { class: "note bad", role: "alert" }, message) : null,
  ].filter(Boolean));
}

// ---------------------------------------------------------------- facts that wait for a person

let doubts = [];

// What is being edited stays as it is: only a change of what waits draws the list anew. Between two decisions the
// execution may be at work for a moment, and what is left still waits.
async function loadReview() {
  const isAsked = status.workflow_type === "extraction" && status.status === "running"
    && (doubts.length > 0 || awaitedSignals().includes("approve"));
  const found = isAsked ? await ask(`${path}/review`).then((answered) => answered.json(), () => ({ waiting: [] })) : { waiting: [] };
  if (JSON.stringify(found.waiting) === JSON.stringify(doubts)) return;
  doubts = found.waiting;
  parts.review.replaceChildren(element("h2", {}, "Facts that wait for you", element("span", { class: "counts" }, String(doubts.length))),
    element("ol", {}, ...doubts.map(doubtful)));
}

function doubtful(doubt) {
  const named = doubt.entity ? { entity: doubt.entity } : { relation: doubt.relation };
  const button = (text, onclick, kind = "") => element("button", { type: "button", class: kind, onclick, ariaLabel: `${text} ${doubt.text}` }, text);
  const fields = (doubt.entity ? ["name", "type"] : ["predicate"]).map((field) =>
    element("input", { name: field, placeholder: `right ${field}`, ariaLabel: `Right ${field} of ${doubt.text}`, maxLength: field === "name" ? 500 : 200 }));
  const form = element("form", { class: "actions", hidden: true }, ...fields, element("button", { type: "submit", class: "main" }, "Send"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(fields.map((field) => [field.name, field.value.trim()]).filter(([, value]) => value));
    if (Object.keys(given).length > 0) answer("edit", { ...named, ...given });
  });
  return element("li", { value: doubt.number },
    element("p", {}, element("strong", {}, doubt.text), ` ${doubt.confidence.toFixed(2)}`),
    ...doubt.sentences.map((sentence) => element("q", {}, sentence)),
    element("div", { class: "actions" },
      button("Approve", () => answer("approve", named), "main"), button("Reject", () => answer("reject", named), "danger"),
      button("Edit", () => { form.hidden = !form.hidden; fields[0].focus(); })),
    form);
}

// ---------------------------------------------------------------- progress and events

function renderStages() {
  const known = STAGES[status.workflow_type] ?? [];
  const names = [...known.filter((name) => !SELDOM.has(name) || name in status.activities), ...Object.keys(status.activities).filter((name) => !known.includes(name))];
  parts.stages.replaceChildren(...names.map((name) => {
    const stage = status.activities[name] ?? { done: 0, total: 0 };
    const state = stage.total === 0 ? "idle" : stage.done === stage.total ? "done" : "";
    const bar = element("span");
    bar.style.width = `${stage.total === 0 ? 0 : (100 * stage.done) / stage.total}%`;
    const count = stage.total === 0 ? "" : `${stage.done} / ${stage.total}`;
    return element("div", { class: `stage ${state}` }, element("span", {}, name),
      element("div", { class: "bar", role: "progressbar", ariaLabel: name, ariaValueMax: String(stage.total), ariaValueNow: String(stage.done) }, bar),
      element("span", { class: "count" }, count));
  }));
}

function describe(event) {
  if (event.kind === "state") {
    const names = (event.waiting_for ?? []).flatMap((wait) => wait.signals).join(", ");
    if (event.child) return [`${WORDS[event.change]}${event.child_status ? `: ${event.child_status}` : `: ${event.child_name}`}`, "state"];
    const why = event.reason ? `: ${event.reason}` : event.error ? `: ${event.error.type}: ${event.error.message}` : names ? ` (${names})` : "";
    return [`${WORDS[event.change] ?? event.change}${why}`, "state"];
  }
  if (event.kind === "signal") return [`signal ${event.signal_name}`, "signal"];
  const by = event.activity_name ? ` by ${event.activity_name}` : "";
  return [`${event.activity_type} ${event.done} / ${event.total}${by}`, "progress"];
}

function addEvent(event) {
  const [text, kind] = describe(event);
  const item = element("li", {}, element("time", { dateTime: event.at }, clock(event.at)), element("p", { class: kind }, text));
  const first = parts.events.firstElementChild;
  // of one activity type only the newest of a row of progress stays
  if (kind === "progress" && first?.dataset.type === event.activity_type) first.remove();
  if (kind === "progress") item.dataset.type = event.activity_type;
  parts.events.prepend(item);
  while (parts.events.children.length > MOST_EVENTS) parts.events.lastElementChild.remove();
}

function onEvent(event) {
  addEvent(event);
  if (event.kind === "progress" && status) {
    const before = status.activities[event.activity_type] ?? { attempts: 0 };
    status.activities[event.activity_type] = { ...before, done: event.done, total: event.total };
    renderStages();
    refreshSoon();
    if (GROWING.has(event.activity_type) && event.activity_name) growSoon();
  } else {
    loadSoon();
  }
  if (event.kind === "state" && event.change === "completed") growSoon();
}

// One request at a time, and no more often than that; the last wish is always fulfilled.
function seldom(work, milliseconds) {
  let isWished = false;
  let isBusy = false;
  return async function wish() {
    isWished = true;
    if (isBusy) return;
    isBusy = true;
    while (isWished) {
      isWished = false;
      await work();
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
    }
    isBusy = false;
  };
}

async function loadStatus() {
  try {
    status = await (await ask(path)).json();
    await loadReview();
    parts.review.hidden = doubts.length === 0;
    renderHead();
    renderStages();
  } catch (error) {
    if (status === null) throw error;
  }
}

// ---------------------------------------------------------------- the graph

const nodes = new Map();
let edges = [];
let heat = 0;
let isMoving = false;
const colours = new Map([[null, "#9aa4b1"]]);
const SVG = "http://www.w3.org/2000/svg";
const picture = document.createElementNS(SVG, "svg");
picture.setAttribute("role", "img");
const [lines, dots, labels] = [1, 2, 3].map(() => document.createElementNS(SVG, "g"));
picture.append(lines, dots, labels);

function colour(type) {
  if (!colours.has(type)) colours.set(type, PALETTE[(colours.size - 1) % PALETTE.length]);
  return colours.get(type);
}

function addNode(given) {
  const circle = document.createElementNS(SVG, "circle");
  const label = document.createElementNS(SVG, "text");
  const title = document.createElementNS(SVG, "title");
  circle.append(title);
  dots.append(circle);
  labels.append(label);
  const angle = nodes.size * 2.4;
  const distance = 12 * Math.sqrt(nodes.size + 1);
  const node = { x: distance * Math.cos(angle), y: distance * Math.sin(angle), dx: 0, dy: 0, circle, label, title, ...given };
  nodes.set(given.id, node);
  return node;
}

function take(graph) {
  const seen = new Set(graph.nodes.map((node) => node.id));
  for (const [key, node] of nodes) {
    if (!seen.has(key)) { node.circle.remove(); node.label.remove(); nodes.delete(key); }
  }
  for (const given of graph.nodes) {
    const node = Object.assign(nodes.get(given.id) ?? addNode(given), given);
    node.radius = Math.min(4 + 1.5 * Math.sqrt(given.mentions), 22);
    node.circle.setAttribute("r", node.radius);
    node.circle.setAttribute("fill", colour(given.type));
    node.title.textContent = `${given.name}${given.type ? `, ${given.type}` : ""}: ${given.mentions} mentions`;
    node.label.textContent = given.name.length > 26 ? `${given.name.slice(0, 25)}…` : given.name;
  }
  lines.replaceChildren();
  edges = graph.edges.map((edge) => {
    const line = document.createElementNS(SVG, "line");
    const title = document.createElementNS(SVG, "title");
    const [from, to] = [nodes.get(edge.subject), nodes.get(edge.object)];
    title.textContent = `${from.name} ${edge.predicate} ${to.name}, ${edge.confidence.toFixed(2)}`;
    line.append(title);
    lines.append(line);
    return { from, to, line };
  });
  const things = graph.nodes.some((node) => node.type) || graph.is_complete ? ["entity", "entities"] : ["name", "names"];
  parts.counts.textContent = graph.nodes.length === 0 ? "" : `${count(graph.entities, ...things)}, ${count(graph.relations, "relation", "relations")}${graph.is_complete ? "" : " so far"}`;
  picture.setAttribute("aria-label", parts.counts.textContent || "empty graph");
  parts.legend.replaceChildren(...[...new Set(graph.nodes.map((node) => node.type))].filter(Boolean).sort().map((type) => {
    const dot = element("i");
    dot.style.background = colour(type);
    return element("span", {}, dot, type);
  }));
  parts.graph.replaceChildren(graph.nodes.length === 0
    ? element("p", { class: "empty" }, status?.status === "running" ? "It grows here as activities are completed." : "There is none.")
    : picture);
  heat = Math.max(heat, 1);
  if (!isMoving) { isMoving = true; requestAnimationFrame(move); }
}

// A small spring model: nodes push each other away, edges pull, everything is drawn to the middle; it cools and rests.
function move() {
  const all = [...nodes.values()];
  const reach = 190;
  for (const node of all) { node.dx *= 0.82; node.dy *= 0.82; node.dx -= node.x * 0.006 * heat; node.dy -= node.y * 0.008 * heat; }
  for (let i = 0; i < all.length; i += 1) {
    for (let j = i + 1; j < all.length; j += 1) {
      const [a, b] = [all[i], all[j]];
      const x = a.x - b.x || 0.1;
      const y = a.y - b.y || 0.1;
      const square = x * x + y * y;
      if (square > reach * reach) continue;
      const distance = Math.sqrt(square) || 1;
      const overlap = a.radius + b.radius + 3 - distance;
      const push = (340 * heat) / (square + 60) + (overlap > 0 ? overlap * 0.2 : 0);
      const [px, py] = [(x / distance) * push, (y / distance) * push];
      a.dx += px; a.dy += py; b.dx -= px; b.dy -= py;
    }
  }
  for (const { from, to } of edges) {
    const x = to.x - from.x;
    const y = to.y - from.y;
    const distance = Math.hypot(x, y) || 1;
    const pull = (distance - 70) * 0.02 * heat;
    from.dx += (x / distance) * pull; from.dy += (y / distance) * pull;
    to.dx -= (x / distance) * pull; to.dy -= (y / distance) * pull;
  }
  for (const node of all) { node.x += Math.max(-14, Math.min(14, node.dx)); node.y += Math.max(-14, Math.min(14, node.dy)); }
  heat *= 0.985;
  draw(all);
  if (heat > 0.03) requestAnimationFrame(move);
  else isMoving = false;
}

function draw(all) {
  if (all.length === 0) return;
  const xs = all.map((node) => node.x);
  const ys = all.map((node) => node.y);
  const [left, right, top, bottom] = [Math.min(...xs) - 60, Math.max(...xs) + 90, Math.min(...ys) - 40, Math.max(...ys) + 40];
  const [width, height] = [Math.max(right - left, 420), Math.max(bottom - top, 300)];
  picture.setAttribute("viewBox", `${(left + right - width) / 2} ${(top + bottom - height) / 2} ${width} ${height}`);
  const scale = Math.max(width / (picture.clientWidth || 700), height / (picture.clientHeight || 520), 0.75);
  for (const node of all) {
    node.circle.setAttribute("cx", node.x);
    node.circle.setAttribute("cy", node.y);
  }
  placeLabels(all, scale);
  for (const { from, to, line } of edges) {
    line.setAttribute("x1", from.x); line.setAttribute("y1", from.y);
    line.setAttribute("x2", to.x); line.setAttribute("y2", to.y);
    line.style.strokeWidth = `${1.2 * scale}px`;
  }
}

// Names of what is mentioned most come first; one that would cover another is left out.
function placeLabels(all, scale) {
  const taken = [];
  for (const node of all.slice().sort((a, b) => b.mentions - a.mentions)) {
    const [x, y] = [node.x + node.radius + 4 * scale, node.y + 4 * scale];
    const box = [x, y - 11 * scale, x + node.label.textContent.length * 6.2 * scale, y + 4 * scale];
    const isFree = taken.length < 60 && taken.every((other) => box[0] > other[2] || box[2] < other[0] || box[1] > other[3] || box[3] < other[1]);
    node.label.style.display = isFree ? "" : "none";
    if (!isFree) continue;
    taken.push(box);
    node.label.setAttribute("x", x);
    node.label.setAttribute("y", y);
    node.label.style.fontSize = `${11 * scale}px`;
    node.label.style.strokeWidth = `${3 * scale}px`;
  }
}

async function loadGraph() {
  try {
    take(await (await ask(`${path}/graph`)).json());
    parts.graphCard.hidden = false;
  } catch (error) {
    // a workflow type without a graph; after another error the next event, or the end, asks again
    if (error.status === 404) parts.graphCard.hidden = true;
  }
}

const growSoon = seldom(loadGraph, 1200);
const loadSoon = seldom(loadStatus, 400);
const refreshSoon = seldom(loadStatus, 2000);

// ---------------------------------------------------------------- beginning

function onLink(state) {
  showLink(status?.status !== "running" ? "ended" : state);
  if (state === "live") loadSoon();
}

async function begin() {
  document.getElementById("crumbs").append(element("a", { href: "/" }, "Executions"), " / ", id.split("__")[1] ?? id);
  await loadStatus();
  layout();
  await loadGraph();
  setInterval(() => { if (status.status === "running" && !document.hidden) tookField.textContent = took(); }, 100);
  // an execution does not tell that all are paused
  setInterval(() => { if (status.status === "running" && !document.hidden) loadSoon(); }, 5000);
  for (;;) {
    await follow(`${path}/progress`, cursor, onEvent, onLink);
    await loadStatus();
    await loadGraph();
    showLink("ended");
    // it may be resumed, here or elsewhere
    while (status.status !== "running") {
      await new Promise((resolve) => setTimeout(resolve, 2000));
      if (!document.hidden) await loadStatus();
    }
  }
}

begin().catch((error) => showProblem(main, error));
