// The page: what is dropped becomes a clip to look at, and then a job.

import { Clip } from "/page/clip.js";
import { Jobs } from "/page/jobs.js";
import { say } from "/page/talk.js";

const drop = document.getElementById("drop"), pick = document.getElementById("pick"), all = document.getElementById("all");
const clips = new Set();
let sending = Promise.resolve();

function add(file) {
  const clip = new Clip(file.name, sent, gone);
  clips.add(clip);
  document.getElementById("clips").append(clip.card);
  all.hidden = clips.size < 2;
  return clip;
}

function sent(job) {
  jobs.show(job).focus();
  jobs.refresh();
}

function gone(clip) {
  clips.delete(clip);
  all.hidden = clips.size < 2;
}

// All are there at once; one upload at a time is as fast, and the first is ready sooner.
function addAll(files) {
  if (!files.length) return;
  say(`${files.length === 1 ? files[0].name : `${files.length} files`} added`);
  for (const [file, clip] of files.map(file => [file, add(file)])) {
    sending = sending.then(() => clip.begin(file)).catch(error => say(error.message));
  }
}

const jobs = new Jobs(async (upload, before) => {
  await add(upload).begin(upload, upload, before);
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
  const { items, files } = event.dataTransfer, folders = [...items].map(item => item.webkitGetAsEntry?.()).filter(entry => entry?.isDirectory);
  addAll([...files].filter(file => !folders.some(folder => folder.name === file.name)));
  if (folders.length) say(`${folders[0].name} is a folder: drop the files in it`);
});
document.getElementById("cut-all").onclick = async () => {
  for (const clip of [...clips]) if (clip.ready) await clip.cut();
  const left = [...clips].filter(clip => !clip.isWrong).length;
  if (left) say(`${left === 1 ? "one clip is" : `${left} clips are`} not ready yet: press it again later`);
};
// What is chosen and drawn is in this page alone until the clip is cut out.
addEventListener("beforeunload", event => {
  if ([...clips].some(clip => !clip.isWrong)) event.preventDefault();
});
