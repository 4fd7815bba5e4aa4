"use strict";
// The number that a cell begins with; NaN if it begins with none.
function number(text) {
  const found = text.replaceAll("−", "-").replaceAll(",", "").match(/^[\s[<+]*(-?[\d.]+(e-?\d+)?)/);
  return found ? Number(found[1]) : NaN;
}
// Cells without a number come last, whichever way the others go.
function compare(a, b, sign) {
  const [x, y] = [number(a), number(b)];
  if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
  return sign * (isNaN(x) ? a.localeCompare(b, undefined, { numeric: true }) : x - y);
}
function sort(table, header, column) {
  const up = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const text = (row) => row.cells[column].textContent;
  const rows = [...table.tBodies[0].rows].sort((a, b) => compare(text(a), text(b), up ? 1 : -1));
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    header.setAttribute("aria-sort", "none");
    header.tabIndex = 0;
    header.title = "Sort";
    header.addEventListener("click", () => sort(table, header, column));
    header.addEventListener("keydown", (e) => e.key === "Enter" && sort(table, header, column));
  });
  for (const cell of table.querySelectorAll("td")) {
    if (cell.textContent.length > 60) cell.classList.add("words");
  }
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 8) continue;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Filter rows";
  input.setAttribute("aria-label", "Filter rows");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.parentElement.before(input);
}
