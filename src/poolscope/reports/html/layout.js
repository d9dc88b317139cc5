// Which lanes are shown, in what order and how high, and which bars are on which track of a lane.

const HEADING = 54;
const LANE = 20;
const TRACK = 12;
const DEEPEST = 8;
const FOLDED = 12;

/** The values of the filters; an empty string filters nothing. */
const everything = () => ({ origin: "", line: "", reason: "", text: "", trouble: false, finding: null });

/** Bars of one height on one lane, by start. */
class Track {
  constructor(all, data, crowded) {
    this.all = all;
    this.data = data;
    this.crowded = crowded;
    this.show(null);
  }

  show(wanted) {
    this.rows = wanted === null ? this.all : this.all.filter((row) => wanted[row]);
    this.sorts = {};
    this.ends = null;
  }

  /** The bars that pass a test, kept for the next frame under a name. */
  only(name, test) {
    return (this.sorts[name] ??= this.rows.filter(test));
  }

  /** The index of the first of `rows` that may end after a time. */
  firstAfter(time, rows = this.rows) {
    if (this.crowded && rows === this.rows) return search(this.reach(), time);
    return search(rows, time, this.data.to);
  }

  /** The latest end so far: on the last track bars may overlap. */
  reach() {
    if (this.ends === null) {
      let latest = -Infinity;
      this.ends = Float64Array.from(this.rows, (row) => (latest = Math.max(latest, this.data.to[row])));
    }
    return this.ends;
  }
}

/** The index of the first value (or first row's value) that is not before `time`. */
function search(list, time, values = null) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values === null ? list[middle] : values[list[middle]]) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

class Layout {
  constructor(data) {
    this.data = data;
    this.unfolded = new Set();
    this.rows = this.groups = [];
    this.height = 0;
    this.setTracks();
  }

  /** Requests sorted by lane, track and start: `order[first[t]] … order[first[t + 1] - 1]` are on track t. */
  setTracks() {
    const { data } = this;
    const lanes = data.lanes + data.facts.groups.length;
    const { order, first } = this.byLane(lanes);
    this.firstTrack = new Uint32Array(lanes + 1);
    const tracks = [];
    for (let lane = 0; lane < lanes; lane++) {
      this.firstTrack[lane] = tracks.length;
      if (first[lane + 1] > first[lane]) tracks.push(...this.stacked(order.subarray(first[lane], first[lane + 1])));
    }
    this.firstTrack[lanes] = tracks.length;
    this.tracks = tracks;
  }

  /** Requests sorted by lane: counted first, then each put in its place. */
  byLane(lanes) {
    const { data } = this;
    const { group } = data.exchanges;
    const home = (row) => (data.laneOf[row] >= 0 ? data.laneOf[row] : data.lanes + group[row]);
    const first = new Uint32Array(lanes + 1);
    for (let row = 0; row < data.requests; row++) first[home(row) + 1] += 1;
    for (let lane = 0; lane < lanes; lane++) first[lane + 1] += first[lane];
    const next = first.slice();
    const order = new Uint32Array(data.requests);
    for (let row = 0; row < data.requests; row++) order[next[home(row)]++] = row;
    return { order, first };
  }

  /** Bars that overlap are drawn below each other: streams of HTTP/2, requests that got no connection. */
  stacked(rows) {
    const { from, to } = this.data;
    if (rows.length > 1) rows.sort((a, b) => from[a] - from[b]);
    const ends = [];
    const tracks = [];
    for (const row of rows) {
      let track = ends.findIndex((end) => end <= from[row]);
      if (track < 0) track = ends.length < DEEPEST ? ends.length : DEEPEST - 1;
      (tracks[track] ??= []).push(row);
      ends[track] = Math.max(to[row], ends[track] ?? 0);
    }
    return tracks.map((track, at) => new Track(Uint32Array.from(track), this.data, at === DEEPEST - 1));
  }

  tracksOf(lane) {
    return this.tracks.slice(this.firstTrack[lane], this.firstTrack[lane + 1]);
  }

  depth(lane) {
    return this.firstTrack[lane + 1] - this.firstTrack[lane];
  }

  apply(filter) {
    this.filter = filter;
    const { data } = this;
    const groups = data.facts.groups.map((group, at) => ({ at, group, lanes: [], homeless: false, shown: this.wantsGroup(at) }));
    this.requests = this.wantedRequests(groups);
    const used = new Uint8Array(data.lanes);
    for (const row of this.requests) {
      if (data.laneOf[row] >= 0) used[data.laneOf[row]] = 1;
      else groups[data.exchanges.group[row]].homeless = true;
    }
    for (let lane = 0; lane < data.lanes; lane++) {
      const group = groups[data.connections.group[lane]];
      if (group.shown && this.wantsLane(lane, used[lane] === 1)) group.lanes.push(lane);
    }
    this.wanted = null;
    if (filter.text || filter.trouble) {
      this.wanted = new Uint8Array(data.requests);
      for (const row of this.requests) this.wanted[row] = 1;
    }
    for (const track of this.tracks) track.show(this.wanted);
    this.place(groups.filter((group) => group.lanes.length || group.homeless));
  }

