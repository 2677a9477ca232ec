/** The request that the page just made, as a program: for curl, Python and JavaScript. The API key is never in it. */

import { byId, copy, element } from "./elements.js";
import { address, hasKey } from "./server.js";

const LANGUAGES = { curl: "curl", python: "Python", javascript: "JavaScript" };
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const heredoc = (text) => text.replace(/[\\$`]/g, "\\$&");
const literal = (value) => JSON.stringify(value).replaceAll('","', '", "'); // also valid in Python
const KEY_IN_PYTHON = 'headers={"authorization": f"Bearer {os.environ[\'API_KEY\']}"},';

/**
 * A form with one file.
 * @param {string} route
 * @param {string} file its name.
 * @param {Array<[string, string]>} fields
 */
export function formCode(route, file, fields) {
  const quoted = `files=@"${file.replace(/["\\]/g, "\\$&")}"`;
  const key = hasKey();
  const inComment = file.replace(/[\r\n\u2028\u2029]/g, " ");
  return {
    curl: [
      `curl -s ${shell(address(route))}`,
      ...(key ? ['-H "authorization: Bearer $API_KEY"'] : []),
      `-F ${shell(quoted)}`,
      ...fields.map(([name, value]) => `--form-string ${shell(`${name}=${value}`)}`),
    ].join(" \\\n  "),
    python: [
      ...(key ? ["import os", ""] : []),
      "import requests",
      "",
      `with open(${literal(file)}, "rb") as file:`,
      "    answer = requests.post(",
      `        ${literal(address(route))},`,
      ...(key ? [`        ${KEY_IN_PYTHON}`] : []),
      '        files={"files": file},',
      "        data={",
      ...fields.map(([name, value]) => `            ${literal(name)}: ${literal(value)},`),
      "        },",
      "    )",
      "print(answer.json())",
    ].join("\n"),
    javascript: [
      "const form = new FormData();",
      `form.append("files", file); // a File, such as ${inComment} of an <input type="file">`,
      ...fields.map(([name, value]) => `form.append(${literal(name)}, ${literal(value)});`),
      `const answer = await fetch(${literal(address(route))}, {`,
      '  method: "POST",',
      ...(key ? ["  headers: { authorization: `Bearer ${key}` },"] : []),
      "  body: form,",
      "});",
      "console.log(await answer.json());",
    ].join("\n"),
  };
}

/**
 * A comparison of pictures.
 * @param {string} route
 * @param {string[]} files names of their files; "Save as PNG" writes those that are not the visitor's.
 * @param {string[]|null} texts what they are compared with; null compares them with each other.
 */
export function jsonCode(route, files, texts) {
  const key = hasKey();
  const encoded = files.map((file) => `"$(base64 < ${shell(file)} | tr -d '\\n')"`).join(", ");
  const other = texts ? `{"texts": ${heredoc(literal(texts))}}` : `{"images": [${encoded}]}`;
  const side = texts ? `{"texts": ${literal(texts)}}` : '{"images": images}';
  return {
    curl: [
      `curl -s ${shell(address(route))} -H 'content-type: application/json' \\`,
      ...(key ? ['  -H "authorization: Bearer $API_KEY" \\'] : []),
      "  --data-binary @- <<JSON",
      `{"a": {"images": [${encoded}]}, "b": ${other}}`,
      "JSON",
    ].join("\n"),
    python: [
      "import base64",
      ...(key ? ["import os"] : []),
      "from pathlib import Path",
      "",
      "import requests",
      "",
      `files = ${literal(files)}`,
      "images = [base64.b64encode(Path(file).read_bytes()).decode() for file in files]",
      "answer = requests.post(",
      `    ${literal(address(route))},`,
      ...(key ? [`    ${KEY_IN_PYTHON}`] : []),
      `    json={"a": {"images": images}, "b": ${side}},`,
      ")",
      "print(answer.json())",
    ].join("\n"),
    javascript: [
      "async function encode(file) {",
      "  const bytes = new Uint8Array(await file.arrayBuffer());",
      '  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));',
      "}",
      'const images = await Promise.all(files.map(encode)); // an array of File, of an <input type="file" multiple>',
      `const answer = await fetch(${literal(address(route))}, {`,
      '  method: "POST",',
      `  headers: { "content-type": "application/json"${key ? ", authorization: `Bearer ${key}`" : ""} },`,
      `  body: JSON.stringify({ a: { images }, b: ${texts ? `{ texts: ${literal(texts)} }` : "{ images }"} }),`,
      "});",
      "console.log(await answer.json());",
    ].join("\n"),
  };
}

/** Show a program in a <details>, with a choice of languages, which stays as it is chosen, and a button to copy it. */
export function showCode(details, code) {
  const language = details.dataset.language ?? "curl";
  if (details.querySelector("pre")?.textContent === code[language]) return; // parts of it may be selected
  const choose = (name) => { details.dataset.language = name; showCode(details, code); };
  const buttons = Object.entries(LANGUAGES).map(([name, title]) => element(
    "button",
    { type: "button", onclick: () => choose(name), aria: { pressed: String(name === language) }, data: { name } },
    title,
  ));
  const focused = details.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
  const source = element("pre", { tabIndex: 0 }, code[language]);
  source.setAttribute("role", "region");
  source.setAttribute("aria-label", `The request as ${LANGUAGES[language]}`);
  const copyButton = element("button", { type: "button", className: "primary", data: { name: "copy" } }, "Copy");
  copyButton.addEventListener("click", async () => {
    await copy(code[language], source);
    copyButton.textContent = "Copied";
  });
  const row = element("div", { className: "row" }, ...buttons, copyButton);
  details.replaceChildren(...details.querySelectorAll(":scope > summary, :scope > p"), row, source);
  if (focused) details.querySelector(`[data-name="${focused}"]`)?.focus();
}
