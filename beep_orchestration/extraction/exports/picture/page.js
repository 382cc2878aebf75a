"use strict";
// The page around the picture. Reading order: the data, the document with its offsets, the panel, the events.
// Whatever comes from the document reaches the page as text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const LISTED = 200; // rows shown of any list
const EXCERPT = 600; // code points shown of a sentence outside of the document

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const picture = new Picture($("canvas"), (thing) => select(thing));
picture.show(data);
const { nodes, edges, types } = picture;
let selected = null; // a node or an edge
let query = "";

function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
for (const node of nodes) node.folded = fold([node.name, ...node.aliases].join("\n"));

// ---- The document: offsets are code points, JavaScript's strings count UTF-16 units ------------------------------

// Blocks end at line ends, so that a long document is laid out only where it is seen.
const blocks = [];
{
  let start = 0, startPoint = 0, unit = 0, point = 0;
  const cut = () => {
    blocks.push({ point: startPoint, unit: start, text: data.text.slice(start, unit) });
    start = unit;
    startPoint = point;
  };
  while (unit < data.text.length) {
    const code = data.text.codePointAt(unit);
    unit += code > 0xffff ? 2 : 1;
    point += 1;
    const size = point - startPoint;
    if ((code === 10 && size > 1000) || (code === 32 && size > 4000) || size > 8000) cut();
  }
  if (unit > start) cut();
}
for (const block of blocks) {
  block.element = element("div", { dir: "auto", textContent: block.text });
  $("text").append(block.element);
}

function blockAt(point) {
  let low = 0, high = blocks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (blocks[middle].point <= point) low = middle;
    else high = middle - 1;
  }
  return low;
}

function unitIn(block, point) {
  let unit = 0;
  for (let at = block.point; at < point && unit < block.text.length; at += 1) {
    unit += block.text.codePointAt(unit) > 0xffff ? 2 : 1;
  }
  return unit;
}

function slice(start, end) {
  if (!blocks.length) return "";
  const [first, last] = [blocks[blockAt(start)], blocks[blockAt(end)]];
  return data.text.slice(first.unit + unitIn(first, start), last.unit + unitIn(last, end));
}

let marked = [];

// Marks [{start, end, kind}], which may overlap, and scrolls to the first one of kind "here".
function mark(ranges) {
  for (const block of marked) block.element.textContent = block.text;
  const perBlock = new Map();
  for (const range of ranges) {
    for (let index = blockAt(range.start); index < blocks.length && blocks[index].point < range.end; index += 1) {
      if (!perBlock.has(blocks[index])) perBlock.set(blocks[index], []);
      perBlock.get(blocks[index]).push(range);
    }
  }
  marked = [...perBlock.keys()];
  for (const [block, found] of perBlock) block.element.replaceChildren(...pieces(block, found));
  scrollToHere();
}

function scrollToHere() {
  const here = $("text").querySelector(".here");
  if (here) requestAnimationFrame(() => here.scrollIntoView({ block: "center" }));
}

function pieces(block, ranges) {
  const spans = ranges.map((range) => ({
    from: unitIn(block, range.start), to: unitIn(block, range.end), kind: range.kind,
  }));
  const cuts = new Set([0, block.text.length, ...spans.flatMap((span) => [span.from, span.to])]);
  const bounds = [...cuts].sort((a, b) => a - b);
  return bounds.slice(1).map((to, index) => {
    const from = bounds[index];
    const kinds = spans.filter((span) => span.from <= from && span.to >= to).map((span) => span.kind);
    const text = block.text.slice(from, to);
    return kinds.length ? element("mark", { className: [...new Set(kinds)].join(" ") }, text) : text;
  });
}

// ---- The panel: everything that the picture shows, as lists that a keyboard and a screen reader reach ----------------

const isShown = (node) => picture.isShown(node);

function matches(node) {
  return !query || node.folded.includes(query) || fold(node.type).includes(query);
}

function rows(items, row) {
  const list = element("ul", {}, ...items.slice(0, LISTED).map((item) => element("li", {}, row(item))));
  if (items.length > LISTED) list.append(element("li", { className: "soft" }, `and ${(items.length - LISTED).toLocaleString("en")} more`));
  return list;
}

function dot(type) {
  const made = element("span", { className: "dot" });
  made.style.background = types.get(type).colour;
  return made;
}

function name(text) {
  return element("bdi", {}, shorten(text, 120));
}

function nodeButton(node) {
  const count = element("span", { className: "count", title: "relations" }, node.edges.length ? String(node.edges.length) : "");
  return element("button", { onclick: () => select(node) }, dot(node.type), name(node.name), count);
}

