"use strict";
// Every table can be sorted by its headers and saved as CSV; one that names filters can be filtered.

const NUMBER = /[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i;

/** The first number of a cell, so that "12 [11, 13]" sorts as 12; NaN where there is none. */
function numberOf(text) {
  const found = text.match(NUMBER);
  return found ? Number(found[0]) : NaN;
}

/** The order of two cells; what is missing comes last in either direction. */
function compare(a, b, numeric, sign) {
  if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
  const [x, y] = [numberOf(a), numberOf(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
  return sign * (x - y);
}

function sortBy(table, header) {
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentNode.children) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const column = header.cellIndex;
  const numeric = !header.classList.contains("l");
  const body = table.tBodies[0];
  const keyed = Array.from(body.rows, (row) => [row.cells[column].textContent, row]);
  keyed.sort((a, b) => compare(a[0], b[0], numeric, descending ? -1 : 1));
  body.append(...keyed.map((pair) => pair[1]));
}

function makeSortable(table) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header));
    header.setAttribute("aria-sort", "none");
    header.append(button);
  }
}

function quoted(text) {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The rows that are shown, as they are sorted. */
function csvOf(table) {
  const rows = [table.tHead.rows[0], ...Array.from(table.tBodies[0].rows).filter((row) => !row.hidden)];
  const line = (row) => Array.from(row.cells, (cell) => quoted(cell.textContent.trim())).join(",");
  return rows.map(line).join("\n") + "\n";
}

function addDownload(table, tools) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "CSV";
  button.title = "Save the rows that are shown";
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(table)], { type: "text/csv" }));
    link.download = `${table.dataset.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  tools.append(button);
}

function addSelect(table, tools, name) {
  const column = Array.from(table.tHead.rows[0].cells).findIndex((cell) => cell.textContent === name);
  const values = new Set(Array.from(table.tBodies[0].rows, (row) => row.cells[column].textContent));
  const select = document.createElement("select");
  select.append(new Option("all", ""), ...Array.from(values, (value) => new Option(value, value)));
  const label = document.createElement("label");
  label.append(`${name} `, select);
  tools.append(label);
  return (row) => !select.value || row.cells[column].textContent === select.value;
}

function addFilters(table, tools) {
  const input = document.createElement("input");
  input.type = "search";
  const label = document.createElement("label");
  label.append("search ", input);
  tools.append(label);
  const tests = table.dataset.filters.split(",").map((name) => addSelect(table, tools, name));
  tests.push((row) => row.textContent.toLowerCase().includes(input.value.toLowerCase()));
  const count = document.createElement("output");
  tools.append(count);
  const rows = Array.from(table.tBodies[0].rows);
  const update = () => {
    for (const row of rows) row.hidden = !tests.every((test) => test(row));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  for (const event of ["input", "change"]) tools.addEventListener(event, update);
  update();
}

for (const table of document.querySelectorAll("table")) {
  const tools = document.createElement("div");
  tools.className = "tools";
  if (table.dataset.filters) addFilters(table, tools);
  addDownload(table, tools);
  makeSortable(table);
  table.parentNode.before(tools);
}
