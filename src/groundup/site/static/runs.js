// Curves of a run: while it goes on, from its events; afterwards, from what was recorded.
import { follow } from "./live.js";
import { config, plotly, themed } from "./plot.js";

const colours = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"];
const place = document.getElementById("curves");
const curves = new Map(); // name -> Map(seed -> {x, y})
let waiting = false;

function point(name, seed, step, value) {
  if (!curves.has(name)) curves.set(name, new Map());
  const seeds = curves.get(name);
  if (!seeds.has(seed)) seeds.set(seed, { x: [], y: [] });
  seeds.get(seed).x.push(step);
  seeds.get(seed).y.push(value);
}

function chart(name) {
  const id = `curve-${name}`;
  let chart = document.getElementById(id);
  if (!chart) {
    const figure = document.createElement("figure");
    figure.className = "explorable";
    const caption = document.createElement("figcaption");
    const strong = document.createElement("strong");
    strong.textContent = name.replaceAll("_", " ");
    caption.append(strong);
    chart = document.createElement("div");
    chart.className = "chart small";
    chart.id = id;
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `${name} by step, one line for each seed`);
    figure.append(caption, chart);
    place.append(figure);
  }
  return chart;
}

async function paint() {
  if (waiting) return;
  waiting = true;
  const Plotly = await plotly();
  requestAnimationFrame(() => {
    waiting = false;
    for (const [name, seeds] of curves) {
      const data = [...seeds].map(([seed, { x, y }], i) => ({
        x: [...x],
        y: [...y],
        name: `seed ${seed}`,
        mode: x.length > 1 ? "lines" : "markers",
        line: { color: colours[i % colours.length], width: 1.8 },
      }));
      const layout = { xaxis: { title: { text: "step" } }, yaxis: { title: { text: name } }, showlegend: data.length > 1 };
      Plotly.react(chart(name), data, themed(layout), config);
    }
  });
}

function bar(event) {
  const id = `bar-${event.seed}`;
  let row = document.getElementById(id);
  if (!row) {
    row = document.createElement("div");
    row.id = id;
    const words = document.createElement("span");
    const progress = document.createElement("progress");
    progress.setAttribute("aria-label", `seed ${event.seed}`);
    row.append(words, progress);
    document.getElementById("bars").append(row);
  }
  const [words, progress] = row.children;
  words.textContent = `Seed ${event.seed}${event.label ? `: ${event.label}` : ""}${event.total ? ` (${event.done} of ${event.total})` : ""}`;
  if (event.total) {
    progress.max = event.total;
    progress.value = event.done;
  }
}

const live = document.getElementById("live");
if (live) {
  follow(`/live/${live.dataset.job}/events`, "", {
    batch: ({ events }) => {
      for (const event of events) {
        if (event.type === "progress") bar(event);
        else if (event.type === "metric") point(event.name, event.seed, event.step, event.value);
        else if (event.type === "data") {
          const line = document.getElementById("live-data");
          const words = `${event.name}: ${event.label ?? (event.stand_in ? "a stand-in" : "real data")}`;
          if (!line.textContent.includes(words)) line.textContent += `${line.textContent ? "; " : "Data: "}${words}`;
        } else if (event.type === "note") {
          const item = document.createElement("li");
          item.textContent = event.text;
          document.getElementById("live-notes").append(item);
        }
      }
      paint();
    },
    done: ({ run, trouble }, close) => {
      close();
      if (run) location.replace(`/runs/${run}`);
      else {
        document.getElementById("stop")?.remove();
        const line = document.getElementById("live-trouble");
        line.textContent = trouble;
        line.hidden = false;
      }
    },
  });
} else {
  for (const [name, seeds] of Object.entries(JSON.parse(place?.dataset.curves ?? "{}"))) {
    for (const [seed, { steps, values }] of Object.entries(seeds)) {
      steps.forEach((step, i) => point(name, seed, step, values[i]));
    }
  }
  if (curves.size) paint();
  for (const kept of document.querySelectorAll("[data-kept]")) {
    const made = JSON.parse(kept.dataset.kept);
    const draw = async () => (await plotly()).react(kept, made.data, themed(made.layout ?? {}, kept.clientWidth), config);
    draw();
    document.addEventListener("theme", draw);
  }
}
document.addEventListener("theme", paint);
