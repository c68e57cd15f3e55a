"use strict";
const search = document.getElementById("search");
const count = document.getElementById("count");
const main = document.querySelector("main");
const all = [...document.querySelectorAll("article")].map((element, place) => {
  const path = element.id.toLowerCase();
  return { element, place, path, depth: path.split(".").length, text: element.textContent.toLowerCase() };
});
// All words have to be in an option, in any order. Those that have them in their names come first, the shortest before the others.
const show = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const option of all) {
    option.element.hidden = !words.every((word) => option.text.includes(word));
    option.rank = words.length && words.every((word) => option.path.includes(word)) ? option.depth : words.length && 1000;
    shown += option.element.hidden ? 0 : 1;
  }
  main.append(...[...all].sort((a, b) => a.rank - b.rank || a.place - b.place).map((option) => option.element));
  count.textContent = `${shown} of ${all.length} options`;
};
search.addEventListener("input", show);
show();
