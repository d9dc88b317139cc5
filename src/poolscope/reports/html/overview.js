// The whole run in one strip, stacked: connections being built and set up, in use, and idle.

class Overview {
  constructor(canvas, axis, show) {
    this.painter = new Painter(canvas);
    this.axis = new Painter(axis);
    this.show = show;
    this.strip = null;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", () => (this.from = null));
    this.from = null;
  }

  begin(event) {
    this.painter.canvas.setPointerCapture(event.pointerId);
    this.from = this.timeAt(event.offsetX);
  }

  drag(event) {
    if (this.from === null) return;
    const to = this.timeAt(event.offsetX);
    if (Math.abs(to - this.from) > (this.data.end * 3) / this.painter.width) this.show(Math.min(this.from, to), Math.max(this.from, to));
  }

  timeAt(x) {
    return ((x - GUTTER) / (this.painter.width - GUTTER)) * this.data.end;
  }

  /** The strip is drawn once per width, theme and choice of lanes; the window over it each time. */
  prepare(layout, width) {
    this.data = layout.data;
    this.painter.fit(width, 46);
    this.axis.fit(width, 22);
    this.painter.setColors();
    this.axis.setColors();
    const pixels = Math.max(1, Math.floor(width - GUTTER));
    if (this.summed !== layout.requests || this.strip.width !== pixels) this.strip = this.sums(layout, pixels);
    this.summed = layout.requests;
  }

  sums(layout, width) {
    const { connections, exchanges, end, from, to } = this.data;
    const building = new Float64Array(width + 1);
    const flying = new Float64Array(width + 1);
    const open = new Float64Array(width + 1);
    const add = (sums, start, stop) => {
      if (Number.isNaN(start) || Number.isNaN(stop)) return;
      const [a, b] = [start, stop].map((time) => Math.min(width, Math.max(0, (time / end) * width)));
      const [i, j] = [Math.min(width - 1, Math.floor(a)), Math.min(width - 1, Math.floor(b))];
      if (i === j) sums[i] += b - a;
      else {
        sums[i] += i + 1 - a;
        for (let at = i + 1; at < j; at++) sums[at] += 1;
        sums[j] += b - j;
      }
    };
    for (const lane of layout.connections) {
      add(building, connections.built_at[lane], connections.built_at[lane] + connections.built_took[lane]);
      const opened = connections.opened_at[lane];
      const closed = connections.closed_at[lane];
      add(building, connections.setup_at[lane], Number.isNaN(opened) ? closed : opened);
      add(open, opened, Number.isNaN(closed) ? end : closed);
    }
    for (const row of layout.requests) if (exchanges.lane[row] !== NONE) add(flying, from[row], to[row]);
    return { building, flying, open, width };
  }

  draw(view) {
    const { context, colors, width, height } = this.painter;
    const { building, flying, open } = this.strip;
    context.fillStyle = colors.panel;
    context.fillRect(0, 0, width, height);
    let most = 1;
    for (let at = 0; at < this.strip.width; at++) most = Math.max(most, building[at] + Math.max(open[at], flying[at]));
    const unit = (height - 8) / most;
    for (let at = 0; at < this.strip.width; at++) {
      let y = height - 2;
      for (const [value, color] of [[building[at], "setup"], [flying[at], "read"], [Math.max(0, open[at] - flying[at]), "idle"]]) {
        const tall = value > 0 ? Math.max(value * unit, color === "idle" ? 0 : 1) : 0;
        context.fillStyle = colors[color];
        context.fillRect(GUTTER + at, y - tall, 1, tall);
        y -= tall;
      }
    }
    context.fillStyle = colors.quiet;
    context.font = LABEL;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText("whole run", GUTTER - 8, height / 2 - 6);
    context.fillText(`≤ ${number(Math.ceil(most))} at once`, GUTTER - 8, height / 2 + 8);
    this.window(view);
    this.ticks(view);
  }

  window(view) {
    const { context, colors, width, height } = this.painter;
    const x = (time) => GUTTER + (time / this.data.end) * (width - GUTTER);
    const [left, right] = [x(view.from), x(view.to)];
    context.fillStyle = colors.veil;
    context.fillRect(GUTTER, 0, Math.max(0, left - GUTTER), height);
    context.fillRect(right, 0, Math.max(0, width - right), height);
    context.strokeStyle = colors.ink;
    context.lineWidth = 1;
    context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left - 1), height - 1);
  }

  ticks(view) {
    const { context, colors, width, height } = this.axis;
    context.fillStyle = colors.panel;
    context.fillRect(0, 0, width, height);
    context.font = LABEL;
    context.textBaseline = "middle";
    context.fillStyle = colors.quiet;
    const scale = (width - GUTTER) / (view.to - view.from);
    const times = ticks(view, width - GUTTER);
    const step = times.length > 1 ? times[1] - times[0] : view.to - view.from;
    for (const time of times) {
      const x = GUTTER + (time - view.from) * scale;
      context.fillRect(Math.round(x), height - 5, 1, 5);
      if (x < width - 44) context.fillText(tickLabel(time, step), x + 3, height / 2 - 1);
    }
  }
}

function tickLabel(time, step) {
  const [unit, name] = step >= 1e5 ? [1e6, "s"] : step >= 100 ? [1e3, "ms"] : [1, "µs"];
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step / unit) + 1e-9)));
  return `${(time / unit).toFixed(digits)} ${name}`;
}
