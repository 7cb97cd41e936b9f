/* Drawing marks: `doc` is what marks.json holds, in shares of the picture; `pending` is what is being drawn.
   A mark's `at` is the frame's time at which it was drawn; it is not saved. */
const LAST = 0.99999;  // what lies at 1 is beside the picture
const KEY_STEPS = {fine: 0.001, usual: 0.005, far: 0.05};
const canvas = $("canvas"), SVG = "http://www.w3.org/2000/svg";
const draftKey = `birefvideo marks ${data.job}`;
let doc = {marks: []}, undone = [], done = [], pending = null, cursor = [0.5, 0.5], chosen = -1;
let doing = "keep", shape = "stroke", drawing = false, pointer = null;

/* Changes, each of which can be undone; the draft outlives the page. */
function change(next, said) {
  done.push(JSON.stringify(doc));
  undone = [];
  doc = next;
  changed(said);
}
function step(from, to, said) {
  if (!from.length) { say(`There is nothing to ${said}.`); return; }
  to.push(JSON.stringify(doc));
  doc = JSON.parse(from.pop());
  changed(said === "undo" ? "Undone." : "Done again.");
}
function changed(said) {
  chosen = Math.min(chosen, doc.marks.length - 1);
  try { localStorage.setItem(draftKey, JSON.stringify(doc)); } catch { said += " This browser keeps no draft: save."; }
  say(said);
  listMarks();
  paintMarks();
  document.dispatchEvent(new Event("marks"));
}
function add(mark) {
  const before = mark.do === "subject" ? doc.marks.filter(one => one.do !== "subject") : doc.marks;
  if (before.length >= MOST.marks) { say(`There are ${MOST.marks} marks: delete one first.`); return; }
  chosen = before.length;
  change({...doc, marks: [...before, mark]}, `${nameOf(mark)} set at ${clock(mark.at)}.`);
}
function alter(index, fields) {
  const marks = doc.marks.map((mark, at) => {
    if (at !== index) return mark;
    const found = {...mark, ...fields};
    for (const field of Object.keys(fields)) if (fields[field] === undefined) delete found[field];
    return found;
  });
  try { checkMark(marksFile({marks: [marks[index]]}).marks[0], 1, `mark ${index + 1}`); } catch (error) {
    say(`${error.message}.`);
    listMarks();
    return;
  }
  change({...doc, marks}, "Changed.");
}
function say(line) { $("said").textContent = line; }

/* Time: marks count from the clip's first frame, the page's clock from where the output begins, `data.lead` later.
   A range ends between frames, where no rounding moves it over one. */
function clock(seconds) { return stamp(Math.max(0, seconds - data.lead)); }
function timeOf(index) { return data.times[index] + data.lead; }
function edgeBefore(index) {
  return index ? rounded((timeOf(index - 1) + timeOf(index)) / 2, 4) : Math.floor(timeOf(0) * 1e4) / 1e4;
}
function edgeAfter(index) { return rounded((timeOf(index) + timeOf(index + 1)) / 2, 4); }
function frameNear(time) { return frameAt(time - data.lead); }
function whenDrawn(mark) { return mark.at ?? mark.time ?? mark.from ?? (mark.keys ? mark.keys[0].time : timeOf(0)); }
function howLong(mark) {
  if (mark.keys) return "keys";
  if ((mark.from ?? mark.to ?? null) !== null) return "range";
  if (isCarried(mark)) return "seen";
  return (mark.time ?? null) !== null ? "frame" : "clip";
}
function setHowLong(index, how) {
  const mark = doc.marks[index], at = rounded(whenDrawn(mark), 6), isArea = ["box", "polygon"].includes(kindOf(mark));
  const fields = {from: undefined, to: undefined, time: undefined, at};
  const carry = how === "seen" || (how === "range" && isCarried(mark));
  if (isArea) fields.carry = carry ? true : undefined;
  if (carry || how === "frame") fields.time = at;
  if (how === "range") [fields.from, fields.to] = [edgeBefore(frameNear(at)), edgeAfter(count - 1)];
  alter(index, fields);
}

