// Shows openapi.json for people, without anything from a network.

import { ask } from "/page/talk.js";

function element(name, text, ...children) {
  const made = document.createElement(name);
  made.append(...[text, ...children].filter(Boolean));
  return made;
}

const described = await ask("GET", "/openapi.json");
document.getElementById("example").textContent = [
  `curl -F video=@clip.mp4 -F to=prores ${location.origin}/v1/jobs`,
  `curl ${location.origin}/v1/jobs/ID`,
  `curl -O ${location.origin}/v1/jobs/ID/outputs/clip_alpha.mov`,
].join("\n");
for (const [path, methods] of Object.entries(described.paths)) {
  for (const [method, what] of Object.entries(methods)) {
    const card = element("section", "", element("h2", `${method.toUpperCase()} ${path}`), element("p", what.summary));
    card.className = "card";
    const parameters = (what.parameters ?? []).map(one => `${one.name} (${one.in})`);
    if (parameters.length) card.append(element("p", `Takes ${parameters.join(", ")}.`));
    if (what.requestBody) card.append(element("p", `Body: ${Object.keys(what.requestBody.content).join(", or ")}.`));
    document.getElementById("paths").append(card);
  }
}
const body = described.paths["/v1/jobs"].post.requestBody.content["application/json"].schema.properties;
for (const [name, schema] of Object.entries(body)) {
  document.getElementById("options").append(element("tr", "", element("td", name), element("td", schema.description)));
}
