// The theme that was chosen last, before anything is painted. A script of its own, so that it is no module:
// modules run after the first picture.
"use strict";
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch (error) {
  // Without storage the system decides.
}