/* What is shown of a mark on a frame: where it is drawn, or the plain area that acts there. */
function shapesAt(mark, index) {
  const time = timeOf(index), carried = isCarried(mark);
  if (mark.keys) {
    const near = mark.keys.filter(key => frameNear(key.time) === index);
    if (near.length || carried) return near;
    const after = mark.keys.findIndex(key => key.time > time);
    return after > 0 ? [between(mark.keys[after - 1], mark.keys[after], time)] : [];
  }
  if (carried || mark.do === "subject" || howLong(mark) === "frame")
    return frameNear(mark.time ?? timeOf(0)) === index ? [mark] : [];
  return time >= (mark.from ?? 0) && time <= (mark.to ?? Infinity) ? [mark] : [];
}
function between(one, two, time) {
  const share = (time - one.time) / (two.time - one.time), kind = kindOf(one);
  const mix = (from, to) => Array.isArray(from) ? from.map((part, at) => mix(part, to[at])) : from + (to - from) * share;
  const found = {[kind]: mix(one[kind], two[kind])};
  if (kind === "stroke") found.width = mix(one.width, two.width);
  return found;
}
function put(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}
function paintShape(values, does, extra = "") {
  const group = put(canvas, "g", {class: `mark ${does} ${extra}`}), kind = kindOf(values);
  const at = ([x, y]) => `${x * data.width},${y * data.height}`;
  if (kind === "point") {
    const [x, y] = values.point, ring = {cx: x * data.width, cy: y * data.height};
    for (const name of ["rim", "line"]) put(group, "circle", {...ring, r: 7 * unit(), class: name});
    put(group, "circle", {...ring, r: 2 * unit(), class: "dot"});
  } else if (kind === "stroke") {
    const points = [...values.stroke, values.stroke[values.stroke.length - 1]].map(at).join(" ");
    put(group, "polyline", {points, class: "brush", "stroke-width": values.width * data.width});
    for (const name of ["rim", "line"]) put(group, "polyline", {points, class: name});
  } else {
    const [left, top, right, bottom] = values.box || [];
    const corners = kind === "box" ? [[left, top], [right, top], [right, bottom], [left, bottom]] : values.polygon;
    for (const name of ["area", "rim", "line"]) put(group, "polygon", {points: corners.map(at).join(" "), class: name});
  }
}
/* Length of a CSS pixel in the drawing's own units. */
function unit() { return data.width / (canvas.clientWidth || data.width); }
function paintMarks() {
  canvas.replaceChildren();
  if (!drawing) return;
  if (doc.garbage) paintShape({box: doc.garbage}, "garbage");
  doc.marks.forEach((mark, index) => {
    for (const one of shapesAt(mark, frame)) paintShape(one, mark.do, index === chosen ? "chosen" : "");
  });
  if (pending) {
    const {points} = pending, open = [...points, ...(pending.by === "keys" ? [cursor] : [])];
    if (shape === "box" && open.length > 1) paintShape({box: boxOf(open[0], open[open.length - 1])}, doing, "pending");
    else paintShape({stroke: open, width: shape === "stroke" ? brush() : 0.001}, doing, "pending");
    if (shape === "polygon") for (const point of points) paintShape({point}, doing, "pending");
  }
  const [x, y] = [cursor[0] * data.width, cursor[1] * data.height], long = 12 * unit();
  const lines = `M${x - long},${y}H${x + long}M${x},${y - long}V${y + long}`;
  for (const name of ["rim", "line"]) put(canvas, "path", {d: lines, class: `cursor ${name}`});
}

