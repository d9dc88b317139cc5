// The same facts as a table: one page of rows at a time, sorted by any column, after the same filters.

const PAGE = 100;

/** Title, text of a cell, sort key, and whether it is a number. */
function requestColumns(data) {
  const { exchanges: e, connections: c } = data;
  const time = (title, of) => [title, (row) => exact(of(row)), of, true];
  const word = (title, of) => [title, (row) => of(row) ?? DASH, (row) => of(row) ?? "", false];
  return [
    ["Request", (row) => (data.several ? `${e.pid[row]}#${e.id[row]}` : String(e.id[row])), (row) => e.id[row], true],
    ["Connection", (row) => (data.laneOf[row] < 0 ? DASH : laneName(data, data.laneOf[row])), (row) => (data.laneOf[row] < 0 ? -1 : c.id[data.laneOf[row]]), true],
    ["No.", (row) => known(e.number[row]) ?? DASH, (row) => e.number[row], true],
    word("Method", (row) => text(data, e.method[row])),
    word("URL", (row) => text(data, e.url[row])),
    ["Status", (row) => known(e.status[row]) ?? DASH, (row) => e.status[row], true],
    word("Error", (row) => text(data, e.error[row])),
    word("Reused", (row) => (e.flags[row] & FLAG.reused ? "yes" : e.flags[row] & FLAG.fresh ? "no" : null)),
    time("Begun (ms)", (row) => e.started_at[row]),
    time("Waited (ms)", (row) => e.waited[row]),
    time("Sent (ms)", (row) => e.sent_at[row]),
    time("Headers (ms)", (row) => e.headers_at[row]),
    time("Over (ms)", (row) => e.finished_at[row]),
    time("Idle before (ms)", (row) => e.idle[row]),
    word("Sent by", (row) => { const site = text(data, e.site[row]); return site && short(site, data.facts.base); }),
  ];
}

function connectionColumns(data) {
  const { connections: c, facts } = data;
  const group = (lane) => facts.groups[c.group[lane]];
  const time = (title, of) => [title, (lane) => exact(of(lane)), of, true];
  const word = (title, of) => [title, (lane) => of(lane) ?? DASH, (lane) => of(lane) ?? "", false];
  return [
    ["Connection", (lane) => laneName(data, lane), (lane) => c.id[lane], true],
    word("Origin", (lane) => group(lane).origin),
    word("Client", (lane) => group(lane).kind),
    word("Built at", (lane) => place(group(lane).site ?? group(lane).sdk, facts.base)),
    ["Requests", (lane) => c.requests[lane], (lane) => c.requests[lane], true],
    time("Building (ms)", (lane) => c.built_took[lane]),
    time("Setup from (ms)", (lane) => c.setup_at[lane]),
    ...PHASES.map((phase) => time(`${plain(phase)} (ms)`, (lane) => c[`${phase}_took`][lane])),
    time("Open from (ms)", (lane) => c.opened_at[lane]),
    time("Closed (ms)", (lane) => c.closed_at[lane]),
    word("Ended by", (lane) => plain(reasonOf(data, lane))),
    word("Seen first", (lane) => text(data, c.closed_by[lane])),
    word("Error", (lane) => text(data, c.error[lane])),
    word("Protocol", (lane) => text(data, c.http_version[lane])),
    word("Peer", (lane) => text(data, c.peer[lane])),
  ];
}

class Table {
  constructor(data) {
    this.data = data;
    this.columns = { requests: requestColumns(data), connections: connectionColumns(data) };
    this.sorted = { requests: { by: 8, down: false }, connections: { by: 6, down: false } };
    this.kind = "requests";
    this.at = 0;
    $("page-before").onclick = () => this.turn(-1);
    $("page-after").onclick = () => this.turn(1);
  }

  show(kind, rows) {
    this.kind = kind;
    this.rows = Array.from(rows);
    this.sort();
  }

  sort() {
    const { by, down } = this.sorted[this.kind];
    const key = this.columns[this.kind][by][2];
    const order = (a, b) => (typeof a === "number" ? (Number.isNaN(a) ? Infinity : a) - (Number.isNaN(b) ? Infinity : b) || 0 : a.localeCompare(b));
    this.rows.sort((a, b) => (down ? -1 : 1) * order(key(a), key(b)) || a - b);
    this.at = 0;
    this.draw();
  }

  turn(by) {
    this.at = Math.min(Math.max(0, this.at + by * PAGE), Math.max(0, Math.ceil(this.rows.length / PAGE) - 1) * PAGE);
    this.draw();
    $("table-scroller").scrollTop = 0;
  }

  draw() {
    const columns = this.columns[this.kind];
    const rows = this.rows.slice(this.at, this.at + PAGE);
    $("table").replaceChildren(
      h("caption", {}, this.kind === "requests" ? "Requests; times from the start of the run" : "Connections; times from the start of the run"),
      h("thead", {}, h("tr", {}, columns.map((column, at) => this.title(column, at)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(([, cell, , numeric], at) => h(at ? "td" : "th", { className: numeric ? "number" : "", ...(at ? {} : { scope: "row" }) }, String(cell(row))))))));
    $("page").textContent = this.rows.length ? `${number(this.at + 1)} to ${number(this.at + rows.length)} of ${number(this.rows.length)}` : "none";
    $("page-before").disabled = this.at === 0;
    $("page-after").disabled = this.at + PAGE >= this.rows.length;
  }

  title([title, , , numeric], at) {
    const sorted = this.sorted[this.kind];
    const mine = sorted.by === at;
    const click = () => {
      this.sorted[this.kind] = { by: at, down: mine && !sorted.down };
      this.sort();
    };
    return h("th", { scope: "col", className: numeric ? "number" : "", "aria-sort": mine ? (sorted.down ? "descending" : "ascending") : null },
      h("button", { type: "button", onclick: click }, title));
  }
}
