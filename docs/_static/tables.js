// Sorts and filters tables of all cells. Without it a table stands as it is, by name or by place.
// The address keeps both, as in cells.html?sort=-year&filter=one-gate, so a view can be shared.
"use strict";

(() => {
  const table = document.querySelector("table.cells, table.leaderboard, table.speeds");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows]; // in the order of the page
  const headers = [...table.tHead.rows[0].cells];
  const text = (cell) => cell.textContent.trim();
  const keys = headers.map((header) =>
    text(header).toLowerCase().replace(/[^a-z0-9]+/g, "-"),
  );
  const numeric = keys.map((_, column) =>
    rows.every((row) => /^([\d.]+(e[-+]\d+)?)?$/.test(text(row.cells[column]))),
  );
  const asked = new URLSearchParams(location.search);
  let sort = asked.get("sort") ?? ""; // a key, with a minus in front from large to small

  const compare = (column) => (one, other) => {
    const [a, b] = [text(one.cells[column]), text(other.cells[column])];
    return numeric[column] ? a - b : a.localeCompare(b, "en");
  };

  const order = () => {
    const down = sort.startsWith("-");
    const column = keys.indexOf(down ? sort.slice(1) : sort);
    const sorted = [...rows]; // sorting is stable: equals stay by name
    if (column >= 0) {
      const ascending = compare(column);
      const empty = (row) => text(row.cells[column]) === ""; // last, whichever way
      sorted.sort(
        (one, other) =>
          empty(one) - empty(other) || (down ? ascending(other, one) : ascending(one, other)),
      );
    }
    body.append(...sorted);
    headers.forEach((header, k) => {
      const state = k !== column ? "none" : down ? "descending" : "ascending";
      header.setAttribute("aria-sort", state);
    });
  };

  const input = document.createElement("input");
  const found = document.createElement("output");
  const select = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
      count += !row.hidden;
    }
    found.textContent = `${count} of ${rows.length} cells`;
  };

  const remember = () => {
    const query = new URLSearchParams();
    if (sort) query.set("sort", sort);
    if (input.value) query.set("filter", input.value);
    const address = `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`;
    try {
      history.replaceState(null, "", address);
    } catch {
      // Some browsers refuse it for files; the table works all the same.
    }
  };

  headers.forEach((header, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text(header);
    button.addEventListener("click", () => {
      sort = sort === keys[k] ? `-${keys[k]}` : keys[k];
      order();
      remember();
    });
    header.replaceChildren(button);
  });

  const label = document.createElement("label");
  input.type = "search";
  input.value = asked.get("filter") ?? "";
  input.placeholder = table.matches(".cells") ? "lstm, one-gate, two-stage, 2021 …" : "lstm …";
  input.addEventListener("input", () => {
    select();
    remember();
  });
  label.append("Filter: ", input);
  const controls = document.createElement("p");
  controls.className = "table-controls";
  controls.append(label, " ", found);
  (table.closest(".table-wrapper") ?? table).before(controls);

  order();
  select();
})();
