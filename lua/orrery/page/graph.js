// graph.js: <orr-graph>, the nodes of a workflow and what they are after, at the coordinates that came with them.
//
// Near by only what is seen is drawn, as boxes with words. From afar all boxes of a tone are one path and all edges
// another, so that a hundred thousand nodes are a dozen elements. Moving shifts what is drawn; it is drawn anew where the
// view leaves it. Keys: arrows go from node to node, Enter opens one, + - 0 zoom.
import { el, fill, plain, shape } from "./dom.js";
import { sign_of, tone_of, word_of } from "./states.js";
import { count, plural } from "./words.js";

const NEAR = 0.42, LARGEST = 2, SMALLEST = 0.004; // scales
const MOST_NEAR = 700; // boxes with words at once
const MARGIN = 16;
const TONES = ["ok", "bad", "run", "wait", "hold", "off"];

// The tone and state of a node that stands for several: the one that asks for most attention.
const RANK = ["failed", "compensation_failed", "interrupted", "running", "compensating", "retrying", "waiting", "paused",
  "ready", "pending", "cancelled", "compensated", "skipped", "completed"];

function state_of_many(states) {
  const seen = new Set(states);
  return RANK.find((state) => seen.has(state)) ?? "pending";
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function curve(points) {
  let [x, y] = points, d = `M${x} ${y}`;
  for (let i = 2; i < points.length; i += 2) {
    const to_x = points[i], to_y = points[i + 1], half = (to_y - y) / 2;
    d += `C${x} ${y + half} ${to_x} ${to_y - half} ${to_x} ${to_y}`;
    [x, y] = [to_x, to_y];
  }
  return d;
}

// The left, upper, right and lower end of what an edge runs through.
function bounds_of(points) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i += 2) {
    box[0] = Math.min(box[0], points[i]), box[2] = Math.max(box[2], points[i]);
    box[1] = Math.min(box[1], points[i + 1]), box[3] = Math.max(box[3], points[i + 1]);
  }
  return box;
}

function meets(box, left, top, right, bottom) {
  return box[2] >= left && box[0] <= right && box[3] >= top && box[1] <= bottom;
}

class Graph extends HTMLElement {
  #whole = null; #drawn = null; #states = new Map(); #critical = new Set();
  #at = { x: 0, y: 0, scale: 1 }; #seen = null; #current = 0; #waits = false;

