"use strict";
// Where entities stand. What is related is placed by springs, and by repulsion after Barnes and Hut (Nature 324, 1986);
// it cools down and stops. What is in no relation stands in a block of names for each type, and so does everything in the
// arrangement by type. No chance and no clock decide anything: the same graph gets the same picture. No DOM in here.

const SETTLED = 0.002, COOLING = 0.978, OPENING = 0.9, PUSH = 520, LENGTH = 70;
const NAMES = { width: 168, height: 21, reach: 128, heading: 26, gap: 30, narrowest: 0, named: true }; // a block's cells
const DOTS = { width: 8, height: 8, reach: 4, heading: 20, gap: 14, narrowest: 118, named: false }; // the same, on the screen
const LEGIBLE = 11.5; // pixels of a row in which a name can be read

class Layout {
  // Nodes have a type, a radius and edges, edges have source and target. Nodes that were placed before stay near.
  constructor(nodes, edges, byType, width, height) {
    Object.assign(this, { nodes, edges, byType, width, height, blocks: [], heat: 1 });
    this.related = nodes.filter((node) => node.edges.length);
    this.tree = new Tree(this.related);
    if (this.related.some((node) => node.placed)) this.heat = 0.3;
    this.sow();
  }

  get settled() {
    return this.byType || this.heat <= SETTLED || !this.related.length;
  }

  // Works for that many milliseconds at most, by the given clock; at least one round.
  run(milliseconds, now) {
    const until = now() + milliseconds;
    do this.step(); while (!this.settled && now() < until);
    this.arrange();
  }

  // A sunflower as the start, neighbours after one another: what is connected starts close together.
  sow() {
    const fresh = this.connected().filter((node) => !node.placed);
    fresh.forEach((node, index) => {
      const near = node.edges.map((edge) => (edge.source === node ? edge.target : edge.source)).find((other) => other.placed);
      const distance = 24 * Math.sqrt(index + 0.5), angle = index * 2.399963;
      node.x = (near && !this.byType ? near.x : 0) + distance * Math.cos(angle);
      node.y = (near && !this.byType ? near.y : 0) + distance * Math.sin(angle);
    });
    for (const node of this.related) Object.assign(node, { placed: true, vx: 0, vy: 0 });
    this.arrange();
  }

  connected() {
    const order = new Set();
    for (const hub of this.related) {
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
    return [...order];
  }

  step() {
    if (this.settled) return;
    this.tree.build();
    for (let index = 0; index < this.related.length; index += 1) this.tree.repel(index, this.heat);
    for (const edge of this.edges) attract(edge, this.heat);
    this.gather();
    for (const node of this.related) {
      node.x += node.vx *= 0.55;
      node.y += node.vy *= 0.55;
    }
    this.heat *= COOLING;
  }

  // Towards the middle, less so along the longer side of the view and in large graphs, and a little towards those of the
  // same type.
  gather() {
    const middles = new Map();
    for (const node of this.related) {
      const middle = middles.get(node.type) || { x: 0, y: 0, count: 0 };
      middles.set(node.type, { x: middle.x + node.x, y: middle.y + node.y, count: middle.count + 1 });
    }
    const wide = Math.min(2, Math.max(0.5, this.width / this.height)), inwards = 0.03 + 0.6 / this.related.length;
    for (const node of this.related) {
      const middle = middles.get(node.type);
      node.vx += this.heat * ((middle.x / middle.count - node.x) * 0.012 - (node.x * inwards) / wide);
      node.vy += this.heat * ((middle.y / middle.count - node.y) * 0.012 - node.y * inwards * wide);
    }
  }

  // The blocks, beside or below what is related, whichever leaves more room for both; of names, if these can be read.
  arrange() {
    const types = new Map();
    for (const node of this.nodes) {
      node.listed = this.byType || !node.edges.length;
      if (!node.listed) continue;
      if (!types.has(node.type)) types.set(node.type, []);
      types.get(node.type).push(node);
    }
    const groups = [...types].sort((a, b) => b[1].length - a[1].length);
    let best = this.bestPlace(groups, NAMES);
    if (best.scale * NAMES.height < LEGIBLE) {
      for (let round = 0; round < 3; round += 1) best = this.bestPlace(groups, enlarged(DOTS, 1 / best.scale));
    }
    this.cell = best.cell;
    this.blocks = best.blocks.map((one) => ({ ...one, x: best.x + one.x, y: best.y + one.y }));
    for (const one of this.blocks) {
      one.nodes.forEach((node, index) => {
        node.x = one.x + Math.floor(index / one.rows) * best.cell.width + Math.min(10, best.cell.width / 2);
        node.y = one.y + best.cell.heading + ((index % one.rows) + 0.5) * best.cell.height;
      });
    }
  }

  bestPlace(groups, cell) {
    const [left, top, right, bottom] = this.byType ? [0, 0, 0, 0] : extent(this.related);
    const space = this.byType || !this.related.length ? 0 : 3 * cell.gap;
    const blocks = groups.map(([type, nodes]) => block(type, nodes, cell));
    const scale = (width, height) => Math.min(1.5, this.width / (width + 1), this.height / (height + 1));
    const places = widths(blocks, right - left, cell.gap).flatMap((most) => {
      const packed = pack(blocks, most, cell.gap);
      return [
        { ...packed, x: (left + right - packed.width) / 2, y: bottom + space,
          scale: scale(Math.max(packed.width, right - left), packed.height + space + bottom - top) },
        { ...packed, x: right + space, y: (top + bottom - packed.height) / 2,
          scale: scale(packed.width + space + right - left, Math.max(packed.height, bottom - top)) },
      ];
    });
    const best = places.reduce((a, b) => (b.scale > a.scale * 1.001 ? b : a), places[0] || { blocks: [], x: 0, y: 0, scale: 1 });
    return { ...best, cell };
  }
}

function extent(nodes) {
  let [left, top, right, bottom] = nodes.length ? [Infinity, Infinity, -Infinity, -Infinity] : [0, 0, 0, 0];
  for (const { x, y } of nodes) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return [left, top, right, bottom];
}

function block(type, nodes, cell) {
  const columns = Math.max(1, Math.round(Math.sqrt((nodes.length * cell.height) / cell.width)), Math.floor(cell.narrowest / cell.width));
  const rows = Math.ceil(nodes.length / columns);
  const width = Math.max(cell.narrowest, Math.ceil(nodes.length / rows) * cell.width);
  return { type, nodes, rows, width, height: cell.heading + rows * cell.height };
}

function enlarged(cell, factor) {
  return Object.fromEntries(Object.entries(cell).map(([name, value]) => [name, typeof value === "number" ? value * factor : value]));
}

// Widths worth trying, from the widest block to all blocks in one row.
function widths(blocks, atLeast, gap) {
  if (!blocks.length) return [];
  const widest = Math.max(...blocks.map((one) => one.width));
  const all = blocks.reduce((sum, one) => sum + one.width + gap, 0);
  return [atLeast, ...Array.from({ length: 12 }, (_, index) => (all * (index + 1)) / 12)].map((width) => Math.max(width, widest));
}

function pack(blocks, most, gap) {
  const placed = [];
  let x = 0, y = 0, tallest = 0, width = 0;
  for (const one of blocks) {
    if (x && x + one.width > most) {
      x = 0;
      y += tallest + gap;
      tallest = 0;
    }
    placed.push({ ...one, x, y });
    width = Math.max(width, x + one.width);
    x += one.width + gap;
    tallest = Math.max(tallest, one.height);
  }
  return { blocks: placed, width, height: y + tallest };
}

// Barnes and Hut's tree in flat arrays: a cell knows how many nodes it holds and the sums of their places; `child` is the
// first of its four cells, or 0; `leaf` is its only node, or -1 where it holds none or several.
class Tree {
  constructor(nodes) {
    this.nodes = nodes;
    this.capacity = 8 * nodes.length + 64;
    const floats = () => new Float64Array(this.capacity), integers = () => new Int32Array(this.capacity);
    Object.assign(this, { mass: floats(), sx: floats(), sy: floats(), size: floats(), child: integers(), leaf: integers() });
    this.waiting = new Int32Array(256);
  }

