"use strict";
// Tables that sort: a heading is chosen once for descending numbers or ascending names, and again for the other way.
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const rows = [...table.tBodies[0].rows];
      const texts = rows.map((row) => row.cells[column].textContent.trim());
      const numeric = texts.every((text) => text === "" || !isNaN(text.replaceAll(",", "")));
      const first = numeric ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? (numeric ? "ascending" : "descending") : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].textContent.trim();
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what is not known stands last
        return sign * (numeric ? Number(x.replaceAll(",", "")) - Number(y.replaceAll(",", "")) : x.localeCompare(y));
      });
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
// Pictures of errors, by what they are and what was answered.
const form = document.querySelector("form.filter");
if (form) {
  const cards = [...document.querySelectorAll("#shown .card")];
  const cells = [...document.querySelectorAll(".confusion td[tabindex]")];
  for (const name of ["true", "said"]) {
    const counts = new Map();
    for (const card of cards) counts.set(card.dataset[name], (counts.get(card.dataset[name]) || 0) + 1);
    for (const [text, count] of [...counts].sort()) form.elements[name].add(new Option(`${text} (${count})`, text));
  }
  const choose = () => {
    const [is, said] = [form.elements["true"].value, form.elements.said.value];
    const fits = (data) => (!is || data.true === is) && (!said || data.said === said);
    for (const card of cards) card.hidden = !fits(card.dataset);
    for (const cell of cells) cell.classList.toggle("chosen", is && said && fits(cell.dataset));
    form.querySelector("output").textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} pictures`;
  };
  form.addEventListener("change", choose);
  form.addEventListener("reset", () => setTimeout(choose));
  for (const cell of cells) {
    const pick = () => {
      for (const name of ["true", "said"]) {
        const select = form.elements[name];
        const there = [...select.options].some((option) => option.value === cell.dataset[name]);
        if (!there) select.add(new Option(`${cell.dataset[name]} (0)`, cell.dataset[name]));
        select.value = cell.dataset[name];
      }
      choose();
    };
    cell.addEventListener("click", pick);
    cell.addEventListener("keydown", (event) => event.key === "Enter" && pick());
  }
  choose();
}
