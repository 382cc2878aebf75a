"use strict";
// The picture on a canvas: drawn, panned, zoomed, pointed at. It knows nothing of the page around it: `onselect` is called
// with a node, an edge or null, and whoever embeds it calls `show` with a graph, as often as the graph grows.

const COLOURS = new Map([
  ["Person", "#3b7dd8"], ["Organization", "#e0792b"], ["Place", "#2f9e62"], ["Date", "#7c8798"], ["Product", "#8a63d2"],
  ["Work", "#c2447f"], ["Award", "#b08a1e"], ["Event", "#d0504a"], ["Language", "#1f9aa8"], ["Group", "#8d6b52"],
]);
const OTHERS = ["#3b7dd8", "#e0792b", "#2f9e62", "#c2447f", "#8a63d2", "#b08a1e", "#1f9aa8", "#d0504a", "#6f7d3c", "#8d6b52"];
const FONT = "system-ui, sans-serif";
const MANY = 600; // nodes above which only the essential is drawn while they move
const NEAR = 56; // pixels between two nodes below which their names hide them
const CROWD = 1500; // edges in view above which arrows are a blur, and cost more than all else

// Nodes and edges of a graph as the JSON document has it. `known` are nodes of an earlier state of the same graph.
function network(graph, known = new Map()) {
  const nodes = graph.entities.map((entity) => Object.assign(known.get(entity.id) || { x: 0, y: 0, vx: 0, vy: 0 }, entity, { edges: [] }));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const edges = graph.relations.map((relation) => ({
    ...relation, source: byId.get(relation.subject), target: byId.get(relation.object), bend: 0, index: 0,
  }));
  for (const edge of edges) {
    edge.source.edges.push(edge);
    if (edge.target !== edge.source) edge.target.edges.push(edge);
  }
  bendApart(edges);
  for (const node of nodes) node.radius = Math.min(26, 5 + 2.6 * Math.sqrt(node.edges.length));
  nodes.sort((a, b) => b.edges.length - a.edges.length || b.mentions.length - a.mentions.length);
  return { nodes, edges, byId, types: typesOf(nodes) };
}

// Edges between the same two entities are bent apart.
function bendApart(edges) {
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
}

function typesOf(nodes) {
  const counts = new Map();
  for (const node of nodes) counts.set(node.type, (counts.get(node.type) || 0) + 1);
  const taken = new Set([...counts.keys()].map((name) => COLOURS.get(name)));
  const free = OTHERS.filter((colour) => !taken.has(colour));
  const named = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  let others = 0;
  return new Map(named.map(([name, count]) => {
    const colour = COLOURS.get(name) || free[others] || `hsl(${Math.round(others * 137.5) % 360} 50% 52%)`;
    others += COLOURS.has(name) ? 0 : 1;
    return [name, { name, count, shown: true, colour }];
  }));
}

const isEdge = (thing) => Boolean(thing && thing.source);

class Picture {
  constructor(canvas, onselect) {
    Object.assign(this, { canvas, onselect, pen: canvas.getContext("2d"), colours: {}, widths: new Map() });
    this.view = { x: 0, y: 0, scale: 1, width: 0, height: 0, touched: false };
    Object.assign(this, { selected: null, hovered: null, found: null, byType: false, awaited: false });
    this.show({ entities: [], relations: [] });
    this.listen();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.repaint();
  }

  // Shows a graph; what was shown before keeps its place, its type's colour may change.
  show(graph) {
    const hidden = new Set([...(this.types || new Map()).values()].filter((type) => !type.shown).map((type) => type.name));
    Object.assign(this, network(graph, this.byId));
    for (const type of this.types.values()) type.shown = !hidden.has(type.name);
    this.selected = this.hovered = this.found = null;
    this.place();
  }

  arrangeByType(byType) {
    this.byType = byType;
    for (const node of this.nodes) node.placed = false;
    this.view.touched = false;
    this.place();
  }

  place() {
    const { width, height } = this.frameOf();
    this.layout = new Layout(this.nodes, this.edges, this.byType, width, height);
    this.fit();
    this.redraw();
  }

