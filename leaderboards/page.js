"use strict";
(() => {
  const { specs, light, dark } = JSON.parse(document.getElementById("charts").textContent);
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const NARROW = 420; // pixels: names of lines move from the plot to the legend below it
  const views = new Map();

  const scorer = () => document.querySelector("input[name=scorer]:checked").value;

  async function draw(id) {
    const element = document.getElementById(id);
    const narrow = element.clientWidth < NARROW;
    const spec = structuredClone(specs[id]);
    if (narrow) spec.layer = spec.layer.filter((layer) => !(layer.name || "").startsWith("name"));
    element.parentElement.classList.toggle("narrow", narrow);
    views.get(id)?.finalize();
    const config = darkness.matches ? dark : light;
    const tooltip = { theme: darkness.matches ? "dark" : "light" };
    const drawn = await vegaEmbed(element, spec, { config, tooltip, renderer: "svg", actions: false, mode: "vega-lite" });
    views.set(id, drawn);
    element.dataset.narrow = narrow;
    obey(drawn.view);
  }

  function obey(view) {
    try {
      view.signal("scorer", scorer()).run();
    } catch {
      // a chart without scorers
    }
  }

  const drawAll = () => Promise.all(Object.keys(specs).map(draw));
  drawAll().then(() => document.body.classList.add("drawn"));
  darkness.addEventListener("change", drawAll);
  for (const input of document.querySelectorAll("input[name=scorer]"))
    input.addEventListener("change", () => views.forEach((drawn) => obey(drawn.view)));
  addEventListener("resize", () => {
    for (const id of Object.keys(specs)) {
      const element = document.getElementById(id);
      if (String(element.clientWidth < NARROW) !== element.dataset.narrow) draw(id);
    }
  });
})();
