"use strict";
(() => {
  // Where the viewer serves this page, each case links into it; in a file such a link would lead nowhere.
  if (/\/report\/\d+$/.test(location.pathname)) {
    document.documentElement.classList.add("served");
    for (const node of document.querySelectorAll("[data-case]")) {
      const link = document.createElement("a");
      link.href = `../#${new URLSearchParams({ case: node.dataset.case, mode: "difference" })}`;
      link.className = "seen";
      link.textContent = "view";
      link.setAttribute("aria-label", `view ${node.dataset.case}`);
      node.append(" ", link);
    }
  }

  const value = (row, column, kind) => {
    const text = row.cells[column].textContent.trim();
    if (kind === "text") return text;
    const parsed = parseFloat(text.replaceAll(",", "").replace("−", "-").replace("∞", "Infinity"));
    return Number.isNaN(parsed) ? null : parsed;
  };

  // Undefined values stay at the end in both directions.
  const order = (kind, sign) => (a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * (kind === "text" ? a.key.localeCompare(b.key, undefined, { numeric: true }) : a.key - b.key);
  };

  const sortBy = (table, head) => {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const kind = head.dataset.sort;
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => ({ row, key: value(row, head.cellIndex, kind) }));
    rows.sort(order(kind, ascending ? 1 : -1));
    body.append(...rows.map((entry) => entry.row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.querySelectorAll("th[data-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, head));
    }
  }

  for (const input of document.querySelectorAll("input[data-filter]")) {
    const rows = Array.from(document.getElementById(input.dataset.filter).tBodies[0].rows);
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const count = document.querySelector(`output[data-count="${input.dataset.filter}"]`);
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += !row.hidden;
      }
      count.textContent = `${shown} of ${rows.length} lines`;
    };
    input.addEventListener("input", apply);
    apply();
  }

  for (const input of document.querySelectorAll("input[data-filter-cards]")) {
    const cards = Array.from(document.getElementById(input.dataset.filterCards).children);
    const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
    const count = document.querySelector(`output[data-count="${input.dataset.filterCards}"]`);
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const card of cards) card.hidden = !words.every((word) => texts.get(card).includes(word));
      count.textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} pictures`;
    };
    input.addEventListener("input", apply);
    apply();
  }

  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const tell = (lines, x, y) => {
    tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    tip.hidden = false;
    const left = Math.min(x + 14, innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(left, 8)}px`;
    tip.style.top = `${y + 16 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 16}px`;
  };
  const hush = () => {
    tip.hidden = true;
  };

  // Dots carry their words as a <title>, which a browser shows late and never on touch.
  for (const mark of document.querySelectorAll("circle.dot, rect.mass")) {
    mark.addEventListener("pointerenter", (event) => tell([mark.textContent], event.clientX, event.clientY));
    mark.addEventListener("pointerleave", hush);
  }

  const short = (number) =>
    Math.abs(number) >= 1e4 || (number && Math.abs(number) < 1e-3)
      ? number.toExponential(2)
      : String(Number(number.toPrecision(4)));
  for (const field of document.querySelectorAll(".field[data-frame]")) {
    const [left, right, low, high] = field.dataset.frame.split(" ").map(Number);
    const lines = Array.from(field.querySelectorAll("path.line"), (path) => ({
      name: path.textContent,
      points: path
        .getAttribute("d")
        .slice(1)
        .split("L")
        .map((pair) => pair.split(" ").map(Number)),
    }));
    const rule = document.createElement("i");
    rule.className = "rule";
    rule.hidden = true;
    field.append(rule);
    const show = (event) => {
      const box = field.getBoundingClientRect();
      const x = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * 1000;
      rule.style.left = `${x / 10}%`;
      rule.hidden = false;
      const at = left + (right - left) * (x / 1000);
      const values = lines.map(({ name, points }) => {
        const near = points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
        return `${name}: ${short(high - (high - low) * (near[1] / 1000))}`;
      });
      tell([`${short(at)} ${field.dataset.unit}`, ...values], event.clientX, event.clientY);
    };
    field.addEventListener("pointermove", show);
    field.addEventListener("pointerdown", show);
    field.addEventListener("pointerleave", () => {
      rule.hidden = true;
      hush();
    });
  }

  document.addEventListener("keydown", (event) => {
    const open = document.querySelector(".lightbox:target");
    const link = open && open.querySelector(`a[data-key="${event.key}"]`);
    if (link) {
      event.preventDefault();
      link.click();
    }
  });

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
