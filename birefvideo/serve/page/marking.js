// Marks on a clip: the page they are drawn in, inside this one, while the user draws.

import { asked } from "/page/talk.js";

export class Marking {
  // `at` returns the seconds of the frame that is shown, `onGo` gets those of one that is to be; `onChange` is called
  // when marks have changed.
  constructor(card, upload, { at, onGo, onChange }) {
    Object.assign(this, { card, upload, at, onGo, onChange, given: null });
    this.button = card.querySelector(".draw");
    this.button.onclick = () => this.turn(!this.isOpen);
  }

  get isOpen() {
    return this.button.getAttribute("aria-expanded") === "true";
  }

  // What a file of marks holds, or null where nothing is marked.
  get marks() {
    return this.inner ? this.inner.marks() : this.given;
  }

  turn(isOpen) {
    this.button.setAttribute("aria-expanded", String(isOpen));
    this.button.textContent = isOpen ? "Stop drawing" : "Draw marks";
    this.card.querySelector(".stage").hidden = isOpen;
    this.card.querySelector(".alone").hidden = !isOpen;
    if (isOpen && !this.frame) this.open();
    if (this.frame) this.frame.hidden = !isOpen;
    this.onChange();
  }

  open() {
    const { width, height, fps, frames, seconds, is_picture: still, id, name } = this.upload;
    const rate = fps || 25, count = still ? 1 : Math.max(1, frames || Math.ceil(seconds * rate));
    this.frame = document.createElement("iframe");
    this.frame.title = `Marks on ${name}`;
    this.frame.className = "marks";
    this.frame.given = {
      job: id, title: name, width, height, at: this.at(), marks: this.given,
      times: Array.from({ length: count + 1 }, (_, index) => index / rate),
      tall: () => Math.min(0.6 * innerHeight, 460),
      show: this.onGo,
      ready: () => this.ready(),
    };
    this.frame.src = "/page/marks.html";
    this.card.querySelector(".stage").after(this.frame);
  }

  ready() {
    this.inner = this.frame.contentWindow.marksPage;
    this.frame.contentDocument.addEventListener("marks", () => this.onChange());
    this.onChange();
  }

  // Shows a frame: where it is cut out, and as it is.
  show(cut, seconds) {
    if (!this.isOpen || !this.inner) return;
    this.inner.cut(cut);
    this.inner.at(seconds);
    const picture = `/v1/uploads/${this.upload.id}/picture?time=${asked(seconds, this.upload.fps)}`;
    if (picture !== this.picture) this.inner.source(picture);
    this.picture = picture;
  }

  over(name, picture) {
    this.inner?.over(name, picture);
  }

  zoom(factor) {
    this.inner?.zoom(factor);
  }

  say(text) {
    this.inner?.say(text);
  }

  forget() {
    this.inner?.forget();
  }
}
