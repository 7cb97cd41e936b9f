const DOES = ["keep", "remove", "subject"], SHAPES = ["point", "box", "polygon", "stroke"];
const FIELDS = {
  top: ["birefvideo_marks", "units", "garbage", "marks", "mend"],
  mark: ["do", ...SHAPES, "width", "time", "from", "to", "keys", "carry", "feather", "note"],
  key: ["time", ...SHAPES, "width"], mend: ["alpha", "time", "frame", "note"],
};
const MOST = {marks: 1000, mend: 1000, keys: 10000}, MOST_POINTS = 20000, FARTHEST = 1e6;

/* The rules of marks.json, as the program that reads it has them. */
class Refused extends Error {}
function refuse(line) { throw new Refused(line); }
function numberIn(value, least, most, name, allowed) {
  if (typeof value !== "number" || !(value >= least && value <= most)) refuse(`${name}: give ${allowed}`);
  return value;
}
function checkNames(values, allowed, name) {
  if (values === null || typeof values !== "object" || Array.isArray(values)) refuse(`${name}: give an object, {…}`);
  for (const field of Object.keys(values))
    if (!allowed.includes(field)) refuse(`${name}: there is no field ${JSON.stringify(field)}`);
}
function listOf(values, field, name) {
  const items = values[field] ?? [];
  if (!Array.isArray(items) || values[field] === null) refuse(`${name}: ${field} is to be a list, […]`);
  if (items.length > MOST[field]) refuse(`${name}: ${field} has more than ${MOST[field]} entries`);
  return items;
}
function checkPlace(values, size, most, name) {
  if (!Array.isArray(values) || values.length !== size) refuse(`${name}: give ${size} numbers`);
  const allowed = most === 1 ? "numbers from 0 to 1" : "pixels, not negative";
  for (const value of values) numberIn(value, 0, most, name, allowed);
}
function checkBox(values, most, name) {
  checkPlace(values, 4, most, name);
  if (!(values[0] < values[2] && values[1] < values[3]))
    refuse(`${name}: left must be less than right, and top less than bottom`);
}
function kindOf(values) { return SHAPES.find(kind => kind in values); }
function checkShape(values, most, name) {
  const found = SHAPES.filter(kind => kind in values);
  if (found.length !== 1) refuse(`${name}: give one of ${SHAPES.join(", ")}`);
  const kind = found[0], value = values[kind];
  if (kind === "point") checkPlace(value, 2, most, `${name}, point`);
  else if (kind === "box") checkBox(value, most, `${name}, box`);
  else {
    const least = kind === "polygon" ? 3 : 1;
    if (!Array.isArray(value) || value.length < least || value.length > MOST_POINTS)
      refuse(`${name}: a ${kind} has ${least} to ${MOST_POINTS} points`);
    for (const place of value) checkPlace(place, 2, most, `${name}, ${kind}`);
  }
  if ("width" in values && kind !== "stroke") refuse(`${name}: width is for a stroke`);
  if (kind === "stroke") {
    const width = "width" in values ? values.width : most === 1 ? 0.01 : 12;
    if (numberIn(width, 0, most, `${name}, width`, "a number above 0") === 0) refuse(`${name}: width is 0`);
  }
}
function checkTime(values, field, name) {
  if (values[field] !== undefined && values[field] !== null)
    numberIn(values[field], 0, FARTHEST, `${name}, ${field}`, "seconds, not negative");
  return values[field] ?? null;
}
function isCarried(mark) {
  const kind = kindOf(mark.keys ? mark.keys[0] : mark);
  return mark.carry ?? (kind === "point" || kind === "stroke");
}
function countOf(values) {
  const kind = kindOf(values);
  return `${kind} ${kind === "point" || kind === "box" ? 1 : values[kind].length}`;
}
function checkKeys(mark, most, name) {
  for (const field of ["time", "width", ...SHAPES])
    if (field in mark) refuse(`${name}: it has both keys and ${field}`);
  const keys = listOf(mark, "keys", name);
  if (!keys.length) refuse(`${name}: keys is empty`);
  keys.forEach((key, index) => {
    const called = `${name}, key ${index + 1}`;
    checkNames(key, FIELDS.key, called);
    if (checkTime(key, "time", called) === null) refuse(`${called}: it has no time`);
    checkShape(key, most, called);
    if (!index) return;
    if (key.time <= keys[index - 1].time) refuse(`${called}: put keys in order of time`);
    if (!isCarried(mark) && countOf(key) !== countOf(keys[0])) refuse(`${called}: it is not drawn like the one before`);
  });
}
function checkMark(mark, most, name) {
  checkNames(mark, FIELDS.mark, name);
  if (!DOES.includes(mark.do)) refuse(`${name}: do is to be one of ${DOES.join(", ")}`);
  if ("keys" in mark) checkKeys(mark, most, name); else { checkTime(mark, "time", name); checkShape(mark, most, name); }
  if ("carry" in mark && typeof mark.carry !== "boolean") refuse(`${name}: carry is to be true or false`);
  if (kindOf(mark) === "point" && !isCarried(mark)) refuse(`${name}: a point covers nothing unless it is carried`);
  const from = checkTime(mark, "from", name), to = checkTime(mark, "to", name);
  if (from !== null && to !== null && to < from) refuse(`${name}: it ends before it begins`);
  if (mark.do === "subject" && ((mark.keys || []).length > 1 || from !== null || to !== null))
    refuse(`${name}: a subject is one for the whole clip`);
  if ("feather" in mark) numberIn(mark.feather, 0, 200, `${name}, feather`, "pixels from 0 to 200");
}
function checkMend(mend, name) {
  checkNames(mend, FIELDS.mend, name);
  if (typeof mend.alpha !== "string") refuse(`${name}: alpha is to be a file's name`);
  if (("time" in mend) === ("frame" in mend)) refuse(`${name}: give its time or its frame`);
  checkTime(mend, "time", name);
}
/* Return nothing where an object is one of marks; else a Refused says what is wrong. */
function checkMarks(values) {
  checkNames(values, FIELDS.top, "it");
  if (values.birefvideo_marks !== 1) refuse("it is no file of marks of this version");
  const units = values.units ?? "pixels";
  if (!["pixels", "fraction"].includes(units) || values.units === null) refuse("units is to be pixels or fraction");
  const most = units === "fraction" ? 1 : FARTHEST, marks = listOf(values, "marks", "it");
  marks.forEach((mark, index) => checkMark(mark, most, `mark ${index + 1}`));
  if (marks.filter(mark => mark.do === "subject").length > 1) refuse("more than one mark names the subject");
  listOf(values, "mend", "it").forEach((mend, index) => checkMend(mend, `mend ${index + 1}`));
  if (values.garbage !== undefined && values.garbage !== null) checkBox(values.garbage, most, "garbage");
}

