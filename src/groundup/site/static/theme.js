// Before anything is painted: the theme that was chosen last, or none, and then the system's holds.
{
  const chosen = localStorage.getItem("groundup-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
