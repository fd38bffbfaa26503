"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const groups = JSON.parse(byId("data").textContent);
  const boards = all(".board");
  const state = { sort: "", down: false, filter: "", theme: "", motion: "" };

  // What the reader chose lives in the address, so that a link shows the same page: #sort=kvd,desc&filter=gru
  const readAddress = () => {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) return;
    const chosen = new URLSearchParams(hash);
    const [sort, way] = (chosen.get("sort") || "").split(",");
    Object.assign(state, {
      sort, down: way === "desc", filter: chosen.get("filter") || "",
      theme: chosen.get("theme") || "", motion: chosen.get("motion") || "",
    });
  };
  const writeAddress = () => {
    const chosen = new URLSearchParams();
    if (state.sort) chosen.set("sort", state.sort + (state.down ? ",desc" : ""));
    for (const key of ["filter", "theme", "motion"]) if (state[key]) chosen.set(key, state[key]);
    const text = chosen.toString().replaceAll("%2C", ",");
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  };

  // Order and filter. `data-order` rises as a score gets worse; what has no score stays last either way.
  boards.forEach((board) => all("tbody tr", board).forEach((row, place) => { row.place = place; }));
  const orderOf = (row, column) => {
    if (column < 0) return row.place;
    const cell = row.children[column];
    if (cell.dataset.order === undefined) return row.dataset.model.toLowerCase();
    return cell.dataset.order === "" ? null : Number(cell.dataset.order);
  };
  const show = () => {
    const wanted = state.filter.trim().toLowerCase();
    for (const board of boards) {
      const heads = all("thead th", board);
      const column = heads.findIndex((head) => state.sort && head.dataset.sort === state.sort);
      const initial = heads.find((head) => head.classList.contains("primary"));
      for (const head of heads) head.removeAttribute("aria-sort");
      const marked = column < 0 ? initial : heads[column];
      if (marked) marked.setAttribute("aria-sort", column >= 0 && state.down ? "descending" : "ascending");
      const rows = all("tbody tr", board).sort((a, b) => {
        const [x, y] = [orderOf(a, column), orderOf(b, column)];
        if (x === null || y === null) return (x === null) - (y === null) || a.place - b.place;
        const order = typeof x === "string" ? x.localeCompare(y) : x - y;
        return (column >= 0 && state.down ? -order : order) || a.place - b.place;
      });
      board.tBodies[0].append(...rows);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.dataset.model.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      board.closest(".group").querySelector(".empty").hidden = shown > 0;
    }
    for (const card of all("article[data-model]")) {
      card.hidden = !card.dataset.model.toLowerCase().includes(wanted);
    }
    byId("filter").value = state.filter;
    byId("order").value = state.sort;
    showTheme();
    showMotion();
  };
  const change = (changes) => { Object.assign(state, changes); writeAddress(); show(); };

  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (state.theme ? state.theme === "dark" : systemDark.matches);
  const showTheme = () => {
    if (state.theme) document.documentElement.dataset.theme = state.theme;
    else delete document.documentElement.dataset.theme;
    byId("theme").textContent = isDark() ? "Light" : "Dark";
  };
  systemDark.addEventListener("change", showTheme);

  // Each picture has a still first frame; which of the two shows is a matter of its media condition.
  const systemStill = matchMedia("(prefers-reduced-motion: reduce)");
  const isStill = () => (state.motion ? state.motion === "off" : systemStill.matches);
  const showMotion = () => {
    const media = { on: "not all", off: "all" }[state.motion] || "(prefers-reduced-motion: reduce)";
    for (const source of all("source.still")) source.media = media;
    byId("motion").textContent = isStill() ? "Play clips" : "Pause clips";
    byId("motion").setAttribute("aria-pressed", String(isStill()));
    byId("motion").hidden = !document.querySelector("source.still");
  };
  systemStill.addEventListener("change", showMotion);

  byId("theme").addEventListener("click", () => change({ theme: isDark() ? "light" : "dark" }));
  byId("motion").addEventListener("click", () => change({ motion: isStill() ? "on" : "off" }));
  byId("filter").addEventListener("input", (event) => change({ filter: event.target.value }));
  byId("order").addEventListener("change", (event) => change({ sort: event.target.value, down: false }));
  all(".board thead button").forEach((button) => button.addEventListener("click", () => {
    const sort = button.closest("th").dataset.sort;
    const current = button.closest("th").getAttribute("aria-sort");
    change({ sort, down: current === "ascending" });
  }));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      byId("filter").focus();
    } else if (event.key === "Escape" && event.target.id === "filter") {
      change({ filter: "" });
    }
  });
  addEventListener("hashchange", () => { readAddress(); show(); });

  // Trade-off plot. Text enters through textContent only.
  const svg = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  // One unit is about one pixel on either screen, so that the text keeps its size on a phone.
  const phone = matchMedia("(max-width: 44rem)");
  const H = 430, RIGHT = 24, TOP = 14, BOTTOM = 48;

  const linearTicks = (low, high) => {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const ticks = [];
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
    return ticks;
  };
  const logTicks = (low, high) => {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e += 1) {
      for (const m of [1, 2, 5]) if (m * 10 ** e >= low && m * 10 ** e <= high) ticks.push(m * 10 ** e);
    }
    return ticks;
  };
  const scale = (values, from, to) => {
    let low = Math.min(...values), high = Math.max(...values);
    const log = low > 0 && high / low > 20;
    const f = log ? Math.log10 : (v) => v;
    if (low === high) { low -= Math.abs(low) * 0.1 || 1; high += Math.abs(high) * 0.1 || 1; }
    const pad = (f(high) - f(low)) * 0.06;
    const [a, b] = [f(low) - pad, f(high) + pad];
    const [start, end] = log ? [10 ** a, 10 ** b] : [a, b];
    return {
      place: (v) => from + ((f(v) - a) / (b - a)) * (to - from),
      ticks: log ? logTicks(start, end) : linearTicks(start, end),
    };
  };
  const short = (v) => String(Number(v.toPrecision(4))).replace("-", "\u2212");

  // A metric that is best near the real clips has no "better" end, hence no front.
  const sign = { lower: 1, higher: -1 };
  const front = (points, x, y) => {
    const [sx, sy] = [sign[x.better], sign[y.better]];
    if (!sx || !sy) return [];
    const value = (p, axis, s) => p.values[axis.key][0] * s;
    const sorted = points.filter((p) => p.role === "model")
      .sort((p, q) => value(p, x, sx) - value(q, x, sx) || value(p, y, sy) - value(q, y, sy));
    let best = Infinity;
    return sorted.filter((p) => value(p, y, sy) < best && ((best = value(p, y, sy)), true));
  };

  const draw = (figure, group, x, y) => {
    const points = group.points.filter((p) => p.values[x.key] && p.values[y.key]);
    const W = phone.matches ? 400 : 740, LEFT = phone.matches ? 58 : 70;
    const image = svg("svg", { viewBox: `0 0 ${W} ${H}` });
    figure.querySelector(".plot").replaceChildren(image);
    if (!points.length) {
      image.append(svg("text", { x: LEFT, y: H / 2 }, "No model has both."));
      return;
    }
    const across = scale(points.flatMap((p) => p.values[x.key]), LEFT, W - RIGHT);
    const up = scale(points.flatMap((p) => p.values[y.key]), H - BOTTOM, TOP);
    for (const tick of across.ticks) {
      const at = across.place(tick);
      image.append(svg("line", { class: "grid", x1: at, x2: at, y1: TOP, y2: H - BOTTOM }));
      image.append(svg("text", { x: at, y: H - BOTTOM + 17, "text-anchor": "middle" }, short(tick)));
    }
    for (const tick of up.ticks) {
      const at = up.place(tick);
      image.append(svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }));
      image.append(svg("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, short(tick)));
    }
    const way = { lower: "lower is better", higher: "higher is better", real: "closer to real is better" };
    image.append(svg("line", { class: "edge", x1: LEFT, x2: W - RIGHT, y1: H - BOTTOM, y2: H - BOTTOM }));
    image.append(svg("text", { class: "title", x: (LEFT + W - RIGHT) / 2, y: H - 8, "text-anchor": "middle" },
      `${x.label} (${way[x.better]})`));
    image.append(svg("text", { class: "title", transform: `translate(14 ${(TOP + H - BOTTOM) / 2}) rotate(-90)`,
      "text-anchor": "middle" }, `${y.label} (${way[y.better]})`));

    const line = front(points, x, y);
    if (line.length > 1) {
      image.append(svg("polyline", { class: "front",
        points: line.map((p) => `${across.place(p.values[x.key][0])},${up.place(p.values[y.key][0])}`).join(" ") }));
    }
    const spots = points.map((p) => ({ p, cx: across.place(p.values[x.key][0]), cy: up.place(p.values[y.key][0]) }));
    for (const { p, cx, cy } of spots) {
      const hollow = p.role === "model" ? "" : " hollow";
      const [, left, right] = p.values[x.key];
      const [, bottom, top] = p.values[y.key];
      if (right !== undefined) {
        image.append(svg("line", { class: "cross" + hollow, x1: across.place(left), x2: across.place(right), y1: cy, y2: cy }));
      }
      if (top !== undefined) {
        image.append(svg("line", { class: "cross" + hollow, x1: cx, x2: cx, y1: up.place(bottom), y2: up.place(top) }));
      }
    }
    const taken = spots.map(({ cx, cy }) => ({ x: cx - 6, y: cy - 6, w: 12, h: 12 }));
    const free = (box) => box.x > LEFT - 40 && box.x + box.w < W && box.y > 0 && box.y + box.h < H - BOTTOM + 2
      && taken.every((t) => box.x > t.x + t.w || t.x > box.x + box.w || box.y > t.y + t.h || t.y > box.y + box.h);
    for (const { p, cx, cy } of spots) {
      const mark = svg("circle", { class: "mark" + (p.role === "model" ? "" : " hollow"), cx, cy, r: 4.5 });
      mark.append(svg("title", {}, `${p.name}: ${x.label} ${short(p.values[x.key][0])}, ${y.label} ${short(p.values[y.key][0])}`));
      image.append(mark);
      const name = p.name.length > 28 ? p.name.slice(0, 27) + "\u2026" : p.name;
      const w = name.length * 6.4;
      const places = [[8, -7], [-8 - w, -7], [8, 15], [-8 - w, 15], [-w / 2, -12], [-w / 2, 22], [8, 30], [8, -22]];
      const found = places.map(([dx, dy]) => ({ x: cx + dx, y: cy + dy - 10, w, h: 13 })).find(free);
      if (found) {
        taken.push(found);
        image.append(svg("text", { class: "name", x: found.x, y: found.y + 10 }, name));
      }
    }
  };

  for (const figure of all(".tradeoff")) {
    const group = groups[Number(figure.dataset.group)];
    const [across, up] = [figure.querySelector(".across"), figure.querySelector(".up")];
    for (const select of [across, up]) {
      for (const axis of group.axes) select.append(new Option(axis.label, axis.key));
    }
    across.value = group.across || group.axes[1].key;
    up.value = group.axes[0].key;
    const redraw = () => draw(figure, group, ...[across, up].map((s) => group.axes.find((a) => a.key === s.value)));
    across.addEventListener("change", redraw);
    up.addEventListener("change", redraw);
    phone.addEventListener("change", redraw);
    redraw();
  }

  readAddress();
  show();
})();
