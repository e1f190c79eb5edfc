// Explorables: controls that ask the server for a figure, drawn by the Plotly.js of the `plotly` package.
import { token } from "./page.js";
import { config, plotly, themed } from "./plot.js";

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
    await Plotly.react(place, made.data, themed(made.layout ?? {}, place.clientWidth), config);
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
    const place = figure.querySelector(".chart");
    const layout = () => themed(figure.made.layout ?? {}, place.clientWidth);
    if (figure.made) (await plotly()).react(place, figure.made.data, layout(), config);
  }
});
