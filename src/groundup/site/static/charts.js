// Explorables: controls that ask the server for a figure, drawn by the Plotly.js of the `plotly` package.
import { token } from "./page.js";

const source = document.querySelector('meta[name="plotly"]')?.content ?? "/static/plotly.min.js";
let loading = null;

// Plotly.js works under a policy without inline styles, with three agreements:
// - it leaves out its own style element where an element `plotly.js-style-global` with the class `no-inline-styles`
//   exists (its rules are in plotly.css, linked under that id);
// - while it loads it writes a style element for maps, which no figure here has: it gets an element that does nothing;
// - it sets some `style` attributes, which the policy blocks; the same text through the style object is allowed.
const setAttribute = Element.prototype.setAttribute;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};

export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const createElement = document.createElement;
    document.createElement = (name, ...rest) =>
      createElement.call(document, name === "style" ? "template" : name, ...rest);
    script.src = source;
    script.onload = () => {
      document.createElement = createElement;
      resolve(window.Plotly);
    };
    script.onerror = () => {
      document.createElement = createElement;
      reject(new Error("Plotly.js could not be loaded. Reload the page."));
    };
    document.head.append(script);
  });
  return loading;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function themed(layout) {
  const axis = { gridcolor: color("--rule"), zerolinecolor: color("--strong-rule"), linecolor: color("--strong-rule") };
  const merged = {
    ...layout,
    autosize: true,
    width: undefined,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, color: color("--text"), family: "system-ui, sans-serif", size: 13 },
    hoverlabel: { bgcolor: color("--panel"), bordercolor: color("--strong-rule"), font: { color: color("--text") } },
    margin: { l: 56, r: 16, t: 16, b: 48, ...layout.margin },
  };
  for (const key of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((k) => /^[xy]axis\d*$/.test(k))])) {
    merged[key] = { ...axis, automargin: true, ...layout[key] };
  }
  delete merged.template;
  return merged;
}

export const config = { displayModeBar: false, responsive: true };

async function draw(figure) {
  const place = figure.querySelector(".chart");
  const values = figure.values();
  const mine = (figure.turn = (figure.turn ?? 0) + 1);
  place.setAttribute("aria-busy", "true");
  try {
    const [Plotly, response] = await Promise.all([
      plotly(),
      fetch(figure.dataset.figure, {
        method: "POST",
        headers: { "content-type": "application/json", "x-groundup-token": token(), accept: "application/json" },
        body: JSON.stringify(values),
      }),
    ]);
    const made = await response.json();
    if (mine !== figure.turn) return;
    if (!response.ok) throw new Error(made.error);
    if (!place.classList.contains("js-plotly-plot")) place.replaceChildren();
    figure.made = made;
    await Plotly.react(place, made.data, themed(made.layout ?? {}), config);
  } catch (error) {
    if (mine !== figure.turn) return;
    window.Plotly?.purge(place);
    const line = document.createElement("p");
    line.className = "trouble";
    line.textContent = error.message;
    place.replaceChildren(line);
  } finally {
    if (mine === figure.turn) place.setAttribute("aria-busy", "false");
  }
}

// A control over orders of magnitude moves in even steps of the logarithm.
const logValue = (input) => {
  const { low, high, kind } = input.dataset;
  const value = Math.exp(Math.log(low) + (input.value / 100) * (Math.log(high) - Math.log(low)));
  return kind === "int" ? Math.round(value) : Number(value.toPrecision(3));
};

function prepare(figure) {
  const form = figure.querySelector(".controls");
  for (const input of form.querySelectorAll("[data-log]")) {
    const { low, high, default: at } = input.dataset;
    input.value = (100 * Math.log(at / low)) / Math.log(high / low);
  }
  figure.values = () => {
    const values = {};
    for (const input of form.elements) {
      if (input.dataset.log) values[input.dataset.log] = logValue(input);
      else if (input.type === "checkbox") values[input.name] = input.checked;
      else if (input.name) values[input.name] = input.value;
    }
    return values;
  };
  let timer;
  form.addEventListener("input", (event) => {
    const output = event.target.closest("label")?.querySelector("output");
    if (output) output.textContent = event.target.dataset.log ? logValue(event.target) : event.target.value;
    clearTimeout(timer);
    timer = setTimeout(() => draw(figure), 120);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "300px" },
);

for (const figure of document.querySelectorAll(".explorable")) {
  prepare(figure);
  seen.observe(figure);
}

document.addEventListener("theme", async () => {
  for (const figure of document.querySelectorAll(".explorable")) {
    if (figure.made) (await plotly()).react(figure.querySelector(".chart"), figure.made.data, themed(figure.made.layout ?? {}), config);
  }
});