/* Drawing: points are collected in `pending`, and become a mark when it is finished. */
function brush() { return rounded(Number($("brush").value) / 100, 5); }
function boxOf([x, y], [u, v]) {
  return [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
}
function here(event) {
  const box = canvas.getBoundingClientRect();
  const share = value => Math.max(0, Math.min(shape === "box" ? 1 : LAST, value));
  return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
}
function pixelsApart([x, y], [u, v]) { return Math.hypot((x - u) * canvas.clientWidth, (y - v) * canvas.clientHeight); }
function halt() { if (!matte.paused) show(frameAt(matte.currentTime)); }
/* Leave out what bends a line by less than a third of a pixel (Ramer, Douglas and Peucker). */
function simplified(points) {
  if (points.length < 3) return points;
  const [first, last] = [points[0], points[points.length - 1]], long = pixelsApart(first, last);
  let farthest = 0, index = 0;
  for (let at = 1; at < points.length - 1; at++) {
    const [x, y] = points[at], wide = canvas.clientWidth, tall = canvas.clientHeight;
    const away = long < 0.01 ? pixelsApart(points[at], first) : Math.abs(
      (last[0] - first[0]) * wide * (first[1] - y) * tall - (first[0] - x) * wide * (last[1] - first[1]) * tall) / long;
    if (away > farthest) [farthest, index] = [away, at];
  }
  if (farthest < 0.33) return [first, last];
  return [...simplified(points.slice(0, index + 1)).slice(0, -1), ...simplified(points.slice(index))];
}
function extend(place) {
  const {points} = pending;
  if (points.length < MOST_POINTS && pixelsApart(points[points.length - 1], place) >= 0.7) points.push(place);
}
function begin(place, by) {
  halt();
  pending = {points: [place], by, frame};
  say({box: "Set the opposite corner.", stroke: "Move along the thing, then end the stroke.",
       polygon: "Set the next corners, then Finish."}[shape]);
  tools();
}
function cancel(said = "Nothing was set.") {
  if (pending) say(said);
  pending = pointer = null;
  tools();
  paintMarks();
}
function finish() {
  if (!pending) return;
  const points = pending.points.map(place => place.map(value => rounded(value)));
  const at = rounded(timeOf(pending.frame), 6), mark = {do: doing};
  if (shape === "box") {
    const box = boxOf(points[0], points[points.length - 1]);
    if (pixelsApart(box.slice(0, 2), [box[2], box[1]]) < 2 || pixelsApart(box.slice(0, 2), [box[0], box[3]]) < 2)
      return cancel("The box is too small: go from one corner to the opposite one.");
    mark.box = box;
  } else if (shape === "polygon") {
    if (points.length < 3) { say("A polygon has three corners at least."); return; }
    mark.polygon = points;
  } else if (shape === "stroke") Object.assign(mark, {stroke: simplified(points), width: brush()});
  else mark.point = points[0];
  if (isCarried(mark) || doing === "subject") mark.time = at;
  pending = pointer = null;
  add({...mark, at});
  tools();
}
canvas.onpointerdown = event => {
  if (!event.isPrimary || event.button !== 0) return;
  event.stopPropagation();  // what lies around an enlarged picture would move it
  const place = cursor = here(event);
  pointer = event.pointerId;
  canvas.setPointerCapture(pointer);
  if (shape !== "polygon" || !pending) begin(place, "pointer");
  paintMarks();
};
canvas.onpointermove = event => {
  if (event.pointerId !== pointer || !pending) return;
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const one of events.length ? events : [event]) {
    if (shape === "stroke") extend(here(one));
    else if (shape === "box") pending.points[1] = here(one);
    else if (shape === "point") pending.points[0] = here(one);
  }
  cursor = here(event);
  paintMarks();
};
canvas.onpointerup = event => {
  if (event.pointerId !== pointer) return;
  pointer = null;
  if (!pending) return;
  if (shape !== "polygon") { if (shape === "box") pending.points[1] = here(event); finish(); return; }
  const place = here(event), {points} = pending, isNew = pixelsApart(points[points.length - 1], place) >= 3;
  if (points.length >= 3 && pixelsApart(points[0], place) < 14) { finish(); return; }
  if (isNew) points.push(place);
  tools();
  paintMarks();
};
canvas.onpointercancel = event => {
  if (event.pointerId !== pointer) return;
  pointer = null;
  if (shape === "polygon" && pending && pending.points.length > 1) say("The corners so far stay.");
  else cancel();
};
canvas.onmousedown = event => event.preventDefault();  // a click takes no focus: arrow keys still go from frame to frame
canvas.ondblclick = () => { if (shape === "polygon") finish(); };
function enter() {
  if (shape === "point" || !pending) {
    begin(cursor, "keys");
    if (shape === "point") finish();
  } else if (shape === "polygon" && pixelsApart(pending.points[0], cursor) >= 2) {
    if (pending.points.length < MOST_POINTS) pending.points.push(cursor);
    say(`${pending.points.length} corners. F finishes; so does Enter on the first one.`);
  } else {
    if (shape === "box") pending.points[1] = cursor;
    if (shape === "stroke") extend(cursor);
    finish();
  }
}
canvas.addEventListener("keydown", event => {
  const by = event.altKey ? KEY_STEPS.fine : event.shiftKey ? KEY_STEPS.far : KEY_STEPS.usual;
  const [across, down] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] || [0, 0];
  const most = shape === "box" ? 1 : LAST, moved = (value, by) => Math.max(0, Math.min(most, value + by));
  if (event.ctrlKey || event.metaKey) return;
  if (across || down) {
    cursor = [moved(cursor[0], across * by), moved(cursor[1], down * by * data.width / data.height)];
    if (pending && shape === "stroke") extend(cursor);
    say(`${(100 * cursor[0]).toFixed(1)} % across, ${(100 * cursor[1]).toFixed(1)} % down`);
    paintMarks();
  } else if (event.key === "Enter") enter();
  else if (event.key === "Escape" && pending) cancel();
  else if (event.key === "Backspace" && pending && shape === "polygon" && pending.points.length > 1) pending.points.pop();
  else if (event.key.toLowerCase() === "f" && pending) { if (shape === "box") pending.points[1] = cursor; finish(); }
  else return;
  event.preventDefault();
  event.stopPropagation();
  paintMarks();
});

