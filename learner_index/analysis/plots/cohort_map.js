"use strict";
// Draws the scans of the page's data block, colored by any column; nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const kinds = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };

  function numbers(packed) {
    const text = atob(packed.data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return new kinds[packed.kind](bytes.buffer);
  }

  const n = data.n;
  const x = numbers(data.x);
  const y = numbers(data.y);
  const columns = data.columns.map((column) => ({
    ...column,
    numbers: column.numbers ? numbers(column.numbers) : null,
    codes: column.codes ? numbers(column.codes) : null,
  }));
  const byName = new Map(columns.map((column) => [column.name, column]));
  const arrows = Object.fromEntries(Object.entries(data.arrows).map(([name, packed]) => [name, numbers(packed)]));
  const patient = byName.get("patient_id");
  const chosen = new Set(data.patients);
  let shown = [];

  // A cell as a person reads it; null where missing.
  function cell(column, row) {
    if (column.numbers) {
      const value = column.numbers[row];
      return Number.isNaN(value) ? null : String(Number(value.toPrecision(6)));
    }
    const code = column.codes ? column.codes[row] : row + 1;
    return code === 0 ? null : column.values[code - 1];
  }

  // Plotly reads a few HTML tags in its texts; names are to be shown as they are.
  function plain(text) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }

  function pick(source, rows) {
    const found = new Float32Array(rows.length);
    for (let i = 0; i < rows.length; i += 1) found[i] = source[rows[i]];
    return found;
  }

  function trace(rows, marker, name) {
    shown.push(rows);
    return {
      type: "scattergl", mode: "markers", x: pick(x, rows), y: pick(y, rows), hoverinfo: "none",
      name: plain(`${name} (${rows.length.toLocaleString("en")})`), marker: { size: data.size, opacity: 0.8, ...marker },
    };
  }

  // Rows of each group of a column, the most common eight by name, then the others.
  function groups(column) {
    const rows = new Map();
    const missing = [];
    for (let row = 0; row < n; row += 1) {
      const value = cell(column, row);
      if (value === null) missing.push(row);
      else if (rows.has(value)) rows.get(value).push(row);
      else rows.set(value, [row]);
    }
    const common = [...rows].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
    const named = common.slice(0, data.colors.length).sort((a, b) => (a[0] < b[0] ? -1 : 1));
    const rest = common.slice(data.colors.length);
    return { named, others: rest.flatMap((entry) => entry[1]), nOthers: rest.length, missing };
  }

  function scans(column) {
    const found = [];
    shown = [];
    if (column.scale) {
      const missing = [];
      const known = [];
      for (let row = 0; row < n; row += 1) (Number.isNaN(column.numbers[row]) ? missing : known).push(row);
      if (missing.length) found.push(trace(missing, { color: data.missing }, "not known"));
      found.push(trace(known, {
        color: pick(column.numbers, known), colorscale: data.scale, showscale: true,
        colorbar: { title: { text: plain(column.words), side: "right" }, thickness: 12, outlinewidth: 0, len: 0.8 },
      }, column.words));
      return found;
    }
    const { named, others, nOthers, missing } = groups(column);
    if (missing.length) found.push(trace(missing, { color: data.missing }, "not known"));
    if (others.length) found.push(trace(others, { color: data.other }, `${nOthers} others`));
    named.forEach(([name, rows], i) => found.push(trace(rows, { color: data.colors[i], symbol: data.symbols[i] }, name)));
    return found;
  }

  // Places of chosen patients' visits, joined; and their arrows.
  function paths() {
    const traces = [];
    const notes = [];
    for (const name of chosen) {
      const code = patient.values.indexOf(name);
      const line = { x: [], y: [] };
      for (let i = 0; i < arrows.patient.length; i += 1) {
        if (arrows.patient[i] !== code) continue;
        line.x.push(arrows.x[i], arrows.end_x[i], null);
        line.y.push(arrows.y[i], arrows.end_y[i], null);
        notes.push({
          ax: arrows.x[i], ay: arrows.y[i], x: arrows.x[i] + arrows.dx[i], y: arrows.y[i] + arrows.dy[i],
          axref: "x", ayref: "y", xref: "x", yref: "y", text: "", showarrow: true, arrowhead: 2,
          arrowwidth: 1.8, arrowsize: 1.1, arrowcolor: "#000000",
        });
      }
      if (!line.x.length) {
        for (let row = 0; row < n; row += 1) {
          if (cell(patient, row) === name) { line.x.push(x[row], null); line.y.push(y[row], null); }
        }
      }
      traces.push({
        type: "scatter", mode: "lines+markers", ...line, hoverinfo: "skip", name: plain(name),
        line: { color: "#000000", width: 1.2, dash: "dot" },
        marker: { size: 7, color: "#ffffff", line: { color: "#000000", width: 1.5 } },
      });
    }
    return { traces, notes };
  }

  const map = document.getElementById("map");
  const choice = document.getElementById("color");
  const status = document.getElementById("status");

  function draw() {
    const column = byName.get(choice.value);
    const points = scans(column);
    const { traces, notes } = paths();
    const axis = { zeroline: false, showline: true, linecolor: "#777777", showgrid: false, showticklabels: data.ticks };
    const names = [...chosen].slice(0, 3).join(", ") + (chosen.size > 3 ? ` and ${chosen.size - 3} more` : "");
    status.textContent = chosen.size ? `path of ${names}` : "click a scan to see its patient's path";
    return Plotly.react(map, [...points, ...traces], {
      uirevision: "kept", dragmode: "pan", hovermode: "closest", annotations: notes,
      margin: { l: 46, r: 10, t: 10, b: 46 }, plot_bgcolor: "#ffffff", paper_bgcolor: "#ffffff",
      xaxis: { ...axis, title: { text: plain(data.axes[0]) } },
      yaxis: { ...axis, title: { text: plain(data.axes[1]) }, scaleanchor: "x" },
      legend: { itemsizing: "constant", orientation: "h", y: -0.12 }, showlegend: !column.scale || chosen.size > 0 || points.length > 1,
    }, { responsive: true, scrollZoom: true, displaylogo: false,
      plotGlPixelRatio: n > 20000 ? 1 : 2, // a quarter of the pixels to fill where points are many
      modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]] });
  }

  function rowOf(event) {
    const point = event.points[0];
    return point.curveNumber < shown.length ? shown[point.curveNumber][point.pointNumber] : null;
  }

  function show(row) {
    const panel = document.getElementById("scan");
    const list = document.createElement("dl");
    for (const column of columns) {
      const value = cell(column, row);
      if (value === null) continue;
      const name = document.createElement("dt");
      const text = document.createElement("dd");
      name.textContent = column.name;
      text.textContent = value;
      list.append(name, text);
    }
    panel.replaceChildren(list);
    const picture = data.thumbnails[row];
    if (picture) {
      const image = document.createElement("img");
      image.src = picture;
      image.alt = "the scan, small";
      panel.prepend(image);
    }
  }

  function toggle(name) {
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    draw();
  }

  for (const column of columns) {
    const option = document.createElement("option");
    option.value = column.name;
    option.textContent = column.name;
    if (column.name !== "scan_id") choice.append(option);
  }
  choice.value = data.color;
  choice.addEventListener("change", draw);
  document.getElementById("clear").addEventListener("click", () => { chosen.clear(); draw(); });
  document.getElementById("patient").addEventListener("change", (event) => {
    const name = event.target.value.trim();
    if (!name) return;
    if (patient.values.includes(name)) { toggle(name); event.target.value = ""; }
    else status.textContent = `no patient ${name} on this map`;
  });
  draw().then(() => {
    map.on("plotly_hover", (event) => { const row = rowOf(event); if (row !== null) show(row); });
    map.on("plotly_click", (event) => { const row = rowOf(event); if (row !== null) toggle(cell(patient, row)); });
    document.body.dataset.drawn = String(n);
  });
})();
