/** What is asked about the pictures: a set of labels, or a head that the server has loaded. */

import { byId, element } from "./elements.js";

// Of 24 public DICOM files, the demonstration model finds the modality of 18 by these labels, and of 14 by its own.
const FIRST_LABELS = ["computed tomography", "mri", "x-ray", "ultrasound"];
const OWN = "own";
const NO_TEMPLATE = "{}";
const DEMONSTRATION = "set demonstration-model";
const NO_TEXTS = "This server has loaded no text encoder, so it cannot score labels that are given as texts.";

/** The visitor's question. It is the visitor's own until the server has offered something. Event: "change". */
export class Question extends EventTarget {
  head = null; // a card of GET /heads
  texts = new Map(FIRST_LABELS.map((label) => [label, [label]])); // from each label to what /classify takes for it
  template = NO_TEMPLATE;
  isMultiLabel = false;
  #sets = new Map();
  #heads = new Map();
  #readsTexts = true;
  #wanted = null; // of `use`, before the server has offered its sets
  #before = null; // what was asked before an example, until the visitor changes the question

  constructor() {
    super();
    byId("set").addEventListener("change", () => this.#choose(byId("set").value));
    byId("question").addEventListener("submit", (event) => { event.preventDefault(); this.#addTyped(); });
    byId("label").addEventListener("paste", (event) => this.#addLines(event));
    byId("multi").addEventListener("change", () => this.#change({ isMultiLabel: byId("multi").checked }));
    byId("template").addEventListener("input", () => this.#change({ template: byId("template").value }));
    this.#draw();
  }

  /**
   * Offer what the server knows; after a time without the server, what is asked stays if it can.
   * @param {Array} sets of GET /labels.
   * @param {Array} heads of GET /heads.
   * @param {boolean} readsTexts whether it has loaded a text encoder, which labels need.
   */
  offer(sets, heads, readsTexts) {
    const before = byId("set").value;
    this.#readsTexts = readsTexts;
    this.#sets = new Map(sets.map((set) => [`set ${set.name}`, set]));
    this.#heads = new Map(heads.map((head) => [`head ${head.name}`, head]));
    const group = (label, entries, text) => element("optgroup", { label }, ...[...entries].map(
      ([value, entry]) => element("option", { value }, text(entry)),
    ));
    byId("set").replaceChildren(
      ...(readsTexts ? [element("option", { value: OWN }, "my own labels")] : []),
      ...(heads.length ? [group("Heads of this server", this.#heads, (head) => head.name)] : []),
      ...(readsTexts ? [group("Label catalogue", this.#sets, titleOf)] : []),
    );
    const isThere = this.#sets.has(before) || this.#heads.has(before);
    const stays = isThere || (before !== "" && readsTexts); // labels stay as the visitor has changed them
    if (stays) this.#change({ head: this.#heads.get(before) ?? null }, isThere ? before : OWN);
    else this.#choose(this.#first(heads));
    if (this.#wanted) this.use(this.#wanted);
  }

  /** What is asked until the visitor chooses: the server's default head, or the first labels. */
  #first(heads) {
    const head = heads.find((each) => each.default) ?? (this.#readsTexts ? undefined : heads[0]);
    return head ? `head ${head.name}` : OWN;
  }

  /** Ask as an example does: a set of the catalogue, {"catalogue": name}, or labels, {"labels": [text, …]}. */
  use({ catalogue, labels }) {
    this.#wanted = this.#sets.size === 0 ? { catalogue, labels } : null;
    if (!this.#readsTexts) return;
    const { head, texts } = this;
    const before = this.#before ?? [{ head, texts }, byId("set").value];
    if (catalogue && this.#sets.has(`set ${catalogue}`)) this.#choose(`set ${catalogue}`);
    else if (labels) this.#change({ head: null, texts: new Map(labels.map((label) => [label, [label]])) }, OWN);
    this.#before = before;
  }

  /** Ask again what was asked before an example, for the visitor's own pictures. */
  leaveExample() {
    if (this.#before) this.#change(...this.#before);
  }

  get labels() {
    return this.head ? this.head.labels : [...this.texts.keys()];
  }

  /** The fields of a form for /classify, as pairs; null if there is nothing to ask. */
  get fields() {
    if (this.head) return [["head", this.head.name]];
    if (this.texts.size === 0 || !this.#readsTexts) return null;
    const isPlain = [...this.texts].every(([label, texts]) => texts.length === 1 && texts[0] === label);
    const fields = [["labels", JSON.stringify(isPlain ? this.labels : Object.fromEntries(this.texts))]];
    if (this.template !== NO_TEMPLATE) fields.push(["template", this.template]);
    if (this.isMultiLabel && this.#hasAbsent) fields.push(["multi_label", "true"]);
    return fields;
  }

  /** One sentence about how the scores are to be read. */
  get reading() {
    if (this.head?.activation === "identity") return "The head predicts a number.";
    const isByItself = this.head ? this.head.activation === "sigmoid" : this.isMultiLabel && this.#hasAbsent;
    if (isByItself) return "Each label is scored by itself, from 0 to 1.";
    return "The scores add up to 1 over these labels: other labels would change them.";
  }

  /** One sentence if the demonstration model is asked for labels that it did not learn; otherwise "". */
  get hint() {
    const known = this.#sets.get(DEMONSTRATION);
    if (!known || this.head || this.labels.every((label) => label in known.labels)) return "";
    return `The demonstration model learned only those of the ready set “${known.title}”.`;
  }

  /** What stands in the way of an answer, as one sentence; "" if nothing does. */
  get missing() {
    if (this.fields !== null) return "";
    return this.#readsTexts ? "Add at least one label." : `${NO_TEXTS} It has loaded no head either.`;
  }

  get #hasAbsent() {
    return this.texts.size > 0 && [...this.texts.values()].every((texts) => texts.absent !== undefined);
  }

  #choose(value) {
    const set = this.#sets.get(value);
    const head = this.#heads.get(value) ?? null;
    const texts = set ? new Map(Object.entries(set.labels)) : this.texts;
    this.#change({ head, texts }, value);
  }

  #addTyped() {
    this.#add([byId("label").value]);
    byId("label").value = "";
  }

  /** Several pasted lines are a label each. */
  #addLines(event) {
    const lines = event.clipboardData.getData("text").trim().split(/[\r\n]+/);
    if (lines.length < 2) return;
    event.preventDefault();
    this.#add(lines);
  }

  #add(typed) {
    const labels = typed.map((text) => text.trim()).filter(Boolean);
    if (labels.length === 0) return;
    const added = labels.map((label) => [label, this.texts.get(label) ?? [label]]);
    this.#change({ texts: new Map([...this.texts, ...added]) });
  }

  #remove(label) {
    const place = this.labels.indexOf(label);
    this.#change({ texts: new Map([...this.texts].filter(([name]) => name !== label)) });
    (byId("chips").querySelectorAll("button")[Math.min(place, this.texts.size - 1)] ?? byId("label")).focus();
  }

  #change(properties, set = byId("set").value) {
    Object.assign(this, properties);
    this.#before = null;
    byId("set").value = set;
    this.#draw();
    this.dispatchEvent(new Event("change"));
  }

  #draw() {
    const set = this.#sets.get(byId("set").value);
    const asksHead = this.head !== null || !this.#readsTexts;
    const about = set ? note(set) : this.head ? `A head of the kind ${this.head.kind}.` : "";
    byId("set-note").textContent = this.#readsTexts ? about : `${about} ${NO_TEXTS}`;
    byId("set").disabled = byId("set").length === 0;
    byId("own").hidden = byId("template-control").hidden = asksHead;
    byId("multi-control").hidden = asksHead || !this.#hasAbsent;
    byId("chips").replaceChildren(...(this.fields ? this.labels.map((label) => this.#chip(label)) : []));
    byId("chips").tabIndex = asksHead ? 0 : -1; // without buttons, nothing in a long list could have the focus
  }

  #chip(label) {
    if (this.head) return element("li", {}, label);
    const onclick = () => this.#remove(label);
    const remove = element("button", { type: "button", onclick, aria: { label: `Remove ${label}` } }, "×");
    return element("li", { title: texts(this.texts.get(label)) }, label, remove);
  }
}

const titleOf = (set) => `${set.title} (${Object.keys(set.labels).length})`;

const note = (set) => `${set.question} ${set.validated ? "" : "The wording of these texts has not been validated."}`;

const texts = (value) => (value.present ?? value).join("\n");
