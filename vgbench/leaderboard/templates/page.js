"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const boards = all(".board");
  const state = { sort: "", down: false, filter: "", theme: "", motion: "" };

  // The reader's choices are part of the address, so that a link shows the same page: #sort=kvd,desc&filter=gru
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

  // Order and filter. `data-order` increases as a score gets worse; rows without a score always come last.
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

  // Each thumbnail also has its first frame alone; a media condition decides which of the two is shown.
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const isPaused = () => (state.motion ? state.motion === "off" : reducedMotion.matches);
  const showMotion = () => {
    const media = { on: "not all", off: "all" }[state.motion] || "(prefers-reduced-motion: reduce)";
    for (const source of all("source.first-frame")) source.media = media;
    byId("motion").textContent = isPaused() ? "Play clips" : "Pause clips";
    byId("motion").setAttribute("aria-pressed", String(isPaused()));
    byId("motion").hidden = !document.querySelector("source.first-frame");
  };
  reducedMotion.addEventListener("change", showMotion);

  byId("theme").addEventListener("click", () => change({ theme: isDark() ? "light" : "dark" }));
  byId("motion").addEventListener("click", () => change({ motion: isPaused() ? "on" : "off" }));
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

  // Every pair of measures has its own plot; two lists choose which one is shown.
  for (const figure of all(".tradeoff")) {
    const plots = new Map(all(".pair", figure).map((plot) => [plot.dataset.pair, plot]));
    const selects = all("select", figure);
    const pair = (a, b) => [a, b].sort((i, j) => i - j).join(" ");
    const showPair = () => {
      const chosen = selects.map((select) => select.value);
      for (const [key, plot] of plots) plot.hidden = key !== pair(...chosen);
      selects.forEach((select, place) => {
        for (const option of select.options) option.disabled = !plots.has(pair(option.value, chosen[1 - place]));
      });
    };
    for (const select of selects) select.addEventListener("change", showPair);
    figure.querySelector(".choices").hidden = false;
    showPair();
  }

  readAddress();
  show();
})();
