// Results while typing: the same page, asked for again.
const field = document.getElementById("query");
const results = document.getElementById("results");
let timer;
let asked = 0;

async function find() {
  const mine = ++asked;
  const address = `/search?q=${encodeURIComponent(field.value)}`;
  const response = await fetch(address);
  const made = new DOMParser().parseFromString(await response.text(), "text/html");
  if (mine !== asked) return;
  results.replaceChildren(...made.getElementById("results").childNodes);
  history.replaceState(null, "", address);
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(find, 100);
});