/* The tools, and the list. */
function nameOf(mark) { return `${mark.do[0].toUpperCase()}${mark.do.slice(1)}: ${kindOf(mark.keys ? mark.keys[0] : mark)}`; }
function tools() {
  if (doing === "subject") shape = "point";
  for (const one of document.querySelectorAll("[data-do]")) one.setAttribute("aria-pressed", one.dataset.do === doing);
  for (const one of document.querySelectorAll("[data-shape]")) {
    one.setAttribute("aria-pressed", one.dataset.shape === shape);
    one.disabled = doing === "subject" && one.dataset.shape !== "point";
  }
  $("brushes").hidden = shape !== "stroke";
  $("brushed").textContent = `${Number($("brush").value).toFixed(1)} %`;
  $("finish").hidden = $("cancel").hidden = !pending || (pending.by === "pointer" && shape !== "polygon");
}
for (const one of document.querySelectorAll("[data-do]")) one.onclick = () => { cancel(); doing = one.dataset.do; tools(); };
for (const one of document.querySelectorAll("[data-shape]"))
  one.onclick = () => { cancel(); shape = one.dataset.shape; tools(); };
$("brush").oninput = () => { tools(); paintMarks(); };
$("finish").onclick = () => { if (pending.by === "keys" && shape === "box") pending.points[1] = cursor; finish(); };
$("cancel").onclick = () => cancel();
$("undo").onclick = () => step(done, undone, "undo");
$("redo").onclick = () => step(undone, done, "redo");
$("clear").onclick = () => change({marks: []}, "All marks are deleted; Undo brings them back.");
$("draw").onclick = () => {
  drawing = !drawing;
  cancel();
  halt();
  stage.classList.toggle("drawing", drawing);
  $("marking").hidden = !drawing;
  $("draw").setAttribute("aria-expanded", drawing);
  $("draw").setAttribute("aria-pressed", drawing);
  paintMarks();
};
document.addEventListener("keydown", event => {
  if (!drawing || !(event.ctrlKey || event.metaKey) || event.target.matches("input[type=text], input[type=number]")) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (pending) cancel();
  else (key === "y" || event.shiftKey ? $("redo") : $("undo")).click();
});
function control(name, index, key, attributes = {}) {
  const element = Object.assign(document.createElement(name), attributes);
  element.dataset.at = `${index}:${key}`;
  return element;
}
function labelled(text, element) {
  const label = document.createElement("label");
  label.append(text, element);
  return label;
}
function select(index, mark, name) {
  const options = ["point", "stroke"].includes(kindOf(mark)) ? ["seen", "range"] : ["clip", "frame", "range", "seen"];
  const words = {seen: "while the thing is in sight", range: "from – to", clip: "the whole clip", frame: "this frame only"};
  const element = control("select", index, "how", {ariaLabel: `When ${name} acts`});
  for (const how of options) element.append(new Option(words[how], how, false, how === howLong(mark)));
  element.onchange = () => setHowLong(index, element.value);
  return element;
}
function ends(index, mark, name) {
  return ["from", "to"].flatMap(field => {
    const value = (mark[field] ?? null) === null ? "" : rounded(mark[field] - data.lead, 3) || 0;
    const input = control("input", index, field, {type: "number", step: "any", value});
    input.onchange = () => alter(index, {[field]: input.value === "" ? undefined : rounded(Number(input.value) + data.lead, 4)});
    const button = control("button", index, `${field}-here`, {textContent: "here", ariaLabel: `here: ${name}, ${field} this frame`});
    button.onclick = () => alter(index, {[field]: field === "from" ? edgeBefore(frame) : edgeAfter(frame)});
    return [labelled(`${field} (s) `, input), button];
  });
}
function row(mark, index) {
  const item = document.createElement("li"), name = `mark ${index + 1}, ${nameOf(mark)}`, at = whenDrawn(mark);
  item.className = index === chosen ? "chosen" : "";
  const go = control("button", index, "go", {ariaLabel: `${nameOf(mark)} · ${clock(at)}: go to mark ${index + 1}`});
  const dot = document.createElement("i");
  dot.className = mark.do;
  go.append(dot, `${nameOf(mark)} · ${clock(at)}`);
  go.onclick = () => { chosen = index; show(frameNear(at)); listMarks(); };
  item.append(go);
  const how = howLong(mark);
  if (mark.do === "subject") item.append("for the whole clip");
  else if (how === "keys") item.append(`drawn at ${mark.keys.length} times`);
  else item.append(select(index, mark, name), ...(how === "range" ? ends(index, mark, name) : []));
  const remove = control("button", index, "delete", {textContent: "Delete", ariaLabel: `Delete ${name}`});
  remove.onclick = () => change({...doc, marks: doc.marks.filter((_, at) => at !== index)}, `${nameOf(mark)} deleted.`);
  item.append(remove);
  return item;
}
function others() {
  const kept = [];
  if (doc.garbage) kept.push("a box outside of which everything goes");
  if (doc.mend && doc.mend.length) kept.push(`mended frames: ${doc.mend.length}`);
  return kept.length ? `Also in the file, and kept: ${kept.join("; ")}.` : "";
}
function listMarks() {
  const focused = document.activeElement.dataset.at;
  $("marks").replaceChildren(...doc.marks.map(row));
  if (focused) ($("marks").querySelector(`[data-at="${focused}"]`) || $("undo")).focus();
  $("others").textContent = others();
  $("undo").ariaDisabled = String(!done.length);
  $("redo").ariaDisabled = String(!undone.length);
  const isEmpty = !doc.marks.length && !others();
  $("none").hidden = !isEmpty;
  $("save").ariaDisabled = String(isEmpty);
  $("again").textContent = commandAgain();
}

