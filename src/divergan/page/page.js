"use strict";
/* The page's behaviour: tables that sort and filter, curves, panes of samples, latent walks. Names in the data are
   other people's text: they go into the document as text alone, never as HTML. */

const inside = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const data = inside("data");
const curveNames = inside("curve-names");

function made(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/* ---- tables */

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const order = compared(column, ascending, "measured" in head.dataset);
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    });
  });
}

/* Cells without a value come last in either direction; in a column of measurements so do rows with more failed runs. */
function compared(column, ascending, measured) {
  const sign = ascending ? 1 : -1;
  return (a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[column].dataset);
    const failed = measured ? Number(a.dataset.failed) - Number(b.dataset.failed) : 0;
    const absent = Number(x.n === undefined && x.t === undefined) - Number(y.n === undefined && y.t === undefined);
    if (failed || absent) return failed || absent;
    if (x.n !== undefined) return sign * (Number(x.n) - Number(y.n));
    return sign * (x.t ?? "").localeCompare(y.t ?? "", "en");
  };
}

function filterable(form, table) {
  const rows = [...table.tBodies[0].rows];
  const shown = (row) => [...form.elements].every((control) => {
    if (control.name === "find") return row.textContent.toLowerCase().includes(control.value.toLowerCase());
    return control.tagName !== "SELECT" || !control.value || row.dataset[control.name] === control.value;
  });
  const refresh = () => {
    rows.forEach((row) => { row.hidden = !shown(row); });
    const count = rows.filter((row) => !row.hidden).length;
    form.querySelector("output").textContent = `${count} of ${rows.length} rows`;
  };
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
}

/* ---- curves */

const DASHES = ["none", "6 3", "2 2", "8 2 2 2"];
const variants = [...new Set((data?.runs ?? []).map((run) => run.variant))];

function choices(fieldset, values, decorate = () => []) {
  const boxes = values.map((value) => made("input", { type: "checkbox", value, checked: true }));
  const setAll = (checked) => () => {
    boxes.forEach((box) => { box.checked = checked; });
    fieldset.form.dispatchEvent(new Event("input"));
  };
  for (const [text, checked] of [["All", true], ["None", false]]) {
    const button = made("button", { type: "button", textContent: text, onclick: setAll(checked) });
    button.setAttribute("aria-label", `${text} ${fieldset.querySelector("legend").textContent.toLowerCase()}`);
    fieldset.append(button);
  }
  boxes.forEach((box, at) => fieldset.append(made("label", {}, box, " ", ...decorate(values[at]), String(values[at]))));
  return () => new Set(boxes.filter((box) => box.checked).map((box) => box.value));
}

function swatch(variant) {
  const mark = made("span", { className: "swatch", ariaHidden: "true" });
  mark.style.background = data.runs.find((run) => run.variant === variant).colour;
  return [mark];
}

function curvesSection(form) {
  const seeds = [...new Set(data.runs.map((run) => run.seed))].sort((a, b) => a - b);
  const chosenVariants = choices(document.getElementById("curve-variants"), variants, swatch);
  const chosenSeeds = choices(document.getElementById("curve-seeds"), seeds);
  const draw = () => {
    const [byVariant, bySeed] = [chosenVariants(), chosenSeeds()];
    const runs = data.runs.filter((run) => byVariant.has(run.variant) && bySeed.has(String(run.seed)));
    drawCurves(form.elements.curve.value, runs, form.elements.logarithmic.checked);
  };
  form.elements.curve.addEventListener("change", () => {
    form.elements.logarithmic.checked = form.elements.curve.value === "fid";
  });
  for (const event of ["input", "change"]) form.addEventListener(event, draw);
  new ResizeObserver(draw).observe(document.getElementById("chart"));
}

function pointsOf(curve, run) {
  const history = data.histories[curve === "fid" ? "fid" : "history"][run.key];
  const points = (history?.step ?? []).map((step, at) => ({ step, value: history[curve][at], ...run }));
  return points.filter((point) => point.value !== null);
}

