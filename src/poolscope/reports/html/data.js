// The payload: unpacked, its columns as typed arrays, with times from the start of the run.

const NONE = 0xffffffff;
const FLAG = { reused: 1, joined: 2, fresh: 4, cut: 8, inProgress: 16, forStream: 32 };
const PHASES = ["dns", "connect", "proxy_tunnel", "tls_context", "tls"];
const TIMES = ["built_at", "setup_at", "opened_at", "closed_at", "started_at", "sent_at", "headers_at", "finished_at", ...PHASES.map((phase) => `${phase}_at`)];

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

async function unpack(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const padded = (length) => length + ((8 - (length % 8)) % 8);

/** { facts, connections: {column: array}, exchanges: {…} } */
async function load() {
  const buffer = await unpack($("payload").textContent);
  $("payload").remove();
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const data = { facts, connections: {}, exchanges: {} };
  const start = padded(length + 4);
  for (const [name, [type, offset, size]] of Object.entries(facts.columns)) {
    const [table, column] = name.split(".");
    const kind = type === "Float64" ? Float64Array : Uint32Array;
    data[table][column] = new kind(buffer, start + offset, size);
    if (TIMES.includes(column)) fromZero(data[table][column], facts.zero);
  }
  return finished(data);
}

function fromZero(times, zero) {
  for (let row = 0; row < times.length; row++) times[row] -= zero;
}

/** What several parts of the page need: where each bar begins and ends, the end of the run, and what is trouble. */
function finished(data) {
  const { connections, exchanges, facts } = data;
  data.lanes = connections.lane.length;
  data.requests = exchanges.lane.length;
  data.rowOf = new Map();
  for (let row = 0; row < data.lanes; row++) data.rowOf.set(connections.lane[row], row);
  data.end = Math.max(1, (facts.wall_time ?? 0) * 1e6);
  for (const times of [exchanges.finished_at, exchanges.headers_at, connections.closed_at, connections.opened_at]) {
    for (const time of times) if (time > data.end) data.end = time;
  }
  data.from = new Float64Array(data.requests);
  data.to = new Float64Array(data.requests);
  data.bad = new Uint8Array(data.requests);
  data.laneOf = new Int32Array(data.requests);
  const free = new Float64Array(data.lanes);
  for (let row = 0; row < data.requests; row++) setBar(data, row);
  for (let row = 0; row < data.requests; row++) oneByOne(data, row, free);
  data.begin = beginning(data);
  data.concerned = facts.findings.map((finding) => concerned(data, finding));
  data.several = Object.keys(facts.processes).length > 1;
  return data;
}

/** When something was first seen, so that the first view leaves out a long start-up without connections. */
function beginning(data) {
  let first = data.end;
  for (let lane = 0; lane < data.lanes; lane++) if (laneStart(data, lane) < first) first = laneStart(data, lane);
  for (const time of data.exchanges.started_at) if (time < first) first = time;
  return first;
}

/** A bar begins when its request had a connection: after the wait and, on a new connection, after the setup. */
function setBar(data, row) {
  const { connections, exchanges } = data;
  const lane = data.rowOf.get(exchanges.lane[row]);
  data.laneOf[row] = lane === undefined ? -1 : lane;
  let from = exchanges.started_at[row] + (exchanges.waited[row] || 0);
  const inProgress = (exchanges.flags[row] & FLAG.inProgress) !== 0;
  let to = exchanges.finished_at[row];
  if (Number.isNaN(to)) to = inProgress ? data.end : exchanges.headers_at[row];
  if (lane !== undefined) {
    const opened = connections.opened_at[lane];
    if (opened > from && !(exchanges.flags[row] & FLAG.reused) && opened <= to) from = opened;
  } else {
    from = exchanges.started_at[row];
  }
  if (Number.isNaN(from)) from = to;
  data.from[row] = from;
  data.to[row] = Number.isNaN(to) ? from : to;
  data.bad[row] = exchanges.error[row] !== NONE || badStatus(exchanges.status[row]) ? 1 : 0;
}

/** Without streams a connection serves one request at a time, in the order of its records: the next one waits until it is free. */
function oneByOne(data, row, free) {
  const lane = data.laneOf[row];
  if (lane < 0 || data.exchanges.stream[row] !== NONE || data.exchanges.number[row] === NONE) return;
  const sent = data.exchanges.sent_at[row];
  if (free[lane] > data.from[row] && (Number.isNaN(sent) || sent >= free[lane])) data.from[row] = Math.min(free[lane], data.to[row]);
  free[lane] = data.to[row];
}

const badStatus = (status) => status !== NONE && status >= 400;
const text = (data, at) => (at === NONE ? null : data.facts.texts[at]);
const known = (value) => (value === NONE ? null : value);

/** #12, or 4711#12 where there are several processes. */
function laneName(data, lane) {
  const { id, pid } = data.connections;
  return data.several ? `${pid[lane]}#${id[lane]}` : `#${id[lane]}`;
}

const laneTrouble = (data, lane) => data.connections.troubled[lane] === 1;

/** The start of a lane: building its client, its setup, or when the connection was found open. */
function laneStart(data, lane) {
  const { built_at, setup_at, opened_at } = data.connections;
  for (const column of [built_at, setup_at, opened_at]) if (!Number.isNaN(column[lane])) return column[lane];
  return NaN;
}
