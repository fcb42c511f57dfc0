// Sorts each table by the column whose head is pressed, and filters the rows of the large one.
const valueOf = (row, place) => {
  const cell = row.cells[place];
  return cell === undefined ? "" : cell.dataset.value ?? cell.textContent.trim();
};

const compared = (one, other, sign) => {
  if (one === "" || other === "") return (one === "") - (other === "");  // rows without a value come last
  const [left, right] = [Number(one), Number(other)];
  return sign * (Number.isNaN(left) || Number.isNaN(right) ? one.localeCompare(other) : left - right);
};

const sort = (table, head) => {
  const place = head.cellIndex, body = table.tBodies[0];
  const before = head.getAttribute("aria-sort");
  const falls = before === null ? head.dataset.better === "1" : before === "ascending";
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  const rows = [...body.rows].sort((a, b) => compared(valueOf(a, place), valueOf(b, place), falls ? -1 : 1));
  for (const row of rows) row.classList.remove("first");
  body.append(...rows);
};

for (const table of document.querySelectorAll("table")) {
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sort(table, button.closest("th"));
  });
}

const form = document.getElementById("filters"), rows = [...document.querySelectorAll("#rows tbody tr")];
const filter = () => {
  const wanted = [...new FormData(form).entries()];
  for (const row of rows) row.hidden = wanted.some(([name, value]) => value !== "" && row.dataset[name] !== value);
  const shown = rows.filter((row) => !row.hidden).length;
  form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
};
form.hidden = false;
form.addEventListener("change", filter);
filter();