function drawCurves(curve, runs, logarithmic) {
  const series = runs.map((run) => pointsOf(curve, run)).filter((points) => points.length);
  const all = series.flat();
  const axis = !logarithmic ? "linear" : all.every((point) => point.value > 0) ? "log" : "symlog";
  const named = (point) => `${point.variant}, seed ${point.seed}\nstep ${point.step}: ${point.value}`;
  const own = { x: "step", y: "value" };
  const arms = [...new Set(all.map((point) => point.arm))];
  const chart = Plot.plot({
    width: document.getElementById("chart").clientWidth,
    height: 390,
    marginLeft: 56,
    marginBottom: 42,
    style: { background: "transparent", color: "inherit", fontSize: "12px" },
    x: { label: "step", ticks: 5 },
    y: { type: axis, label: curveNames[curve], grid: true, tickFormat: "~g", ticks: 6 },
    ariaLabel: `${curveNames[curve]} over training`,
    ariaDescription: `${series.length} runs; their last values are listed below the chart.`,
    marks: [
      curve === "fid" && data.floor !== null && all.length
        ? [Plot.ruleY([data.floor], { strokeDasharray: "2 3" }),
           Plot.text([data.floor], { y: (d) => d, frameAnchor: "right", dy: -7, text: () => "real images (floor)" })]
        : [],
      arms.map((arm) => Plot.line(all.filter((point) => point.arm === arm), {
        ...own, z: "key", stroke: (point) => point.colour, strokeDasharray: DASHES[arm % DASHES.length], strokeWidth: 1.5,
      })),
      Plot.dot(series.filter((points) => points[0].outcome !== "finished").map((points) => points.at(-1)), {
        ...own, stroke: (point) => point.colour, symbol: "times", r: 5,
      }),
      Plot.tip(all, Plot.pointer({ ...own, title: named, maxRadius: 150 })),
    ],
    color: { type: "identity" },
  });
  chart.querySelectorAll("[aria-label]").forEach((part) => part.removeAttribute("aria-label"));  // of groups, not allowed
  chart.setAttribute("role", "img");
  document.getElementById("chart").replaceChildren(chart);
  document.getElementById("chart-says").textContent =
    `${series.length} ${series.length === 1 ? "run is" : "runs are"} shown. A cross ends a run that did not finish.`;
  const last = series.map((points) => points.at(-1));
  document.getElementById("last-values").replaceChildren(...last.map((point) =>
    made("li", { textContent: `${point.variant}, seed ${point.seed}: ${point.value} at step ${point.step}` })));
}

/* ---- pictures */

const REAL = "Real images";
const GAP = 1;

async function loaded(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  return image;
}

/* Draws cell cells[i] of a sheet at place i; a place whose cell is -1 stays empty. */
function paint(canvas, image, cells, across) {
  const [height, width] = data.size;
  canvas.width = across * (width + GAP) - GAP;
  canvas.height = Math.ceil(cells.length / across) * (height + GAP) - GAP;
  const context = canvas.getContext("2d");
  cells.forEach((cell, place) => {
    if (cell < 0) return;
    const [x, y] = [(cell % data.across) * width, Math.floor(cell / data.across) * height];
    const [left, top] = [(place % across) * (width + GAP), Math.floor(place / across) * (height + GAP)];
    context.drawImage(image, x, y, width, height, left, top, width, height);
  });
}

function fill(select, pairs, wanted) {
  select.replaceChildren(...pairs.map(([value, text]) => made("option", { value, textContent: text })));
  if (pairs.some(([value]) => value === wanted)) select.value = wanted;
}

