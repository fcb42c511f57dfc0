// Strands on a canvas, and which of them is under a point. These loops run at every step of the slider, over
// thousands of strands: they take numbers out of arrays one by one, for destructuring costs ten times as much.

/** @import { Camera, Layout, Scene } from "./types" */
import { signOf } from "./circuit.js";
import { NODE_HEIGHT, xAt } from "./layout.js";

const THINNEST = 0.7;
const THICKEST = 5;
const PLAIN = 1.2;
const HOLLOW = 2.4; // width, at least, of a strand that others can take the place of
const CORE = 0.45; // of that width is left open
const STEPS = 6; // different widths; strands of one look are drawn in one stroke
const MANY = 1500; // strands; of more none is read one by one, and dashes would only cost time


/**
 * Line width, linear in the strength.
 * @param {number | null} score
 * @param {number} strongest
 * @returns {number}
 */
export function widthOf(score, strongest) {
  if (score === null) return PLAIN;
  return THINNEST + (THICKEST - THINNEST) * (strongest ? Math.abs(score) / strongest : 0);
}

/**
 * Whether other edges can take an edge's place: it is drawn hollow.
 * @param {string} role
 * @returns {boolean}
 */
export function isHollow(role) {
  return role === "alternative" || role === "backup";
}

/**
 * Line width of an edge in a role.
 * @param {number} width
 * @param {string} role
 * @returns {number}
 */
export function widthIn(width, role) {
  return isHollow(role) ? Math.max(width, HOLLOW) : width;
}

/**
 * Width of what is left open in a hollow line.
 * @param {number} width
 * @returns {number}
 */
export function coreOf(width) {
  return CORE * width;
}

/**
 * Dashes for queries, dots for keys.
 * @param {string} port
 * @returns {number[]}
 */
export function dashOf(port) {
  if (port === "q") return [7, 4];
  return port === "k" ? [1.5, 3.5] : [];
}

/**
 * A strand's way; between two corners it is vertical at both ends.
 * @param {Path2D} path
 * @param {Float32Array} corners
 */
function addRoute(path, corners) {
  path.moveTo(corners[0], corners[1]);
  for (let i = 2; i < corners.length; i += 2) {
    const x0 = corners[i - 2];
    const y0 = corners[i - 1];
    const x1 = corners[i];
    const y1 = corners[i + 1];
    const third = (y1 - y0) / 3;
    if (x0 === x1) path.lineTo(x1, y1);
    else path.bezierCurveTo(x0, y0 + third, x1, y1 - third, x1, y1);
  }
}

/**
 * The same as an SVG path.
 * @param {Float32Array} corners
 * @returns {string}
 */
export function pathText(corners) {
  const at = (/** @type {number} */ value) => String(Math.round(value * 10) / 10);
  const words = [`M${at(corners[0])} ${at(corners[1])}`];
  for (let i = 2; i < corners.length; i += 2) {
    const [x0, y0, x1, y1] = corners.subarray(i - 2, i + 2);
    const third = (y1 - y0) / 3;
    words.push(x0 === x1 ? `V${at(y1)}` : `C${[x0, y0 + third, x1, y1 - third, x1, y1].map(at).join(" ")}`);
  }
  return words.join("");
}

/**
 * @typedef {{ sign: string, dash: number[], width: number, hollow: boolean, path: Path2D }} Bundle strands of one look
 */

/**
 * Gather strands into bundles, the widest last, so that the strongest are on top.
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @returns {Bundle[]}
 */
export function bundlesOf(scene, shown) {
  /** @type {Map<string, Bundle>} */
  const bundles = new Map();
  const many = scene.strands.length > MANY;
  scene.strands.forEach((strand, index) => {
    if (!shown(index)) return;
    const step = strand.score === null ? -1 : Math.ceil(STEPS * Math.abs(strand.score) / (scene.strongest || 1));
    const sign = signOf(strand);
    const hollow = isHollow(strand.role);
    const dashed = !many && dashOf(strand.port).length ? strand.port : "";
    const key = `${step} ${sign} ${dashed} ${hollow}`;
    let bundle = bundles.get(key);
    if (!bundle) {
      const width = widthIn(step < 0 ? PLAIN : THINNEST + ((THICKEST - THINNEST) * step) / STEPS, strand.role);
      bundle = { sign, dash: dashOf(dashed), width, hollow, path: new Path2D() };
      bundles.set(key, bundle);
    }
    addRoute(bundle.path, scene.layout.routes[index]);
  });
  return [...bundles.values()].sort((a, b) => a.width - b.width);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Bundle[]} bundles
 * @param {Record<string, string>} colours
 * @param {number} strength opacity of the widest
 */
export function drawBundles(context, bundles, colours, strength) {
  context.lineCap = "butt";
  for (const { sign, dash, width, hollow, path } of bundles) {
    context.strokeStyle = colours[sign];
    context.lineWidth = width;
    context.globalAlpha = strength * Math.min(1, 0.5 + width / THICKEST);
    context.setLineDash(dash);
    context.stroke(path);
    if (hollow) {
      context.strokeStyle = colours.paper;
      context.lineWidth = coreOf(width);
      context.setLineDash([]);
      context.stroke(path);
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/**
 * Bands behind the layers, as wide as the view.
 * @param {CanvasRenderingContext2D} context
 * @param {Layout} layout
 * @param {Camera} camera
 * @param {number} width of the view
 * @param {Record<string, string>} colours
 */
export function drawBands(context, layout, camera, width, colours) {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const { layer, top, bottom } of bandsOf(layout)) {
    const [from, to] = [top * camera.scale + camera.y, bottom * camera.scale + camera.y];
    context.fillStyle = colours.band;
    context.fillRect(0, from, width, to - from);
    context.fillStyle = colours.faint;
    if (to - from > 14) context.fillText(`layer ${layer}`, 10, (from + to) / 2);
  }
}

/**
 * @param {Layout} layout
 * @returns {{ layer: number, top: number, bottom: number }[]}
 */
export function bandsOf(layout) {
  /** @type {Map<number, { layer: number, top: number, bottom: number }>} */
  const bands = new Map();
  for (const { layer, y } of layout.rows) {
    if (layer === null) continue;
    const band = bands.get(layer) ?? { layer, top: Infinity, bottom: -Infinity };
    band.top = Math.min(band.top, y - NODE_HEIGHT / 2 - 9);
    band.bottom = Math.max(band.bottom, y + NODE_HEIGHT / 2 + 9);
    bands.set(layer, band);
  }
  return [...bands.values()];
}

/**
 * The strand nearest to a point of the world, if one is within reach.
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @returns {number | null}
 */
export function strandAt(scene, shown, x, y, reach) {
  let best = null;
  let nearest = reach;
  scene.layout.routes.forEach((corners, index) => {
    const away = shown(index) ? distance(corners, x, y) : Infinity;
    if (away < nearest) [best, nearest] = [index, away];
  });
  return best;
}

/**
 * @param {Float32Array} corners
 * @param {number} x
 * @param {number} y
 * @returns {number}
 */
function distance(corners, x, y) {
  for (let i = 2; i < corners.length; i += 2) {
    const y0 = corners[i - 1];
    const y1 = corners[i + 1];
    if (y > y0 || y < y1) continue;
    const [x0, x1] = [corners[i - 2], corners[i]];
    const part = (y - y0) / (y1 - y0 || 1);
    const slope = ((x1 - x0) * 6 * part * (1 - part)) / (y1 - y0 || 1);
    return Math.abs(xAt(x0, y0, x1, y1, y) - x) / Math.hypot(1, slope);
  }
  return Infinity;
}