/* To and from marks.json. */
function rounded(value, digits = 5) { return Number(value.toFixed(digits)); }
function toShares(values) {
  const [width, height] = values.units === "fraction" ? [1, 1] : data.clip;
  let moved = 0;
  const share = (value, whole) => {
    const found = value / whole;
    if (found > 1) moved++;
    return Math.min(1, rounded(found, 6));
  };
  const place = ([x, y]) => [share(x, width), share(y, height)];
  const box = ([left, top, right, bottom]) => [...place([left, top]), ...place([right, bottom])];
  const drawn = one => {
    const kind = kindOf(one), found = {...one};
    if (kind === "point") found.point = place(one.point);
    else if (kind === "box") found.box = box(one.box);
    else if (kind) found[kind] = one[kind].map(place);
    if (kind === "stroke") found.width = Math.min(1, rounded((one.width ?? (width === 1 ? 0.01 : 12)) / width, 6));
    return found;
  };
  const found = {marks: (values.marks ?? []).map(mark =>
    mark.keys ? {...mark, keys: mark.keys.map(drawn)} : drawn(mark))};
  if (values.garbage) found.garbage = box(values.garbage);
  if (values.mend) found.mend = values.mend;
  return [found, moved];
}
function marksFile(from = doc) {
  const marks = from.marks.map(({at, ...mark}) => mark);
  return {birefvideo_marks: 1, units: "fraction", ...from, marks};
}
function taken(text) {
  const values = typeof text === "string" ? JSON.parse(text) : text;
  checkMarks(values);
  const [found, moved] = toShares(values);
  checkMarks(marksFile(found));
  return [found, moved];
}
