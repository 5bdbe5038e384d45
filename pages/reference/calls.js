// What is called over HTTP: each operation with what it takes, what it answers, and a form to try it.

import { el } from "../shared/dom.js";
import { named } from "./schemas.js";
import { inline, json, paragraphs, words } from "./text.js";
import { trial } from "./trial.js";

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const PROBLEM = "application/problem+json";

/** Every operation of the description, in its order. */
export function operations(document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method] !== undefined).map((method) => ({
      ...item[method],
      path,
      method: method.toUpperCase(),
      id: item[method].operationId ?? `${method} ${path}`,
      parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])],
      tag: item[method].tags?.[0] ?? "Others",
    })));
}

/** The entry of one operation. */
export function callEntry(operation, tools) {
  const { id, method, path, summary, description } = operation;
  return tools.entries.add({
    id: `call-${id}`,
    level: 4,
    head: [el("span", { class: `method ${method.toLowerCase()}` }, method), " ", el("code", {}, path), " ", el("span", { class: "title" }, summary ?? words(id))],
    words: [id, description, ...codes(operation), ...fields(operation, tools.schemas)].join(" "),
    fill: () => [
      ...paragraphs(description),
      security(operation, tools.document),
      ...takes(operation, tools.schemas),
      trial(operation, tools),
      ...answers(operation, tools.schemas),
      ...problems(operation, tools.schemas),
    ],
  });
}

/** The names that a call is given: of parameters, of the body's schema and of its fields. */
function fields({ parameters, requestBody }, schemas) {
  const bodies = Object.values(schemas.resolve(requestBody)?.content ?? {}).map(({ schema }) => schema ?? {});
  const inside = bodies.flatMap((schema) => [schema.$ref?.split("/").at(-1) ?? "", ...Object.keys(schemas.resolve(schema)?.properties ?? {})]);
  return [...parameters.map((parameter) => schemas.resolve(parameter).name), ...inside];
}

function security({ security }, { components }) {
  const names = (security ?? []).flatMap((needed) => Object.keys(needed));
  if (names.length === 0) return el("p", {}, "Takes no credentials.");
  const said = names.map((name) => [words(name), components?.securitySchemes?.[name]?.description].filter(Boolean).join(": "));
  return el("p", {}, "Needs ", el("a", { href: "#credentials" }, "credentials"), " as ", el("code", {}, "Authorization: Bearer"), ". ", ...inline(said.join(" Or ")));
}

function takes({ parameters, requestBody }, schemas) {
  const shown = [];
  if (parameters.length > 0) {
    const items = parameters.map((parameter) => schemas.resolve(parameter)).map((found) => named(schemas, { ...found, where: found.in }));
    shown.push(el("h5", {}, "Parameters"), el("ul", { class: "fields" }, ...items));
  }
  for (const [type, { schema }] of Object.entries(schemas.resolve(requestBody)?.content ?? {})) {
    shown.push(el("h5", {}, "Body, ", el("code", {}, type)), schemas.shown(schema));
  }
  return shown;
}

function answers({ responses }, schemas) {
  const good = Object.entries(responses ?? {}).filter(([, response]) => !isProblem(schemas.resolve(response)));
  const shown = good.flatMap(([status, response]) => answer(status, schemas.resolve(response), schemas));
  return shown.length > 0 ? [el("h5", {}, "Answers"), ...shown] : [];
}

function answer(status, { description, headers, content }, schemas) {
  const bodies = Object.values(content ?? {}).filter(({ schema }) => schema !== undefined);
  const items = Object.entries(headers ?? {}).map(([name, header]) => named(schemas, { name, ...schemas.resolve(header) }));
  return [
    el("div", { class: "answer" },
      el("p", {}, el("strong", { class: "status" }, status), " ", ...inline(description ?? "")),
      ...bodies.map(({ schema }) => schemas.shown(schema)),
      items.length > 0 ? el("p", { class: "soft" }, "Headers") : null,
      items.length > 0 ? el("ul", { class: "fields" }, ...items) : null),
  ];
}

function isProblem(response) {
  return response?.content?.[PROBLEM] !== undefined;
}

/** The codes of a response that is a problem, with their examples. */
function examples(response) {
  return Object.entries(response.content[PROBLEM].examples ?? {});
}

function codes({ responses }) {
  return Object.values(responses ?? {}).filter(isProblem).flatMap((response) => examples(response).map(([code]) => code));
}

function problems({ responses }, schemas) {
  const bad = Object.entries(responses ?? {}).filter(([, response]) => isProblem(response));
  if (bad.length === 0) return [];
  const items = bad.flatMap(([status, response]) => examples(response).map(([code, { value }]) =>
    el("li", {}, el("strong", { class: "status" }, status), " ", el("code", { class: "name" }, code), ` ${value?.title ?? ""}`)));
  const headers = new Map(bad.flatMap(([, response]) => Object.entries(response.headers ?? {})));
  const told = [...headers].map(([name, header]) => named(schemas, { name, ...schemas.resolve(header), required: false }));
  const [, first] = bad[0];
  const example = examples(first)[0]?.[1].value;
  return [
    el("h5", {}, "Problems, ", el("code", {}, PROBLEM)),
    el("ul", { class: "fields problems" }, ...items),
    told.length > 0 ? el("p", { class: "soft" }, "Headers, where they apply") : null,
    told.length > 0 ? el("ul", { class: "fields" }, ...told) : null,
    example === undefined ? null : el("p", { class: "soft" }, "Example"),
    example === undefined ? null : json(example),
  ];
}
