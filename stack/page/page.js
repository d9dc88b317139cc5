"use strict";
// PAGE holds every query, made from the same panels as Grafana's boards.
// Parameters of the address: ?export=5 (seconds between two exports), &minutes=15, &service=NAME, &at=TIME (seconds
// since 1970, to see the past).
const words = new URLSearchParams(location.search);
const exported = Number(words.get("export")) || PAGE.exported;
const minutes = Number(words.get("minutes")) || 60;
const seconds = minutes * 60;
const step = Math.max(exported, Math.ceil(seconds / 240));
const COLOURS = ["#3366cc", "#dc6b19", "#1a7f37", "#8e44ad", "#b3261e", "#00838f", "#b8860b", "#c2185b", "#5d6d7e"];
const LIMITS = { green: "#1a7f37", yellow: "#d4a017", red: "#b3261e" };

function fillIn(expression) {
  const values = {
    "$__rate_interval": `${Math.max(step + exported, 4 * exported)}s`, "$__range": `${seconds}s`,
    "$service": words.get("service") || ".*", "$server": ".*", "$environment": ".*", "$instance": ".*",
  };
  return Object.entries(values).reduce((text, [name, value]) => text.replaceAll(name, value), expression);
}

async function ask(path, asked) {
  const answer = await fetch(`../api/v1/${path}?${new URLSearchParams(asked)}`);
  const answered = await answer.json();
  if (answered.status !== "success") throw new Error(answered.error);
  return answered.data.result;
}

