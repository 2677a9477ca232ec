/** The scores of the pictures: bars of the shown picture, and a table and a CSV file of all pictures. */

import { byId, debounced, element, queued, save, shown, shownScore, write } from "./elements.js";
import { csv } from "./files.js";
import { askJson } from "./server.js";
import { formCode, showCode } from "./snippets.js";

const REQUESTS_AT_ONCE = 2;
const FIRST_SCORES = 8;
const number = (entry) => entry.score ?? entry.value;
const isScore = (entry) => entry.score !== undefined && entry.score !== null; // a head may predict another number
const written = (entry) => (isScore(entry) ? shownScore(entry.score) : shown(entry.value));

/** Asks the question about every picture, again whenever the question or a picture changes. */
export class Answers {
  #album;
  #question;
  #asked = ""; // the question, as a part of keys
  #queue = queued(REQUESTS_AT_ONCE, () => this.#album.current);
  #showsAll = false;
  #columns = ""; // of the table
  #rows = new WeakMap(); // from each picture to its row, and to the answer that the row has
  #soon = debounced(() => this.refresh(), 250);

  constructor(album, question) {
    this.#album = album;
    this.#question = question;
    question.addEventListener("change", () => this.#begin());
    this.#begin();
    album.addEventListener("changed", () => { this.#draw(); this.#soon(); });
    album.addEventListener("shown", () => this.#draw());
    album.addEventListener("list", () => { this.#draw(); this.#soon(); });
    byId("all-scores").addEventListener("click", () => { this.#showsAll = !this.#showsAll; this.#draw(); });
    byId("retry").addEventListener("click", () => this.retry());
    byId("csv").addEventListener("click", () => save("scores.csv", csv(this.#csvRows())));
  }

  #begin() {
    this.#asked = JSON.stringify(this.#question.fields);
    this.#draw();
    this.#soon();
  }

  /** Ask again for what failed. */
  retry() {
    this.#album.retry();
    for (const picture of this.#album.pictures) if (picture.answer?.error) picture.answer = null;
    this.refresh();
  }

  refresh() {
    for (const picture of this.#album.pictures) {
      if (picture.asking !== this.#key(picture) && !this.#isAnswered(picture)) this.#ask(picture);
    }
    this.#draw();
  }

  #key(picture) {
    return `${this.#asked} ${JSON.stringify(picture.params)}`;
  }

  #isAnswered(picture) {
    return picture.answer?.key === this.#key(picture);
  }

  /** The answers to what is asked now; null for each picture that has none. */
  get #current() {
    return this.#album.pictures.map((picture) => (this.#isAnswered(picture) ? picture.answer : null));
  }

  async #ask(picture) {
    picture.question?.abort();
    picture.asking = null;
    const { fields } = this.#question;
    if (fields === null) return;
    const key = (picture.asking = this.#key(picture));
    const request = (picture.question = new AbortController());
    const body = new FormData();
    body.append("files", picture.file, "image"); // the server need not know the name
    for (const [name, value] of [...fields, ...Object.entries(picture.params)]) body.append(name, value);
    let answer;
    try {
      const rows = await this.#queue(picture, () => {
        request.signal.throwIfAborted();
        picture.asked = performance.now();
        return askJson("classify", { method: "POST", body, signal: request.signal });
      });
      answer = { key, scores: rows[0], error: "", seconds: (performance.now() - picture.asked) / 1000 };
    } catch (error) {
      if (error.name === "AbortError") return;
      answer = { key, scores: null, error: error.message, seconds: 0 };
    }
    Object.assign(picture, { answer, asking: null });
    if (picture === this.#album.current) this.#draw();
    else this.#drawTable();
  }

  #draw() {
    const { current } = this.#album;
    const { fields } = this.#question;
    const isAnswered = current !== null && fields !== null && this.#isAnswered(current);
    const answer = current?.answer;
    const error = isAnswered ? answer.error : "";
    write("ask-error", error);
    byId("retry").hidden = error === "" && !current?.error;
    byId("scores").setAttribute("aria-busy", current !== null && fields !== null && !isAnswered);
    this.#drawScores(current, fields === null ? null : answer?.scores, isAnswered);
    write("scores-note", this.#note(isAnswered ? answer : null));
    write("scores-spoken", isAnswered && answer.scores ? spoken(answer.scores, current) : "");
    this.#drawTable();
    if (current && fields) {
      showCode(byId("ask-code"), formCode("classify", current.name, [...fields, ...Object.entries(current.params)]));
    }
    byId("ask-code").hidden = !(current && fields);
  }

  #drawScores(current, scores, isAnswered) {
    const all = scores ?? [];
    const rows = this.#showsAll ? all : all.slice(0, FIRST_SCORES);
    const waits = current !== null && all.length === 0 && !isAnswered && this.#question.fields !== null;
    const skeletons = waits ? Math.min(this.#question.labels.length, FIRST_SCORES) : 0;
    const hole = () => element("li", { className: "skeleton", aria: { hidden: "true" } });
    const holes = Array.from({ length: skeletons }, hole);
    byId("scores").replaceChildren(...rows.map(scoreRow), ...holes);
    byId("all-scores").hidden = all.length <= FIRST_SCORES;
    byId("all-scores").textContent = this.#showsAll ? "Show fewer" : `Show all ${all.length} labels`;
  }

  #note(answer) {
    if (this.#album.current === null) return "Choose a picture: its scores appear here.";
    if (!answer?.scores) return this.#question.missing;
    return `${this.#question.reading} ${this.#question.hint} Answered in ${answer.seconds.toFixed(2)} s.`;
  }

  #drawTable() {
    const { pictures } = this.#album;
    const { fields, labels } = this.#question;
    byId("every").hidden = pictures.length < 2 || fields === null;
    if (byId("every").hidden) return;
    this.#drawColumns(labels);
    const answers = this.#current;
    const rows = pictures.map((picture, place) => this.#row(picture, answers[place], labels));
    const [body] = byId("table").tBodies;
    const isOther = rows.length !== body.children.length || rows.some((row, place) => row !== body.children[place]);
    if (isOther) body.replaceChildren(...rows);
    const answered = answers.filter(Boolean);
    const failed = answered.filter((answer) => answer.error).length;
    write("progress", `${answered.length} of ${rows.length} answered${failed ? `, ${failed} with an error` : ""}`);
  }

  #drawColumns(labels) {
    const columns = JSON.stringify(labels);
    if (columns === this.#columns) return;
    this.#columns = columns;
    this.#rows = new WeakMap();
    const head = ["Picture", "Best label", ...labels].map((text) => element("th", { scope: "col" }, text));
    byId("table").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody"));
  }

  /** The row of a picture, a new one only for a new answer: hundreds of pictures are answered one by one. */
  #row(picture, answer, labels) {
    const known = this.#rows.get(picture);
    if (known?.answer === answer) return known.row;
    const row = element("tr", {}, element("th", { scope: "row" }, picture.name), ...tableCells(answer, labels));
    known?.row.replaceWith(row);
    this.#rows.set(picture, { answer, row });
    return row;
  }

  #csvRows() {
    const { pictures } = this.#album;
    const { labels } = this.#question;
    const answered = this.#current;
    const hasCalls = answered.some((answer) => answer?.scores?.some((entry) => entry.call));
    const callNames = hasCalls ? labels.map((label) => `${label}, call`) : [];
    const head = ["picture", "parameters", "best label", ...labels, ...callNames, "error"];
    const rows = pictures.map((picture, place) => {
      const { scores: entries, error } = answered[place] ?? {};
      const of = new Map((entries ?? []).map((entry) => [entry.label, entry]));
      const parameters = Object.entries(picture.params).map((pair) => pair.join("=")).join(" ");
      const scores = labels.map((label) => (of.has(label) ? number(of.get(label)) : ""));
      const calls = hasCalls ? labels.map((label) => of.get(label)?.call ?? "") : [];
      return [picture.name, parameters, entries?.[0].label ?? "", ...scores, ...calls, error ?? ""];
    });
    return [head, ...rows];
  }
}

function scoreRow(entry) {
  const bar = isScore(entry) ? [element("span", { className: "bar", style: { "--share": entry.score } })] : [];
  const call = entry.call ? [element("span", { className: `call ${entry.call}` }, entry.call)] : [];
  const score = element("span", { className: "score", title: String(number(entry)) }, written(entry));
  return element("li", {}, ...bar, element("span", { className: "label" }, entry.label), ...call, score);
}

function tableCells(answer, labels) {
  if (answer === null) return [element("td", { colSpan: labels.length + 1 }, "…")];
  if (answer.error) {
    return [element("td", { className: "failed" }, answer.error), element("td", { colSpan: labels.length })];
  }
  const of = new Map(answer.scores.map((entry) => [entry.label, entry]));
  const best = answer.scores[0].label;
  const cells = labels.map((label) => {
    const entry = of.get(label);
    const text = entry ? `${written(entry)}${entry.call ? ` ${entry.call}` : ""}` : "";
    return element("td", { className: label === best ? "best" : "" }, text);
  });
  return [element("td", { className: "text" }, best), ...cells];
}

function spoken(scores, picture) {
  const [best] = scores;
  return `${picture.name}: ${best.label}, ${written(best)}${best.call ? `, ${best.call}` : ""}.`;
}