  build() {
    let reach = 1;
    for (const node of this.nodes) reach = Math.max(reach, Math.abs(node.x), Math.abs(node.y));
    this.used = 0;
    this.open(2 * reach, 1);
    this.nodes.forEach((node, index) => this.insert(index, node.x, node.y));
  }

  open(size, count) {
    for (let cell = this.used; cell < this.used + count; cell += 1) {
      this.mass[cell] = this.sx[cell] = this.sy[cell] = this.child[cell] = 0;
      this.leaf[cell] = -1;
      this.size[cell] = size;
    }
    this.used += count;
    return this.used - count;
  }

  add(cell, x, y) {
    this.mass[cell] += 1;
    this.sx[cell] += x;
    this.sy[cell] += y;
  }

  insert(index, x, y) {
    let cell = 0, cx = 0, cy = 0;
    for (let depth = 0; this.mass[cell]; depth += 1) {
      const quarter = this.size[cell] / 4, full = depth > 30 || this.used + 4 > this.capacity;
      if (!this.child[cell] && !full) {
        this.child[cell] = this.open(this.size[cell] / 2, 4);
        const inner = this.child[cell] + (this.sx[cell] > cx ? 1 : 0) + (this.sy[cell] > cy ? 2 : 0);
        this.add(inner, this.sx[cell], this.sy[cell]);
        this.leaf[inner] = this.leaf[cell];
      }
      this.leaf[cell] = -1;
      this.add(cell, x, y);
      if (!this.child[cell]) return;
      const right = x > cx, low = y > cy;
      cell = this.child[cell] + (right ? 1 : 0) + (low ? 2 : 0);
      cx += right ? quarter : -quarter;
      cy += low ? quarter : -quarter;
    }
    this.leaf[cell] = index;
    this.add(cell, x, y);
  }

  repel(index, heat) {
    const node = this.nodes[index];
    const { mass, sx, sy, size, child, leaf, waiting } = this;
    let count = 1;
    waiting[0] = 0;
    while (count) {
      const cell = waiting[count -= 1], held = mass[cell];
      if (!held || leaf[cell] === index) continue;
      const dx = node.x - sx[cell] / held, dy = node.y - sy[cell] / held, squared = dx * dx + dy * dy;
      if (child[cell] && size[cell] * size[cell] > OPENING * OPENING * squared) {
        for (let inner = child[cell]; inner < child[cell] + 4; inner += 1) waiting[count++] = inner;
      } else {
        const push = (heat * PUSH * held) / Math.max(squared, 100);
        node.vx += dx * push;
        node.vy += dy * push;
      }
    }
  }
}

function attract(edge, heat) {
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
