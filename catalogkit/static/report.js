// Draws the charts of a report in place of their still pictures, which stay where this fails, and on paper.
(async () => {
  "use strict";
  const plots = [...document.querySelectorAll(".ck-plot")];
  const toggle = document.getElementById("code-toggle");
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const shown = document.body.classList.toggle("show-code");
    toggle.textContent = shown ? "Hide the code" : "Show the code";
    toggle.setAttribute("aria-expanded", shown);
  });

  // The heads of tables sort their rows; sizes and numbers as such, what is empty last.
  const amount = (cell) => {
    const text = cell.querySelector("data")?.value ?? cell.textContent.trim();
    const number = Number(text.replace(/[,<>%\s]/g, "") || NaN);
    return text && Number.isFinite(number) ? number : text;
  };
  for (const table of document.querySelectorAll("table.ck-table:has(thead)")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "ck-sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const up = now ? now === "descending" : !head.classList.contains("ck-number"); // the largest first
        for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [amount(row.cells[column]), row]);
        const compare = (a, b) => typeof a === typeof b ? (a < b ? -1 : Number(a > b)) : typeof a === "number" ? -1 : 1;
        rows.sort(([a], [b]) => (a === "") - (b === "") || (up ? compare(a, b) : compare(b, a)));
        body.append(...rows.map(([, row]) => row));
      });
    }
  }
  // What is copied out of a table are tab-separated cells, sizes as exact numbers.
  document.addEventListener("copy", (event) => {
    const chosen = getSelection();
    const around = chosen.rangeCount ? chosen.getRangeAt(0).commonAncestorContainer : null;
    const part = (around?.closest ? around : around?.parentElement)?.closest("table.ck-table") && chosen.getRangeAt(0).cloneContents();
    if (!part?.querySelector("td")) return;
    const whole = part.querySelector("tr") ? [...part.querySelectorAll("tr")] : [part];
    const told = (cell) => cell.querySelector("data")?.value ?? cell.textContent.trim();
    const lines = whole.map((row) => [...row.querySelectorAll("th, td")].map(told).join("\t"));
    event.clipboardData.setData("text/plain", lines.join("\n"));
    event.preventDefault();
  });
  if (!plots.length) return;

  const fail = (plot, error) => {
    plot.parentElement.classList.remove("ck-drawn");
    plot.className = "ck-failed";
    plot.textContent = `This browser could not draw the chart; here is a picture of it. (${error.message})`;
  };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The figures come with neutral inks; here they take those of the page.
  const dress = (figure, width) => {
    const { data, layout, config } = structuredClone(figure);
    const template = (layout.template ??= {}).layout ??= {};
    template.font = { ...template.font, color: css("--ink") };
    template.annotationdefaults = { font: { color: css("--ink") } };
    for (const axis of ["xaxis", "yaxis"]) {
      template[axis] = { ...template[axis], gridcolor: css("--grid"), linecolor: css("--rule"), zerolinecolor: css("--rule") };
      template[axis].tickfont = { color: css("--soft") };
      template[axis].title = { ...template[axis].title, font: { color: css("--soft"), size: 12 } };
    }
    template.hoverlabel = { ...template.hoverlabel, bgcolor: css("--page"), bordercolor: css("--rule"), font: { color: css("--ink") } };
    if (width < 560) {
      const clip = (text) => {
        const name = text.split(" · ")[0]; // the digest stays in the table
        return name.length > 21 ? name.slice(0, 10) + "…" + name.slice(-10) : name;
      };
      for (const key of Object.keys(layout).filter((name) => name.startsWith("yaxis"))) {
        if (layout[key].ticktext) layout[key].ticktext = layout[key].ticktext.map(clip);
        if (layout[key].title) delete layout[key].title;
      }
      for (const key of Object.keys(layout).filter((name) => name.startsWith("xaxis"))) {
        const axis = layout[key];
        if (axis.type !== "category") Object.assign(axis, { nticks: 4, tickangle: 0 });
        if (axis.tickvals?.length > 4) {
          for (const name of ["tickvals", "ticktext"]) axis[name] = axis[name].filter((_, place) => place % 2 === 0);
        }
      }
      template.font.size = 11;
    }
    // One finger scrolls the page; zooming and its buttons stay with the mouse.
    if (matchMedia("(pointer: coarse)").matches) {
      layout.dragmode = false;
      config.displayModeBar = false;
    }
    return [data, layout, config];
  };
  const figures = plots.map((plot) => JSON.parse(document.getElementById(plot.id + "-figure").textContent));
  const draw = async () => {
    for (const [i, plot] of plots.entries()) {
      if (plot.className === "ck-failed") continue;
      try {
        plot.parentElement.classList.add("ck-drawn");
        const [data, layout, config] = dress(figures[i], plot.clientWidth);
        await Plotly.react(plot, data, layout, config);
      } catch (error) {
        fail(plot, error);
      }
    }
  };

  try {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.nonce = document.querySelector("script[nonce]").nonce;
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
    // plotly.js 4 would offer to upload a chart's data.
    Plotly.setPlotConfig({ showSendToCloud: false, plotlyServerURL: "" });
  } catch (error) {
    plots.forEach((plot) => fail(plot, error));
    return;
  }
  await draw();
  let narrow = innerWidth < 640;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  addEventListener("resize", () => {
    if (innerWidth < 640 !== narrow) { narrow = !narrow; draw(); }
  });
  document.documentElement.dataset.drawn = plots.filter((plot) => plot.className !== "ck-failed").length;
})();