  resize() {
    const { view, canvas } = this;
    const isFirst = !view.width;
    view.width = canvas.clientWidth;
    view.height = canvas.clientHeight;
    canvas.width = view.width * devicePixelRatio;
    canvas.height = view.height * devicePixelRatio;
    if (!view.width || !view.height) return;
    if (isFirst) return this.place();
    Object.assign(this.layout, this.frameOf());
    if (!view.touched) {
      this.layout.arrange();
      this.fit();
    }
    this.redraw();
  }

  repaint() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["back", "ink", "soft", "edge", "accent"]) this.colours[name] = style.getPropertyValue(`--${name}`).trim();
    this.redraw();
  }

  // ---- Where things are on the screen -------------------------------------------------------------------------------

  sx(x) {
    return x * this.view.scale + this.view.x;
  }

  sy(y) {
    return y * this.view.scale + this.view.y;
  }

  sizeOf(node) {
    const { scale } = this.view;
    const size = node.radius * Math.min(1.5, Math.max(0.35, Math.sqrt(scale)));
    return node.listed ? Math.min(size, Math.max(1.5, 0.45 * this.layout.cell.height * scale)) : size;
  }

  isShown(node) {
    return this.types.get(node.type).shown;
  }

  joins(edge) {
    return this.isShown(edge.source) && this.isShown(edge.target);
  }

  // The line of an edge; for a relation of an entity with itself, a circle above it.
  curve(edge) {
    const { source, target } = edge, scale = this.view.scale;
    const x0 = this.sx(source.x), y0 = this.sy(source.y), x1 = this.sx(target.x), y1 = this.sy(target.y);
    if (source === target) {
      const radius = 9 + 6 * edge.index;
      return { loop: true, x: x0, y: y0 - this.sizeOf(source) - radius + 3, radius };
    }
    const length = Math.hypot(x1 - x0, y1 - y0) || 1, bend = edge.bend * Math.min(1.5, Math.sqrt(scale));
    const cx = (x0 + x1) / 2 + ((y1 - y0) / length) * bend, cy = (y0 + y1) / 2 - ((x1 - x0) / length) * bend;
    return { loop: false, x0, y0, cx, cy, x1, y1, length, straight: !edge.bend, x: (x0 + 2 * cx + x1) / 4, y: (y0 + 2 * cy + y1) / 4 };
  }

  // The part of the canvas that a fitted graph fills: the rest is for labels at the rim, and for the buttons.
  frameOf() {
    const { width, height } = this.view, sides = width < 500 ? 36 : 60, top = 62, bottom = 36;
    return { left: sides, top, width: Math.max(1, width - 2 * sides), height: Math.max(1, height - top - bottom) };
  }

  fit() {
    const { view } = this;
    const shown = this.nodes.filter((node) => this.isShown(node));
    if (!shown.length || !view.width) return;
    const { reach } = this.layout.cell;
    const ends = shown.map((node) => (node.listed ? { x: node.x + reach, y: node.y } : node));
    const corners = this.layout.blocks.map((one) => ({ x: one.x, y: one.y }));
    const [left, top, right, bottom] = extent([...shown, ...ends, ...corners]);
    const frame = this.frameOf();
    view.scale = Math.min(1.5, frame.width / (right - left + 1), frame.height / (bottom - top + 1));
    view.x = frame.left + frame.width / 2 - ((left + right) / 2) * view.scale;
    view.y = frame.top + frame.height / 2 - ((top + bottom) / 2) * view.scale;
  }

  zoomBy(factor, x = this.view.width / 2, y = this.view.height / 2) {
    const { view } = this;
    const scale = Math.min(12, Math.max(0.02, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    Object.assign(view, { scale, touched: true });
    this.redraw();
  }

  panBy(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.view.touched = true;
    this.redraw();
  }

  showEverything() {
    this.view.touched = false;
    this.fit();
    this.redraw();
  }

  // Pans so that they are seen, and zooms in where two of them are too close for their names.
  bringIntoView(...things) {
    const { view } = this;
    const placesOf = () => [things.map((node) => this.sx(node.x)), things.map((node) => this.sy(node.y))];
    let [xs, ys] = placesOf();
    const apart = Math.hypot(xs[0] - xs[xs.length - 1], ys[0] - ys[ys.length - 1]);
    if (things.length > 1 && apart > 1 && apart < NEAR) {
      this.zoomBy((1.6 * NEAR) / apart, (xs[0] + xs[1]) / 2, (ys[0] + ys[1]) / 2);
      [xs, ys] = placesOf();
    }
    const inside = (values, size) => Math.min(...values) > 40 && Math.max(...values) < size - 40;
    if (inside(xs, view.width) && inside(ys, view.height)) return;
    this.panBy(view.width / 2 - (Math.min(...xs) + Math.max(...xs)) / 2, view.height / 2 - (Math.min(...ys) + Math.max(...ys)) / 2);
  }

  select(thing) {
    this.selected = thing;
    this.hovered = null;
    if (thing) this.bringIntoView(...(isEdge(thing) ? [thing.source, thing.target] : [thing]));
    this.redraw();
  }

  // Lets those nodes stand out that a search has found; null ends it.
  stress(found) {
    this.found = found && new Set(found);
    this.redraw();
  }

  // ---- Drawing ----------------------------------------------------------------------------------------------------

  redraw() {
    if (this.awaited) return;
    this.awaited = true;
    requestAnimationFrame(() => this.frame());
  }

  // One frame: a slice of the layout while it is warm, so that a person can move about meanwhile, then the drawing.
  frame() {
    this.awaited = false;
    if (!this.view.width) return;
    const moving = !this.layout.settled;
    if (moving) {
      this.layout.run(12, () => performance.now());
      if (!this.view.touched) this.fit();
      this.redraw();
    } else {
      this.canvas.dataset.layout = "settled";
    }
    this.draw(moving && this.nodes.length > MANY);
  }

  // What stands out, or null if everything is equal.
  emphasis() {
    const focus = this.selected || this.hovered;
    if (isEdge(focus)) return { nodes: new Set([focus.source, focus.target]), edges: new Set([focus]) };
    if (focus) return { nodes: new Set([focus, ...focus.edges.flatMap((edge) => [edge.source, edge.target])]), edges: new Set(focus.edges) };
    return this.found && { nodes: this.found, edges: new Set() };
  }

  draw(sketch) {
    const { pen, view, colours } = this;
    const stand = this.emphasis();
    const nodes = this.nodes.filter((node) => this.isShown(node)), edges = this.edges.filter((edge) => this.joins(edge));
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, view.width, view.height);
    const thin = view.scale < 0.4 ? 0.7 : 1.1;
    const faint = edges.length > MANY ? (this.byType ? 0.2 : 0.5) : this.byType ? 0.4 : 0.85;
    if (!stand) {
      this.drawEdges(edges, colours.edge, thin, faint, sketch);
      this.drawNodes(nodes, 1);
      if (!sketch) this.drawLabels(nodes, edges, false);
      return;
    }
    const [front, frontEdges] = [nodes.filter((node) => stand.nodes.has(node)), edges.filter((edge) => stand.edges.has(edge))];
    this.drawEdges(edges.filter((edge) => !stand.edges.has(edge)), colours.edge, thin, 0.25 * faint);
    this.drawNodes(nodes.filter((node) => !stand.nodes.has(node)), 0.3);
    this.drawEdges(frontEdges, colours.accent, 1.8, 1);
    this.drawNodes(front, 1);
    for (const focus of [this.selected, this.hovered]) if (focus && !isEdge(focus) && this.isShown(focus)) this.ring(focus);
    this.drawLabels(front, frontEdges, true);
  }

  // All edges of one look are one path: thousands of them cost one stroke.
  drawEdges(edges, colour, width, alpha, sketch = false) {
    const { pen, view } = this;
    const off = (shape) => !shape.loop && (Math.max(shape.x0, shape.x1) < -50 || Math.max(shape.y0, shape.y1) < -50
      || Math.min(shape.x0, shape.x1) > view.width + 50 || Math.min(shape.y0, shape.y1) > view.height + 50);
    const shapes = edges.map((edge) => [edge, this.curve(edge)]).filter(([, shape]) => !off(shape));
    Object.assign(pen, { globalAlpha: alpha, strokeStyle: colour, fillStyle: colour, lineWidth: width });
    pen.beginPath();
    for (const [, shape] of shapes) trace(pen, shape);
    pen.stroke();
    if (sketch || shapes.length > CROWD) return;
    pen.beginPath();
    for (const [edge, shape] of shapes) this.arrow(edge, shape);
    pen.fill();
  }

  arrow(edge, shape) {
    const { pen } = this;
    const gap = this.sizeOf(edge.target) + 1;
    if (shape.loop || shape.length < gap + 18) return;
    const angle = Math.atan2(shape.y1 - shape.cy, shape.x1 - shape.cx);
    const x = shape.x1 - gap * Math.cos(angle), y = shape.y1 - gap * Math.sin(angle);
    pen.moveTo(x, y);
    pen.lineTo(x - 7 * Math.cos(angle - 0.4), y - 7 * Math.sin(angle - 0.4));
    pen.lineTo(x - 7 * Math.cos(angle + 0.4), y - 7 * Math.sin(angle + 0.4));
    pen.closePath();
  }

  drawNodes(nodes, alpha) {
    const { pen, view } = this;
    Object.assign(pen, { globalAlpha: alpha, strokeStyle: this.colours.back, lineWidth: view.scale < 0.4 ? 0.6 : 1.5 });
    for (const type of this.types.values()) {
      pen.fillStyle = type.colour;
      pen.beginPath();
      for (const node of nodes) {
        if (node.type !== type.name) continue;
        const x = this.sx(node.x), y = this.sy(node.y), size = this.sizeOf(node);
        if (x < -size || y < -size || x > view.width + size || y > view.height + size) continue;
        pen.moveTo(x + size, y);
        pen.arc(x, y, size, 0, 7);
      }
      pen.fill();
      pen.stroke();
    }
  }

  ring(node) {
    const { pen } = this;
    Object.assign(pen, { globalAlpha: 1, strokeStyle: this.colours.ink, lineWidth: 2 });
    pen.beginPath();
    pen.arc(this.sx(node.x), this.sy(node.y), this.sizeOf(node) + 3, 0, 7);
    pen.stroke();
  }

  drawLabels(nodes, edges, stand) {
    const { pen, colours, view } = this;
    const labels = new Labels(this, nodes);
    Object.assign(pen, { globalAlpha: 1, textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 4, strokeStyle: colours.back });
    const focused = [this.selected, this.hovered].filter(Boolean);
    const first = new Set(focused.flatMap((focus) => (isEdge(focus) ? [focus.source, focus.target] : focus)).filter((node) => this.isShown(node)));
    const firstEdges = new Set(edges.filter((edge) => focused.includes(edge)));
    this.drawHeadings(labels);
    for (const edge of firstEdges) this.labelEdge(labels, edge, stand, true);
    for (const node of first) this.labelNode(labels, node, true);
    for (const node of nodes) if (!first.has(node)) this.labelNode(labels, node, false);
    if ((view.scale < 0.25 || this.byType) && !stand) return;
    for (const edge of edges) if (!firstEdges.has(edge)) this.labelEdge(labels, edge, stand, false);
  }

  drawHeadings(labels) {
    const shown = this.layout.blocks.filter((one) => this.types.get(one.type)?.shown);
    if (!shown.length) return;
    const font = `600 12px ${FONT}`;
    for (const one of shown) {
      const place = [this.sx(one.x), this.sy(one.y + this.layout.cell.heading) - 8, 1];
      labels.place(`${shorten(one.type, 24)}  ${one.nodes.length}`, [place], font, this.colours.soft, { force: true });
    }
    if (this.byType) return;
    const left = Math.min(...shown.map((one) => one.x)), top = Math.min(...shown.map((one) => one.y));
    labels.place("Mentioned, in no relation", [[this.sx(left), this.sy(top + this.layout.cell.heading) - 28, 1]], `italic 12px ${FONT}`, this.colours.soft, { force: true });
  }

  labelNode(labels, node, force) {
    const x = this.sx(node.x), y = this.sy(node.y), away = this.sizeOf(node) + 2;
    const right = [x + away + 1, y, 1];
    const { cell } = this.layout, row = cell.height * this.view.scale, isInRow = node.listed && cell.named;
    if (node.listed && row < (cell.named ? LEGIBLE - 1 : 16) && !force) return;
    const centres = isInRow ? [right] : [[x, y + away + 8], [x, y - away - 8], right, [x - away - 1, y, -1]];
    const size = isInRow ? Math.min(12.5, 0.85 * row) : 12.5;
    const most = isInRow && !force ? Math.floor((((cell.width - 24) * this.view.scale) / size) * 1.7) : 32;
    const weight = node === this.selected || (!node.listed && node.edges.length > 5) ? 600 : 400;
    labels.place(shorten(node.name, most), centres, `${weight} ${force ? 12.5 : size}px ${FONT}`, this.colours.ink, { force, mayCover: isInRow || node.edges.length > 2, high: isInRow ? row / 2 : 8 });
  }

  labelEdge(labels, edge, stand, force) {
    const shape = this.curve(edge), text = shorten(edge.predicate, 28);
    if (!force && !shape.loop && shape.length < (stand ? 40 : text.length * 6 + 24)) return;
    const centre = [shape.x, shape.loop ? shape.y - shape.radius - 6 : shape.y];
    labels.place(text, [centre], `italic 11px ${FONT}`, stand ? this.colours.ink : this.colours.soft, { force });
  }

  widthOf(text, font) {
    const key = `${font}\u0000${text}`;
    if (this.widths.size > 20000) this.widths.clear();
    if (!this.widths.has(key)) {
      this.pen.font = font;
      this.widths.set(key, this.pen.measureText(text).width);
    }
    return this.widths.get(key);
  }

  // ---- Pointing --------------------------------------------------------------------------------------------------

  at(x, y) {
    const near = (node) => this.isShown(node) && Math.hypot(this.sx(node.x) - x, this.sy(node.y) - y) < this.sizeOf(node) + 4;
    return this.nodes.find(near) || this.listedAt(x, y)
      || this.edges.find((edge) => this.joins(edge) && distanceTo(this.curve(edge), x, y) < 6) || null;
  }

  // In a block the name beside a node is part of it.
  listedAt(x, y) {
    const scale = this.view.scale;
    const { cell } = this.layout;
    return this.nodes.find((node) => node.listed && this.isShown(node) && Math.abs(this.sy(node.y) - y) < (cell.height * scale) / 2
      && x > this.sx(node.x) && x < this.sx(node.x) + cell.reach * scale);
  }

  listen() {
    const { canvas } = this;
    const pointers = new Map();
    let travelled = 0, held = null;
    const pointOf = (event) => ({ x: event.offsetX, y: event.offsetY });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, pointOf(event));
      travelled = 0;
      const under = this.at(event.offsetX, event.offsetY);
      held = pointers.size === 1 && under && !isEdge(under) && !under.listed && this.layout.settled ? under : null;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId), now = pointOf(event);
      if (!before) return this.hover(now);
      const dx = now.x - before.x, dy = now.y - before.y;
      travelled += Math.hypot(dx, dy);
      pointers.set(event.pointerId, now);
      if (pointers.size === 2) this.pinch([...pointers].find(([id]) => id !== event.pointerId)[1], before, now);
      else if (held && travelled > 4) this.moveNode(held, now);
      else if (!held) this.panBy(dx, dy);
    });
    canvas.addEventListener("pointerup", (event) => {
      pointers.delete(event.pointerId);
      held = null;
      if (travelled <= 4) this.onselect(this.at(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-Math.sign(event.deltaY) * Math.min(60, Math.abs(event.deltaY)) / 240), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const keys = {
      "+": () => this.zoomBy(1.25), "=": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8), 0: () => this.showEverything(),
      ArrowLeft: () => this.panBy(60, 0), ArrowRight: () => this.panBy(-60, 0), ArrowUp: () => this.panBy(0, 60), ArrowDown: () => this.panBy(0, -60),
    };
    if (!Object.hasOwn(keys, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  hover(point) {
    const found = point ? this.at(point.x, point.y) : null;
    this.canvas.classList.toggle("over", Boolean(found));
    if (found === this.hovered) return;
    this.hovered = found;
    this.redraw();
  }

  moveNode(node, to) {
    node.x = (to.x - this.view.x) / this.view.scale;
    node.y = (to.y - this.view.y) / this.view.scale;
    this.view.touched = true;
    this.redraw();
  }

  pinch(other, before, now) {
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    this.zoomBy(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }
}

function trace(pen, shape) {
  if (shape.loop) {
    pen.moveTo(shape.x + shape.radius, shape.y);
    pen.arc(shape.x, shape.y, shape.radius, 0, 7);
    return;
  }
  pen.moveTo(shape.x0, shape.y0);
  if (shape.straight) pen.lineTo(shape.x1, shape.y1);
  else pen.quadraticCurveTo(shape.cx, shape.cy, shape.x1, shape.y1);
}

function shorten(text, most) {
  const points = Array.from(text.slice(0, 4 * most).replace(/\s+/g, " "));
  return points.length > most ? points.slice(0, most - 1).join("") + "…" : points.join("");
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

// Labels go where no other label is, and on no node if there is such a side, the most important first; the rest appear on
// zooming in. Boxes are looked up by the squares of a grid.
const SQUARE = 64;

class Labels {
  constructor(picture, nodes) {
    const { view } = picture;
    Object.assign(this, { picture, view, squares: new Map(), left: nodes.length > MANY ? Math.max(16, (view.width * view.height) / 9000) : Infinity });
    for (const node of nodes) {
      const [x, y, size] = [picture.sx(node.x), picture.sy(node.y), picture.sizeOf(node)];
      this.take({ left: x - size, top: y - size, right: x + size, bottom: y + size, label: false });
    }
  }

  *around(box) {
    for (let x = Math.floor(box.left / SQUARE); x <= box.right / SQUARE; x += 1) {
      for (let y = Math.floor(box.top / SQUARE); y <= box.bottom / SQUARE; y += 1) yield x * 65536 + y;
    }
  }

  take(box) {
    if (box.right < 0 || box.bottom < 0 || box.left > this.view.width || box.top > this.view.height) return;
    for (const square of this.around(box)) {
      if (!this.squares.has(square)) this.squares.set(square, []);
      this.squares.get(square).push(box);
    }
  }

  hits(box, labelsOnly) {
    const overlaps = (other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom
      && (other.label || !labelsOnly);
    for (const square of this.around(box)) if (this.squares.get(square)?.some(overlaps)) return true;
    return false;
  }

  // In the view, and not behind the buttons in its corner.
  inside(box) {
    const { width, height } = this.view;
    return box.left >= 0 && box.top >= 0 && box.right <= width && box.bottom <= height && (box.top > 46 || box.right < width - 192);
  }

  place(text, centres, font, colour, { force = false, mayCover = true, high = 8 }) {
    const [x, y] = centres[0];
    if (!force && (this.left < 1 || x < -60 || y < -20 || x > this.view.width + 60 || y > this.view.height + 20)) return;
    const half = this.picture.widthOf(text, font) / 2 + 3;
    const boxes = centres.map(([cx, cy, side = 0]) => ({
      left: cx + side * half - half, top: cy - high + 0.5, right: cx + side * half + half, bottom: cy + high - 0.5, label: true,
    }));
    const within = boxes.filter((box) => this.inside(box));
    const box = within.find((one) => !this.hits(one, false)) || (mayCover && within.find((one) => !this.hits(one, true)))
      || (force && (within[0] || boxes[0]));
    if (!box) return;
    this.take(box);
    this.left -= 1;
    const { pen } = this.picture;
    pen.font = font;
    const [middle, line] = [box.left + half, (box.top + box.bottom) / 2];
    pen.strokeText(text, middle, line);
    pen.fillStyle = colour;
    pen.fillText(text, middle, line);
  }
}
