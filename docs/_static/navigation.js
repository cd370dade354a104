// Scrolls the side bar to the entry of the page: most of the cells' entries lie below its first screen.
"use strict";

(() => {
  const entry = document.querySelector(".sidebar-tree li.current-page > a"); // without the list below it
  const list = document.querySelector(".sidebar-scroll");
  if (!entry || !list) return;
  const [inner, outer] = [entry.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
  const top = inner.top - outer.top - (outer.height - inner.height) / 2;
  list.scrollBy({ top, behavior: "instant" }); // the theme's own is smooth
})();
