/* What the page around this one calls. */
window.marksPage = {
  marks: () => (doc.marks.length || doc.garbage ? marksFile() : null),
  // The frame at a time is shown now; its own time is known exactly.
  at(seconds) {
    const index = frameAt(seconds + 1e-3);
    data.times[index] = seconds;
    if (frame !== index && pending) cancel("Nothing was set: the frame has changed.");
    frame = index;
    paintMarks();
  },
  source: url => ($("source").src = url),
  cut: url => ($("cut").src = url),
  over: (name, picture) => (($("back").className = name), ($("back").style.backgroundImage = picture)),
  zoom: factor => ((zoom = factor), fit()),
  say,
  forget: () => { try { localStorage.removeItem(draftKey); } catch { /* there is none */ } },
};
fit();
$("draw").click();
new ResizeObserver(fit).observe(document.querySelector("main"));
given.ready();
