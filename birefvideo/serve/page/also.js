// What an earlier job had and the form cannot say: shown as a list, sent along, and dropped at the press of a button.

// Options that a control of the form stands for, where they are not called like it.
const OPTIONS = {
  grow: ["grow", "shrink"], black: ["levels"], white: ["levels"], kind: ["background"], colour: ["background"], file: ["background"],
};

export class Also {
  constructor(place, form, onChange) {
    Object.assign(this, { place, onChange, values: {} });
    // Who changes a control means what the form says from then on.
    form.addEventListener("input", ({ target }) => this.drop(OPTIONS[target.name] ?? [target.name]));
  }

  // Keeps those of an earlier job's options that the form, filled in with them, does not say.
  keep(options, said) {
    this.values = Object.fromEntries(Object.entries(options).filter(([name, value]) => !isSame(value, said[name])));
    this.show();
  }

  drop(names) {
    if (!names.some(name => name in this.values)) return;
    for (const name of names) delete this.values[name];
    this.show();
    this.onChange();
  }

  show() {
    const rows = Object.entries(this.values).map(([name, value]) => this.row(name, worded(name, value)));
    this.place.querySelector("ul").replaceChildren(...rows);
    this.place.hidden = !rows.length;
  }

  row(name, text) {
    const item = document.createElement("li"), button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: "Remove", ariaLabel: `Remove ${text}` });
    button.onclick = () => {
      const index = [...item.parentElement.children].indexOf(item);
      this.drop([name]);
      const left = this.place.querySelectorAll("button"); // the focus stays near
      (left[Math.min(index, left.length - 1)] ?? this.place.parentElement.querySelector(".main")).focus();
    };
    item.append(text, button);
    return item;
  }
}

function worded(name, value) {
  const words = name.replaceAll("_", " ");
  if (typeof value === "boolean") return value ? words : `no ${words}`;
  return `${words}: ${String(value).startsWith("upload:") ? "the same file" : [value].flat().join(", ")}`;
}

// Whether two values of an option ask for the same: numbers and lists are written in several ways.
function isSame(one, other) {
  const parts = value => [value].flat().join().split(",").map(part => (part.trim() && Number.isFinite(Number(part)) ? String(Number(part)) : part.trim()));
  return other !== undefined && String(parts(one).sort()) === String(parts(other).sort());
}