/* Saving, loading, and the command to run. */
function quoted(word) { return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`; }
function quotedPath(name) { return name.startsWith("~/") ? `~/${quoted(name.slice(2))}` : quoted(name); }
function commandAgain() {
  let name = $("file").value || $("file").defaultValue;
  if (!data.command)
    return `A program began this job. Begin it again with --marks ${quotedPath(name)} --keep-cache --overwrite, `
      + `or in Python with marks=${JSON.stringify(name)}, keep_cache=True, overwrite=True`;
  if (name.startsWith("-")) name = `./${name}`;
  const hasSubject = doc.marks.some(mark => mark.do === "subject");
  const words = data.command.filter(([flag]) => !(hasSubject && /^--(subject|people)(=|$)/.test(flag))).flat();
  return [...words.map(quoted), "--marks", quotedPath(name), "--keep-cache", "--overwrite"].join(" ");
}
$("file").value = $("file").defaultValue = `${data.title.replace(/\.[^.]*$/, "")}_marks.json`;
$("file").oninput = () => { $("again").textContent = commandAgain(); };
$("save").onclick = () => {
  if ($("save").ariaDisabled === "true") { say("There are no marks yet."); return; }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(marksFile(), null, 1) + "\n"], {type: "application/json"}));
  link.download = ($("file").value || $("file").defaultValue).split("/").pop();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Saved as ${link.download}, where this browser puts downloads.`);
};
$("load").onchange = async event => {
  const file = event.target.files[0];
  if (!file) return;
  try {
    const [found, moved] = taken(await file.text());
    chosen = -1;
    change(found, `Loaded ${file.name}.${moved ? " What lay outside of the picture was moved to its border." : ""}`);
  } catch (error) {
    say(`${file.name} is no file of marks that can be used: ${error.message}`);
  }
  event.target.value = "";
};
$("copy").onclick = async () => {
  try { await navigator.clipboard.writeText($("again").textContent); say("The command is copied."); } catch {
    getSelection().selectAllChildren($("again"));
    say(document.execCommand("copy") ? "The command is copied." : "The command is selected: copy it by hand.");
  }
};
function restored() {
  let draft = null;
  try { draft = localStorage.getItem(draftKey); } catch { /* no storage: there is no draft */ }
  try { if (data.marks) [doc] = taken(data.marks); } catch (error) {
    say(`The job's own marks cannot be shown (${error.message}): load their file.`);
  }
  if (draft === null) return;
  try {
    const found = JSON.parse(draft);
    checkMarks(marksFile(found));
    if (JSON.stringify(found) === JSON.stringify(doc)) return;
    done.push(JSON.stringify(doc));
    doc = found;
    say("Your draft of earlier is here again.");
  } catch { /* a draft of another version */ }
}
canvas.setAttribute("viewBox", `0 0 ${data.width} ${data.height}`);
restored();
tools();
listMarks();
new ResizeObserver(paintMarks).observe(canvas);