function element(name, attributes = {}, ...children) {
  const made = name === "svg" || element.drawing.has(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
element.drawing = new Set(["path", "text", "line"]);

const number = (value) => String(Number(value.toPrecision(4)));
function withUnit(value, unit) {
  if (unit === "percentunit") return `${number(value * 100)} %`;
  if (unit === "s") return value !== 0 && Math.abs(value) < 1 ? `${number(value * 1000)} ms` : `${number(value)} s`;
  return unit === "short" ? number(value) : `${number(value)} /s`;
}

const called = (legend, labels) => legend.replace(/\[(\w+)\]/g, (_, name) => labels[name] || "").trim();

async function series(panel, from, to) {
  const found = [];
  for (const { expression, legend } of panel.questions) {
    for (const each of await ask("query_range", { query: fillIn(expression), start: from, end: to, step })) {
      const points = each.values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => isFinite(value));
      if (points.length) found.push({ name: called(legend, each.metric), points });
    }
  }
  return found.sort((one, other) => one.name.localeCompare(other.name));
}

// Lines are stacked where the panel is stacked, as Grafana draws them.
function stack(found) {
  const below = new Map();
  return found.map(({ name, points }) => ({
    name,
    points: points.map(([at, value]) => {
      below.set(at, (below.get(at) || 0) + value);
      return [at, below.get(at)];
    }),
  }));
}

function path(points, x, y) {
  let last = null;
  return points.map(([at, value]) => {
    const move = last === null || at - last > step * 1.5 ? "M" : "L";
    last = at;
    return `${move}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
  }).join("") + (points.length === 1 ? "h2" : "");
}

// The next round number, so that an axis says 20, not 18.36.
function rounded(highest) {
  if (highest <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((times) => times * size).find((top) => top >= highest * 0.9999);
}

function chart(panel, found, from, to) {
  const [width, height, left, bottom] = [420, 144, 52, 16];
  const drawn = panel.kind === "stacked" ? stack(found) : found;
  const top = rounded(Math.max(...drawn.flatMap(({ points }) => points.map(([, value]) => value)), 0));
  const x = (at) => left + (at - from) / (to - from) * (width - left - 4);
  const y = (value) => height - bottom - value / top * (height - bottom - 8);
  const made = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": panel.title });
  for (const part of [0, 0.5, 1]) {
    made.append(element("line", { class: "grid", x1: left, x2: width - 4, y1: y(top * part), y2: y(top * part) }),
      element("text", { x: left - 4, y: y(top * part) + 3, "text-anchor": "end" }, withUnit(top * part, panel.unit)));
  }
  for (const [at, anchor] of [[from, "start"], [to, "end"]]) {
    const clock = new Date(at * 1000).toTimeString().slice(0, 5);
    made.append(element("text", { x: x(at), y: height - 2, "text-anchor": anchor }, clock));
  }
  for (const [limit, colour] of panel.limits) {
    if (limit <= top) made.append(element("path", { class: "limit", stroke: LIMITS[colour], d: `M${left} ${y(limit)}H${width - 4}` }));
  }
  drawn.forEach(({ points }, place) => made.append(
    element("path", { class: "line", stroke: COLOURS[place % COLOURS.length], d: path(points, x, y) })));
  return made;
}

function row(cells, colour) {
  const made = element("tr");
  cells.forEach((text, place) => made.append(
    element("td", place === cells.length - 1 ? { class: "value" } : {}, text)));
  if (colour) made.firstChild.prepend(element("span", { class: "swatch", style: `background:${colour}` }));
  return made;
}

async function drawLines(panel, section, from, to) {
  const found = await series(panel, from, to);
  if (!found.length) return section.append(element("p", {}, "nothing in this time"));
  const rows = found.map(({ name, points }, place) =>
    row([name, withUnit(points[points.length - 1][1], panel.unit)], COLOURS[place % COLOURS.length]));
  section.append(chart(panel, found, from, to), element("table", {}, ...rows));
}

async function drawNow(panel, section, from, to) {
  const rows = [];
  for (const { expression, legend } of panel.questions) {
    for (const each of await ask("query", { query: fillIn(expression), time: to })) {
      rows.push([called(legend, each.metric), Number(each.value[1])]);
    }
  }
  if (!rows.length) return section.append(element("p", {}, "nothing in this time"));
  if (panel.kind === "number") {
    const worst = Math.max(...rows.map(([, value]) => value));
    section.append(element("div", { class: `big ${worst ? "bad" : "good"}` }, withUnit(worst, panel.unit)));
  }
  section.append(element("table", {}, ...rows.map(([name, value]) => row([name, withUnit(value, panel.unit)]))));
}

async function guarded(section, draw) {
  try {
    await draw();
  } catch (error) {
    section.append(element("p", { class: "bad" }, String(error.message || error)));
  }
}

async function findings(section, from, to) {
  const asked = new URLSearchParams({ query: PAGE.findings, start: from, end: to, limit: 50 });
  let answer;
  try {
    answer = await fetch(`${PAGE.logs}/select/logsql/query?${asked}`);
  } catch {
    throw new Error(`no answer from VictoriaLogs at ${PAGE.logs}: the events, and with them file and line, are there`);
  }
  const events = (await answer.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (!events.length) return section.append(element("p", {}, "nothing in this time"));
  section.append(element("table", {}, ...events.map((event) => {
    const made = element("tr");
    const place = `${event["code.file.path"] || "?"}:${event["code.line.number"] || "?"}`;
    const cost = event["poolscope.finding.cost"];
    made.append(
      element("td", {}, new Date(event._time).toTimeString().slice(0, 8)), element("td", {}, event["service.name"] || ""),
      element("td", {}, event["poolscope.finding.code"] || ""), element("td", { class: "place" }, place),
      element("td", {}, event._msg || ""), element("td", { class: "value" }, cost ? `${withUnit(Number(cost), "s")} lost` : ""));
    return made;
  })));
}

async function draw() {
  const to = Number(words.get("at")) || Date.now() / 1000, from = to - seconds;
  const main = element("main"), work = [];
  const section = (title, description, name = "") => {
    const made = element("section", { class: name }, element("h3", {}, title), element("p", {}, description));
    main.append(made);
    return made;
  };
  main.append(element("h2", {}, "Findings, with the line of code"));
  const found = section("Findings", "From the events in VictoriaLogs, the newest first.", "wide");
  found.id = "findings";
  work.push(guarded(found, () => findings(found, from, to)));
  for (const { title, panels } of PAGE.rows) {
    main.append(element("h2", {}, title));
    for (const panel of panels) {
      const made = section(panel.title, panel.description);
      const now = panel.kind === "table" || panel.kind === "number";
      work.push(guarded(made, () => (now ? drawNow : drawLines)(panel, made, from, to)));
    }
  }
  main.append(element("h2", {}, "Traces"));
  const items = PAGE.searches.map(({ asks, page, api }) => element("li", {},
    `${asks} `, element("a", { href: page }, "in Jaeger"), " · ", element("a", { href: api }, "as JSON")));
  section("Searches in Jaeger", "The facts are attributes of the request's span.", "wide").append(element("ul", {}, ...items));
  await Promise.all(work);
  const before = document.querySelector("main");
  if (before) before.replaceWith(main); else document.body.append(main);
  document.body.dataset.drawn = new Date().toISOString();
}

draw();
setInterval(draw, 30000);
