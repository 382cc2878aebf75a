"use strict";
// Reading order: the data, the document with its offsets, the layout, the picture, the panel, the events.
// Whatever comes from the document reaches the page as text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const pen = canvas.getContext("2d");
const LISTED = 200; // rows shown of any list
const EXCERPT = 600; // code points shown of a sentence outside of the document

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- The data -------------------------------------------------------------------------------------------------

const nodes = data.entities.map((entity) => ({ ...entity, edges: [], x: 0, y: 0, vx: 0, vy: 0 }));
const byId = new Map(nodes.map((node) => [node.id, node]));
const edges = data.relations.map((relation) => ({
  ...relation, source: byId.get(relation.subject), target: byId.get(relation.object), bend: 0,
}));
for (const edge of edges) {
  edge.source.edges.push(edge);
  if (edge.target !== edge.source) edge.target.edges.push(edge);
}
for (const node of nodes) node.radius = Math.min(26, 4.5 + 2.4 * Math.sqrt(node.edges.length));
const ranked = [...nodes].sort((a, b) => b.edges.length - a.edges.length || b.mentions.length - a.mentions.length);

function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
for (const node of nodes) node.folded = fold([node.name, ...node.aliases].join("\n"));

// Edges between the same two entities are bent apart.
const bundles = new Map();
for (const edge of edges) {
  const key = [edge.subject, edge.object].sort().join("\u0000");
  if (!bundles.has(key)) bundles.set(key, []);
  bundles.get(key).push(edge);
}
for (const bundle of bundles.values()) {
  bundle.forEach((edge, index) => {
    const bend = (index - (bundle.length - 1) / 2) * 34;
    edge.bend = edge.subject < edge.object ? bend : -bend;
    edge.index = index;
  });
}

const COLOURS = ["#3b7dd8", "#e0792b", "#2f9e62", "#c2447f", "#8a63d2", "#b08a1e", "#1f9aa8", "#d0504a", "#6f7d3c", "#8d6b52"];
const counts = new Map();
for (const node of nodes) counts.set(node.type, (counts.get(node.type) || 0) + 1);
const types = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count], index) => ({
  name, count, shown: true, colour: COLOURS[index] || `hsl(${Math.round(index * 137.5) % 360} 50% 52%)`,
}));
const typeOf = new Map(types.map((type) => [type.name, type]));

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

// ---- The layout: springs, and repulsion by Barnes and Hut's tree (Nature 324, 1986); it cools down and stops --------

const SETTLED = 0.002, COOLING = 0.98, OPENING = 0.9, PUSH = 420, LENGTH = 110;
let heat = 1;

// Neighbours after one another, from the hubs outwards: what is connected starts close together.
function connectedOrder() {
  const order = new Set();
  for (const hub of ranked) {
    order.add(hub);
    const waiting = [hub];
    for (const node of waiting) {
      for (const edge of node.edges) {
        const other = edge.source === node ? edge.target : edge.source;
        if (order.has(other)) continue;
        order.add(other);
        waiting.push(other);
      }
    }
  }
  return order;
}

// A sunflower as the start: no chance, so the same graph always gets the same picture.
[...connectedOrder()].forEach((node, index) => {
  const distance = 30 * Math.sqrt(index + 0.5), angle = index * 2.399963;
  node.x = distance * Math.cos(angle);
  node.y = distance * Math.sin(angle);
});

function tree() {
  let reach = 1;
  for (const node of nodes) reach = Math.max(reach, Math.abs(node.x), Math.abs(node.y));
  const root = { x: 0, y: 0, half: reach, mass: 0, cx: 0, cy: 0, node: null, cells: null };
  for (const node of nodes) insert(root, node, 0);
  return root;
}

