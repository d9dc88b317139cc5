// Puts the page together.

const LEGEND = [
  ["build", "building the client"], ["setup", "setup"], ["await", "awaiting the answer"], ["read", "reading it"],
  ["wait", "waiting for a connection"], ["idle", "idle"], ["bad", "failed"],
];

const CARDS = 4;

class Pages {
  constructor(data) {
    this.data = data;
    this.layout = new Layout(data);
    data.layout = this.layout;
    this.timeline = new Timeline(data, this.layout, { hint: (found) => this.hint(found), chosen: (found) => this.tell(found) });
    this.table = new Table(data);
    this.tab = "timeline";
    this.finding = null;
    this.words();
    this.filters();
    this.tabs();
    this.apply();
  }

  words() {
    const { facts } = this.data;
    const began = facts.wall_zero === null ? [] : [new Date(facts.wall_zero * 1000).toLocaleString()];
    $("words").textContent = ["", ...facts.words.slice(1), ...began].join(" · ");
    $("tiles").replaceChildren(...tiles(facts));
    $("findings").hidden = facts.findings.length === 0;
    this.cards(CARDS);
    $("banners").replaceChildren(...[...this.thinned(), ...facts.notes].map((note) => h("p", { className: "banner" }, note)));
    $("legend").replaceChildren(...LEGEND.map(([color, name]) => h("li", {}, h("i", { className: color }), name)));
    this.tell(null);
  }

  /** The first findings as cards; the others on request. */
  cards(most) {
    const { facts } = this.data;
    const all = facts.findings.map((finding, at) => card(facts, finding, at, () => this.showFinding(at)));
    const more = h("button", { type: "button", onclick: () => this.cards(Infinity) }, `${number(all.length - most)} more`);
    $("cards").replaceChildren(...all.slice(0, most), ...(all.length > most ? [more] : []));
  }

  thinned() {
    const { requests, drawn, step, remarkable_step, connections, lanes } = this.data.facts.thinned;
    if (drawn === requests && lanes === connections) return [];
    const bad = remarkable_step > 1 ? `1 in ${number(remarkable_step)} of the requests that failed or waited` : "all requests that failed or waited";
    return [`Thinned: ${number(drawn)} of ${count(requests, "request")} and ${number(lanes)} of ${count(connections, "connection")} are drawn (1 in ${number(step)} of the ordinary ones, and ${bad}). The sums and the findings are of all.`];
  }

  filters() {
    const { data } = this;
    const { groups } = data.facts;
    choices($("by-origin"), "all", [...new Set(groups.map((group) => group.origin))].map((origin) => [origin, origin]));
    const lines = new Map(groups.map((group) => [lineOf(group), group.site || group.sdk ? place(group.site ?? group.sdk, data.facts.base) : group.kind]));
    choices($("by-line"), "all", [...lines]);
    const reasons = new Set();
    for (let lane = 0; lane < data.lanes; lane++) reasons.add(reasonOf(data, lane));
    choices($("by-reason"), "all", [...reasons].sort().map((reason) => [reason, plain(reason)]));
    $("filters").addEventListener("input", () => this.apply());
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("filters").addEventListener("reset", () => {
      this.finding = null;
      setTimeout(() => this.apply());
    });
  }

  filter() {
    return {
      origin: $("by-origin").value, line: $("by-line").value, reason: $("by-reason").value,
      text: $("by-text").value.trim(), trouble: $("by-trouble").checked, finding: this.finding,
    };
  }

  apply() {
    const { layout, data } = this;
    const filter = this.filter();
    layout.apply(filter);
    this.lay();
    this.tell(null);
    const only = filter.finding === null ? "" : ` of ${data.facts.findings[filter.finding].code}`;
    $("shown").textContent = `${count(layout.connections.length, "connection")} and ${count(layout.requests.length, "request")} shown${only}`;
    $("show-all").disabled = JSON.stringify(filter) === JSON.stringify(everything());
    if (this.tab !== "timeline") this.open(this.tab);
  }

  lay() {
    const { layout, data } = this;
    const go = (at) => this.goTo(at);
    this.timeline.lay(layout.groups.map((entry) => heading(data, entry, layout.findingsOf(entry), go, (folded) => this.unfold(folded))));
  }

  unfold(entry) {
    const { scrollTop } = $("scroller");
    this.layout.unfolded.add(entry.at);
    this.layout.place(this.layout.groups);
    this.lay();
    $("scroller").scrollTop = scrollTop;
    $("lanes").focus({ preventScroll: true });
  }

  showFinding(at) {
    $("filters").reset();
    this.finding = at;
    setTimeout(() => {
      this.finding = at;
      this.apply();
      this.open("timeline");
      $("picture").scrollIntoView({ block: "start" });
      $("lanes").focus({ preventScroll: true });
    });
  }

  goTo(at) {
    if (at >= CARDS) this.cards(Infinity);
    const found = $(`finding-${at}`);
    found.scrollIntoView({ block: "center" });
    found.focus({ preventScroll: true });
  }

  tabs() {
    const tabs = [...$("tabs").children];
    tabs.forEach((tab, at) => {
      tab.onclick = () => this.open(tab.id.slice(4));
      tab.onkeydown = (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        const next = tabs[(at + by + tabs.length) % tabs.length];
        next.focus();
        next.click();
      };
    });
  }

  open(name) {
    this.tab = name;
    for (const tab of $("tabs").children) {
      const mine = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", String(mine));
      tab.tabIndex = mine ? 0 : -1;
    }
    $("panel-timeline").hidden = name !== "timeline";
    $("panel-table").hidden = name === "timeline";
    if (name === "timeline") return this.timeline.resize();
    $("panel-table").setAttribute("aria-labelledby", `tab-${name}`);
    this.table.show(name, name === "requests" ? this.layout.requests : this.layout.connections);
  }

  hint({ lane, request }) {
    const { data } = this;
    if (request >= 0) return requestFacts(data, request);
    return lane < data.lanes ? connectionFacts(data, lane) : [h("p", {}, "Requests that never got a connection")];
  }

  tell(found) {
    const { data } = this;
    if (!found) {
      $("facts").replaceChildren(h("p", { className: "quiet" }, "Point at a bar for its facts; click to keep them here."));
      return;
    }
    const parts = found.request >= 0 ? requestFacts(data, found.request) : [];
    const home = found.lane < data.lanes ? data.connections.group[found.lane] : found.lane - data.lanes;
    const group = data.facts.groups[home];
    const findings = findingsOf(data, home);
    $("facts").replaceChildren(
      ...parts, ...(found.lane < data.lanes ? connectionFacts(data, found.lane) : []),
      ...findings.map((finding) => h("button", { type: "button", className: "chip", onclick: () => this.goTo(data.facts.findings.indexOf(finding)) }, `${finding.code} ${finding.title}`)),
      ...[source(data.facts, group.site ?? group.sdk)].filter(Boolean));
  }
}

function choices(select, all, options) {
  select.replaceChildren(h("option", { value: "" }, all), ...options.map(([value, name]) => h("option", { value }, name)));
}

/** Light, dark, or the system's choice. */
function theme(repaint) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  $("theme").onclick = () => {
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    repaint();
  };
  dark.addEventListener("change", repaint);
}

async function begin() {
  try {
    const data = await load();
    const pages = (globalThis.poolscope = new Pages(data));
    theme(() => pages.timeline.resize());
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    $("failure").hidden = false;
    $("failure").textContent = `This browser can't show the picture (${error.message}). \`poolscope view\` prints the same facts as text.`;
    throw error;
  }
}

begin();
