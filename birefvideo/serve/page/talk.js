// Talks to the server: every answer that is no success becomes an Error with the server's own line.

async function answerTo(method, path, values) {
  const options = { method };
  if (values !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(values);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw Object.assign(new Error("the server does not answer: is it still running?"), { kind: "away" });
  }
  if (answer.status === 401) location.assign("/login");
  if (answer.ok) return answer;
  const found = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(found.error?.message ?? `the server answers ${answer.status}`), { kind: found.error?.kind });
}

export const rest = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// Does something that only looks; again where the server has too many looks to do, or is away for a while.
export async function patiently(act) {
  for (let left = 60; ; left--) {
    try {
      return await act();
    } catch (error) {
      if (!left || !["busy", "away"].includes(error.kind)) throw error;
    }
    await rest(1000);
  }
}

export async function ask(method, path, values) {
  const answer = await answerTo(method, path, values);
  return answer.status === 204 ? null : answer.json();
}

// Returns the answer itself, which is no JSON.
export function post(path, values) {
  return answerTo("POST", path, values);
}

// Sends a file as it is; onProgress gets the share that has gone, and `signal` can stop it.
export async function send(file, onProgress = () => {}, signal = null) {
  const { limits } = await ask("GET", "/v1/health");
  if (file.size > limits.upload) throw new Error(`it is larger than this server takes (${size(limits.upload)})`);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.onabort = () => reject(new Error("stopped"));
    signal?.addEventListener("abort", () => request.abort());
    request.open("POST", `/v1/uploads?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = event => onProgress(event.loaded / (event.total || 1));
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(new Error(request.response?.error?.message ?? `the server answers ${request.status}`));
    };
    request.onerror = () => reject(new Error("the upload broke off: is the server still running, and the file still there?"));
    request.send(file);
  });
}

// What to ask for to get the frame at a time: the server takes the first one from there on, and seconds are rounded.
export function asked(seconds, fps) {
  return Math.max(0, seconds - 0.1 / (fps || 25)).toFixed(6);
}

export function say(text) {
  document.getElementById("said").textContent = text;
}

export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
