// Where everything lies. The places of nodes, rows and lanes are the figure's, from Python (viewer/places.py); the corners of each
// strand follow from them, so that they fit the strands that are there, and nodes that a person has moved.
// The world's y grows downwards, as the screen's does, so rows further up the model have smaller y.

/** @import { Layout, Looks, Page, Placement, Row, State, Strand } from "./types" */

const ROUNDED = 0.05; // places are rounded to hundredths

/**
 * The placement of a size: the found circuit lies as in its figure, all other sizes share one.
 * @param {Page} page
 * @param {State["size"]} size
 * @returns {Placement | null}
 */
export function placementOf(page, size) {
  return size === "circuit" ? page.places.found : page.places.sizes;
}

/**
 * Lay out the strands of one size.
 * @param {Page} page
 * @param {Placement | null} placement
 * @param {Strand[]} strands
 * @param {number[]} nodes
 * @param {State["moved"]} moved how far a person has moved nodes
 * @param {Set<string>} folded roles whose nodes are drawn as one
 * @returns {Layout}
 */
export function layOut(page, placement, strands, nodes, moved, folded) {
  const x = new Float64Array(page.nodes.length).fill(NaN);
  const y = new Float64Array(page.nodes.length).fill(NaN);
  const heights = new Float64Array(page.nodes.length);
  if (!placement) return { x, y, heights, rows: [], routes: [], faint: [], boxes: [], arrows: [], columns: [], gaps: [], box: { left: 0, right: 1, top: 0, bottom: 1 } };
  const rows = rowsOf(placement, new Set(nodes));
  const rowOf = new Map(rows.flatMap((row) => row.nodes.map((node) => [node, row])));
  for (const [node, across, down, height, index] of placement.nodes) {
    const row = rowOf.get(node);
    if (!row) continue;
    const [right, below] = moved[page.nodes[node][0]] ?? [0, 0];
    x[node] = across + right;
    y[node] = down - placement.rows[index][1] + row.middle + below;
    heights[node] = height;
  }
  const boxes = boxesOf(page, placement, { x, y, heights }, rowOf, folded);
  const { routes, faint } = routesOf(page.looks, placement, strands, rows, rowOf, { x, y, heights });
  const arrows = arrowsOf(placement, rowOf);
  return { x, y, heights, rows, routes, faint, boxes, arrows, columns: placement.columns, gaps: gapsOf(placement, rows), box: boxOf(page.looks, placement, rows, x, y) };
}

// ---- rows

/**
 * The rows that have nodes, one above the other; each keeps the distance that it has from the row above it.
 * @param {Placement} placement
 * @param {Set<number>} present
 * @returns {Row[]}
 */
function rowsOf(placement, present) {
  /** @type {number[][]} */
  const members = placement.rows.map(() => []);
  for (const [node, , , , row] of placement.nodes) if (present.has(node)) members[row].push(node);
  /** @type {Row[]} */
  const rows = [];
  let up = 0;
  placement.rows.forEach(([bottom, middle, top, first, last], index) => {
    if (!members[index].length) return;
    const under = rows.at(-1);
    if (under) up = under.top - distanceAbove(placement, under.index) - bottom;
    const layers = /** @type {Row["layers"]} */ (first === null ? null : [first, last]);
    rows.push({ index, nodes: members[index], layers, bottom: bottom + up, middle: middle + up, top: top + up });
  });
  return rows;
}

/**
 * @param {Placement} placement
 * @param {number} row
 * @returns {number}
 */
function distanceAbove(placement, row) {
  return placement.rows[row][2] - placement.rows[row + 1][0];
}

/**
 * Heights at which layers are left out, because they have no nodes.
 * @param {Placement} placement
 * @param {Row[]} rows
 * @returns {number[]}
 */
function gapsOf(placement, rows) {
  return rows.slice(1).flatMap((row, below) => {
    const under = rows[below];
    const next = row.layers ? row.layers[0] : placement.depth;
    return next > (under.layers ? under.layers[1] : -1) + 1 ? [(under.top + row.bottom) / 2] : [];
  });
}

// ---- what lies beside the strands

/**
 * The boxes of roles around their nodes. The nodes of a folded box are all drawn in its middle.
 * @param {Page} page
 * @param {Placement} placement
 * @param {{ x: Float64Array, y: Float64Array, heights: Float64Array }} at
 * @param {Map<number, Row>} rowOf
 * @param {Set<string>} folded
 * @returns {Layout["boxes"]}
 */
