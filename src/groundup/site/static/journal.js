// Leaving with unsaved words asks first; Ctrl-S saves.
const form = document.getElementById("journal-form");
const text = document.getElementById("text");
const line = document.getElementById("unsaved");
const asRead = text.value;
let saving = false;
const unsaved = () => !saving && text.value !== asRead;

text.addEventListener("input", () => (line.textContent = unsaved() ? "Not saved yet." : ""));
form.addEventListener("submit", () => (saving = true));
addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s") {
    event.preventDefault();
    form.requestSubmit();
  }
});
