/** The page to try the model in: what the server is, the visitor's pictures, and what is asked about them. */

import { Answers } from "./answers.js";
import { Comparison } from "./comparison.js";
import { byId, element, write } from "./elements.js";
import { filesOf } from "./files.js";
import { Album } from "./pictures.js";
import { Question } from "./question.js";
import { address, ask, askJson, events, useKey } from "./server.js";
import { showAlbum } from "./viewer.js";

const DEMONSTRATION =
  "Demonstration model, not MedImageInsight: small, and often wrong on images unlike the ones it learned from";

const album = new Album();
const question = new Question();
const answers = new Answers(album, question);
const comparison = new Comparison(album, question);
let connecting;

showAlbum(album);
listenForFiles();
listenForTabs();
listenForKey();
listenForLoss();
listenForTheme();
showExamples();
connect();

/** Read what the server is, and again until it answers. It answers 503 while its model is being loaded. */
async function connect() {
  clearTimeout(connecting);
  try {
    const [info, { heads }, { sets }] = await Promise.all(["info", "heads", "labels"].map((route) => askJson(route)));
    album.mostBytes = info.limits.max_body_bytes;
    question.offer(sets, heads, info.model.text_encoder);
    comparison.offer(info.model.text_encoder);
    showStatus("Healthy", describe(info), "");
    Object.assign(byId("badge"), { hidden: !info.model.demonstration, title: DEMONSTRATION });
    answers.retry();
  } catch (error) {
    const isLoading = error.status === 503;
    const isClosed = error.status === 401 || error.status === 403;
    showStatus(isLoading ? "Starting" : isClosed ? "Needs a key" : "Not reachable", "", isClosed ? "" : error.message);
    if (!isClosed) connectIn(error.retryAfter);
  }
}

function connectIn(seconds = 5) {
  clearTimeout(connecting);
  connecting = setTimeout(connect, 1000 * seconds);
}

function describe({ model, device, dtype, version }) {
  const name = model.demonstration ? DEMONSTRATION : `Model ${model.name}`;
  return `${name} · ${device}, ${dtype} · server ${version}`;
}

function showStatus(health, model, notice) {
  write("health", health);
  byId("health").classList.toggle("bad", health !== "Healthy");
  write("model", model);
  write("notice", notice);
  byId("notice").hidden = notice === "";
}

function listenForFiles() {
  byId("files").addEventListener("change", () => { addOwn([...byId("files").files]); byId("files").value = ""; });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", (event) => document.body.classList.toggle("dropping", event.relatedTarget !== null));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    addOwn(await filesOf(event.dataTransfer));
  });
  addEventListener("dragstart", (event) => { // a picture of the page would be dropped as a new file
    if (event.target.nodeName === "IMG") event.preventDefault();
  });
  addEventListener("paste", (event) => addOwn([...event.clipboardData.files]));
}

function addOwn(files) {
  if (files.length > 0) question.leaveExample();
  add(files);
}

async function add(files) {
  write("drop-error", files.length > 0 ? await album.add(files) : "");
}

function listenForTabs() {
  const tabs = [byId("ask-tab"), byId("compare-tab")];
  const open = (tab) => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", each === tab);
      each.tabIndex = each === tab ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = each !== tab;
    }
    tab.focus();
    comparison.update();
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") open(tabs.find((other) => other !== tab));
    });
  }
}

function listenForKey() {
  events.addEventListener("refused", ({ detail: error }) => {
    byId("key-form").hidden = false;
    byId("key-error").textContent = error.status === 403 ? error.message : "";
    byId("key").focus();
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(byId("key").value);
    byId("key").value = "";
    byId("key-form").hidden = true;
    connect();
  });
}

function listenForLoss() {
  events.addEventListener("lost", ({ detail: error }) => {
    showStatus("Not reachable", "", error.message);
    connectIn(error.retryAfter);
  });
}

function listenForTheme() {
  const root = document.documentElement;
  root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const name = () => {
    const other = root.dataset.theme === "dark" ? "Light" : "Dark";
    byId("theme").textContent = other;
    byId("theme").setAttribute("aria-label", `${other} colours`);
  };
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    name();
  });
  name();
}

async function showExamples() {
  const examples = await askJson("web/examples/examples.json").catch(() => []); // connect() says what is wrong
  byId("examples-title").hidden = examples.length === 0;
  byId("examples").replaceChildren(...examples.map((example) => {
    const thumbnail = element("img", { src: address(`web/examples/${example.thumbnail}`), alt: "" });
    const text = [element("strong", {}, example.title), element("small", {}, example.note)];
    const button = element("button", { type: "button", onclick: () => openExample(example) }, thumbnail, ...text);
    return element("li", {}, button);
  }));
}

async function openExample({ file, labels }) {
  try {
    const content = await (await ask(`web/examples/${file}`)).blob();
    question.use(labels);
    await add([new File([content], file)]);
    byId("frame").focus(); // the button is gone
  } catch (error) {
    write("drop-error", error.message);
  }
}