function nodeLink(node) {
  return element("button", { className: "link", onclick: () => select(node) }, name(node.name));
}

function fact(edge, from) {
  const predicate = element("span", { className: "predicate" }, edge.predicate);
  const words = from === edge.source ? [predicate, " ", name(edge.target.name)] : [name(edge.source.name), " ", predicate, " …"];
  const other = from === edge.source ? edge.target : edge.source;
  return element("button", { onclick: () => select(edge) }, dot(other.type), element("span", {}, ...words));
}

// Shows places in the document as buttons; pressing one marks and shows it there.
function places(spans, words, show) {
  return rows(spans, (span) => element("button", {
    onclick: (event) => {
      show(span);
      for (const other of $("panel").querySelectorAll(".current")) other.classList.remove("current");
      event.currentTarget.classList.add("current");
      openSheet("document");
    },
  }, element("bdi", {}, ...words(span))));
}

function excerpt(span) {
  return span.end - span.start > EXCERPT ? `${slice(span.start, span.start + EXCERPT)}…` : slice(span.start, span.end);
}

function contextOf(span) {
  const before = slice(Math.max(0, span.start - 30), span.start), after = slice(span.end, span.end + 40);
  return [`…${before}`, element("strong", {}, excerpt(span)), `${after}…`];
}

