// What scrolls sideways can be reached with the keyboard.
function mark() {
  for (const box of document.querySelectorAll("article pre, .table-wrapper, .math, .cell_output, .cell_output div")) {
    if (box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX)) box.tabIndex = 0;
  }
}
mark();
addEventListener("load", mark);  // a picture has its width
addEventListener("resize", mark);
for (const part of document.querySelectorAll("details")) part.addEventListener("toggle", mark);