function boxesOf(page, placement, { x, y, heights }, rowOf, folded) {
  return placement.boxes.flatMap(([role, all, before, after, height, label]) => {
    const nodes = all.filter((node) => rowOf.has(node));
    if (!nodes.length) return [];
    const name = placement.roles[role];
    const [left, right] = [Math.min(...nodes.map((node) => x[node])), Math.max(...nodes.map((node) => x[node]))];
    const [top, bottom] = [Math.min(...nodes.map((node) => y[node])), Math.max(...nodes.map((node) => y[node]))];
    const box = { role: name, tint: role, nodes, label, folded: folded.has(name), left: left - before, right: right + after, top: top - height / 2, bottom: bottom + height / 2 };
    if (!box.folded) return [box];
    const half = page.looks.node;
    const [across, down] = [(left + right) / 2, (top + bottom) / 2];
    for (const node of nodes) [x[node], y[node], heights[node]] = [across, down, page.looks.name];
    return [{ ...box, left: across - half, right: across + half, top: down - page.looks.name / 2, bottom: down + page.looks.name / 2 }];
  });
}

/**
 * Arrows of attention between columns, where both their ends are there.
 * @param {Placement} placement
 * @param {Map<number, Row>} rowOf
 * @returns {Float32Array[]}
 */
function arrowsOf(placement, rowOf) {
  return placement.arrows.flatMap(([from, to, corners]) => {
    const row = rowOf.get(to);
    if (!row || !rowOf.has(from)) return [];
    const up = row.middle - placement.rows[row.index][1];
    return [Float32Array.from(corners, (value, place) => (place % 2 ? value + up : value))];
  });
}

/**
 * @param {Looks} looks
 * @param {Placement} placement
 * @param {Row[]} rows
 * @param {Float64Array} x
 * @param {Float64Array} y
 * @returns {Layout["box"]}
 */
function boxOf(looks, placement, rows, x, y) {
  const places = rows.flatMap((row) => row.nodes);
  const ends = placement.columns.length > 1 ? placement.columns.flatMap(([, left, right]) => [left, right]) : [];
  const across = [...places.map((node) => x[node]), ...ends];
  const down = places.map((node) => y[node]);
  return {
    left: across.reduce((a, b) => Math.min(a, b), Infinity) - looks.node,
    right: across.reduce((a, b) => Math.max(a, b), -Infinity) + looks.node,
    top: Math.min(rows.at(-1)?.top ?? 0, down.reduce((a, b) => Math.min(a, b), 0)) - looks.name - (ends.length ? looks.name : 0),
    bottom: Math.max(rows[0]?.bottom ?? 0, down.reduce((a, b) => Math.max(a, b), -Infinity)) + looks.name,
  };
}

// ---- ways

/**
 * The corners of each strand, from its writer's top to its reader's port, as figures/place.py finds them.
 * @param {Looks} looks
 * @param {Placement} placement
 * @param {Strand[]} strands
 * @param {Row[]} rows
 * @param {Map<number, Row>} rowOf
 * @param {{ x: Float64Array, y: Float64Array, heights: Float64Array }} at
 * @returns {{ routes: Float32Array[], faint: boolean[] }}
 */
function routesOf(looks, placement, strands, rows, rowOf, { x, y, heights }) {
  const rowAt = new Map(rows.map((row) => [row.index, row]));
  const enter = (/** @type {Strand} */ strand) => x[strand.to] + portShift(looks, strand.port);
  const ways = strands.map((strand) => wayOf(placement, strand, rowOf));
  const shifts = laneShifts(looks, placement, ways, strands.map((strand) => x[strand.from] + enter(strand)));
  const tracks = ways.map(({ lanes }, index) =>
    lanes.flatMap((lane) => {
      const row = rowAt.get(placement.lanes[lane][0]);
      return row ? [{ row, x: placement.lanes[lane][1] + (shifts[index].get(lane) ?? 0) }] : [];
    }),
  );
  const exits = spread(looks, strands, (strand) => `${strand.from}`, (strand, index) => tracks[index][0]?.x ?? enter(strand));
  const entries = spread(looks, strands, (strand) => `${strand.to} ${strand.port}`, (strand, index) => tracks[index].at(-1)?.x ?? x[strand.from]);
  const routes = strands.map((strand, index) => {
    const start = [x[strand.from] + exits[index], y[strand.from] - heights[strand.from] / 2];
    const end = [enter(strand) + entries[index], y[strand.to] + heights[strand.to] / 2];
    const lanes = tracks[index].flatMap(({ row, x: across }) => [[across, row.bottom], [across, row.top]]);
    const [first, last] = [rowOf.get(strand.from), rowOf.get(strand.to)];
    const stubs = [[start[0], first?.top ?? start[1]], ...lanes, [end[0], last?.bottom ?? end[1]]];
    return Float32Array.from([start, ...stubs.filter(([, down]) => down < start[1] - ROUNDED && down > end[1] + ROUNDED), end].flat());
  });
  return { routes, faint: ways.map(({ gathered }) => gathered && placement.faint) };
}

