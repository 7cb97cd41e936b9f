// The page: what is dropped becomes a clip to look at, and then a job.

import { Clip } from "/page/clip.js";
import { Jobs } from "/page/jobs.js";
import { say } from "/page/talk.js";

const drop = document.getElementById("drop"), pick = document.getElementById("pick");
const clips = new Set();

function add(file, upload = null, before = null) {
  const clip = new Clip(() => jobs.refresh(), gone);
  clips.add(clip);
  document.getElementById("clips").append(clip.card);
  document.getElementById("all").hidden = clips.size < 2;
  return clip.begin(file, upload, before);
}

function gone(clip) {
  clips.delete(clip);
  document.getElementById("all").hidden = clips.size < 2;
}

async function addAll(files) {
  if (files.length) say(`${files.length === 1 ? files[0].name : `${files.length} files`} added`);
  for (const file of files) await add(file); // one upload at a time is as fast, and the first is ready sooner
}

const jobs = new Jobs(async (upload, before) => {
  await add(upload, upload, before);
  say(`${upload.name} is ready to be cut out again`);
});

pick.onchange = () => {
  addAll([...pick.files]);
  pick.value = "";
};
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, event => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) addEventListener(kind, () => drop.classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  addAll([...event.dataTransfer.files]);
});
document.getElementById("cut-all").onclick = async () => {
  for (const clip of [...clips]) if (clip.ready) await clip.cut();
};
