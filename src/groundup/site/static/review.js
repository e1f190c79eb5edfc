// Review from the keyboard: space turns the card, 1 to 4 rates it.
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const answer = document.querySelector(".answer");
  if (!answer) return;
  if (event.key === " " && !event.target.closest("button, a, summary")) {
    event.preventDefault();
    answer.open = !answer.open;
  } else if (/^[1-4]$/.test(event.key) && answer.open) {
    event.preventDefault();
    answer.querySelector(`[data-key="${event.key}"]`)?.click();
  }
});
