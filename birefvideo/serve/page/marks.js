"use strict";
/* What review_draw.js finds on a review page, for one frame of a clip that has not been cut out yet.
   The page around it puts `given` on the frame element that this page is in:
   job (name of the draft), title, width, height, times, at (seconds), marks, and show(seconds), which asks for a frame. */
const $ = id => document.getElementById(id);
const given = window.frameElement.given;
const data = {
  title: given.title, job: given.job, width: given.width, height: given.height, clip: [given.width, given.height],
  times: given.times, lead: 0, command: null, marks: given.marks,
};
const count = data.times.length - 1, stage = $("stage"), matte = {paused: true};
let frame = frameAt(given.at), zoom = 0;

function frameAt(time) {
  let low = 0, high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data.times[middle] <= time + 0.0006) low = middle; else high = middle - 1;
  }
  return low;
}
function show(index) {
  frame = Math.max(0, Math.min(count - 1, index));
  given.show(data.times[frame]);
  paintMarks();
}
function stamp(seconds) {
  const minutes = Math.floor(seconds / 60), rest = seconds - 60 * minutes;
  return `${minutes}:${rest.toFixed(2).padStart(5, "0")}`;
}
function fit() {
  const inner = $("window").clientWidth, tall = Math.max(220, given.tall());
  const wide = zoom ? (zoom * data.width) / devicePixelRatio : Math.min(inner, (tall * data.width) / data.height);
  stage.style.width = `${wide}px`;
  stage.style.height = `${(wide * data.height) / data.width}px`;
  $("window").style.maxHeight = `${tall + 2}px`;
  window.frameElement.style.height = `${document.querySelector("main").offsetHeight}px`;
}
