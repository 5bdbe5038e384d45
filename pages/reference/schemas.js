// JSON Schemas as people read them: a type in words, its limits, and the fields, each opened where it is used.

import { el } from "../shared/dom.js";
import { json, paragraphs } from "./text.js";

const LIMITS = {
  minimum: (value) => `at least ${value}`,
  exclusiveMinimum: (value) => `more than ${value}`,
  maximum: (value) => `at most ${value}`,
  exclusiveMaximum: (value) => `less than ${value}`,
  multipleOf: (value) => `a multiple of ${value}`,
  minLength: (value) => (value === 1 ? "not empty" : `at least ${value} characters`),
  maxLength: (value) => `at most ${value} characters`,
  pattern: (value) => ["matches ", el("code", {}, value)],
  minItems: (value) => (value === 1 ? "at least one item" : `at least ${value} items`),
  maxItems: (value) => `at most ${value} items`,
  uniqueItems: (value) => (value ? "no item twice" : null),
  minProperties: (value) => `at least ${value} fields`,
  maxProperties: (value) => `at most ${value} fields`,
  contentMediaType: (value) => `holds ${value}`,
};
const JOINED = { anyOf: "or", oneOf: "or", allOf: "and" };
const VALUES_SHOWN = 12;
const DEEPEST = 8;

export class Schemas {
  #document;
  #prefix;

  /** `prefix` begins the fragments of the document's own schemas. */
  constructor(document, prefix) {
    this.#document = document;
    this.#prefix = prefix;
  }