function insert(cell, node, depth) {
  if (cell.mass && depth < 40) {
    cell.cells ||= [null, null, null, null];
    if (cell.node) insertBelow(cell, cell.node, depth);
    cell.node = null;
    insertBelow(cell, node, depth);
  } else if (!cell.mass) {
    cell.node = node;
  }
  cell.cx = (cell.cx * cell.mass + node.x) / (cell.mass + 1);
  cell.cy = (cell.cy * cell.mass + node.y) / (cell.mass + 1);
  cell.mass += 1;
}

function insertBelow(cell, node, depth) {
  const right = node.x > cell.x, low = node.y > cell.y, half = cell.half / 2;
  const index = (right ? 1 : 0) + (low ? 2 : 0);
  cell.cells[index] ||= {
    x: cell.x + (right ? half : -half), y: cell.y + (low ? half : -half), half, mass: 0, cx: 0, cy: 0, node: null, cells: null,
  };
  insert(cell.cells[index], node, depth + 1);
}

function repel(node, cell) {
  const dx = node.x - cell.cx, dy = node.y - cell.cy, squared = dx * dx + dy * dy;
  if (cell.cells && 4 * cell.half * cell.half > OPENING * OPENING * squared) {
    for (const below of cell.cells) if (below) repel(node, below);
  } else if (cell.node !== node) {
    const push = (heat * PUSH * cell.mass) / Math.max(squared, 100);
    node.vx += dx * push;
    node.vy += dy * push;
  }
}

function attract(edge) {
  const { source, target } = edge;
  if (source === target) return;
  const dx = target.x - source.x, dy = target.y - source.y, distance = Math.hypot(dx, dy) || 1;
  const length = LENGTH + source.radius + target.radius;
  const pull = (heat * (distance - length)) / distance / Math.min(source.edges.length, target.edges.length);
  const share = source.edges.length / (source.edges.length + target.edges.length);
  target.vx -= dx * pull * share;
  target.vy -= dy * pull * share;
  source.vx += dx * pull * (1 - share);
  source.vy += dy * pull * (1 - share);
}

function gather() {
  for (const type of types) type.x = type.y = 0;
  for (const node of nodes) {
    typeOf.get(node.type).x += node.x / typeOf.get(node.type).count;
    typeOf.get(node.type).y += node.y / typeOf.get(node.type).count;
  }
  for (const node of nodes) {
    const type = typeOf.get(node.type), loose = node.edges.length ? 0.01 : 0.08;
    node.vx += heat * ((type.x - node.x) * loose - node.x * 0.05);
    node.vy += heat * ((type.y - node.y) * loose - node.y * 0.05);
  }
}

function step() {
  const root = tree();
  for (const node of nodes) repel(node, root);
  edges.forEach(attract);
  gather();
  for (const node of nodes) {
    node.x += node.vx *= 0.55;
    node.y += node.vy *= 0.55;
  }
  heat *= COOLING;
}

// ---- The picture ----------------------------------------------------------------------------------------------

const view = { x: 0, y: 0, scale: 1, width: 0, height: 0, touched: false };
let selected = null; // a node or an edge
let hovered = null;
let query = "";
let colours = {};
let awaited = false;

const sx = (x) => x * view.scale + view.x;
const sy = (y) => y * view.scale + view.y;
const sizeOf = (node) => node.radius * Math.min(1.6, Math.max(0.3, Math.sqrt(view.scale)));
const isShown = (node) => typeOf.get(node.type).shown;
const isEdge = (thing) => Boolean(thing && thing.source);

function redraw() {
  if (awaited) return;
  awaited = true;
  requestAnimationFrame(() => {
    awaited = false;
    const until = performance.now() + 14;
    while (heat > SETTLED && performance.now() < until) step();
    if (heat > SETTLED) redraw();
    else canvas.dataset.layout = "settled";
    if (heat > SETTLED && !view.touched) fit();
    draw();
  });
}

