// Moving, zooming and choosing on the lanes, by pointer and keys.

class Timeline {
  constructor(data, layout, texts) {
    this.data = data;
    this.layout = layout;
    this.texts = texts;
    this.painter = new Painter($("lanes"));
    this.overview = new Overview($("overview"), $("axis"), (from, to) => this.show(from, to));
    this.view = this.whole();
    this.chosen = null;
    this.pending = false;
    this.listen();
  }

  listen() {
    const canvas = this.painter.canvas;
    const scroller = $("scroller");
    new ResizeObserver(() => this.resize()).observe(scroller);
    scroller.addEventListener("scroll", () => this.draw());
    scroller.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointerleave", () => this.hint(null));
    $("zoom-in").onclick = () => this.zoom(0.5);
    $("zoom-out").onclick = () => this.zoom(2);
    $("zoom-all").onclick = () => this.all();
  }

  /** Show the lanes that a filter leaves: their headings, their room. */
  lay(headings) {
    $("headings").replaceChildren(...headings);
    this.layout.groups.forEach((group, at) => (headings[at].style.top = `${group.y}px`));
    this.chosen = null;
    $("scroller").scrollTop = 0;
    this.resize();
  }

  resize() {
    const scroller = $("scroller");
    const room = Math.max(180, Math.round(window.innerHeight * 0.62));
    const height = Math.min(room, Math.max(90, this.layout.height));
    scroller.style.height = `${height}px`;
    $("spacer").style.height = `${Math.max(height, this.layout.height)}px`;
    if (!scroller.clientWidth || !this.layout.requests) return;
    this.painter.fit(scroller.clientWidth, height);
    this.painter.setColors();
    this.overview.prepare(this.layout, scroller.clientWidth);
    this.draw();
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.pending = false;
    if (!this.overview.strip) return;
    this.painter.draw(this.layout, this.view, $("scroller").scrollTop, this.chosen);
    this.overview.draw(this.view);
    $("span").textContent = `${duration(this.view.to - this.view.from)} in view`;
    const { canvas } = this.painter;
    Object.assign(canvas.dataset, { from: this.view.from, to: this.view.to, gutter: GUTTER });
    globalThis.poolscope.drawnAt ??= performance.now();
  }

  show(from, to) {
    const widest = Math.max(this.data.end, 1) * 1.1;
    const span = Math.min(widest, Math.max(to - from, Math.min(20, widest)));
    const start = Math.min(Math.max(from, -span * 0.1), widest - span);
    this.view = { from: start, to: start + span };
    this.draw();
  }

  all() {
    this.view = this.whole();
    this.draw();
  }

  /** The whole run, with room for the last close reason. */
  whole() {
    const { begin, end } = this.data;
    const span = Math.max(1, end - begin);
    return { from: begin - span * 0.01, to: end + span * 0.12 };
  }

  zoom(factor, around = (this.view.from + this.view.to) / 2) {
    const { from, to } = this.view;
    this.show(around - (around - from) * factor, around + (to - around) * factor);
  }

  pan(pixels) {
    const by = (pixels * (this.view.to - this.view.from)) / (this.painter.width - GUTTER);
    this.show(this.view.from + by, this.view.to + by);
  }

  wheel(event) {
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const x = event.clientX - this.painter.canvas.getBoundingClientRect().left;
      this.zoom(Math.exp(event.deltaY / 300), this.timeAt(x));
    } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
      event.preventDefault();
      this.pan(sideways);
    }
  }

  timeAt(x) {
    return this.view.from + ((x - GUTTER) * (this.view.to - this.view.from)) / (this.painter.width - GUTTER);
  }

  press(event) {
    if (event.button !== 0) return;
    this.painter.canvas.setPointerCapture(event.pointerId);
    this.dragging = { x: event.clientX, from: event.clientX, y: event.clientY };
  }

  move(event) {
    if (!this.dragging) return this.hint(event);
    this.hint(null);
    this.pan(this.dragging.x - event.clientX);
    this.dragging.x = event.clientX;
  }

  release(event) {
    const { from, y } = this.dragging ?? { from: event.clientX, y: event.clientY };
    this.dragging = null;
    if (Math.hypot(event.clientX - from, event.clientY - y) > 4) return;
    this.choose(this.at(event.offsetX, event.offsetY));
  }

  /** The lane at a point, and the request on it if there is one. */
  at(x, y) {
    const deep = y + $("scroller").scrollTop;
    const found = this.layout.rows[this.layout.rowAt(deep)];
    if (!found || deep < found.y) return null;
    const tracks = this.layout.tracksOf(found.lane);
    const track = tracks[Math.min(tracks.length - 1, Math.max(0, Math.floor((deep - found.y - (LANE - BAR) / 2) / TRACK)))];
    return { lane: found.lane, request: track ? this.requestAt(track, x) : -1 };
  }

  requestAt(track, x) {
    const { data } = this;
    const slack = (2 * (this.view.to - this.view.from)) / this.painter.width;
    const time = this.timeAt(x);
    let best = -1;
    let nearest = Infinity;
    for (let at = track.firstAfter(time - slack); at < track.rows.length; at++) {
      const request = track.rows[at];
      if (data.from[request] > time + slack) break;
      const off = Math.max(0, data.from[request] - time, time - data.to[request]);
      if (off <= slack && off < nearest) [best, nearest] = [request, off];
      if (off === 0) break;
    }
    return best;
  }

  hint(event) {
    const tip = $("tip");
    const found = event && this.at(event.offsetX, event.offsetY);
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren(...this.texts.hint(found));
    const { innerWidth, innerHeight } = window;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
  }

  choose(found) {
    this.chosen = found;
    this.texts.chosen(found);
    this.draw();
  }

  key(event) {
    const step = (this.painter.width - GUTTER) * (event.shiftKey ? 0.5 : 0.1);
    const keys = {
      ArrowLeft: () => this.pan(-step), ArrowRight: () => this.pan(step),
      ArrowUp: () => this.nextLane(-1), ArrowDown: () => this.nextLane(1),
      ",": () => this.nextRequest(-1), ".": () => this.nextRequest(1),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.all(),
      Home: () => this.show(this.data.begin, this.data.begin + this.view.to - this.view.from), Escape: () => this.choose(null),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  nextLane(by) {
    const { rows } = this.layout;
    const now = this.chosen ? rows.findIndex((row) => row.lane === this.chosen.lane) : by > 0 ? -1 : rows.length;
    const next = rows[Math.min(rows.length - 1, Math.max(0, now + by))];
    if (!next) return;
    const scroller = $("scroller");
    const above = next === rows[0] ? next.y : HEADING;
    if (next.y - above < scroller.scrollTop) scroller.scrollTop = next.y - above;
    else if (next.y + next.height > scroller.scrollTop + this.painter.height) scroller.scrollTop = next.y + next.height - this.painter.height;
    this.choose({ lane: next.lane, request: -1 });
  }

  nextRequest(by) {
    if (!this.chosen) return this.nextLane(1);
    const rows = this.layout.tracksOf(this.chosen.lane).flatMap((track) => [...track.rows]).sort((a, b) => this.data.from[a] - this.data.from[b]);
    const now = rows.indexOf(this.chosen.request);
    const request = rows[Math.min(rows.length - 1, Math.max(0, now < 0 && by < 0 ? rows.length - 1 : now + by))];
    if (request === undefined) return;
    const { from, to } = this.view;
    if (this.data.to[request] < from || this.data.from[request] > to) this.show(this.data.from[request] - (to - from) / 2, this.data.from[request] + (to - from) / 2);
    this.choose({ lane: this.chosen.lane, request });
  }
}