  get names() {
    return Object.keys(this.#document.components?.schemas ?? {});
  }

  /** What a reference within the document leads to, however many there are on the way; any other value itself. */
  resolve(value) {
    let found = value;
    for (let steps = 0; typeof found?.$ref === "string" && steps < DEEPEST; steps += 1) found = this.#at(found.$ref);
    return found;
  }

  #at(reference) {
    const path = reference.replace(/^#\//, "").split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    return path.reduce((value, part) => (Object.hasOwn(value ?? {}, part) ? value[part] : undefined), this.#document);
  }

  /** Everything about a schema: a list of its fields, or a line about its values. */
  shown(schema) {
    const named = this.resolve(schema) ?? {};
    return el("div", { class: "schema" }, ...paragraphs(named.description), this.#line(schema), ...this.#inside(named), ...this.#examples(named));
  }

  #line(schema, head = []) {
    const notes = this.#limits(this.#bare(schema)).flatMap((note) => [" ", el("span", { class: "limit" }, ...[note].flat())]);
    return el("p", { class: "line" }, ...head, el("span", { class: "type" }, ...this.#type(schema)), ...notes);
  }

  /** Without the `null` beside it, so that its limits are found. */
  #bare(schema) {
    const branches = (schema.anyOf ?? schema.oneOf ?? []).filter((branch) => branch.type !== "null");
    return branches.length === 1 ? { ...schema, ...branches[0] } : schema;
  }

  #type(schema, deep = 0) {
    if (schema === true || schema === undefined || deep > DEEPEST) return ["any value"];
    if (typeof schema.$ref === "string") return [this.#link(schema.$ref)];
    if (Object.hasOwn(schema, "const")) return ["always ", el("code", {}, JSON.stringify(schema.const))];
    for (const [keyword, joint] of Object.entries(JOINED)) {
      if (Array.isArray(schema[keyword])) return joined(schema[keyword].map((branch) => this.#type(branch, deep + 1)), joint);
    }
    if (schema.type === "array") return ["list of ", ...this.#type(schema.items, deep + 1)];
    if (schema.type === "object" && typeof schema.additionalProperties === "object" && schema.properties === undefined) {
      return ["object whose values are ", ...this.#type(schema.additionalProperties, deep + 1)];
    }
    return [[schema.type ?? (schema.properties ? "object" : "any value")].flat().join(" or "), schema.format ? ` (${schema.format})` : ""];
  }

  #link(reference) {
    const name = reference.split("/").at(-1);
    return el("a", { href: `#${encodeURIComponent(this.#prefix + name)}` }, name);
  }

  #limits(schema) {
    const found = Object.entries(LIMITS).filter(([keyword]) => Object.hasOwn(schema, keyword)).map(([keyword, say]) => say(schema[keyword]));
    if (schema.additionalProperties === false) found.push("no other fields");
    if (Object.hasOwn(schema, "default")) found.push(["by itself ", el("code", {}, JSON.stringify(schema.default))]);
    return found.filter((note) => note !== null);
  }

  /** What can be opened: fields, the values of an enumeration, and what an item or a branch has. */
  #inside(schema, deep = 0) {
    const bare = this.#bare(schema);
    const shown = [];
    if (bare.properties) shown.push(this.#fields(bare));
    if (Array.isArray(bare.enum)) shown.push(values(bare.enum));
    if (deep > DEEPEST) return shown;
    for (const keyword of Object.keys(JOINED)) {
      if (bare !== schema) break;
      for (const branch of schema[keyword] ?? []) shown.push(...this.#nested(branch, deep));
    }
    if (bare.$ref) shown.push(...this.#nested({ $ref: bare.$ref }, deep));
    if (bare.items) shown.push(...this.#nested(bare.items, deep));
    if (typeof bare.additionalProperties === "object") shown.push(...this.#nested(bare.additionalProperties, deep));
    if (bare.propertyNames && this.#limits(bare.propertyNames).length > 0) shown.push(this.#line(bare.propertyNames, ["each name: "]));
    return shown;
  }

  /** A named schema opens when its reader asks; one without a name is shown at once. */
  #nested(schema, deep) {
    if (typeof schema.$ref === "string") {
      const name = schema.$ref.split("/").at(-1);
      return [opened(el("code", {}, name), () => this.shown(schema))];
    }
    const inside = this.#inside(schema, deep + 1);
    const limits = this.#limits(schema);
    return inside.length > 0 || limits.length > 0 ? [el("div", { class: "branch" }, this.#line(schema), ...inside)] : [];
  }

  #fields({ properties, required = [] }) {
    const items = Object.entries(properties).map(([name, schema]) => {
      const needed = required.includes(name);
      const head = [el("code", { class: "name" }, name), " ", el("span", { class: needed ? "needed" : "optional" }, needed ? "required" : "optional"), " "];
      return el("li", {}, this.#line(schema, head), ...paragraphs(schema.description), ...this.#inside(schema), ...this.#examples(schema));
    });
    return el("ul", { class: "fields" }, ...items);
  }

  #examples(schema) {
    const found = schema.examples ?? (Object.hasOwn(schema, "example") ? [schema.example] : []);
    return found.flatMap((example) => [el("p", { class: "soft" }, "Example"), json(example)]);
  }

  /** A value that the schema takes: its own example where it has one. */
  sample(schema, deep = 0) {
    const named = this.resolve(schema) ?? {};
    if (named.examples?.length > 0) return named.examples[0];
    for (const keyword of ["example", "default", "const"]) if (Object.hasOwn(named, keyword)) return named[keyword];
    if (Array.isArray(named.enum)) return named.enum[0];
    if (deep > DEEPEST) return null;
    const branches = named.anyOf ?? named.oneOf;
    if (branches) return this.sample(branches.find((branch) => branch.type !== "null") ?? {}, deep + 1);
    if (named.allOf) return Object.assign({}, ...named.allOf.map((part) => this.sample(part, deep + 1)));
    if (named.type === "array") return [this.sample(named.items ?? {}, deep + 1)];
    if (named.type === "object" || named.properties) {
      const fields = (named.required ?? []).map((name) => [name, this.sample(named.properties?.[name] ?? {}, deep + 1)]);
      return Object.fromEntries(fields);
    }
    return { integer: named.minimum ?? (named.exclusiveMinimum ?? -1) + 1, number: 0, boolean: false, string: "" }[named.type] ?? null;
  }
}

/** A part that is made when it is opened first: schemas may contain themselves. */
export function opened(head, fill) {
  const part = el("details", { class: "nested" }, el("summary", {}, head));
  part.addEventListener("toggle", () => part.append(fill()), { once: true });
  return part;
}

function values(all) {
  const list = () => el("p", { class: "values" }, ...all.flatMap((value) => [el("code", {}, JSON.stringify(value)), " "]));
  if (all.length <= VALUES_SHOWN) return el("div", {}, el("p", { class: "soft" }, "One of"), list());
  return opened(`one of ${all.length} values`, list);
}

function joined(types, joint) {
  return types.flatMap((type, at) => (at === 0 ? type : [` ${joint} `, ...type]));
}

/** A line about a parameter or a header, which is a schema with a name. */
export function named(schemas, { name, required, description, schema, where }) {
  const fields = schemas.shown({ type: "object", properties: { [name]: { ...schema, description: description ?? schema?.description } }, required: required ? [name] : [] });
  const list = fields.querySelector("ul.fields");
  list.querySelector(".optional, .needed").before(...(where ? [el("span", { class: "where" }, `in the ${where}`), " "] : []));
  return list.firstElementChild;
}