  wantsGroup(at) {
    const { filter, data } = this;
    const group = data.facts.groups[at];
    if (filter.origin && group.origin !== filter.origin) return false;
    if (filter.line && lineOf(group) !== filter.line) return false;
    return filter.finding === null || data.concerned[filter.finding].has(at);
  }

  wantedRequests(groups) {
    const { data, filter } = this;
    const { exchanges, connections } = data;
    const wanted = [];
    const needle = filter.text.toLowerCase();
    const texts = needle ? data.facts.texts.map((known) => known.toLowerCase().includes(needle)) : null;
    for (let row = 0; row < data.requests; row++) {
      const lane = data.laneOf[row];
      if (!groups[exchanges.group[row]].shown) continue;
      if (filter.reason && (lane < 0 || reasonOf(data, lane) !== filter.reason)) continue;
      if (texts && !(exchanges.url[row] !== NONE && texts[exchanges.url[row]])) continue;
      if (filter.trouble && !data.bad[row] && !(lane >= 0 && connections.troubled[lane])) continue;
      wanted.push(row);
    }
    return Uint32Array.from(wanted);
  }

  wantsLane(lane, used) {
    const { filter, data } = this;
    if (filter.reason && reasonOf(data, lane) !== filter.reason) return false;
    if (filter.text && !used) return false;
    return !filter.trouble || used || laneTrouble(data, lane);
  }

  /** Groups by the time they lost, those with a finding first; in a group, lanes by their start, with their heights. */
  place(groups) {
    const { data } = this;
    const start = (lane) => laneStart(data, lane) || 0;
    groups.sort((a, b) => this.findingsOf(b).length - this.findingsOf(a).length || lost(b.group) - lost(a.group));
    const rows = [];
    let y = 0;
    for (const group of groups) {
      group.lanes.sort((a, b) => start(a) - start(b) || a - b);
      group.y = y;
      y += HEADING;
      const homeless = group.homeless ? [data.lanes + group.at] : [];
      const shown = groups.length === 1 || this.unfolded.has(group.at) ? group.lanes : this.folded(group.lanes);
      group.hidden = group.lanes.length - shown.length;
      for (const lane of [...shown, ...homeless]) {
        const height = LANE + TRACK * Math.max(0, this.depth(lane) - 1);
        rows.push({ lane, y, height, group });
        y += height;
      }
      y += 6;
    }
    this.groups = groups;
    this.rows = rows;
    this.height = y;
    this.connections = groups.flatMap((group) => group.lanes);
  }

  /** If there are many lanes: the first, the last, and some in trouble. */
  folded(lanes) {
    if (lanes.length <= FOLDED) return lanes;
    const bad = lanes.filter((lane) => laneTrouble(this.data, lane)).slice(0, FOLDED / 3);
    const kept = new Set([...lanes.slice(0, FOLDED / 2), ...bad, ...lanes.slice(-2)]);
    return lanes.filter((lane) => kept.has(lane));
  }

  findingsOf(entry) {
    return findingsOf(this.data, entry.at);
  }

  /** The index of the first row that ends below y. */
  rowAt(y) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].y + this.rows[middle].height <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const lineOf = (group) => (group.site ?? group.sdk ?? [group.kind, ""]).slice(0, 2).join(":");
const reasonOf = (data, lane) => text(data, data.connections.close_reason[lane]) ?? (data.connections.failed_phase[lane] === NONE ? "still_open" : "setup_failed");
const lost = (group) => (group.sums ? costOf(group.sums) + group.sums.wait_time : 0);

/** The groups of a finding: those with clients built at its line, else with requests sent by it, else of its server. */
function concerned(data, finding) {
  const { groups } = data.facts;
  const origins = finding.origin === null ? finding.line_origins : [finding.origin];
  const all = groups.map((_, at) => at).filter((at) => !origins.length || origins.includes(groups[at].origin));
  const built = all.filter((at) => sameSite(finding.site, groups[at].site) && sameSite(finding.sdk, groups[at].sdk));
  if (built.length || !finding.site) return new Set(built.length ? built : all);
  const [file, line, name, inNoFile] = finding.site;
  const sender = data.facts.texts.indexOf(`${inNoFile ?? `${file}:${line}`} ${name}`);
  const sent = new Set();
  for (let row = 0; sender >= 0 && row < data.requests; row++) if (data.exchanges.site[row] === sender) sent.add(data.exchanges.group[row]);
  const there = all.filter((at) => sent.has(at));
  return new Set(there.length ? there : all);
}

const findingsOf = (data, group) => data.facts.findings.filter((_, at) => data.concerned[at].has(group));