function percent(confidence) {
  return `${Math.round(confidence * 100)} % confidence`;
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

// Who found it, and what people decided about it.
function origin(thing, isAbout) {
  const sources = data.provenance.sources.filter((source) => source.activities.some((activity) => thing.found_by.includes(activity)));
  const found = sources.map((source) => element("p", { className: "soft", title: source.version }, `Found by ${source.extractor} in ${
    source.activities.filter((activity) => thing.found_by.includes(activity)).join(", ")}`));
  const decided = data.provenance.reviews.filter(isAbout).map((review) => element("p", { className: "soft" },
    `${review.decision} by `, element("bdi", {}, review.by), ` on ${review.at.slice(0, 10)}`, ...(review.note ? [": ", element("bdi", {}, review.note)] : [])));
  return [...decided, ...found];
}

function showAll() {
  const found = nodes.filter((node) => isShown(node) && matches(node));
  $("panel").replaceChildren(element("h3", {}, count(found.length, "entity", "entities")), rows(found, nodeButton));
  mark([]);
}

function showNode(node) {
  const show = (here) => mark([
    ...node.mentions.map((span) => ({ ...span, kind: "mention" })), ...(here ? [{ ...here, kind: "here" }] : []),
  ]);
  $("panel").replaceChildren(
    backButton(), element("h2", { dir: "auto" }, node.name),
    element("p", { className: "soft" }, dot(node.type), ` ${node.type}, ${percent(node.confidence)}`),
    ...(node.aliases.length ? [element("p", { className: "soft", dir: "auto" }, `Also: ${node.aliases.join(", ")}`)] : []),
    ...(node.edges.length ? [element("h3", {}, count(node.edges.length, "relation", "relations")), rows(node.edges, (edge) => fact(edge, node))] : []),
    element("h3", {}, count(node.mentions.length, "mention", "mentions")), places(node.mentions, contextOf, show),
    ...origin(node, (review) => review.entity === node.id),
  );
  show(node.mentions[0]);
}

function showEdge(edge) {
  const show = (here) => mark([
    ...edge.evidence.map((span) => ({ ...span, kind: "evidence" })),
    ...mentionsIn(edge.source, edge.evidence, "subject"), ...mentionsIn(edge.target, edge.evidence, "object"),
    ...(here ? [{ ...here, kind: "here" }] : []),
  ]);
  const isAbout = ({ relation }) => relation && ["subject", "predicate", "object"].every((part) => relation[part] === edge[part]);
  $("panel").replaceChildren(
    backButton(),
    element("h2", {}, nodeLink(edge.source), element("span", { className: "predicate" }, ` ${edge.predicate} → `), nodeLink(edge.target)),
    element("p", { className: "soft" }, percent(edge.confidence)),
    element("h3", {}, edge.evidence.length === 1 ? "Stated in" : `Stated in ${edge.evidence.length} sentences`),
    places(edge.evidence, (span) => [excerpt(span)], show),
    ...origin(edge, isAbout),
  );
  show(edge.evidence[0]);
}

function mentionsIn(node, spans, kind) {
  const inside = node.mentions.filter((one) => spans.some((span) => span.start <= one.start && one.end <= span.end));
  return inside.map((span) => ({ ...span, kind }));
}

function backButton() {
  return element("button", { className: "link", onclick: () => select(null) }, "← All entities");
}

function select(thing) {
  selected = thing;
  if (!thing) showAll();
  else if (isEdge(thing)) showEdge(thing);
  else showNode(thing);
  picture.select(thing);
  openSheet("list");
  $("panel").scrollTop = 0;
  $("canvas").setAttribute("aria-label", describe());
}

function describe() {
  if (isEdge(selected)) return `${selected.source.name} ${selected.predicate} ${selected.target.name}`;
  if (selected) return `${selected.name}, ${selected.type}, ${count(selected.edges.length, "relation", "relations")}`;
  return `Graph of ${count(nodes.length, "entity", "entities")} and ${count(edges.length, "relation", "relations")}; the list beside it holds the same`;
}

// On a narrow screen either the list or the document is below the picture.
function openSheet(sheet) {
  document.body.dataset.sheet = sheet;
  $("to-list").setAttribute("aria-pressed", String(sheet === "list"));
  $("to-document").setAttribute("aria-pressed", String(sheet === "document"));
  if (sheet === "document") scrollToHere();
}

// ---- The filter ---------------------------------------------------------------------------------------------------

function typeFilter(type) {
  const box = element("input", { type: "checkbox", checked: true });
  box.onchange = () => showTypes((one) => (one === type ? box.checked : one.shown));
  type.box = box;
  const only = element("button", { className: "only", title: `Only ${type.name}`, onclick: () => showTypes((one) => one === type) }, "only");
  const words = [dot(type.name), element("bdi", {}, type.name), element("span", { className: "soft" }, type.count.toLocaleString("en"))];
  return element("div", { className: "type" }, element("label", {}, box, ...words), only);
}

function showTypes(isWanted) {
  for (const type of types.values()) type.box.checked = type.shown = isWanted(type);
  if (selected && !(isEdge(selected) ? picture.joins(selected) : isShown(selected))) select(null);
  if (!selected) showAll();
  $("every").hidden = [...types.values()].every((type) => type.shown);
  picture.redraw();
}

// ---- The events -----------------------------------------------------------------------------------------------

function search(words) {
  $("search").value = words;
  query = fold(words.trim());
  picture.stress(query ? nodes.filter(matches) : null);
  select(null);
}

function groupByType(byType) {
  $("grouping").setAttribute("aria-pressed", String(byType));
  picture.arrangeByType(byType);
}

document.addEventListener("keydown", (event) => {
  const writing = event.target === $("search");
  if (event.key === "Escape") search("");
  if (event.key === "/" && !writing) {
    event.preventDefault();
    $("search").focus();
  }
  if (event.key === "g" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) groupByType(!picture.byType);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") step(event, event.key === "ArrowDown" ? 1 : -1);
});

// Up and down go from the search field into the list, and along it.
function step(event, by) {
  const stops = [$("search"), ...$("panel").querySelectorAll("button")];
  const next = stops[stops.indexOf(event.target) + by];
  if (!stops.includes(event.target) || !next) return;
  event.preventDefault();
  next.focus();
}

$("search").oninput = () => search($("search").value);
$("search").onkeydown = (event) => {
  const found = nodes.find((node) => isShown(node) && matches(node));
  if (event.key === "Enter" && found) select(found);
};
$("closer").onclick = () => picture.zoomBy(1.25);
$("farther").onclick = () => picture.zoomBy(0.8);
$("fit").onclick = () => picture.showEverything();
$("grouping").onclick = () => groupByType(!picture.byType);
$("to-list").onclick = () => openSheet("list");
$("to-document").onclick = () => openSheet("document");

// A link only to the web: whatever else an address may do, here it is text.
function sourceOf(address) {
  const parsed = URL.canParse(address) ? new URL(address) : null;
  const onTheWeb = parsed && ["http", "https"].includes(parsed.protocol.slice(0, -1));
  return onTheWeb ? element("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer" }, address) : element("bdi", {}, address);
}

$("title").textContent = data.document.title || data.document.document_id;
$("counts").textContent = `${count(nodes.length, "entity", "entities")}, ${count(edges.length, "relation", "relations")}`;
if (data.document.source_uri) $("counts").append(element("br", {}), sourceOf(data.document.source_uri));
$("types").append(...[...types.values()].map(typeFilter), element("button", {
  id: "every", className: "link", hidden: true, onclick: () => showTypes(() => true) }, "all types"));
$("filters").open = types.size < 16 && innerWidth > 700;
$("empty").hidden = nodes.length > 0;
select(null);