function fit() {
  const shown = nodes.filter(isShown);
  if (!shown.length || !view.width) return;
  const bounds = (pick) => {
    const values = shown.map(pick).sort((a, b) => a - b);
    return [values[0], values[values.length - 1]];
  };
  const [left, right] = bounds((node) => node.x), [top, bottom] = bounds((node) => node.y);
  view.scale = Math.min(1.7, (view.width - 170) / (right - left + 1), (view.height - 100) / (bottom - top + 1));
  view.x = view.width / 2 - ((left + right) / 2) * view.scale;
  view.y = view.height / 2 - ((top + bottom) / 2) * view.scale;
}

function zoomBy(factor, x = view.width / 2, y = view.height / 2) {
  const scale = Math.min(12, Math.max(0.02, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  view.touched = true;
  redraw();
}

function panBy(dx, dy) {
  view.x += dx;
  view.y += dy;
  view.touched = true;
  redraw();
}

function bringIntoView(...things) {
  const xs = things.map((node) => sx(node.x)), ys = things.map((node) => sy(node.y));
  const inside = (values, size) => Math.min(...values) > 40 && Math.max(...values) < size - 40;
  if (inside(xs, view.width) && inside(ys, view.height)) return;
  panBy(view.width / 2 - (Math.min(...xs) + Math.max(...xs)) / 2, view.height / 2 - (Math.min(...ys) + Math.max(...ys)) / 2);
}

// What stands out, or null if everything is equal.
function emphasis() {
  const focus = selected || hovered;
  if (isEdge(focus)) return { nodes: new Set([focus.source, focus.target]), edges: new Set([focus]) };
  if (focus) return { nodes: new Set([focus, ...focus.edges.flatMap((edge) => [edge.source, edge.target])]), edges: new Set(focus.edges) };
  if (query) return { nodes: new Set(nodes.filter(matches)), edges: new Set() };
  return null;
}

// The curve of an edge on the screen; for a relation of an entity with itself, a circle above it.
function curve(edge) {
  const x0 = sx(edge.source.x), y0 = sy(edge.source.y), x1 = sx(edge.target.x), y1 = sy(edge.target.y);
  if (edge.source === edge.target) {
    const radius = 9 + 6 * edge.index;
    return { loop: true, x: x0, y: y0 - sizeOf(edge.source) - radius + 3, radius };
  }
  const length = Math.hypot(x1 - x0, y1 - y0) || 1, bend = edge.bend * Math.min(1.5, Math.sqrt(view.scale));
  const cx = (x0 + x1) / 2 + ((y1 - y0) / length) * bend, cy = (y0 + y1) / 2 - ((x1 - x0) / length) * bend;
  return { loop: false, x0, y0, cx, cy, x1, y1, length, x: (x0 + 2 * cx + x1) / 4, y: (y0 + 2 * cy + y1) / 4 };
}

function trace(shape) {
  if (shape.loop) {
    pen.moveTo(shape.x + shape.radius, shape.y);
    pen.arc(shape.x, shape.y, shape.radius, 0, 7);
  } else {
    pen.moveTo(shape.x0, shape.y0);
    pen.quadraticCurveTo(shape.cx, shape.cy, shape.x1, shape.y1);
  }
}

function arrow(edge, shape) {
  const gap = sizeOf(edge.target) + 1;
  if (shape.loop || shape.length < gap + 18) return;
  const angle = Math.atan2(shape.y1 - shape.cy, shape.x1 - shape.cx);
  const x = shape.x1 - gap * Math.cos(angle), y = shape.y1 - gap * Math.sin(angle);
  pen.moveTo(x, y);
  pen.lineTo(x - 7 * Math.cos(angle - 0.4), y - 7 * Math.sin(angle - 0.4));
  pen.lineTo(x - 7 * Math.cos(angle + 0.4), y - 7 * Math.sin(angle + 0.4));
  pen.closePath();
}

function drawEdges(shown, colour, width, alpha) {
  pen.globalAlpha = alpha;
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = width;
  for (const edge of shown) {
    const shape = curve(edge);
    pen.beginPath();
    trace(shape);
    pen.stroke();
    pen.beginPath();
    arrow(edge, shape);
    pen.fill();
  }
}

function drawNodes(shown, alpha) {
  pen.globalAlpha = alpha;
  pen.strokeStyle = colours.back;
  pen.lineWidth = view.scale < 0.4 ? 0.5 : 1.5;
  for (const node of shown) {
    pen.fillStyle = typeOf.get(node.type).colour;
    pen.beginPath();
    pen.arc(sx(node.x), sy(node.y), sizeOf(node), 0, 7);
    pen.fill();
    pen.stroke();
  }
}

function ring(node) {
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(sx(node.x), sy(node.y), sizeOf(node) + 3, 0, 7);
  pen.stroke();
}

function shorten(text, most) {
  const points = Array.from(text.replace(/\s+/g, " ").slice(0, 4 * most));
  return points.length > most ? points.slice(0, most - 1).join("") + "…" : points.join("");
}

// Labels go where no other label is, and in view and on no node if there is such a side, the most important first; the rest
// appear on zooming in. Boxes are looked up by the squares of a grid.
const SQUARE = 64;

class Labels {
  constructor(shown) {
    this.squares = new Map();
    this.left = Math.max(12, (view.width * view.height) / 8500);
    for (const node of shown) {
      const [x, y, size] = [sx(node.x), sy(node.y), sizeOf(node)];
      this.take({ left: x - size, top: y - size, right: x + size, bottom: y + size, label: false });
    }
  }
  *around(box) {
    for (let x = Math.floor(box.left / SQUARE); x <= box.right / SQUARE; x += 1) {
      for (let y = Math.floor(box.top / SQUARE); y <= box.bottom / SQUARE; y += 1) yield `${x} ${y}`;
    }
  }
  take(box) {
    if (box.right < 0 || box.bottom < 0 || box.left > view.width || box.top > view.height) return;
    for (const square of this.around(box)) {
      if (!this.squares.has(square)) this.squares.set(square, []);
      this.squares.get(square).push(box);
    }
  }
  hits(box, labelsOnly) {
    const overlaps = (other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom
      && (other.label || !labelsOnly);
    if (!labelsOnly && (box.left < 0 || box.top < 0 || box.right > view.width || box.bottom > view.height)) return true;
    for (const square of this.around(box)) if (this.squares.get(square)?.some(overlaps)) return true;
    return false;
  }
  place(text, centres, font, colour, force) {
    const [x, y] = centres[0];
    if (!force && (this.left < 1 || x < -60 || y < -20 || x > view.width + 60 || y > view.height + 20)) return;
    pen.font = font;
    const half = pen.measureText(text).width / 2 + 3;
    const boxes = centres.map(([cx, cy, side = 0]) => ({
      left: cx + side * half - half, top: cy - 8, right: cx + side * half + half, bottom: cy + 8, label: true,
    }));
    const box = boxes.find((one) => !this.hits(one, false)) || boxes.find((one) => !this.hits(one, true)) || (force && boxes[0]);
    if (!box) return;
    this.take(box);
    this.left -= 1;
    pen.strokeText(text, box.left + half, box.top + 8);
    pen.fillStyle = colour;
    pen.fillText(text, box.left + half, box.top + 8);
  }
}

// Below, above, right and left of a node.
function sides(node) {
  const [x, y, away] = [sx(node.x), sy(node.y), sizeOf(node) + 2];
  return [[x, y + away + 8], [x, y - away - 8], [x + away, y, 1], [x - away, y, -1]];
}

function drawLabels(shownNodes, shownEdges, stand) {
  const labels = new Labels(shownNodes);
  pen.globalAlpha = 1;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = colours.back;
  const label = (node, force) => labels.place(
    shorten(node.name, 34), sides(node),
    `${node === selected || node.edges.length > 7 ? 600 : 400} 12.5px system-ui, sans-serif`, colours.ink, force,
  );
  const edgeLabel = (edge, force) => {
    const shape = curve(edge), text = shorten(edge.predicate, 28);
    if (!force && !shape.loop && shape.length < (stand ? 40 : text.length * 6 + 20)) return;
    const centre = [shape.x, shape.loop ? shape.y - shape.radius - 6 : shape.y];
    labels.place(text, [centre], "italic 11px system-ui, sans-serif", stand ? colours.ink : colours.soft, force);
  };
  const focused = [selected, hovered].filter(Boolean);
  const first = new Set(focused.flatMap((focus) => (isEdge(focus) ? [focus.source, focus.target] : focus)).filter(isShown));
  const firstEdges = new Set(shownEdges.filter((edge) => focused.includes(edge)));
  firstEdges.forEach((edge) => edgeLabel(edge, true));
  first.forEach((node) => label(node, true));
  shownNodes.filter((node) => !first.has(node)).forEach((node) => label(node, false));
  shownEdges.filter((edge) => !firstEdges.has(edge)).forEach((edge) => edgeLabel(edge, false));
}

function draw() {
  const stand = emphasis();
  const shownNodes = ranked.filter(isShown);
  const shownEdges = edges.filter((edge) => isShown(edge.source) && isShown(edge.target));
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, view.width, view.height);
  const thin = view.scale < 0.4 ? 0.7 : 1.2;
  if (!stand) {
    drawEdges(shownEdges, colours.edge, thin, nodes.length > 500 ? 0.55 : 0.85);
    drawNodes([...shownNodes].reverse(), 1);
    drawLabels(shownNodes, shownEdges, false);
    return;
  }
  const [front, frontEdges] = [shownNodes.filter((node) => stand.nodes.has(node)), shownEdges.filter((edge) => stand.edges.has(edge))];
  drawEdges(shownEdges.filter((edge) => !stand.edges.has(edge)), colours.edge, thin, 0.15);
  drawNodes(shownNodes.filter((node) => !stand.nodes.has(node)).reverse(), 0.2);
  drawEdges(frontEdges, colours.accent, 1.8, 1);
  drawNodes([...front].reverse(), 1);
  for (const focus of [selected, hovered]) if (focus && !isEdge(focus) && isShown(focus)) ring(focus);
  drawLabels(front, frontEdges, true);
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "ink", "soft", "edge", "accent"]) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

function at(x, y) {
  const node = ranked.find((one) => isShown(one) && Math.hypot(sx(one.x) - x, sy(one.y) - y) < sizeOf(one) + 3);
  return node || edges.find((edge) => isShown(edge.source) && isShown(edge.target) && distanceTo(curve(edge), x, y) < 6) || null;
}

function distanceTo(shape, x, y) {
  if (shape.loop) return Math.abs(Math.hypot(x - shape.x, y - shape.y) - shape.radius);
  let [px, py, nearest] = [shape.x0, shape.y0, Infinity];
  for (let part = 1; part <= 8; part += 1) {
    const t = part / 8, u = 1 - t;
    const qx = u * u * shape.x0 + 2 * u * t * shape.cx + t * t * shape.x1;
    const qy = u * u * shape.y0 + 2 * u * t * shape.cy + t * t * shape.y1;
    const dx = qx - px, dy = qy - py;
    const along = Math.min(1, Math.max(0, ((x - px) * dx + (y - py) * dy) / (dx * dx + dy * dy || 1)));
    nearest = Math.min(nearest, Math.hypot(x - px - along * dx, y - py - along * dy));
    [px, py] = [qx, qy];
  }
  return nearest;
}

// ---- The panel: everything that the picture shows, as lists that a keyboard and a screen reader reach ----------------

function matches(node) {
  return !query || node.folded.includes(query) || fold(node.type).includes(query);
}

function rows(items, row) {
  const list = element("ul", {}, ...items.slice(0, LISTED).map((item) => element("li", {}, row(item))));
  if (items.length > LISTED) list.append(element("li", { className: "soft" }, `and ${(items.length - LISTED).toLocaleString("en")} more`));
  return list;
}

function dot(node) {
  const made = element("span", { className: "dot" });
  made.style.background = typeOf.get(node.type).colour;
  return made;
}

function name(text) {
  return element("bdi", {}, shorten(text, 120));
}

function nodeButton(node) {
  const count = element("span", { className: "count", title: "relations" }, String(node.edges.length));
  return element("button", { onclick: () => select(node) }, dot(node), name(node.name), count);
}

function nodeLink(node) {
  return element("button", { className: "link", onclick: () => select(node) }, name(node.name));
}

function fact(edge, from) {
  const predicate = element("span", { className: "predicate" }, edge.predicate);
  const words = from === edge.source ? [predicate, " ", name(edge.target.name)] : [name(edge.source.name), " ", predicate, " …"];
  return element("button", { onclick: () => select(edge) }, element("span", {}, ...words));
}

// Shows places in the document as buttons; pressing one marks and shows it there.
function places(spans, words, show) {
  return rows(spans, (span) => element("button", {
    onclick: (event) => {
      show(span);
      for (const other of $("panel").querySelectorAll(".current")) other.classList.remove("current");
      event.currentTarget.classList.add("current");
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

function showAll() {
  const found = ranked.filter((node) => isShown(node) && matches(node));
  $("panel").replaceChildren(
    element("h3", {}, `${found.length.toLocaleString("en")} ${found.length === 1 ? "entity" : "entities"}`), rows(found, nodeButton),
  );
  mark([]);
}

function showNode(node) {
  const show = (here) => mark([
    ...node.mentions.map((span) => ({ ...span, kind: "mention" })), ...(here ? [{ ...here, kind: "here" }] : []),
  ]);
  $("panel").replaceChildren(
    backButton(), element("h2", { dir: "auto" }, node.name),
    element("p", { className: "soft" }, dot(node), ` ${node.type}, ${percent(node.confidence)}`),
    ...(node.aliases.length ? [element("p", { className: "soft", dir: "auto" }, `Also: ${node.aliases.join(", ")}`)] : []),
    element("h3", {}, `${node.edges.length} relations`), rows(node.edges, (edge) => fact(edge, node)),
    element("h3", {}, `${node.mentions.length} mentions`), places(node.mentions, contextOf, show),
  );
  show(node.mentions[0]);
}

function showEdge(edge) {
  const show = (here) => mark([
    ...edge.evidence.map((span) => ({ ...span, kind: "evidence" })),
    ...mentionsIn(edge.source, edge.evidence, "subject"), ...mentionsIn(edge.target, edge.evidence, "object"),
    ...(here ? [{ ...here, kind: "here" }] : []),
  ]);
  $("panel").replaceChildren(
    backButton(),
    element("h2", {}, nodeLink(edge.source), element("span", { className: "predicate" }, ` ${edge.predicate} → `), nodeLink(edge.target)),
    element("p", { className: "soft" }, percent(edge.confidence)),
    element("h3", {}, edge.evidence.length === 1 ? "Stated in" : `Stated in ${edge.evidence.length} sentences`),
    places(edge.evidence, (span) => [excerpt(span)], show),
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
  hovered = null;
  if (!thing) showAll();
  else if (isEdge(thing)) showEdge(thing);
  else showNode(thing);
  if (thing) bringIntoView(...(isEdge(thing) ? [thing.source, thing.target] : [thing]));
  $("panel").scrollTop = 0;
  canvas.setAttribute("aria-label", describe());
  redraw();
}

function describe() {
  if (isEdge(selected)) return `${selected.source.name} ${selected.predicate} ${selected.target.name}`;
  if (selected) return `${selected.name}, ${selected.type}, ${selected.edges.length} relations`;
  return `Graph of ${nodes.length} entities and ${edges.length} relations; the list beside it holds the same`;
}

function typeFilter(type) {
  const box = element("input", { type: "checkbox", checked: true });
  box.onchange = () => {
    type.shown = box.checked;
    if (selected && !(isEdge(selected) ? isShown(selected.source) && isShown(selected.target) : isShown(selected))) select(null);
    if (!selected) showAll();
    redraw();
  };
  const sample = element("span", { className: "dot" });
  sample.style.background = type.colour;
  return element("label", {}, box, sample, element("bdi", {}, type.name), element("span", { className: "soft" }, type.count.toLocaleString("en")));
}

// ---- The events -----------------------------------------------------------------------------------------------

const pointers = new Map();
let travelled = 0;
let held = null;

canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  travelled = 0;
  const under = at(event.offsetX, event.offsetY);
  held = pointers.size === 1 && under && !isEdge(under) && heat <= SETTLED ? under : null;
};

canvas.onpointermove = (event) => {
  const before = pointers.get(event.pointerId), now = { x: event.offsetX, y: event.offsetY };
  if (!before) return hover(now);
  const dx = now.x - before.x, dy = now.y - before.y;
  travelled += Math.hypot(dx, dy);
  pointers.set(event.pointerId, now);
  if (pointers.size === 2) pinch(event.pointerId, before, now);
  else if (held && travelled > 4) moveNode(held, now);
  else if (!held) panBy(dx, dy);
};

canvas.onpointerup = (event) => {
  pointers.delete(event.pointerId);
  held = null;
  if (travelled <= 4) select(at(event.offsetX, event.offsetY));
};
canvas.onpointercancel = (event) => pointers.delete(event.pointerId);
canvas.onpointerleave = () => hover(null);

function hover(point) {
  const found = point ? at(point.x, point.y) : null;
  canvas.classList.toggle("over", Boolean(found));
  if (found === hovered) return;
  hovered = found;
  redraw();
}

function moveNode(node, to) {
  node.x = (to.x - view.x) / view.scale;
  node.y = (to.y - view.y) / view.scale;
  redraw();
}

function pinch(id, before, now) {
  const other = [...pointers].find(([one]) => one !== id)[1];
  const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
  zoomBy(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-Math.sign(event.deltaY) * Math.min(60, Math.abs(event.deltaY)) / 240), event.offsetX, event.offsetY);
}, { passive: false });

function showEverything() {
  fit();
  redraw();
}

const KEYS = {
  "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: showEverything,
  ArrowLeft: () => panBy(60, 0), ArrowRight: () => panBy(-60, 0), ArrowUp: () => panBy(0, 60), ArrowDown: () => panBy(0, -60),
};
canvas.onkeydown = (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  KEYS[event.key]();
};

document.onkeydown = (event) => {
  if (event.key === "Escape") search("");
  if (event.key === "/" && event.target !== $("search")) {
    event.preventDefault();
    $("search").focus();
  }
};

function search(words) {
  $("search").value = words;
  query = fold(words.trim());
  select(null);
}

$("search").oninput = () => search($("search").value);
$("search").onkeydown = (event) => {
  const found = ranked.find((node) => isShown(node) && matches(node));
  if (event.key === "Enter" && found) select(found);
};
$("closer").onclick = () => zoomBy(1.25);
$("farther").onclick = () => zoomBy(0.8);
$("fit").onclick = showEverything;

$("title").textContent = data.document.title || data.document.document_id;
$("counts").textContent = [[nodes, "entities"], [edges, "relations"]].map(([all, what]) => `${all.length.toLocaleString("en")} ${what}`).join(", ");
$("types").append(...types.map(typeFilter));
$("filters").open = types.length < 16;
$("empty").hidden = nodes.length > 0;

matchMedia("(prefers-color-scheme: dark)").onchange = () => {
  readColours();
  redraw();
};
new ResizeObserver(() => {
  view.width = canvas.clientWidth;
  view.height = canvas.clientHeight;
  canvas.width = view.width * devicePixelRatio;
  canvas.height = view.height * devicePixelRatio;
  if (!view.touched) fit();
  redraw();
}).observe(canvas);
readColours();
select(null);
