// Sorting, filtering and downloading of tables. The page is whole without it.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const text = (row, column) => row.cells[column].textContent.trim();
  const tools = document.createElement("p");
  tools.className = "tools";
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  // Long tables begin short; what is asked for by filter or button is shown.
  const page = 200;
  let limit = page;
  let words = [];
  const show = () => {
    let shown = 0;
    let matching = 0;
    for (const row of body.rows) {
      const line = words.length ? row.textContent.toLowerCase() : "";
      const matches = words.every((word) => line.includes(word));
      matching += matches;
      row.hidden = !matches || shown >= limit;
      shown += !row.hidden;
    }
    status.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    more.hidden = shown >= matching;
  };
  const more = document.createElement("button");
  more.type = "button";
  more.textContent = "Show all";
  more.addEventListener("click", () => {
    limit = Infinity;
    show();
  });

  const label = document.createElement("label");
  label.textContent = "Filter ";
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "words, or max_num_seqs=64";
  filter.addEventListener("input", () => {
    words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    show();
  });
  label.append(filter);

  const download = document.createElement("button");
  download.type = "button";
  download.textContent = "Download as CSV";
  download.addEventListener("click", () => {
    // A spreadsheet takes a text that begins so for a formula.
    const isFormula = (cell) => /^[=+@\t\r-]/.test(cell) && !Number.isFinite(Number(cell));
    const plain = (cell) => (isFormula(cell) ? `'${cell}` : cell);
    const quote = (cell) => (/[",\n]/.test(plain(cell)) ? `"${plain(cell).replaceAll('"', '""')}"` : plain(cell));
    const matches = (row) => words.every((word) => row.textContent.toLowerCase().includes(word));
    // A mean and its interval stand in one cell; a program wants two.
    const isEstimate = (cell) => /^\S+ ± \S+$/.test(cell);
    const heads = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent.trim());
    const hasEstimates = heads.map((_, column) => rows.some((row) => isEstimate(text(row, column))));
    const cells = (row) => heads.flatMap((_, column) => {
      const cell = text(row, column);
      if (!hasEstimates[column]) return [cell];
      return isEstimate(cell) ? cell.split(" ± ") : [cell, ""];
    });
    const lines = [heads.flatMap((head, column) => (hasEstimates[column] ? [head, `± ${head}`] : [head]))];
    lines.push(...Array.from(body.rows).filter(matches).map(cells));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.map(quote).join(",") + "\n").join("")], { type: "text/csv" }));
    link.download = `${table.dataset.name || "table"}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  tools.append(label, download, status, more);
  table.parentElement.before(tools);
  show();

  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const compare = (left, right) => {
        const [a, b] = [text(left, column), text(right, column)];
        const [x, y] = [Number.parseFloat(a), Number.parseFloat(b)];
        const numbers = a.trim() !== "" && b.trim() !== "" && !Number.isNaN(x) && !Number.isNaN(y);
        const order = numbers ? x - y : a.localeCompare(b, undefined, { numeric: true });
        return ascending ? order : -order;
      };
      body.append(...[...rows].sort(compare));
      show();
    });
  });
}

// The values under the pointer. They also stand in the chart's data, for who has none.
for (const figure of document.querySelectorAll("figure[data-places]")) {
  const image = figure.querySelector("img");
  const rows = figure.querySelector(".data").textContent.split("\n").slice(1);
  const points = [];
  figure.dataset.places.split(";").forEach((place, index) => {
    if (!place || !rows[index]) return;
    const [x, y] = place.split(",").map(Number);
    const cells = rows[index].split(",");
    const [xValue, , , yValue, yLow, yHigh, runs] = cells.slice(-7);
    const name = cells.slice(0, -7).join(",").replace(/^"|"$/g, "").replaceAll('""', '"');
    points.push({ x, y, name, xValue, yValue, yLow, yHigh, runs });
  });
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  figure.append(tip);
  const short = (value) => Number(Number(value).toPrecision(5)).toLocaleString("en");
  image.addEventListener("pointermove", (event) => {
    const box = image.getBoundingClientRect();
    const distance = (point) => Math.hypot(box.left + point.x * box.width - event.clientX, box.top + point.y * box.height - event.clientY);
    const nearest = points.reduce((best, point) => (!best || distance(point) < distance(best) ? point : best), null);
    tip.hidden = !nearest || distance(nearest) > 28;
    if (tip.hidden) return;
    const ends = nearest.yLow && nearest.yHigh ? ` (${short(nearest.yLow)} to ${short(nearest.yHigh)})` : "";
    const runs = Number(nearest.runs) > 1 ? ` (${nearest.runs} runs)` : "";
    tip.textContent = `${nearest.name ? nearest.name + "\n" : ""}${figure.dataset.x}: ${short(nearest.xValue)}\n${figure.dataset.y}: ${short(nearest.yValue)}${ends}${runs}`;
    const frame = figure.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX - frame.left + 12, Math.max(0, frame.width - 230))}px`;
    tip.style.top = `${event.clientY - frame.top + 14}px`;
  });
  image.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
}
