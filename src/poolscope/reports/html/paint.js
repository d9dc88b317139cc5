// Lanes on a canvas. Only what is in view is drawn, and only one of several bars that share a pixel.

const GUTTER = 112;
const BAR = 12;
const WAITED = 1000;
const LABEL = "11px system-ui, sans-serif";

class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.setColors();
  }

  setColors() {
    const style = getComputedStyle(document.documentElement);
    this.colors = new Proxy({}, { get: (kept, name) => (kept[name] ??= style.getPropertyValue(`--${name}`).trim()) });
    this.hatch = hatched(this.colors.wait);
  }

  /** Make the canvas as large as it is displayed, in the screen's own pixels. */
  fit(width, height) {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.width = width;
    this.height = height;
  }

  draw(layout, view, top, chosen) {
    const { context, colors } = this;
    this.data = layout.data;
    this.view = view;
    this.scale = (this.width - GUTTER) / (view.to - view.from);
    context.fillStyle = colors.panel;
    context.fillRect(0, 0, this.width, this.height);
    context.font = LABEL;
    context.textBaseline = "middle";
    this.grid();
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, this.width - GUTTER, this.height);
    context.clip();
    const first = layout.rowAt(top);
    let at = first;
    for (; at < layout.rows.length && layout.rows[at].y < top + this.height; at++) this.lane(layout, layout.rows[at], layout.rows[at].y - top, chosen);
    context.restore();
    for (let row = first; row < at; row++) this.name(layout, layout.rows[row], layout.rows[row].y - top, chosen);
  }

  x(time) {
    return GUTTER + (time - this.view.from) * this.scale;
  }

  grid() {
    this.context.fillStyle = this.colors.grid;
    for (const time of ticks(this.view, this.width - GUTTER)) this.context.fillRect(Math.round(this.x(time)), 0, 1, this.height);
  }

  name(layout, { lane, group }, y, chosen) {
    const { context, colors, data } = this;
    const homeless = lane >= data.lanes;
    context.fillStyle = chosen && chosen.lane === lane ? colors.ink : colors.quiet;
    context.textAlign = "right";
    const bad = !homeless && laneTrouble(data, lane);
    if (bad) context.fillStyle = colors.bad;
    const name = homeless ? "no connection" : laneName(data, lane);
    context.fillText(name, GUTTER - 8, y + LANE / 2);
    context.textAlign = "left";
    if (chosen && chosen.lane === lane) context.fillRect(0, y + 2, 3, LANE - 4);
  }

  lane(layout, { lane, height }, y, chosen) {
    const { context, colors, data } = this;
    if (chosen && chosen.lane === lane) {
      context.fillStyle = colors.chosen;
      context.fillRect(GUTTER, y, this.width - GUTTER, height);
    }
    if (lane < data.lanes) this.connection(lane, y);
    const tracks = layout.tracksOf(lane);
    tracks.forEach((track, depth) => this.track(track, y + depth * TRACK, tracks.length === 1, lane));
    if (lane < data.lanes) this.end(lane, y);
    if (chosen && chosen.lane === lane && chosen.request >= 0) this.outline(tracks, chosen.request, y);
  }

  /** A connection's life as a line, and its cost before it could be used. */
  connection(lane, y) {
    const { connections, end } = this.data;
    const opened = connections.opened_at[lane];
    const closed = connections.closed_at[lane];
    if (!Number.isNaN(opened)) this.bar(opened, Number.isNaN(closed) ? end : closed, y + LANE / 2 - 1, 2, "idle");
    const built = connections.built_at[lane];
    if (!Number.isNaN(built)) this.labelled(built, built + (connections.built_took[lane] || 0), y, "build", "building client");
    const setup = connections.setup_at[lane];
    if (Number.isNaN(setup)) return;
    const until = Number.isNaN(opened) ? closed : opened;
    if (!Number.isNaN(until)) this.bar(setup, until, y + (LANE - BAR) / 2, BAR, "setup");
    for (const phase of PHASES) {
      const start = connections[`${phase}_at`][lane];
      if (!Number.isNaN(start)) this.labelled(start, start + connections[`${phase}_took`][lane], y, phase, plain(phase));
    }
  }

  /** The bars of one track. Failures are drawn again on top, because a shared pixel must show them. */
  track(track, y, alone, lane) {
    const { exchanges } = this.data;
    const waits = track.only("waits", (row) => exchanges.waited[row] >= WAITED);
    this.each(track, waits, exchanges.started_at, (row) => this.waiting(row, y));
    this.each(track, track.rows, this.data.from, (row) => this.request(row, y));
    const bad = track.only("bad", (row) => this.data.bad[row] === 1);
    if (bad.length) this.each(track, bad, this.data.from, (row) => this.request(row, y));
    if (alone && lane < this.data.lanes) this.gaps(track, y);
  }

  /** Call `draw` for the bars in view, one per pixel. */
  each(track, rows, starts, draw) {
    const { view, data } = this;
    const pixel = 1 / this.scale;
    let at = track.firstAfter(view.from, rows);
    while (at < rows.length) {
      const row = rows[at];
      if (starts[row] > view.to) return;
      draw(row);
      at += 1;
      const next = Math.max(data.to[row], data.from[row] + pixel);
      if (at < rows.length && data.from[rows[at]] < next && data.to[rows[at]] <= next) at += search(rows.subarray(at), next, data.to);
    }
  }

  waiting(row, y) {
    const { exchanges } = this.data;
    const from = exchanges.started_at[row];
    this.bar(from, from + exchanges.waited[row], y + 1, 3, null, this.hatch);
  }

  request(row, y) {
    const { data, context, colors } = this;
    const { exchanges } = data;
    const top = y + (LANE - BAR) / 2;
    const bad = data.bad[row] === 1;
    const color = bad ? "bad" : "read";
    const x = this.x(data.from[row]);
    const width = this.x(data.to[row]) - x;
    this.bar(data.from[row], data.to[row], top, BAR, color);
    const headers = exchanges.headers_at[row];
    if (!bad && width > 3 && (headers > data.from[row] || Number.isNaN(headers))) {
      this.bar(data.from[row], Number.isNaN(headers) ? data.to[row] : headers, top, BAR, "await");
    }
    if (exchanges.flags[row] & FLAG.inProgress) {
      context.fillStyle = colors.bad;
      context.fillRect(Math.min(x + width, this.width) - 2, top - 2, 2, BAR + 4);
    }
    if (width > 34) this.write(this.labelOf(row, width), x, width, y);
  }

  labelOf(row, width) {
    const { exchanges } = this.data;
    const error = text(this.data, exchanges.error[row]);
    const status = exchanges.status[row];
    let label = error !== null ? last(error) : status === NONE ? "no answer" : String(status);
    if (exchanges.flags[row] & FLAG.inProgress) label = plain(text(this.data, exchanges.state[row]) ?? "in progress");
    return width > 90 ? `${label} · ${duration(this.data.to[row] - this.data.from[row])}` : label;
  }

  /** The length of an idle time, if there is room for it. */
  gaps(track, y) {
    const { data, view } = this;
    const { rows } = track;
    const least = 74 / this.scale;
    const first = Math.max(0, track.firstAfter(view.from) - 1);
    const stop = Math.min(rows.length - 1, search(rows, view.to, data.from));
    if (stop - first > 2000) return;
    for (let at = first; at < stop; at++) {
      const [from, until] = [data.to[rows[at]], data.from[rows[at + 1]]];
      if (until - from >= least) this.gap(from, until, y);
    }
  }

  gap(from, until, y) {
    const { context, colors } = this;
    const label = `idle ${duration(until - from)}`;
    const [left, right] = [Math.max(GUTTER, this.x(from)), Math.min(this.width, this.x(until))];
    const width = context.measureText(label).width;
    if (right - left < width + 12) return;
    context.fillStyle = colors.panel;
    context.fillRect((left + right - width) / 2 - 4, y + 3, width + 8, LANE - 6);
    context.fillStyle = colors.quiet;
    context.fillText(label, (left + right - width) / 2, y + LANE / 2);
  }

  /** How a connection ended. */
  end(lane, y) {
    const { connections, end } = this.data;
    const { context, colors } = this;
    const closed = connections.closed_at[lane];
    const took = connections.close_took[lane];
    if (Number.isNaN(closed)) {
      const x = this.x(end);
      context.fillStyle = colors.quiet;
      if (x < this.width - 4) context.fillText("▸ still open", x + 3, y + LANE / 2);
      return;
    }
    if (took > 0) this.bar(closed - took, closed, y + LANE / 2 - 3, 6, "close");
    const x = this.x(closed);
    if (x < GUTTER || x > this.width) return;
    const failed = connections.failed_phase[lane];
    const reason = failed === NONE ? text(this.data, connections.close_reason[lane]) : `failed in ${text(this.data, failed)}`;
    context.fillStyle = laneTrouble(this.data, lane) ? colors.bad : colors.quiet;
    context.fillText(`✕ ${plain(reason ?? "closed")}`, x + 3, y + LANE / 2);
  }

  bar(from, to, y, height, color, fill = null) {
    if (to < this.view.from || from > this.view.to) return;
    const x = Math.max(GUTTER - 1, this.x(from));
    this.context.fillStyle = fill ?? this.colors[color];
    this.context.fillRect(x, y, Math.max(1, Math.min(this.width + 1, this.x(to)) - x), height);
  }

  labelled(from, to, y, color, label) {
    this.bar(from, to, y + (LANE - BAR) / 2, BAR, color);
    this.write(label, this.x(from), (to - from) * this.scale, y);
  }

  write(label, x, width, y) {
    const left = Math.max(GUTTER, x);
    const room = Math.min(this.width, x + width) - left - 6;
    if (room < 20 || this.context.measureText(label).width > room) return;
    this.context.fillStyle = this.colors.onbar;
    this.context.fillText(label, left + 3, y + LANE / 2 + 0.5);
  }

  outline(tracks, request, y) {
    const depth = tracks.findIndex((track) => track.all.includes(request));
    const x = this.x(this.data.from[request]);
    this.context.strokeStyle = this.colors.ink;
    this.context.lineWidth = 2;
    this.context.strokeRect(x - 1, y + depth * TRACK + (LANE - BAR) / 2 - 1, Math.max(3, this.x(this.data.to[request]) - x + 2), BAR + 2);
  }
}

function hatched(color) {
  const tile = h("canvas", { width: 6, height: 6 });
  const context = tile.getContext("2d");
  context.fillStyle = color;
  context.fillRect(0, 0, 4, 6);
  context.globalAlpha = 0.35;
  context.fillRect(4, 0, 2, 6);
  return context.createPattern(tile, "repeat");
}

/** Round times in view, about one per hundred pixels. */
function ticks(view, width) {
  const rough = ((view.to - view.from) * 110) / Math.max(110, width);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let at = Math.ceil(view.from / step); at * step <= view.to; at++) found.push(at * step);
  return found;
}
