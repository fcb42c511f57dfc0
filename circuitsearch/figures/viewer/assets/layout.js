// The layout: rows from the embedding up to the logits, and a route for each strand past the nodes between.
// The world's y grows downwards, as the screen's does, so rows further up the model have smaller y.

/** @import { Layout, Page, Row, Strand } from "./types" */

export const NODE_WIDTH = 58;
export const NODE_HEIGHT = 32;
const NODE_GAP = 18;
const CLEAR = 5; // between a strand and a node that it passes
const LOWEST_GAP = 34;
const HIGHEST_GAP = 92;
const WIDEST_SPREAD = 2;
const WIDEST_ROW = 32; // nodes; longer rows are broken
const PORT_SHIFT = { q: -17, k: 0, v: 17 };
const ROOM = 34; // how wide strands that meet at a node may spread
const PORT_ROOM = 10;

/**
 * Lay out a circuit. `rank` orders the nodes of a row, the same at every size, so that none jumps over another.
 * @param {Page} page
 * @param {Strand[]} strands
 * @param {number[]} nodes
 * @param {Float64Array} rank
 * @param {number} shape of the view, its width over its height: a drawing that is narrower is spread
 * @returns {Layout}
 */
export function layOut(page, strands, nodes, rank, shape) {
  const rows = rowsOf(page, nodes, rank);
  const x = columns(page, strands, rows);
  const rowOf = new Map(rows.flatMap((row, index) => row.nodes.map((node) => [node, index])));
  setHeights(rows, strands, x, rowOf);
  const { left, right, top, bottom } = boxOf(rows, x);
  const wider = Math.min(WIDEST_SPREAD, Math.max(1, ((bottom - top) * shape * 0.8) / (right - left)));
  for (const node of nodes) x[node] *= wider;
  const y = new Float64Array(page.nodes.length).fill(NaN);
  for (const row of rows) for (const node of row.nodes) y[node] = row.y;
  const routes = routesOf(strands, rows, rowOf, x);
  return { x, y, rows, routes, box: boxOf(rows, x) };
}

/**
 * @param {Page} page
 * @param {number[]} nodes
 * @param {Float64Array} rank
 * @returns {Row[]}
 */
function rowsOf(page, nodes, rank) {
  /** @type {Map<number, number[]>} */
  const together = new Map();
  for (const node of nodes) {
    const row = page.nodes[node][3];
    together.set(row, [...(together.get(row) ?? []), node]);
  }
  return [...together.keys()]
    .sort((a, b) => a - b)
    .flatMap((row) => broken((together.get(row) ?? []).sort((a, b) => rank[a] - rank[b] || a - b)))
    .map((members) => ({ nodes: members, layer: page.nodes[members[0]][2], y: 0 }));
}

/**
 * @param {number[]} members
 * @returns {number[][]}
 */
function broken(members) {
  const parts = Math.ceil(members.length / WIDEST_ROW);
  const each = Math.ceil(members.length / parts);
  return Array.from({ length: parts }, (_, part) => members.slice(part * each, (part + 1) * each));
}

/**
 * Order the nodes of each row by the positions of their neighbours (Sugiyama's barycentres), weighted by strength.
 * @param {Page} page
 * @param {Strand[]} strands
 * @returns {Float64Array}
 */
export function ranks(page, strands) {
  const rank = new Float64Array(page.nodes.length);
  /** @type {Map<number, number[]>} */
  const rows = new Map();
  page.nodes.forEach(([, , , row], node) => rows.set(row, [...(rows.get(row) ?? []), node]));
  for (const members of rows.values()) spreadRanks(members, rank);
  for (let sweep = 0; sweep < 8; sweep += 1) {
    const wanted = barycentres(strands, rank, sweep % 2 ? "from" : "to");
    for (const members of rows.values()) {
      const sorted = [...members].sort((a, b) => (wanted[a] ?? rank[a]) - (wanted[b] ?? rank[b]) || a - b);
      spreadRanks(sorted, rank);
    }
  }
  return rank;
}

/**
 * @param {number[]} members
 * @param {Float64Array} rank
 */
function spreadRanks(members, rank) {
  members.forEach((node, place) => {
    rank[node] = place - (members.length - 1) / 2;
  });
}

/**
 * @param {Strand[]} strands
 * @param {Float64Array} places
 * @param {"from" | "to"} side whose place is asked for
 * @returns {(number | undefined)[]}
 */
