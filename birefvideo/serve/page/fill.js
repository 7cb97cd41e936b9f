// The form as an earlier job had it: the other direction of what clip.js reads from it.

export function fill(form, card, options) {
  const set = (name, value) => {
    if (value !== undefined) form.elements[name].value = value;
  };
  const has = value => [...form.elements.model.options].some(option => option.value === value);
  if (has(options.model)) set("model", options.model);
  if (options.to) for (const box of form.querySelectorAll("[name=to]")) box.checked = options.to.includes(box.value);
  set("grow", options.grow ?? (options.shrink ? -options.shrink : undefined));
  const [black, white] = (options.levels ?? "").split(",");
  if (white) (set("black", black), set("white", white));
  for (const name of ["feather", "drop_islands", "fill_holes", "smooth", "despill"]) set(name, options[name]);
  form.elements.review.checked = options.review ?? false;
  card.querySelector(".in").value = options.start ?? "";
  card.querySelector(".out").value = options.end ?? "";
  return background(form.elements, options.background);
}

// Chooses the background; returns that of a file, which the form cannot name but the server still has.
function background({ kind, colour }, value) {
  if (!value) return null;
  if ([...kind.options].some(option => option.value === value)) kind.value = value;
  else if (/^#[0-9a-f]{6}$/i.test(value)) [kind.value, colour.value] = ["colour", value];
  else {
    kind.append(new Option("as before", "kept"));
    kind.value = "kept";
    return value;
  }
  return null;
}
