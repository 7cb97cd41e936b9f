// One clip before it is cut out: a look at it, and the choices.

import { Also } from "/page/also.js";
import { Marking } from "/page/marking.js";
import { fill } from "/page/fill.js";
import { ask, asked, duration, patiently, post, say, send, size } from "/page/talk.js";

const USUAL = ["prores", "green", "webm"];
let catalogue = null;

function known() {
  const get = path => patiently(() => ask("GET", path));
  catalogue ??= Promise.all([get("/v1/formats"), get("/v1/models")]).catch(error => {
    catalogue = null;
    throw error;
  });
  return catalogue;
}

export class Clip {
  constructor(name, onJob, onGone) {
    this.card = document.getElementById("clip-template").content.cloneNode(true).firstElementChild;
    this.onJob = onJob;
    this.onGone = onGone;
    this.stopping = new AbortController();
    this.isWrong = false;
    this.find("h2").textContent = name;
    this.find(".facts").textContent = "waiting …";
    this.find(".drop-clip").onclick = () => this.remove();
  }

  find(selector) {
    return this.card.querySelector(selector);
  }

  // Uploads a file, or takes an upload that is there already, and shows it; `before` is what an earlier job of it had.
  async begin(file, upload = null, before = null) {
    const bar = this.find("progress"), { signal } = this.stopping;
    if (signal.aborted) return; // it was removed before its turn
    this.find(".facts").textContent = "";
    try {
      this.upload = upload ?? (await send(file, share => (bar.value = share), signal));
    } catch (error) {
      this.isWrong = true;
      bar.hidden = true;
      this.find(".facts").textContent = error.message;
      if (!signal.aborted) say(`${file.name}: ${error.message}`);
      return;
    }
    if (signal.aborted) return this.forget();
    bar.hidden = true;
    this.find(".body").hidden = false;
    this.facts();
    this.wire();
    const known = Promise.all([this.formats(), this.advise()]).catch(error => (this.find(".wrong").textContent = error.message));
    if (before) await this.restore(before, known);
    else this.look();
    await known;
  }

  get ready() {
    return Boolean(this.upload) && !this.find(".choices .main").disabled;
  }

  facts() {
    const { width, height, fps, seconds, is_picture: still, bytes } = this.upload;
    const time = still ? "" : ` · ${duration(seconds)} · ${Number(fps.toFixed(3))} fps`;
    this.find(".facts").textContent = `${width}×${height}${time} · ${size(bytes)}`;
    this.find(".times").hidden = still;
    const slider = this.find(".time");
    slider.step = fps ? 1 / fps : 0.04;
    slider.max = Math.max(0, seconds - 1 / (fps || 25));
    slider.value = seconds / 2;
  }

  wire() {
    const later = this.later.bind(this), time = this.find(".time");
    time.oninput = later;
    this.find(".set-in").onclick = () => (this.find(".in").value = this.at());
    this.find(".set-out").onclick = () => (this.find(".out").value = this.at());
    for (const button of this.card.querySelectorAll("[data-back]")) button.onclick = () => this.over(button);
    this.find(".zoom select").onchange = () => this.zoom();
    this.find(".full").onclick = () => (this.marking.isOpen ? this.marking.frame : this.find(".stage")).requestFullscreen();
    this.find("img").onload = () => this.zoom();
    for (const slider of this.card.querySelectorAll(".edge input, .edge select")) {
      slider.addEventListener("input", () => (this.figures(), later()));
    }
    this.find("[name=kind]").onchange = () => this.kind();
    this.find("[name=file]").onchange = () => this.own(this.find("[name=file]").files[0]);
    this.find(".choices").onsubmit = event => (event.preventDefault(), this.cut());
    this.also = new Also(this.find(".also"), this.find(".choices"), later);
    const at = () => Number(time.value), onGo = seconds => this.go(seconds);
    this.marking = new Marking(this.card, this.upload, { at, onGo, onChange: later });
    this.over(this.find("[data-back=checker]"));
    this.figures();
  }

  // Shows the frame at a time.
  go(seconds) {
    this.find(".time").value = seconds;
    this.later();
  }

  // Fills in what an earlier job had: its options, its marks, and the frame that was looked at.
  async restore({ options, marks, at, isToDraw }, known) {
    this.marking.given = marks;
    if (at !== null) this.find(".time").value = at;
    await known;
    const { marks: file, ...others } = options;
    fill(this.find(".choices"), this.card, options);
    this.also.keep(others, this.values());
    this.kind();
    this.figures();
    if (isToDraw) this.marking.turn(true);
    else this.look();
    this.find(isToDraw ? "iframe" : "h2").scrollIntoView({ block: "center" });
  }

  at() {
    return Number(this.find(".time").value).toFixed(2);
  }

  figures() {
    for (const slider of this.card.querySelectorAll(".edge input[type=range]")) {
      const unit = ["grow", "feather"].includes(slider.name) ? " px" : "";
      slider.previousElementSibling.textContent = `${slider.value}${unit}`;
    }
  }

  over(button) {
    for (const one of this.card.querySelectorAll("[data-back]")) one.setAttribute("aria-pressed", String(one === button));
    const back = button.dataset.back;
    this.find(".picture").className = `picture ${back === "checker" ? "checker" : `back-${back}`}`;
    this.find(".picture").style.backgroundImage = back === "own" ? `url(${this.ownUrl})` : "";
    this.marking.over(this.find(".picture").className.replace("picture ", ""), this.find(".picture").style.backgroundImage);
  }

