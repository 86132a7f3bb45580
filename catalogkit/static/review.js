// The face of catalogkit.review in JupyterLab. It keeps no truth: it asks the kernel and shows what it answers.
// Every name is put in as text, never as markup, and nothing is loaded from anywhere.

const ROW = 30; // pixels
const TALLEST = 8_000_000; // browsers cap the height of an element; above this the scroll bar is a scale
const COLUMNS = [
  ["selected", "Selected", null],
  ["what", "What", "artifact_id"],
  ["reason", "Why", "reason"],
  ["bytes", "Frees", "bytes"],
  ["age_days", "Age", "age_days"],
  ["resolver", "Resolver", "resolver"],
  ["media_type", "Type", "media_type"],
];
const NAMES = { reason: "Reason", resolver: "Resolver", media_type: "Type", tenant: "Tenant" };
const STEPS = ["Draft", "Approved", "Applied"];

const number = (value) => value.toLocaleString("en");
const plural = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function button(text, act, options = {}) {
  return make("button", { type: "button", text, onclick: act, ...options });
}

class Face {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.id = `ck${Math.random().toString(36).slice(2, 8)}`;
    this.state = null;
    this.cache = new Map();
    this.first = 0;
    this.active = 0;
    this.sort = ["unit", false];
    this.asked = null;
    root.classList.add("ck-review");
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Review of a plan");
    // JupyterLab takes single keys for commands, wherever the focus is: B inserts a cell, D D deletes one.
    root.addEventListener("keydown", (event) => event.stopPropagation());
    this.build();
    this.hear = (message) => this.on(message);
    model.on("msg:custom", this.hear);
    this.resize = new ResizeObserver(() => this.draw());
    this.resize.observe(this.view);
    this.ask("look");
  }

  end() {
    this.model.off("msg:custom", this.hear);
    this.resize.disconnect();
  }

  ask(what, more = {}) {
    this.model.send({ ask: what, ...more });
  }

  on(message) {
    if (message.state) this.update(message.state);
    if (message.rows) this.took(message);
    if (message.why) this.explain(message);
    if (message.python) this.showPython(message.python);
    if (message.problem !== undefined) this.complain(message.problem, message.of);
  }

  // -- the parts ---------------------------------------------------------------------------------------------

  build() {
    const id = this.id;
    this.steps = make("ol", { class: "ck-steps", "aria-label": "State" });
    this.title = make("p", { class: "ck-heading" });
    this.brakes = make("div", { class: "ck-brakes", role: "status" });
    this.cards = make("dl", { class: "ck-figures" });
    this.final = make("p", { class: "ck-final" });
    this.live = make("p", { class: "ck-hidden", "aria-live": "polite" });
    this.parts = make("div", { class: "ck-parts" });
    this.legend = make("p", { class: "ck-soft", text: "Selected / all, by part. Click a part to filter to it, again to undo." });
    this.filter = make("input", {
      type: "text", id: `${id}-filter`, spellcheck: "false", autocomplete: "off",
      placeholder: "resolver = 'core' AND age_days > 180", "aria-describedby": `${id}-matching ${id}-wrong`,
      onkeydown: (event) => {
        if (event.key === "Enter") this.setFilter(this.filter.value);
        if (event.key === "Escape") this.setFilter("");
      },
    });
    this.matching = make("span", { id: `${id}-matching`, class: "ck-soft", "aria-live": "polite" });
    this.wrong = make("p", { id: `${id}-wrong`, class: "ck-wrong", role: "alert" });
    this.include = button("", () => this.ask("include"));
    this.exclude = button("", () => this.ask("exclude"));
    this.only = button("", () => this.ask("only"));
    this.head = make("div", { class: "ck-row ck-head", role: "row", "aria-rowindex": "1" });
    this.rows = make("div", { class: "ck-rows", role: "rowgroup" });
    this.spacer = make("div", { class: "ck-spacer", role: "presentation" });
    this.view = make("div", { class: "ck-view", role: "presentation" }, this.rows, this.spacer);
    this.view.addEventListener("scroll", () => this.scrolled());
    this.grid = make(
      "div",
      {
        class: "ck-grid", role: "grid", tabindex: "0", "aria-label": "Rows of the plan that fit the filter",
        "aria-colcount": String(COLUMNS.length), "aria-describedby": `${id}-keys`, onkeydown: (event) => this.key(event),
      },
      make("div", { role: "rowgroup" }, this.head),
      this.view,
    );
    this.keys = make("p", {
      id: `${id}-keys`, class: "ck-soft",
      text: "Keys in the table: arrows move, Space selects or leaves out, Enter says why, Escape goes back to the filter.",
    });
    this.reason = make("div", { class: "ck-why", "aria-live": "polite", hidden: true });
    this.rule = make("code");
    this.python = make("pre", { hidden: true, tabindex: "0", "aria-label": "Python for this selection" });
    this.copy = button("Copy as Python", () => this.ask("python"));
    this.copied = make("span", { class: "ck-soft", role: "status" });
    this.typed = make("input", {
      type: "text", id: `${id}-typed`, spellcheck: "false", autocomplete: "off", oninput: () => this.buttons(),
      onkeydown: (event) => { if (event.key === "Enter" && !this.approve.disabled) this.approve.click(); },
    });
    this.phrase = make("code");
    this.approve = button("Approve", () => this.ask("approve", { typed: this.typed.value }), { class: "ck-main" });
    this.withdraw = button("Withdraw the approval", () => this.ask("withdraw"));
    this.apply = button("Apply", () => { this.apply.disabled = true; this.ask("apply"); }, { class: "ck-main" });
    this.stop = button("Stop after this batch", () => { this.stop.disabled = true; this.ask("stop"); });
    this.bar = make("progress", { max: "1", value: "0", "aria-label": "Applied so far" });
    this.far = make("span", { class: "ck-soft", role: "status" });
    this.step1 = make(
      "div", { class: "ck-line" },
      make("label", { for: `${id}-typed` }, "To approve, type ", this.phrase), this.typed, this.approve,
    );
    this.step2 = make("div", { class: "ck-line" }, this.apply, this.stop, this.withdraw, this.bar, this.far);
    this.said = make("p", { class: "ck-wrong", role: "alert" });
    this.blocked = make("p", { class: "ck-soft" });
    this.body = make(
      "div", {},
      this.legend, this.parts,
      make("div", { class: "ck-line" },
        make("label", { for: `${id}-filter`, text: "Filter" }), this.filter,
        button("Look", () => this.setFilter(this.filter.value)), button("Clear", () => this.setFilter("")), this.matching),
      this.wrong,
      make("div", { class: "ck-line" }, this.include, this.exclude, this.only),
      this.grid, this.keys, this.reason,
      make("div", { class: "ck-line" }, make("span", { text: "Selected by rule" }), this.rule, this.copy, this.copied),
      this.python,
    );
    this.doing = make("div", { class: "ck-do" }, this.step1, this.step2, this.blocked, this.said);
    this.root.append(
      make("div", { class: "ck-top" }, this.title, this.steps), this.brakes, this.cards, this.final, this.live, this.body,
      this.doing,
    );
    for (const [name, label, sort] of COLUMNS) {
      const cell = make("div", { role: "columnheader", class: `ck-at-${name}` });
      if (sort) cell.append(button(label, () => this.order(sort), { tabindex: "-1", "data-sort": sort }));
      else cell.textContent = label;
      this.head.append(cell);
    }
  }

  // -- what the kernel says ------------------------------------------------------------------------------------

  update(state) {
    const before = this.state;
    this.state = state;
    this.title.textContent = state.heading;
    const steps = STEPS.includes(state.state) ? STEPS : [...STEPS.slice(0, 2), state.state];
    this.steps.replaceChildren(...steps.map((step, i) => make("li", {
      text: `${i + 1} ${step}`, "aria-current": step === state.state ? "step" : null,
      class: i < steps.indexOf(state.state) ? "ck-past" : null,
    })));
    this.brakes.replaceChildren(...state.notices.map((text) => make("p", { class: "ck-notice", text })));
    this.cards.replaceChildren(...state.cards.map(([label, value, what]) =>
      make("div", {}, make("dt", { text: label }), make("dd", { text: value }), make("dd", { class: "ck-means", text: what }))));
    this.final.textContent = state.consequences;
    const total = `${state.cards[0][1]} selected, ${state.cards[1][1]}. ${state.consequences}`;
    if (before && this.live.textContent !== total) this.live.textContent = total;
    this.drawParts();
    if (document.activeElement !== this.filter || before?.filter !== state.filter) this.filter.value = state.filter;
    this.wrong.textContent = "";
    const all = state.filter ? `${number(state.matching)} that fit` : `all ${number(state.matching)}`;
    const last = state.matching_last ? ` (${plural(state.matching_last, "last copy").replace("copys", "copies")})` : "";
    this.matching.textContent = `${plural(state.matching, "row")} fit${state.matching === 1 ? "s" : ""}`;
    this.include.textContent = `Select ${all}${last}`;
    this.exclude.textContent = `Leave out ${all}`;
    this.only.textContent = `Select only ${state.filter ? "those" : "these"} ${number(state.matching)}`;
    this.only.hidden = !state.filter;
    this.rule.textContent = state.rule;
    if (before && before.rule !== state.rule) { this.python.hidden = true; this.copied.textContent = ""; }
    if (before?.phrase !== state.phrase) this.typed.value = "";
    this.phrase.textContent = state.phrase;
    this.said.textContent = state.problem;
    this.grid.setAttribute("aria-rowcount", String(state.matching + 1));
    if (!before || before.version !== state.version) this.cache.clear();
    if (before && (before.filter !== state.filter)) this.move(0);
    this.layout();
    this.buttons();
  }

  buttons() {
    const state = this.state;
    if (!state) return;
    const done = state.ended;
    const frozen = done || state.running;
    this.doing.hidden = done && !state.problem;
    for (const control of [this.include, this.exclude, this.only]) control.disabled = frozen || !state.matching;
    this.step1.hidden = state.state !== "Draft";
    this.withdraw.hidden = !state.can_withdraw;
    this.typed.disabled = this.approve.disabled = state.brakes.length > 0;
    if (this.typed.value.trim() !== state.phrase || !state.phrase) this.approve.disabled = true;
    this.step2.hidden = done || (state.state !== "Approved" && !state.running);
    this.apply.disabled = state.brakes.length + state.apply_brakes.length > 0;
    this.apply.textContent = state.progress && !state.running ? "Apply the rest" : `Apply: ${state.phrase}`;
    this.stop.hidden = !state.running;
    if (!state.running) this.stop.disabled = false;
    this.bar.hidden = this.far.hidden = !state.progress;
    if (state.progress) {
      this.bar.max = state.progress.total || 1;
      this.bar.value = state.progress.done;
      this.far.textContent = `${number(state.progress.done)} of ${plural(state.progress.total, "step")}`
        + (state.running ? "" : ", stopped; what is left can be applied later");
    }
    const replaced = state.can_withdraw ? ["Another selection was approved before; approving this one takes its place."] : [];
    this.blocked.textContent = state.running ? "" : (state.state === "Approved" ? state.apply_brakes : replaced).join(" ");
  }

  drawParts() {
    const within = this.parts.contains(document.activeElement) ? document.activeElement.dataset.clause : null;
    const shown = [];
    for (const [name, values] of Object.entries(this.state.facets)) {
      if (values.length < 2) continue;
      const chips = values.map(([label, clause, total, selected]) => button(
        `${label} ${number(selected)}/${number(total)}`, () => this.ask("clause", { clause }),
        { class: "ck-chip", "data-clause": clause, "aria-pressed": String(this.state.filter.includes(clause)),
          title: `${label}: ${number(selected)} of ${number(total)} selected. Click to filter.` }));
      shown.push(make("div", { class: "ck-part", role: "group", "aria-label": `${NAMES[name]}, selected of all` },
        make("span", { class: "ck-name", text: NAMES[name] }), make("span", { class: "ck-chips" }, ...chips)));
    }
    for (const [name, values] of Object.entries(this.state.histograms)) {
      if (values.length < 2) continue;
      const most = Math.max(...values.map((value) => value[2]));
      const write = name === "bytes" ? bytes : (days) => plural(days, "day");
      const title = name === "bytes" ? "Frees" : "Age";
      const bars = values.map(([label, clause, total, selected]) => {
        const [low, high] = label.split(":").map(Number);
        const text = `${title} ${write(low)} to under ${write(high)}: ${number(selected)} of ${number(total)} selected`;
        const bar = button("", () => this.ask("clause", { clause }), {
          class: "ck-bar", title: text, "aria-label": text, "data-clause": clause, disabled: !total,
          "aria-pressed": String(this.state.filter.includes(clause)) });
        const height = (count) => (count ? Math.max(3, Math.round((34 * count) / most)) : 0);
        const whole = make("span", { class: "ck-whole" }), chosen = make("span", { class: "ck-chosen" });
        whole.style.height = `${height(total)}px`;
        chosen.style.height = `${height(selected)}px`;
        bar.append(whole, chosen);
        return bar;
      });
      const [low] = values[0][0].split(":").map(Number);
      const high = Number(values[values.length - 1][0].split(":")[1]);
      shown.push(make("div", { class: "ck-part ck-histogram", role: "group", "aria-label": `${title}: rows in each class` },
        make("span", { class: "ck-name", text: title }),
        make("span", { class: "ck-plot-area" }, make("span", { class: "ck-bars" }, ...bars),
          make("span", { class: "ck-ends" }, make("span", { text: write(low) }), make("span", { text: write(high) })))));
    }
    this.parts.replaceChildren(...shown);
    this.legend.hidden = !shown.length;
    if (within) this.parts.querySelector(`[data-clause="${CSS.escape(within)}"]`)?.focus();
  }

  setFilter(text) {
    this.filter.value = text;
    this.ask("filter", { text });
  }

  complain(text, of) {
    (of === "filter" ? this.wrong : this.said).textContent = text;
    if (of !== "filter") this.buttons();
  }

  explain({ why, unit }) {
    this.reason.hidden = false;
    const close = button("Close", () => { this.reason.hidden = true; this.grid.focus(); });
    this.reason.replaceChildren(
      make("strong", { text: `Why row ${number(unit)}` }), close, make("ul", {}, ...why.map((text) => make("li", { text }))));
  }

  async showPython(text) {
    this.python.textContent = text;
    this.python.hidden = false;
    try {
      await navigator.clipboard.writeText(text);
      this.copied.textContent = "Copied.";
    } catch {
      this.copied.textContent = "Select the line below and copy it.";
    }
  }

  // -- the table -----------------------------------------------------------------------------------------------

  get count() { return this.state ? this.state.matching : 0; }
  get fitting() { return Math.max(1, Math.floor(this.view.clientHeight / ROW)); }
  get lastFirst() { return Math.max(0, this.count - this.fitting); }

  layout() {
    const height = Math.min(this.count * ROW, TALLEST);
    this.spacer.style.height = `${height}px`;
    this.view.style.height = `${Math.min(10, Math.max(1, this.count)) * ROW}px`;
    this.active = Math.min(this.active, Math.max(0, this.count - 1));
    this.goto(Math.min(this.first, this.lastFirst));
  }

  goto(first) {
    this.first = Math.max(0, Math.min(first, this.lastFirst));
    const room = this.view.scrollHeight - this.view.clientHeight;
    this.expected = this.lastFirst ? (this.first / this.lastFirst) * room : 0;
    this.view.scrollTop = this.expected;
    this.draw();
  }

  scrolled() {
    if (Math.abs(this.view.scrollTop - (this.expected ?? -9)) < 2) return;
    this.expected = undefined;
    const room = this.view.scrollHeight - this.view.clientHeight;
    this.first = room > 0 ? Math.round((this.view.scrollTop / room) * this.lastFirst) : 0;
    this.draw();
  }

  draw() {
    if (!this.state) return;
    const end = Math.min(this.count, this.first + this.fitting + 1);
    let missing = false;
    const shown = [];
    for (let index = this.first; index < end; index += 1) {
      const row = this.cache.get(index);
      missing ||= !row;
      shown.push(this.row(index, row));
    }
    if (!this.count) shown.push(make("p", { class: "ck-soft ck-empty", text: "No row fits the filter." }));
    this.rows.replaceChildren(...shown);
    this.grid.setAttribute("aria-activedescendant", `${this.id}-row-${this.active}`);
    for (const head of this.head.querySelectorAll("button")) {
      const on = head.dataset.sort === this.sort[0];
      head.parentElement.setAttribute("aria-sort", on ? (this.sort[1] ? "descending" : "ascending") : "none");
    }
    if (missing) this.fetch();
  }

  row(index, row) {
    const node = make("div", {
      role: "row", class: `ck-row${index === this.active ? " ck-active" : ""}`, id: `${this.id}-row-${index}`,
      "aria-rowindex": String(index + 2), "aria-selected": row ? String(row.selected) : null,
      onclick: () => { this.active = index; this.draw(); },
    });
    if (!row) {
      node.append(make("div", { role: "gridcell", class: "ck-soft", text: "…" }));
      return node;
    }
    const box = make("input", {
      type: "checkbox", tabindex: "-1", "aria-label": `Select ${row.what}`,
      onclick: (event) => { event.stopPropagation(); this.active = index; this.toggle(row); this.grid.focus(); },
    });
    box.checked = row.selected;
    box.disabled = this.state.running || this.state.ended;
    const values = {
      bytes: bytes(row.bytes), age_days: row.age_days === null ? "" : plural(row.age_days, "day"),
      resolver: row.resolver ?? "", media_type: row.media_type ?? "",
    };
    for (const [name] of COLUMNS) {
      const cell = make("div", { role: "gridcell", class: `ck-at-${name}` });
      if (name === "selected") cell.append(box);
      else if (name === "reason") {
        cell.append(button("why?", (event) => { event.stopPropagation(); this.active = index; this.ask("why", { unit: row.unit }); },
          { tabindex: "-1", class: "ck-small", "aria-label": `Why ${row.what}` }), ` ${row.reason}`);
        cell.title = row.words;
      } else if (name === "what") {
        if (row.last_copy) cell.append(make("span", { class: "ck-last", text: "last copy" }), " ");
        cell.append(row.what, row.steps > 1 ? ` (${row.steps} steps)` : "");
        cell.title = row.what;
      } else cell.textContent = values[name];
      node.append(cell);
    }
    return node;
  }

  fetch() {
    const start = Math.max(0, this.first - 20);
    const wanted = { start, count: this.fitting + 60, sort: this.sort[0], descending: this.sort[1], version: this.state.version };
    const key = JSON.stringify(wanted);
    if (this.asked === key) return;
    this.asked = key;
    this.ask("rows", wanted);
  }

  took({ rows, start, version, sort, descending }) {
    this.asked = null;
    if (version === this.state.version && sort === this.sort[0] && descending === this.sort[1]) {
      if (this.cache.size > 2000) this.cache.clear();
      rows.forEach((row, offset) => this.cache.set(start + offset, row));
    }
    this.draw();
    const row = this.cache.get(this.active);
    if (this.later && row) {
      const key = this.later;
      this.later = null;
      this.act(key, row);
    }
  }

  toggle(row) {
    if (this.state.running || this.state.ended) return;
    row.selected = !row.selected;
    this.draw();
    this.ask("toggle", { unit: row.unit });
  }

  order(by) {
    this.sort = [by, this.sort[0] === by ? !this.sort[1] : by === "bytes" || by === "age_days"];
    this.cache.clear();
    this.goto(0);
  }

  move(to) {
    this.active = Math.max(0, Math.min(to, this.count - 1));
    if (this.active < this.first) this.goto(this.active);
    else if (this.active >= this.first + this.fitting) this.goto(this.active - this.fitting + 1);
    else this.draw();
  }

  act(key, row) {
    if (key === " ") this.toggle(row);
    else this.ask("why", { unit: row.unit });
  }

  key(event) {
    if (event.target !== this.grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = this.fitting;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const row = this.cache.get(this.active);
    if (event.key in moves) this.move(this.active + moves[event.key]);
    else if (event.key === " " || event.key === "Enter") {
      // After a change the rows are on their way again: a quick hand's key waits for them.
      this.later = row ? null : event.key;
      if (row) this.act(event.key, row);
    }
    else if (event.key === "Escape" && !this.reason.hidden) this.reason.hidden = true;
    else if (event.key === "Escape") this.filter.focus();
    else return;
    event.preventDefault();
  }
}

export default {
  render({ model, el }) {
    const face = new Face(model, el);
    return () => face.end();
  },
};
