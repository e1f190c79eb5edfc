// Changing the page in place: the server makes whole pages, and the parts marked `data-live` are taken from them.
export const token = () => document.querySelector('meta[name="token"]').content;

export function say(words) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = words), 50);
}

export function notice(words) {
  const line = document.getElementById("notice");
  line.textContent = words;
  line.hidden = !words;
  if (words) say(words);
}

let asked = 0;

export async function refresh() {
  const mine = ++asked;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.ok && mine === asked) take(await response.text());
  } catch {
    // The site is away; the event stream connects again and asks for the page then.
  }
}

function take(html) {
  const made = new DOMParser().parseFromString(html, "text/html");
  const fresh = made.querySelector('meta[name="token"]')?.content;
  if (fresh && fresh !== token()) {
    document.querySelector('meta[name="token"]').content = fresh;
    for (const field of document.querySelectorAll('input[name="token"]')) field.value = fresh;
  }
  const focused = document.activeElement?.id;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = made.getElementById(part.id);
    if (!next || next.isEqualNode(part)) continue;
    for (const details of part.querySelectorAll("details[id]")) {
      const other = next.querySelector(`#${CSS.escape(details.id)}`);
      if (other && details.dataset.touched) {
        other.open = details.open;
        other.dataset.touched = "1";
      }
    }
    part.replaceWith(document.adoptNode(next));
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}

export async function post(address, fields) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "x-groundup-token": token(), accept: "application/json" },
    body: new URLSearchParams(fields),
  });
  if (!response.ok) {
    const kind = response.headers.get("content-type") ?? "";
    const words = kind.includes("json") ? (await response.json()).error : response.statusText;
    throw new Error(words);
  }
  return response;
}

export function enhance() {
  document.addEventListener("toggle", (event) => (event.target.dataset.touched = "1"), true);
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-enhance]")) return;
    event.preventDefault();
    const button = event.submitter ?? form.querySelector("button");
    const words = button.textContent;
    // Not `disabled`, which would take the keyboard's focus away.
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    if (button.dataset.busy) button.textContent = button.dataset.busy;
    try {
      const response = await post(form.action, new FormData(form, event.submitter));
      const here = new URL(response.url);
      if (here.pathname === location.pathname) {
        notice("");
        asked++;
        take(await response.text());
      } else location.assign(here);
    } catch (error) {
      notice(error.message);
    } finally {
      button.ariaDisabled = "false";
      button.textContent = words;
    }
  });
}