function barycentres(strands, places, side) {
  const other = side === "from" ? "to" : "from";
  const sums = new Float64Array(places.length);
  const weights = new Float64Array(places.length);
  for (const strand of strands) {
    const weight = Math.abs(strand.score ?? 1) + 1e-12;
    sums[strand[side]] += weight * places[strand[other]];
    weights[strand[side]] += weight;
  }
  return Array.from(sums, (sum, node) => (weights[node] ? sum / weights[node] : undefined));
}

// ---- places

/**
 * The x of every node: near its neighbours, in its row's order, never too close.
 * @param {Page} page
 * @param {Strand[]} strands
 * @param {Row[]} rows
 * @returns {Float64Array}
 */
function columns(page, strands, rows) {
  const x = new Float64Array(page.nodes.length);
  for (const row of rows) row.nodes.forEach((node, place) => (x[node] = (place - (row.nodes.length - 1) / 2) * (NODE_WIDTH + NODE_GAP)));
  for (let sweep = 0; sweep < 4; sweep += 1) {
    const wanted = barycentres(strands, x, sweep % 2 ? "to" : "from");
    for (const row of rows) apart(row.nodes, x, wanted);
  }
  for (const row of rows) if (row.layer === null) for (const node of row.nodes) x[node] -= middle(row.nodes, x);
  const shift = middle(rows.flatMap((row) => row.nodes), x);
  for (const row of rows) if (row.layer !== null) for (const node of row.nodes) x[node] -= shift;
  return x;
}

/**
 * Move the nodes of a row to where they want to be, as far as their order and the gaps between them allow.
 * @param {number[]} members
 * @param {Float64Array} x
 * @param {(number | undefined)[]} wanted
 */
function apart(members, x, wanted) {
  const pitch = NODE_WIDTH + NODE_GAP;
  const goal = members.map((node) => wanted[node] ?? x[node]);
  const fromLeft = [...goal];
  const fromRight = [...goal];
  for (let i = 1; i < goal.length; i += 1) fromLeft[i] = Math.max(goal[i], fromLeft[i - 1] + pitch);
  for (let i = goal.length - 2; i >= 0; i -= 1) fromRight[i] = Math.min(goal[i], fromRight[i + 1] - pitch);
  members.forEach((node, i) => (x[node] = (fromLeft[i] + fromRight[i]) / 2));
}

/**
 * @param {number[]} members
 * @param {Float64Array} x
 * @returns {number}
 */
function middle(members, x) {
  const places = members.map((node) => x[node]);
  return places.length ? (places.reduce((a, b) => Math.min(a, b)) + places.reduce((a, b) => Math.max(a, b))) / 2 : 0;
}

/**
 * The further a strand moves sideways between two rows, the larger their distance.
 * @param {Row[]} rows
 * @param {Strand[]} strands
 * @param {Float64Array} x
 * @param {Map<number, number>} rowOf
 */
function setHeights(rows, strands, x, rowOf) {
  const widest = new Float64Array(rows.length);
  for (const { from, to } of strands) {
    const [low, high] = [rowOf.get(from) ?? 0, rowOf.get(to) ?? 0];
    const each = Math.abs(x[to] - x[from]) / Math.max(high - low, 1);
    for (let row = low; row < high; row += 1) widest[row] = Math.max(widest[row], each);
  }
  let y = 0;
  rows.forEach((row, index) => {
    row.y = y;
    y -= NODE_HEIGHT + Math.min(HIGHEST_GAP, LOWEST_GAP + 0.16 * widest[index]);
  });
}

/**
 * @param {Row[]} rows
 * @param {Float64Array} x
 * @returns {Layout["box"]}
 */
function boxOf(rows, x) {
  const places = rows.flatMap((row) => row.nodes.map((node) => x[node]));
  const margin = NODE_WIDTH / 2 + 26;
  return {
    left: places.reduce((a, b) => Math.min(a, b), 0) - margin,
    right: places.reduce((a, b) => Math.max(a, b), 0) + margin,
    top: (rows.at(-1)?.y ?? 0) - NODE_HEIGHT,
    bottom: (rows[0]?.y ?? 0) + NODE_HEIGHT,
  };
}

// ---- ways

/**
 * @param {Strand[]} strands
 * @param {Row[]} rows
 * @param {Map<number, number>} rowOf
 * @param {Float64Array} x
 * @returns {Float32Array[]}
 */
