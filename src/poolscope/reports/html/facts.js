// The facts in words: about the run, a finding, a connection, a request.

/** What the text report's COST column shows. */
const costOf = (sums) => (sums.construction || 0) + (sums.setup || 0) + (sums.closing || 0);

function tiles(facts) {
  const sums = facts.totals;
  const tile = (value, name, more, bad = false) => h("div", { className: bad ? "tile bad" : "tile" }, h("dt", {}, name), h("dd", {}, value), h("dd", { className: "more" }, more));
  const wasted = costOf(sums);
  const failed = [sums.errors > sums.cancelled ? `${number(sums.errors - sums.cancelled)} failed` : "none failed", sums.cancelled ? `${number(sums.cancelled)} cancelled` : null].filter(Boolean).join(" · ");
  return [
    tile(share(sums.reused || 0, sums.kept || 0), "reused", `${number(sums.reused || 0)} of ${count(sums.kept || 0, "request")}`, sums.kept > 1 && sums.reused / sums.kept < 0.5),
    tile(number(sums.requests || 0), "requests", failed, sums.errors > sums.cancelled),
    tile(number(sums.connections || 0), "connections", [sums.failed ? `${number(sums.failed)} more failed` : null, sums.still_open ? `${number(sums.still_open)} still open` : "all closed", sums.inherited ? `${number(sums.inherited)} × inherited` : null].filter(Boolean).join(" · ")),
    tile(number(sums.clients || 0), "clients built", seconds(sums.construction || 0)),
    tile(seconds(wasted), "building, setup and closing", sums.requests ? `${seconds(wasted / sums.requests)} for each request` : "", facts.findings.length > 0),
    tile(seconds(sums.wait_time || 0), "waiting for a connection", count(sums.waited || 0, "request"), sums.waited > 0),
  ];
}

/** A finding as a card. */
function card(facts, finding, at, show) {
  const where = place(finding.site ?? finding.sdk, facts.base);
  const site = finding.site ?? finding.sdk;
  return h("article", { className: `card ${finding.severity ?? "warning"}`, id: `finding-${at}`, tabIndex: -1, "aria-labelledby": `finding-title-${at}` },
    h("h3", { id: `finding-title-${at}` }, h("span", { className: "code" }, finding.code), ` ${finding.title}`),
    where && h("p", { className: "where", title: site.slice(0, 3).join("\n") }, h("code", {}, where), ` in ${site[2]}`),
    finding.site && finding.sdk && h("p", { className: "quiet" }, "through ", h("code", {}, place(finding.sdk, facts.base))),
    finding.origin && h("p", { className: "quiet" }, finding.origin),
    h("p", {}, finding.sentence),
    (finding.notes ?? []).map((note) => h("p", { className: "quiet" }, note)),
    h("dl", { className: "costs" },
      pair("cost", seconds(finding.cost), "cost"),
      finding.saving === null || finding.saving === undefined ? [] : pair(finding.at_least === false ? "saves" : "saves at least", seconds(finding.saving), "saving")),
    partsOf(finding),
    h("p", { className: "fix" }, h("b", {}, "Fix "), fixText(finding, facts.base)),
    source(facts, site),
    h("button", { type: "button", onclick: () => show(at) }, "Show its lanes"));
}

/** The parts of the cost, the largest first. */
function partsOf(finding) {
  const parts = Object.entries(finding.parts ?? {}).filter(([, cost]) => cost > 0).sort((a, b) => b[1] - a[1]);
  return parts.length ? h("p", { className: "quiet" }, parts.map(([name, cost]) => `${plain(name)} ${seconds(cost)}`).join(" · ")) : null;
}

const pair = (name, value, className) => [h("dt", { className }, name), h("dd", { className }, value)];

/** The fix, with file names shortened as everywhere. */
function fixText(finding, base) {
  let words = finding.fix;
  for (const site of [finding.site, finding.sdk]) if (site) words = words.replaceAll(site[0], short(site[0], base));
  return words;
}

function source(facts, site) {
  const found = site && facts.source[`${site[0]}:${site[1]}`];
  if (!found) return null;
  const [first, lines] = found;
  return h("pre", { className: "source", tabIndex: 0, "aria-label": "Source" },
    lines.map((line, at) => h(first + at === site[1] ? "mark" : "span", {}, `${String(first + at).padStart(5)}  ${line}\n`)));
}

/** The heading of a group of lanes. */
function heading(data, entry, findings, go, unfold) {
  const { facts } = data;
  const { group } = entry;
  const sums = group.sums;
  const site = group.site ?? group.sdk;
  const said = sums ? [
    count(sums.requests, "request"), count(sums.connections, "connection"),
    sums.inherited ? `${number(sums.inherited)} × inherited` : null,
    sums.failed ? `${number(sums.failed)} failed to connect` : null,
    sums.kept ? `${share(sums.reused, sums.kept)} reused` : null,
    `${seconds(costOf(sums))} building, setup and closing`,
    sums.busy ? `this program itself was busy for ${seconds(sums.busy)} of it` : null,
    sums.waited ? `${number(sums.waited)} waited ${seconds(sums.wait_time)}` : null,
  ].filter(Boolean).join(" · ") : "";
  return h("div", { className: findings.length ? "heading found" : "heading" },
    h("p", {},
      h("b", { title: site ? site.slice(0, 3).join("\n") : "" }, site ? place(site, facts.base) : group.kind),
      h("span", {}, site ? ` ${group.kind}` : "", " → ", group.origin),
      findings.map((finding) => h("button", { type: "button", className: "chip", onclick: () => go(facts.findings.indexOf(finding)) }, `${finding.code} ${finding.title}`, finding.cost === null ? "" : ` · ${seconds(finding.cost)}`))),
    h("p", { className: "quiet" }, said,
      entry.hidden ? h("button", { type: "button", className: "fold", onclick: () => unfold(entry) }, `${number(entry.hidden)} more lanes`) : null));
}