function pane(figure, wish, inPlaces) {
  const [variant, seed, sampler] = figure.querySelectorAll("select");
  const there = data.runs.filter((run) => data.sets.some((set) => set.run === run.key));
  const offered = variants.filter((name) => there.some((run) => run.variant === name));
  let asked = 0;
  fill(variant, [...(data.real ? [[REAL, REAL]] : []), ...offered.map((name) => [name, name])], wish.variant);
  const refresh = () => {
    const runs = there.filter((run) => run.variant === variant.value);
    fill(seed, runs.map((run) => [run.key, String(run.seed)]), keyOfSeed(runs, seed.selectedOptions[0]?.textContent));
    const sets = data.sets.filter((set) => set.run === seed.value);
    fill(sampler, sets.map((set) => [set.sampler, set.label]), sampler.value || wish.sampler);
    for (const select of [seed, sampler]) select.parentElement.hidden = variant.value === REAL;
    const run = runs.find((one) => one.key === seed.value);
    show(sets.find((set) => set.sampler === sampler.value) ?? { image: data.real, facts: "", places: null }, run);
  };
  const show = async (set, run) => {
    const turn = ++asked;
    const canvas = figure.querySelector("canvas");
    const count = data.shown;
    const cells = inPlaces() && set.places ? set.places : [...Array(count).keys()];
    const kept = set.places ? `, ${set.places.filter((cell) => cell >= 0).length} of the first ${count} latents accepted` : "";
    const who = run ? `${run.variant}, seed ${run.seed}, ${set.label}${kept}` : REAL;
    const how = run && run.outcome !== "finished" ? `; the run ${run.outcome}` : "";
    canvas.hidden = !set.image;
    canvas.setAttribute("aria-label", `Images of ${who}${how}`);
    figure.querySelector("figcaption").textContent = [who + how, set.facts].filter(Boolean).join(": ");
    const image = set.image ? await loaded(set.image) : null;
    if (image && turn === asked) paint(canvas, image, cells, data.across);
  };
  figure.addEventListener("change", refresh);
  document.getElementById("sample-controls").addEventListener("change", refresh);
  refresh();
}

const keyOfSeed = (runs, seed) => runs.find((run) => String(run.seed) === seed)?.key;

function samplesSection(controls) {
  const first = data.sets[0];
  const name = data.runs.find((run) => run.key === first.run).variant;
  const rejecting = data.sets.filter((set) => set.run === first.run && set.places).map((set) => set.sampler);
  const other = rejecting.includes("latent_rs") ? "latent_rs" : rejecting[0];
  const wishes = other
    ? [{ variant: name, sampler: first.sampler }, { variant: name, sampler: other }, { variant: REAL }]
    : [{ variant: name }, { variant: variants[1] ?? name }, { variant: REAL }];
  const inPlaces = () => controls.elements.places.checked;
  controls.hidden = !data.sets.some((set) => set.places);
  document.querySelectorAll(".pane").forEach((figure, at) => pane(figure, wishes[at], inPlaces));
}

async function walkSection(form) {
  const { frame } = form.elements;
  const walks = await Promise.all(data.walks.map(async (walk) => {
    const run = data.runs.find((one) => one.key === walk.run);
    const canvas = made("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Latent walk of ${run.variant}, seed ${run.seed}`);
    const text = `${run.variant}, seed ${run.seed}${run.outcome === "finished" ? "" : `, ${run.outcome}`}`;
    document.getElementById("walks").append(made("figure", {}, made("figcaption", { textContent: text }), canvas));
    return { canvas, image: await loaded(walk.image) };
  }));
  const frames = walks[0].image.height / data.size[0];
  const draw = () => walks.forEach(({ canvas, image }) => {
    paint(canvas, image, [...Array(data.across).keys()].map((at) => Number(frame.value) * data.across + at), data.across);
  });
  frame.max = frames - 1;
  form.addEventListener("input", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  playable(document.getElementById("walk-play"), () => {
    frame.value = (Number(frame.value) + 1) % frames;
    draw();
  });
  draw();
}

/* Moves only when asked to, and offers no button to whom motion is a trouble: the slider remains. */
function playable(button, advance) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = 0;
  const play = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(advance, 150) : 0;
    button.setAttribute("aria-pressed", String(on));
  };
  const heed = () => { button.hidden = still.matches; play(false); };
  button.addEventListener("click", () => play(!timer));
  still.addEventListener("change", heed);
  heed();
}

document.querySelectorAll(".table").forEach((block) => {
  sortable(block.querySelector("table"));
  filterable(block.querySelector("form"), block.querySelector("table"));
});
for (const [id, start] of [["curve-controls", curvesSection], ["sample-controls", samplesSection], ["walk-controls", walkSection]]) {
  const form = document.getElementById(id);
  if (form) start(form);
}