/**
 * The lanes that a strand takes: its own, or those of the trunk into its row.
 * @param {Placement} placement
 * @param {Strand} strand
 * @param {Map<number, Row>} rowOf
 * @returns {{ lanes: number[], gathered: boolean }}
 */
function wayOf(placement, strand, rowOf) {
  const own = placement.own[`${strand.from} ${strand.to} ${strand.port}`];
  if (own) return { lanes: own, gathered: false };
  const [low, high] = [rowOf.get(strand.from)?.index ?? 0, rowOf.get(strand.to)?.index ?? 0];
  const trunk = placement.trunks[`${columnOf(placement, strand.from)} ${high}`] ?? [];
  return { lanes: trunk.filter(([row]) => row > low && row < high).map(([, lane]) => lane), gathered: true };
}

/**
 * @param {Placement} placement
 * @param {number} node
 * @returns {number}
 */
function columnOf(placement, node) {
  if (placement.columns.length === 1) return 0;
  const across = placement.nodes.find(([each]) => each === node)?.[1] ?? 0;
  return Math.max(0, placement.columns.findIndex(([, left, right]) => across >= left && across <= right));
}

/**
 * How far each strand is from the middle of each of its lanes, which it shares with others side by side.
 * @param {Looks} looks
 * @param {Placement} placement
 * @param {{ lanes: number[], gathered: boolean }[]} ways
 * @param {number[]} slants positions of each strand's ends, from left to right
 * @returns {Map<number, number>[]}
 */
function laneShifts(looks, placement, ways, slants) {
  /** @type {Map<number, number[]>} */
  const users = new Map();
  ways.forEach(({ lanes }, index) => {
    for (const lane of lanes) {
      const members = users.get(lane);
      if (members) members.push(index);
      else users.set(lane, [index]);
    }
  });
  const shifts = ways.map(() => new Map());
  for (const [lane, members] of users) {
    members.sort((a, b) => slants[a] - slants[b] || a - b);
    const breadth = placement.lanes[lane][2];
    const gap = ways[members[0]].gathered ? looks.trunk_gap : looks.lane_gap;
    const pitch = Math.max(breadth - gap, 0.2 * breadth) / members.length;
    members.forEach((index, rank) => shifts[index].set(lane, (rank - (members.length - 1) / 2) * pitch));
  }
  return shifts;
}

/**
 * How far each strand is moved aside where it meets others, in the order in which they come from left to right.
 * @param {Looks} looks
 * @param {Strand[]} strands
 * @param {(strand: Strand) => string} meeting
 * @param {(strand: Strand, index: number) => number} origin x of its next corner
 * @returns {Float64Array}
 */
function spread(looks, strands, meeting, origin) {
  /** @type {Map<string, number[]>} */
  const meetings = new Map();
  const origins = Float64Array.from(strands, origin);
  strands.forEach((strand, index) => {
    const members = meetings.get(meeting(strand));
    if (members) members.push(index);
    else meetings.set(meeting(strand), [index]);
  });
  const shifts = new Float64Array(strands.length);
  for (const [place, members] of meetings) {
    members.sort((a, b) => origins[a] - origins[b] || a - b);
    const room = / [qkv]$/.test(place) ? looks.port_room : looks.node_room;
    const pitch = Math.min(looks.exit_pitch, room / Math.max(members.length - 1, 1));
    members.forEach((index, rank) => (shifts[index] = (rank - (members.length - 1) / 2) * pitch));
  }
  return shifts;
}

/**
 * How far a port is right of its node's middle.
 * @param {Looks} looks
 * @param {string} port
 * @returns {number}
 */
export function portShift(looks, port) {
  return (["q", "k", "v"].includes(port) ? ["q", "k", "v"].indexOf(port) - 1 : 0) * looks.port;
}

/**
 * The x of a strand at a height between two corners, which an S-curve joins.
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 * @param {number} y
 * @returns {{ x: number, slope: number }}
 */
export function crossing(x0, y0, x1, y1, y) {
  const part = Math.min(1, Math.max(0, (y - y0) / (y1 - y0 || 1)));
  let t = part;
  for (let step = 0; step < 3; step += 1) t -= (t * (1.5 - 1.5 * t + t * t) - part) / (1.5 - 3 * t + 3 * t * t);
  const across = (x1 - x0) * 6 * t * (1 - t);
  return { x: x0 + (x1 - x0) * t * t * (3 - 2 * t), slope: across / ((y1 - y0 || 1) * (1.5 - 3 * t + 3 * t * t)) };
}