const row = (name, value) => (value === null || value === undefined || value === DASH ? [] : [h("dt", {}, name), h("dd", {}, value)]);
const at = (micros) => (Number.isNaN(micros) ? null : `+${duration(micros)}`);
const took = (from, to) => (Number.isNaN(from) || Number.isNaN(to) ? null : duration(to - from));

function connectionFacts(data, lane) {
  const { connections: c, facts } = data;
  const failed = text(data, c.failed_phase[lane]);
  const group = facts.groups[c.group[lane]];
  const start = laneStart(data, lane);
  const address = [text(data, c.local[lane]), text(data, c.peer[lane])];
  return [
    h("h3", {}, `Connection ${laneName(data, lane)}`),
    h("dl", {},
      row("to", group.origin),
      row("client", `${group.kind}${group.site ? ` at ${place(group.site, facts.base)}` : ""}`),
      row("through", group.sdk && group.site ? place(group.sdk, facts.base) : null),
      row("building the client", Number.isNaN(c.built_took[lane]) ? null : duration(c.built_took[lane])),
      row("begun", at(start)),
      row("setup", took(c.setup_at[lane], Number.isNaN(c.opened_at[lane]) ? c.closed_at[lane] : c.opened_at[lane])),
      PHASES.map((phase) => row(`· ${plain(phase)}`, Number.isNaN(c[`${phase}_took`][lane]) ? null : duration(c[`${phase}_took`][lane]) + busyFor(c, phase, lane))),
      row("failed in", failed && plain(failed)),
      row("error", text(data, c.error[lane])),
      row("protocol", [text(data, c.http_version[lane]), text(data, c.tls_version[lane])].filter(Boolean).join(" · ") || null),
      row("via", text(data, c.via[lane])),
      row("from → to", address.every(Boolean) ? address.join(" → ") : address[1]),
      row("requests", number(c.requests[lane])),
      row("not drawn", c.seen[lane] > drawn(data, lane) ? number(c.seen[lane] - drawn(data, lane)) : null),
      row("open for", took(c.opened_at[lane], c.closed_at[lane])),
      row("inherited", c.inherited[lane] ? "from the process before the fork" : null),
      failed ? [] : row("ended by", endOf(data, lane)),
      row("closing took", Number.isNaN(c.close_took[lane]) ? null : duration(c.close_took[lane]))),
  ];
}

const BUSY = 10_000;

/** What of a phase was not the network's fault. */
function busyFor(connections, phase, lane) {
  const busy = connections[`${phase}_busy`][lane];
  return phase === "tls_context" || !(busy >= BUSY) ? "" : `, of which this program itself was busy for ${duration(busy)}`;
}

function endOf(data, lane) {
  const reason = text(data, data.connections.close_reason[lane]);
  const by = text(data, data.connections.closed_by[lane]);
  if (reason === null) return "still open";
  return by ? `${plain(reason)} (seen first: ${by})` : plain(reason);
}

const drawn = (data, lane) => data.layout.tracksOf(lane).reduce((sum, track) => sum + track.all.length, 0);

function requestFacts(data, request) {
  const { exchanges: e, facts } = data;
  const flags = e.flags[request];
  const place = text(data, e.site[request]);
  const how = flags & FLAG.reused ? "reused the connection" : flags & FLAG.joined ? "joined a setup under way" : flags & FLAG.fresh ? "opened the connection" : null;
  const relation = text(data, e.relation[request]);
  return [
    h("h3", {}, `${text(data, e.method[request]) ?? "Request"} ${known(e.status[request]) ?? text(data, e.error[request]) ?? "no answer"}`),
    h("p", { className: "url" }, text(data, e.url[request]) ?? facts.groups[e.group[request]].origin),
    h("dl", {},
      row("error", text(data, e.error[request])),
      row("sent by", place && short(place, facts.base)),
      row("begun", at(e.started_at[request])),
      row(flags & FLAG.forStream ? "waited for a stream" : "waited for a connection", e.waited[request] > 0 ? duration(e.waited[request]) : null),
      row("until sent", took(data.from[request], e.sent_at[request])),
      row("until the answer's headers", took(Number.isNaN(e.sent_at[request]) ? data.from[request] : e.sent_at[request], e.headers_at[request])),
      row("reading the body", took(e.headers_at[request], e.finished_at[request])),
      row("in total", took(e.started_at[request], e.finished_at[request])),
      row("in progress", flags & FLAG.inProgress ? `${plain(text(data, e.state[request]) ?? "")}: not over when the page was made` : null),
      row("body", flags & FLAG.cut ? "not read to its end" : null),
      row("number on the connection", known(e.number[request])),
      row("stream", known(e.stream[request])),
      row("connection", how),
      row("idle before", Number.isNaN(e.idle[request]) ? null : duration(e.idle[request])),
      row("follows", relation && `request ${known(e.previous[request]) ?? "before"} as its ${plain(relation)}`)),
  ];
}
