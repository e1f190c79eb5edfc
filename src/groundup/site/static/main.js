// What every page has: the theme's switch, the search's shortcut, forms that change the page in place, live updates.
import { follow } from "./live.js";
import { enhance, refresh, say } from "./page.js";

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("groundup-theme", root.dataset.theme);
  document.dispatchEvent(new Event("theme"));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme")));

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
});

enhance();

const unit = document.querySelector("main [data-unit]")?.dataset.unit;
follow("/events", document.querySelector('meta[name="last-event"]').content, {
  reset: () => refresh(),
  hello: () => {},
  changed: () => refresh(),
  checking: (data) => (!unit || data.unit === unit) && refresh(),
  verdict: (data) => {
    refresh();
    if (!unit || data.unit === unit) say(data.text);
  },
  trouble: (data) => {
    refresh();
    if (!unit || data.unit === unit) say(data.text);
  },
});