  connectedCallback() {
    if (this.firstChild) return;
    this.layer = shape("g", {});
    this.canvas = shape("svg", { tabindex: "0", role: "application", "aria-roledescription": "graph",
      onkeydown: (event) => this.#key(event), onwheel: (event) => this.#wheel(event),
      onpointerdown: (event) => this.#drag(event), onclick: (event) => this.#click(event) }, this.layer);
    this.said = el("p", { class: "said", "aria-live": "polite" });
    this.fold = el("button", { type: "button", "aria-pressed": "false", onclick: () => this.#toggle_fold() }, "Fold");
    const zoom = (name, by) => el("button", { type: "button", "aria-label": name, onclick: () => this.#zoom(by) }, by > 1 ? "+" : "−");
    this.append(el("div", { class: "tools" }, this.fold, zoom("Zoom in", 1.5), zoom("Zoom out", 1 / 1.5),
      el("button", { type: "button", onclick: () => this.#fit() }, "Fit"), this.said), this.canvas);
    // Where one has not moved it, the graph keeps to the width there is.
    new ResizeObserver(() => {
      const is_wider = this.canvas.getBoundingClientRect().width !== this.width;
      if (this.#drawn) this.moved || !is_wider ? this.#request(true) : this.#fit();
    }).observe(this.canvas);
    if (this.#whole) this.#show(this.#whole);
  }

  // The data of `orrery.history.graph`; large ones are shown folded.
  set graph(data) {
    this.#whole = data;
    if (this.canvas) this.#show(data.folded && data.nodes.length > 40 ? data.folded : data);
  }

  // Name of a node -> its state; names of the critical path.
  mark(states, critical) {
    this.#states = states, this.#critical = critical;
    if (this.#drawn) this.#request(true);
  }

  #show(data) {
    this.#drawn = data, this.#current = 0, this.far_edges = null;
    this.index = data.edges.map((edge) => bounds_of(edge.points));
    this.fold.hidden = !this.#whole.folded;
    this.fold.setAttribute("aria-pressed", String(data !== this.#whole));
    this.canvas.setAttribute("aria-label", `Graph of ${plural(this.#whole.nodes.length, "node")}; `
      + "arrow keys go from node to node, Enter opens one");
    this.#fit();
    this.said.textContent = plural(this.#whole.nodes.length, "node")
      + (data === this.#whole ? "" : `, folded into ${count(data.nodes.length)}`);
  }

  #toggle_fold() {
    this.#show(this.#drawn === this.#whole ? this.#whole.folded : this.#whole);
  }

  // ---- where one looks ---------------------------------------------------------------------------

  // The whole graph, in a canvas that is as high as it needs. One that is not seen yet waits until it is.
  #fit() {
    const { width, height } = this.#drawn;
    this.width = this.canvas.getBoundingClientRect().width, this.moved = false;
    const room = this.width - 2 * MARGIN;
    if (room <= 0) return;
    const wide = Math.min(1, room / width), high = Math.min(Math.max(height * wide, 90), 520);
    this.canvas.style.setProperty("height", `${high + 2 * MARGIN}px`);
    const scale = Math.max(Math.min(wide, high / height), SMALLEST);
    this.#at = { scale, x: MARGIN + (room - width * scale) / 2, y: MARGIN + (high - height * scale) / 2 };
    this.#request(true);
  }

  #zoom(by, x, y) {
    const box = this.canvas.getBoundingClientRect(), at = this.#at;
    x ??= box.width / 2, y ??= box.height / 2;
    const scale = Math.min(LARGEST, Math.max(SMALLEST, at.scale * by));
    this.#at = { scale, x: x - (x - at.x) * scale / at.scale, y: y - (y - at.y) * scale / at.scale };
    this.moved = true;
    this.#request(true);
  }

  #move(x, y) {
    this.#at.x += x, this.#at.y += y, this.moved = true;
    this.#request(false);
  }

  // Scrolls where a node that is the current one stands out of sight.
  #reveal(node) {
    const box = this.canvas.getBoundingClientRect(), at = this.#at;
    this.moved = true;
    if (at.scale < NEAR) at.scale = 0.8;
    const x = node.x * at.scale + at.x, y = node.y * at.scale + at.y;
    if (x < MARGIN || x + node.width * at.scale > box.width - MARGIN) {
      at.x = box.width / 2 - (node.x + node.width / 2) * at.scale;
    }
    if (y < MARGIN || y + node.height * at.scale > box.height - MARGIN) {
      at.y = box.height / 2 - (node.y + node.height / 2) * at.scale;
    }
    this.#request(true);
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== this.canvas) return;
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    this.#zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }

  #drag(event) {
    if (event.button !== 0) return;
    let last = [event.clientX, event.clientY], far = 0;
    const move = (next) => {
      far += Math.abs(next.clientX - last[0]) + Math.abs(next.clientY - last[1]);
      this.dragged = far > 5;
      if (this.dragged) this.#move(next.clientX - last[0], next.clientY - last[1]);
      last = [next.clientX, next.clientY];
    };
    const stop = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", stop);
      removeEventListener("pointercancel", stop);
    };
    this.dragged = false;
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop);
    addEventListener("pointercancel", stop);
  }

  // ---- choosing a node ---------------------------------------------------------------------------

  #click(event) {
    if (this.dragged) return;
    const box = this.canvas.getBoundingClientRect(), at = this.#at;
    const x = (event.clientX - box.left - at.x) / at.scale, y = (event.clientY - box.top - at.y) / at.scale;
    const found = this.#drawn.nodes.findIndex((node) =>
      x >= node.x && x <= node.x + node.width && y >= node.y && y <= node.y + node.height);
    if (found < 0) return;
    this.#go(found, at.scale >= NEAR);
    this.#open(this.#drawn.nodes[found]);
  }

  #open(node) {
    if (node.members) return this.#toggle_fold();
    this.dispatchEvent(new CustomEvent("choose", { detail: node.name, bubbles: true }));
  }

  #go(index, stays) {
    if (index < 0 || index >= this.#drawn.nodes.length) return;
    this.#current = index;
    const node = this.#drawn.nodes[index];
    this.said.textContent = `${plain(node.name)}, ${plain(node.type)}, ${word_of(this.#state(node))}`
      + (this.#is_critical(node) ? ", on the critical path" : "");
    if (stays) this.#request(true);
    else this.#reveal(node);
  }

  // The neighbour in its layer, or the first node that an edge leads to.
  #beside(by) {
    const node = this.#drawn.nodes[this.#current];
    const layer = this.#drawn.nodes.filter((other) => other.layer === node.layer).sort((a, b) => a.x - b.x);
    return this.#drawn.nodes.indexOf(layer[layer.indexOf(node) + by]);
  }

  #along(from, to) {
    return this.#drawn.edges.find((edge) => edge[from] === this.#current)?.[to] ?? -1;
  }

  #key(event) {
    const keys = {
      ArrowLeft: () => this.#go(this.#beside(-1)), ArrowRight: () => this.#go(this.#beside(1)),
      ArrowDown: () => this.#go(this.#along("from", "to")), ArrowUp: () => this.#go(this.#along("to", "from")),
      Home: () => this.#go(0), End: () => this.#go(this.#drawn.nodes.length - 1),
      Enter: () => this.#open(this.#drawn.nodes[this.#current]),
      "+": () => this.#zoom(1.5), "=": () => this.#zoom(1.5), "-": () => this.#zoom(1 / 1.5), 0: () => this.#fit(),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey || !this.#drawn.nodes.length) return;
    event.preventDefault();
    keys[event.key]();
  }

  // ---- drawing -----------------------------------------------------------------------------------

  #state(node) {
    const state = (name) => this.#states.get(name) ?? "pending";
    return node.members ? state_of_many(node.members.map((i) => state(this.#whole.nodes[i].name))) : state(node.name);
  }

  #is_critical(node) {
    return node.members ? node.members.some((i) => this.#critical.has(this.#whole.nodes[i].name))
      : this.#critical.has(node.name);
  }

  // Draws with the next frame: anew where `anew` or where the view has left what is drawn.
  #request(anew) {
    this.anew = this.anew || anew;
    if (this.#waits) return;
    this.#waits = true;
    requestAnimationFrame(() => {
      this.#waits = false;
      const { x, y, scale } = this.#at, box = this.canvas.getBoundingClientRect();
      this.layer.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
      const view = [-x / scale, -y / scale, (box.width - x) / scale, (box.height - y) / scale];
      const inside = this.#seen && view[0] >= this.#seen[0] && view[1] >= this.#seen[1]
        && view[2] <= this.#seen[2] && view[3] <= this.#seen[3];
      if (this.anew || !inside) this.#draw(view);
      this.anew = false;
    });
  }

  #draw(view) {
    const width = (view[2] - view[0]) / 2, height = (view[3] - view[1]) / 2;
    const seen = [view[0] - width, view[1] - height, view[2] + width, view[3] + height];
    const boxes = this.#at.scale < NEAR ? null : this.#drawn.nodes.filter((node) =>
      meets([node.x, node.y, node.x + node.width, node.y + node.height], ...seen));
    const near = boxes && boxes.length <= MOST_NEAR;
    this.#seen = near ? seen : [-Infinity, -Infinity, Infinity, Infinity];
    if (near) this.#draw_near(boxes, seen);
    else this.#draw_far();
  }

  #draw_near(boxes, seen) {
    const edges = this.#drawn.edges.filter((_, i) => meets(this.index[i], ...seen));
    fill(this.layer, edges.map((edge) => this.#edge(edge)), boxes.map((node) => this.#box(node)));
  }

  #edge(edge) {
    const nodes = this.#drawn.nodes, { points } = edge;
    const critical = this.#is_critical(nodes[edge.from]) && this.#is_critical(nodes[edge.to]);
    const x = points[points.length - 2], y = points[points.length - 1];
    const path = shape("path", { d: curve(points), class: `edge${edge.dashed ? " dashed" : ""}${critical ? " critical" : ""}` });
    const tip = shape("path", { d: `M${x - 4} ${y - 7}L${x} ${y}L${x + 4} ${y - 7}z`, class: `tip${critical ? " critical" : ""}` });
    if (!edge.label) return [path, tip];
    const label = shape("text", { class: "label", x: points[0] * 0.35 + points[2] * 0.65, y: points[1] + 30 }, plain(edge.label));
    return [path, tip, label];
  }

  #box(node) {
    const state = this.#state(node), current = this.#drawn.nodes[this.#current] === node;
    const caption = [node.type, ...node.marks].join(" · ");
    const middle = node.x + node.width / 2;
    return shape("g", { class: `node ${tone_of(state)}${this.#is_critical(node) ? " critical" : ""}${current ? " current" : ""}` },
      shape("title", {}, `${plain(node.name)} (${plain(node.type)}): ${word_of(state)}`),
      node.members && shape("rect", { class: "behind", x: node.x + 4, y: node.y + 4, width: node.width, height: node.height, rx: 6 }),
      shape("rect", { class: "box", x: node.x, y: node.y, width: node.width, height: node.height, rx: 6 }),
      shape("text", { class: "sign", x: node.x + 8, y: node.y + 17 }, sign_of(state)),
      shape("text", { class: "name", x: middle + 4, y: node.y + 17 }, plain(cut(node.name, 40))),
      shape("text", { class: "type", x: middle, y: node.y + 31 }, plain(cut(caption, 44))));
  }

  #draw_far() {
    this.far_edges ??= shape("path", { class: "edge far-edges", d: this.#drawn.edges.map((edge) => curve(edge.points)).join("") });
    const paths = Object.fromEntries(TONES.map((tone) => [tone, []])), critical = [];
    this.#drawn.nodes.forEach((node) => {
      const d = `M${node.x} ${node.y}h${node.width}v${node.height}h${-node.width}z`;
      paths[tone_of(this.#state(node))].push(d);
      if (this.#is_critical(node)) critical.push(d);
    });
    const node = this.#drawn.nodes[this.#current];
    fill(this.layer, this.far_edges,
      TONES.map((tone) => paths[tone].length > 0 && shape("path", { class: `far ${tone}`, d: paths[tone].join("") })),
      critical.length > 0 && shape("path", { class: "far critical", d: critical.join("") }),
      node && shape("rect", { class: "far current", x: node.x, y: node.y, width: node.width, height: node.height }));
  }
}

customElements.define("orr-graph", Graph);