function routesOf(strands, rows, rowOf, x) {
  const exits = spread(strands, (strand) => strand.from, (strand) => x[strand.to], () => ROOM);
  const entries = spread(strands, (strand) => strand.to * 4 + portPlace(strand.port), (strand) => x[strand.from], portRoom);
  const taken = rows.map((row) => row.nodes.map((node) => x[node]).sort((a, b) => a - b));
  return strands.map(({ from, to, port }, index) => {
    const [low, high] = [rowOf.get(from) ?? 0, rowOf.get(to) ?? 0];
    const start = x[from] + exits[index];
    const end = x[to] + (PORT_SHIFT[/** @type {"q"} */ (port)] ?? 0) + entries[index];
    const corners = [start, rows[low].y - NODE_HEIGHT / 2];
    const last = /** @type {[number, number]} */ ([end, rows[high].y + NODE_HEIGHT / 2]);
    pass(corners, last, low, high, rows, taken, ((index % 5) - 2) * 1.2);
    corners.push(...last);
    return Float32Array.from(corners);
  });
}

/**
 * @param {string} port
 * @returns {number}
 */
function portPlace(port) {
  return ["q", "k", "v"].indexOf(port) + 1;
}

/**
 * @param {Strand} strand
 * @returns {number}
 */
function portRoom(strand) {
  return portPlace(strand.port) ? PORT_ROOM : ROOM;
}

/**
 * How far each strand is moved aside where it meets others, in the order in which they come from left to right.
 * @param {Strand[]} strands
 * @param {(strand: Strand) => number} meeting a key
 * @param {(strand: Strand) => number} origin x at the strand's other end
 * @param {(strand: Strand) => number} room
 * @returns {Float64Array}
 */
function spread(strands, meeting, origin, room) {
  /** @type {Map<number, number[]>} */
  const meetings = new Map();
  const origins = Float64Array.from(strands, origin);
  strands.forEach((strand, index) => {
    const members = meetings.get(meeting(strand));
    if (members) members.push(index);
    else meetings.set(meeting(strand), [index]);
  });
  const shifts = new Float64Array(strands.length);
  for (const members of meetings.values()) {
    members.sort((a, b) => origins[a] - origins[b] || a - b);
    const pitch = Math.min(4, room(strands[members[0]]) / Math.max(members.length - 1, 1));
    members.forEach((index, place) => (shifts[index] = (place - (members.length - 1) / 2) * pitch));
  }
  return shifts;
}

/**
 * Add corners between the last one and `goal` so that the strand runs behind no node of the rows between. Where the
 * straight way hits one it goes through the nearest gap of that row instead, and both halves are looked at again.
 * @param {number[]} corners
 * @param {[number, number]} goal
 * @param {number} low
 * @param {number} high
 * @param {Row[]} rows
 * @param {number[][]} taken
 * @param {number} aside keeps strands in one gap apart
 */
function pass(corners, goal, low, high, rows, taken, aside) {
  const x0 = corners[corners.length - 2];
  const y0 = corners[corners.length - 1];
  for (let row = low + 1; row < high; row += 1) {
    const here = xAt(x0, y0, goal[0], goal[1], rows[row].y);
    const gap = nearestGap(taken[row], here, aside);
    if (gap === here) continue;
    const below = rows[row].y + NODE_HEIGHT / 2;
    pass(corners, [gap, below], low, row, rows, taken, aside);
    corners.push(gap, below, gap, rows[row].y - NODE_HEIGHT / 2);
    pass(corners, goal, row, high, rows, taken, aside);
    return;
  }
}

/**
 * @param {number[]} taken middles of a row's nodes, from left to right
 * @param {number} x
 * @param {number} aside
 * @returns {number} `x` itself where it is clear
 */
function nearestGap(taken, x, aside) {
  const half = NODE_WIDTH / 2 + CLEAR;
  let hit = 0;
  while (hit < taken.length && taken[hit] <= x - half) hit += 1;
  if (hit === taken.length || taken[hit] >= x + half) return x;
  if (x - taken[hit] > half - 2 * CLEAR && taken[hit + 1] < x + half) hit += 1;
  const side = (/** @type {number} */ index, /** @type {number} */ sign) => {
    const own = taken[index] + sign * half;
    const neighbour = taken[index + sign];
    const room = neighbour === undefined ? Infinity : Math.abs(neighbour - taken[index]) - NODE_WIDTH;
    return room < 4 * CLEAR ? (taken[index] + neighbour) / 2 + aside : own + sign * Math.abs(aside);
  };
  const [left, right] = [side(hit, -1), side(hit, 1)];
  return x - left <= right - x ? left : right;
}

/**
 * The x of a strand at a height between two corners: between them it runs like a smoothstep.
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 * @param {number} y
 * @returns {number}
 */
export function xAt(x0, y0, x1, y1, y) {
  const part = Math.min(1, Math.max(0, (y - y0) / (y1 - y0 || 1)));
  return x0 + (x1 - x0) * part * part * (3 - 2 * part);
}
