// Plotly.js, from the `plotly` package: loaded when first needed, and themed like the page.
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

function lines(text, room) {
  if (text.length < room) return [text];
  const found = [""];
  for (const word of text.split(" ")) {
    if (found.at(-1) && found.at(-1).length + word.length >= room) found.push("");
    found.push(`${found.pop()} ${word}`.trim());
  }
  return found;
}

// The layout in the page's colours; a headline in as many lines as it needs in a chart of this width.
export function themed(layout, width = Infinity) {
  let above = 0;
  const annotations = (layout.annotations ?? []).map((note) => {
    if (note.yref !== "paper" || note.y < 1) return note;
    const headline = note.x === 0.5 && note.yshift; // as `groundup.drawing.headline` writes it
    const parts = headline ? lines(note.text, (width - 72) / 8) : [note.text];
    above = Math.max(above, parts.length);
    return headline ? { ...note, text: parts.join("<br>"), yanchor: "bottom", yshift: 12 } : note;
  });
  const below = layout.legend?.orientation === "h" && layout.legend.y < 0; // as `groundup.drawing.LEGEND_BELOW` says it
  const axis = { gridcolor: color("--rule"), zerolinecolor: color("--strong-rule"), linecolor: color("--strong-rule") };
  const merged = {
    ...layout,
    annotations,
    // At the bottom of the picture, whatever room tick labels and title take: Plotly reserves its own.
    legend: below ? { ...layout.legend, yref: "container", y: 0, yanchor: "bottom" } : layout.legend,
    autosize: true,
    width: undefined,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, color: color("--text"), family: "system-ui, sans-serif", size: 13 },
    hoverlabel: { bgcolor: color("--panel"), bordercolor: color("--strong-rule"), font: { color: color("--text") } },
    margin: { l: 56, r: 16, t: 16 + (above ? 4 + 20 * above : 0), b: 48, ...layout.margin },
  };
  for (const key of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((k) => /^[xy]axis\d*$/.test(k))])) {
    merged[key] = { ...axis, automargin: true, ...layout[key] };
  }
  delete merged.template;
  return merged;
}

export const config = { displayModeBar: false, responsive: true };
