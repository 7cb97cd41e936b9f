// The form as an earlier job had it, as far as it has a place for that: the other direction of what clip.js reads from it.

export function fill(form, card, options) {
  const set = (name, value) => {
    if (value !== undefined) form.elements[name].value = value;
  };
  const has = (name, value) => [...form.elements[name].options].some(option => option.value === value);
  for (const name of ["model", "despill"]) if (has(name, options[name])) set(name, options[name]);
  if (options.to) for (const box of form.querySelectorAll("[name=to]")) box.checked = options.to.includes(box.value);
  set("grow", options.grow ?? (options.shrink ? -options.shrink : undefined));
  const [black, white] = (options.levels ?? "").split(",");
  if (white) (set("black", black), set("white", white));
  for (const name of ["feather", "drop_islands", "fill_holes", "smooth"]) set(name, options[name]);
  form.elements.review.checked = options.review ?? false;
  card.querySelector(".in").value = options.start ?? "";
  card.querySelector(".out").value = options.end ?? "";
  if (has("kind", options.background)) set("kind", options.background);
  else if (/^#[0-9a-f]{6}$/i.test(options.background)) (set("kind", "colour"), set("colour", options.background));
}