  // Shows the user's own background under the look too.
  own(file) {
    let button = this.find("[data-back=own]");
    if (!file?.type.startsWith("image/")) return;
    if (!button) {
      button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: "Own picture", onclick: () => this.over(button) });
      button.dataset.back = "own";
      this.find("[data-back=black]").after(button);
    }
    if (this.ownUrl) URL.revokeObjectURL(this.ownUrl);
    this.ownUrl = URL.createObjectURL(file);
    this.over(button);
  }

  zoom() {
    const factor = Number(this.find(".zoom select").value), image = this.find("img");
    this.find(".stage").classList.toggle("fit", factor === 0);
    this.marking.zoom(factor);
    image.style.width = factor ? `${(image.naturalWidth * factor) / devicePixelRatio}px` : "";
  }

  kind() {
    const kind = this.find("[name=kind]").value;
    this.find(".of-colour").hidden = kind !== "colour";
    this.find(".of-file").hidden = kind !== "file";
  }

  later() {
    this.find(".at").textContent = `${Number(this.find(".time").value).toFixed(1)} s`;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), 250);
  }

  // Shows the frame at the slider, cut out with the edge as chosen; one request at a time.
  async look() {
    this.find(".at").textContent = `${Number(this.find(".time").value).toFixed(1)} s`;
    if (this.looking) {
      this.lookAgain = true;
      return;
    }
    this.looking = true;
    this.find(".wait").hidden = false;
    try {
      const time = asked(Number(this.find(".time").value), this.upload.fps);
      const { marks } = this.marking, others = { ...this.edge(), ...this.also.values };
      const values = { ...others, time, ...(marks && { marks }) };
      const answer = await patiently(() => post(`/v1/uploads/${this.upload.id}/frame`, values));
      const url = URL.createObjectURL(await answer.blob());
      const image = this.find("img"), before = image.src;
      image.src = url;
      this.marking.show(url, Number(answer.headers.get("x-frame-time")));
      if (before) URL.revokeObjectURL(before);
      this.find(".seen").textContent = "";
    } catch (error) {
      this.find(".seen").textContent = error.message;
    }
    this.looking = false;
    this.find(".wait").hidden = true;
    if (this.lookAgain) {
      this.lookAgain = false;
      this.look();
    }
  }

  async formats() {
    const [{ formats }, { models }] = await known();
    for (const row of formats) {
      const label = document.createElement("label"), box = document.createElement("input"), text = document.createElement("span");
      label.className = "check";
      Object.assign(box, { type: "checkbox", name: "to", value: row.name, disabled: Boolean(row.unavailable) });
      box.checked = row.default && !this.upload.is_picture;
      // What is said of the command line's options is of no use here.
      text.textContent = `${row.name}: ${row.unavailable || row.description.replace(/ \([^)]*--[^)]*\)/g, "")}`;
      label.append(box, text);
      this.find(USUAL.includes(row.name) ? ".usual" : ".more").append(label);
    }
    const select = this.find("[name=model]");
    for (const model of models.filter(model => model.weights)) select.append(new Option(`${model.name}: ${model.best_for}`, model.name));
  }

  async advise() {
    const place = this.find(".advice");
    try {
      const advice = await patiently(() => ask("GET", `/v1/uploads/${this.upload.id}/advice`));
      const other = advice.best !== advice.choice ? ` ${advice.best} would be best, but ${advice.why_not_best}.` : "";
      place.textContent = `${advice.choice}: ${advice.reason}.${other}`.replace("..", ".");
    } catch (error) {
      place.textContent = error.message;
    }
  }

  edge() {
    const form = this.find(".choices"), values = {}, value = name => form.elements[name].value;
    const grow = Number(value("grow"));
    if (grow > 0) values.grow = grow;
    if (grow < 0) values.shrink = -grow;
    if (Number(value("feather"))) values.feather = value("feather");
    if (Number(value("black")) || Number(value("white")) !== 1) values.levels = `${value("black")},${value("white")}`;
    for (const name of ["drop_islands", "fill_holes", "smooth", "despill"]) if (value(name) !== "") values[name] = value(name);
    return values;
  }

  // What the form says, as options of a job, but for a file that is still to be sent.
  values() {
    const form = this.find(".choices"), { kind, colour, model, review } = form.elements, values = { model: model.value, ...this.edge() };
    const to = [...form.querySelectorAll("[name=to]:checked")].map(box => box.value);
    if (to.length) values.to = to;
    if (kind.value && kind.value !== "file") values.background = kind.value === "colour" ? colour.value : kind.value;
    values.review = review.checked && !this.upload.is_picture;
    for (const [name, place] of [["start", ".in"], ["end", ".out"]]) {
      if (this.find(place).value.trim()) values[name] = this.find(place).value.trim();
    }
    return values;
  }

  // Sends the file that is to be the background, if the form says so.
  async background() {
    const { kind, file } = this.find(".choices").elements;
    if (kind.value !== "file") return {};
    if (!file.files[0]) throw new Error("choose the picture or video that is to be the background");
    return { background: `upload:${(await send(file.files[0])).id}` };
  }

  async cut() {
    const wrong = this.find(".wrong"), button = this.find(".choices .main");
    wrong.textContent = "";
    button.disabled = true;
    try {
      const values = { upload: this.upload.id, ...this.values(), ...(await this.background()), ...this.also.values };
      if (this.marking.marks) values.marks = this.marking.marks;
      const job = await ask("POST", "/v1/jobs", values);
      say(`${this.upload.name} is in the queue`);
      this.marking.forget();
      this.card.remove();
      this.onGone(this);
      this.onJob(job);
    } catch (error) {
      wrong.textContent = error.message;
    }
    button.disabled = false;
  }

  async remove() {
    this.stopping.abort();
    this.card.remove();
    this.onGone(this);
    document.getElementById("pick").focus(); // the button that had it is gone
    if (this.upload) await this.forget();
  }

  async forget() {
    await ask("DELETE", `/v1/uploads/${this.upload.id}`).catch(() => {}); // a job may have it
  }
}
