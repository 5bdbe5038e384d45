// A call that is sent from the page: its fields, what was answered, and the same as a line for a shell.

import { el } from "../shared/dom.js";
import { curl, headersOf, urlOf } from "./request.js";
import { pretty } from "./text.js";

const LONGEST_MS = 60_000;
const TOKEN_OF = "sessionToken";

/** The form of one operation. */
export function trial(operation, tools) {
  const { schemas, credentials } = tools;
  const fields = operation.parameters.map((parameter) => schemas.resolve(parameter))
    .filter((parameter) => parameter.in === "path" || parameter.in === "query").map((parameter) => field(parameter, schemas));
  const body = bodyField(operation, schemas);
  const answer = el("div", { class: "told" });
  const status = el("p", { role: "status" });
  const send = el("button", { type: "submit", class: "main" }, "Send");
  const form = el("form", { class: "trial" },
    el("h5", {}, "Try it"),
    fields.length > 0 || body ? el("div", { class: "row" }, ...fields.map(({ label }) => label), body?.label) : null,
    el("p", {}, send), status, answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.getAttribute("aria-disabled") === "true") return;
    send.setAttribute("aria-disabled", "true");
    status.textContent = "Sending…";
    answer.replaceChildren();
    const values = fields.map(({ parameter, input }) => ({ ...parameter, value: input.value }));
    const request = { operation, values, body: body?.input.value ?? null, opened: credentials.of(operation) };
    await shown(request, { status, answer, credentials });
    send.removeAttribute("aria-disabled");
  });
  return form;
}

async function shown(request, { status, answer, credentials }) {
  let url;
  try {
    url = urlOf(request, location.origin);
  } catch (problem) {
    status.textContent = problem.message;
    return;
  }
  const began = performance.now();
  try {
    const response = await fetch(url, {
      method: request.operation.method,
      headers: headersOf(request),
      body: request.body,
      credentials: "omit",
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(LONGEST_MS),
    });
    const text = await response.text();
    status.textContent = `${response.status} ${response.statusText} after ${Math.round(performance.now() - began)} ms${hint(request, response)}`;
    answer.append(...received(response, text), ...next(text, status, credentials));
  } catch {
    status.textContent = "No answer: the server was not reached, or took too long. What was sent may have been done: ask for it before you send it as something new.";
  }
  answer.append(el("p", { class: "soft" }, "The same in a shell"), el("pre", { class: "curl" }, el("code", {}, curl(request, url))));
}

function hint({ operation, opened }, { status }) {
  const needs = (operation.security ?? []).length > 0;
  return needs && opened === null && status === 401 ? ". Enter credentials at the top of the page" : "";
}

function received(response, text) {
  const headers = [...response.headers].map(([name, value]) => el("li", {}, el("code", {}, name), `: ${value}`));
  return [
    el("p", { class: "soft" }, "Headers"),
    el("ul", { class: "plain" }, ...headers),
    el("p", { class: "soft" }, text === "" ? "No body" : "Body"),
    text === "" ? null : el("pre", { class: "body" }, el("code", {}, pretty(text))),
  ].filter((part) => part !== null);
}

/** An answer that holds a session's token offers to go on with it. */
function next(text, status, credentials) {
  const token = tokenIn(text);
  if (token === null || !credentials.takes(TOKEN_OF)) return [];
  const use = () => (credentials.set(TOKEN_OF, token), (status.textContent = "Game calls are sent with this session's token from now on."));
  return [el("p", {}, el("button", { type: "button", onclick: use }, "Use this session's token"))];
}

function tokenIn(text) {
  try {
    const { token } = JSON.parse(text);
    return typeof token === "string" ? token : null;
  } catch {
    return null;
  }
}

function field(parameter, schemas) {
  const { name, required, schema = {} } = parameter;
  const plain = schemas.resolve(schema);
  const bare = schemas.resolve((plain.anyOf ?? []).find((branch) => branch.type !== "null")) ?? plain;
  const choices = bare.enum ?? (bare.type === "boolean" ? [true, false] : null);
  const given = parameter.example ?? plain.examples?.[0] ?? "";
  const input = choices === null
    ? el("input", { type: "text", autocomplete: "off", spellcheck: "false", required, value: given })
    : el("select", { required }, ...(required ? [] : [el("option", { value: "" }, "not sent")]),
      ...choices.map((choice) => el("option", { selected: choice === given }, String(choice))));
  return { parameter, input, label: el("label", {}, el("span", {}, name, required ? "" : el("span", { class: "soft" }, " optional")), input) };
}

function bodyField({ requestBody }, schemas) {
  const content = schemas.resolve(requestBody)?.content;
  if (content === undefined) return null;
  const text = JSON.stringify(schemas.sample(Object.values(content)[0].schema), null, 2);
  const input = el("textarea", { rows: text.split("\n").length + 1, spellcheck: "false", autocomplete: "off" }, text);
  return { input, label: el("label", { class: "whole" }, el("span", {}, "Body"), input) };
}
