"use strict";
(() => {
  const value = (row, column, kind) => {
    const text = row.cells[column].textContent.trim();
    if (kind === "text") return text;
    const parsed = Number(text.replace("−", "-").replace("∞", "Infinity"));
    return text === "" || Number.isNaN(parsed) ? null : parsed;
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

  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;

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
