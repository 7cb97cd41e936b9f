// The list of jobs: how far each is, and what it has made.

import { ask, duration, say, size } from "/page/talk.js";

const WORDS = { queued: "waiting", running: "running", succeeded: "done", failed: "failed", canceled: "cancelled" };
const LOOK_EVERY = 12000; // ms between two frames of a job that runs: each costs it some time

export class Jobs {
  constructor(onAgain) {
    this.cards = new Map();
    this.list = document.getElementById("jobs");
    this.onAgain = onAgain;
    this.isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
    document.querySelector("#player .close").onclick = () => document.getElementById("player").close();
    document.getElementById("player").onclose = () => (document.querySelector("#player iframe").src = "about:blank");
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    this.refresh();
  }

  async refresh() {
    clearTimeout(this.timer);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    let isBusy = false;
    try {
      const { jobs } = await ask("GET", "/v1/jobs?limit=100");
      if (turn !== this.turn) return; // what was asked later knows more
      const there = new Set(jobs.map(job => job.id));
      for (const [id, card] of this.cards) if (!there.has(id)) (card.remove(), this.cards.delete(id));
      for (const job of jobs.toReversed()) this.show(job);
      document.getElementById("done").hidden = !jobs.length;
      isBusy = jobs.some(job => ["queued", "running"].includes(job.status));
      if (this.isAway) say("the server answers again");
      this.isAway = false;
    } catch (error) {
      if (!this.isAway) say(error.message);
      this.isAway = true;
    }
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), isBusy || this.isAway ? 1000 : 6000);
  }

  show(job) {
    let card = this.cards.get(job.id);
    if (!card) {
      card = document.getElementById("job-template").content.cloneNode(true).firstElementChild;
      this.cards.set(job.id, card);
      this.list.prepend(card);
      this.wire(card, job.id);
      document.getElementById("done").hidden = false;
    }
    if (card.job && card.job.status !== job.status) say(`${job.name}: ${WORDS[job.status]}`);
    const isNew = card.job?.status !== job.status;
    card.job = job;
    card.className = `card job ${job.status}`;
    const find = selector => card.querySelector(selector);
    find("h3").textContent = job.name;
    find(".state").textContent = job.status === "queued" && job.position ? `waiting, ${job.position} before it` : WORDS[job.status];
    this.progress(card, job, find);
    if (!isNew) return card;
    const ended = !["queued", "running"].includes(job.status);
    find(".notes").textContent = [job.error?.message, ...job.losses, ...job.warnings].filter(Boolean).join(" · ");
    find(".files").replaceChildren(...job.outputs.filter(output => output.kind === "output").map(output => file(job, output)));
    find(".watch").hidden = !player(job);
    find(".open").hidden = job.status !== "succeeded" || !this.isLocal;
    find(".cancel").hidden = ended;
    find(".delete").hidden = find(".again").hidden = !ended;
    return card;
  }

  // Brings a job's clip back to the form, with the job's options and marks.
  async again(job, at = null) {
    const { marks } = job.options;
    const before = { options: job.options, at, isToDraw: at !== null, marks: null };
    if (marks) before.marks = await ask("GET", `/v1/uploads/${marks.replace("upload:", "")}/file`);
    await this.onAgain(await ask("GET", `/v1/uploads/${job.upload}`), before);
  }

  watch(job) {
    const dialog = document.getElementById("player"), { url } = player(job), frame = dialog.querySelector("iframe");
    dialog.querySelector("strong").textContent = job.name;
    frame.src = url;
    dialog.querySelector("a").href = url;
    dialog.querySelector(".correct").onclick = () => {
      const at = seen(frame.contentDocument) ?? 0;
      dialog.close();
      this.again(job, at).catch(error => say(error.message));
    };
    dialog.showModal();
  }

  progress(card, job, find) {
    const { done, total, fps, eta } = job.progress;
    find(".run").hidden = job.status !== "running";
    if (job.status !== "running") return;
    const bar = find("progress");
    if (total) bar.value = done / total;
    else bar.removeAttribute("value");
    const of = total ? `${done} of ${total} frames` : done ? `${done} frames` : "loading the model …";
    const last = total && done >= total ? "finishing the files …" : eta ? `about ${duration(eta)} left` : "";
    find(".left").textContent = [of, fps ? `${fps.toFixed(fps < 10 ? 1 : 0)} a second` : "", last].filter(Boolean).join(" · ");
    if (done && !(Date.now() - card.looked < LOOK_EVERY)) this.thumb(card, job, find(".thumb"));
  }

  // The frame that the job is at, as the built-in model cuts it out.
  async thumb(card, job, image) {
    card.looked = Date.now();
    const fps = job.plan.source?.fps || 25;
    const time = Number(job.options.start ?? 0) + Math.max(0, job.progress.done - 1) / fps;
    if (!Number.isFinite(time)) return;
    const answer = await fetch(`/v1/uploads/${job.upload}/frame?time=${time.toFixed(3)}`).catch(() => null);
    if (!answer?.ok) return;
    if (image.src) URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(await answer.blob());
    image.hidden = false;
  }

  wire(card, id) {
    const on = (selector, act) => {
      const button = card.querySelector(selector);
      button.onclick = async () => {
        if (button.ariaDisabled) return;
        button.ariaDisabled = "true"; // a disabled one would lose the focus
        try {
          await act();
          await this.refresh();
          if (!card.isConnected) document.getElementById("pick").focus();
          else if (button.hidden && document.activeElement === document.body) card.focus();
        } catch (error) {
          say(error.message);
        }
        button.ariaDisabled = null;
      };
    };
    on(".cancel", () => {
      card.querySelector(".state").textContent = "stopping …";
      return ask("POST", `/v1/jobs/${id}/cancel`);
    });
    on(".open", () => ask("POST", `/v1/jobs/${id}/open`));
    on(".again", () => this.again(card.job));
    on(".watch", () => this.watch(card.job));
    on(".delete", async () => {
      if (confirm(`Delete ${card.job.name} with all its files?`)) await ask("DELETE", `/v1/jobs/${id}`);
    });
  }
}

function player(job) {
  const found = job.outputs.find(output => output.name.endsWith("_review.html"));
  return found ?? job.outputs.find(output => /\.(webm|mp4|png|webp|gif)$/.test(output.name));
}

// When in the clip, in seconds, the frame is that a player shows.
function seen(page) {
  const data = page?.getElementById("data"), film = page?.querySelector("video");
  if (!film) return null;
  return film.currentTime + (data ? JSON.parse(data.textContent).lead : 0);
}

function file(job, output) {
  const item = document.createElement("li"), link = document.createElement("a"), facts = document.createElement("span");
  link.href = output.is_folder ? output.url : `${output.url}?download`;
  link.download = "";
  link.textContent = `Download ${output.name}${output.is_folder ? " (zip)" : ""}`;
  facts.className = "quiet";
  facts.textContent = size(output.bytes);
  item.append(link, facts);
  return item;
}
