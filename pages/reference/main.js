// Opens the API reference: reads this server's two descriptions, and shows what is in them.

import { byId, el } from "../shared/dom.js";
import { callEntry, operations } from "./calls.js";
import { Credentials } from "./credentials.js";
import { Entries } from "./entries.js";
import { channelSection, channels, messageEntry } from "./messages.js";
import { Schemas } from "./schemas.js";
import { paragraphs } from "./text.js";

const SOURCES = ["/openapi.json", "/asyncapi.json"];
const entries = new Entries();

async function described(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} was answered with ${response.status}`);
  return response.json();
}

async function open() {
  byId("notice").hidden = true;
  byId("found").textContent = "Reading the descriptions…";
  try {
    const [calls, messages] = await Promise.all(SOURCES.map(described));
    show(calls, messages);
  } catch (error) {
    console.warn(error);
    say("The descriptions could not be read. See whether the server is up, then try again.", open);
    byId("found").textContent = "";
  }
}

function show(calls, messages) {
  byId("about").replaceChildren(...paragraphs(calls.info?.description).flatMap((found) => [...found.childNodes]));
  const credentials = new Credentials(calls.components?.securitySchemes);
  const http = { document: calls, schemas: new Schemas(calls, "schema-"), entries, credentials };
  const others = { document: messages, schemas: new Schemas(messages, "payload-"), entries };
  const parts = [
    part("calls", "Calls over HTTP", [], tags(calls).map((tag) => tagSection(tag, http))),
    part("channels", "Sockets, broker, webhooks", paragraphs(messages.info?.description), channels(messages).map((channel) => channelSection(channel, others))),
    part("messages", "Messages", [], Object.entries(messages.components?.messages ?? {}).map(([name, message]) => messageEntry(name, message, others))),
    part("schemas", "Schemas of calls", [], http.schemas.names.map((name) => schemaEntry(name, http, "schema-"))),
    part("message-schemas", "Schemas of messages", [], others.schemas.names.map((name) => schemaEntry(name, others, "payload-"))),
  ];
  byId("content").replaceChildren(...parts);
  byId("sections").replaceChildren(list(parts));
  byId("search").addEventListener("input", searched);
  addEventListener("hashchange", follow);
  searched();
  follow();
}

function part(id, title, about, content) {
  return entries.group(el("section", { id, "aria-labelledby": `${id}-heading`, tabindex: -1 }, el("h2", { id: `${id}-heading` }, title), ...about, ...content));
}

/** The tags in the description's order, each with its operations; what has no tag comes last. */
function tags(document) {
  const all = operations(document);
  const known = document.tags ?? [];
  const others = [...new Set(all.map(({ tag }) => tag))].filter((name) => !known.some((tag) => tag.name === name));
  return [...known, ...others.map((name) => ({ name }))].map(({ name, description }) => ({
    name,
    description,
    operations: all.filter(({ tag }) => tag === name),
  }));
}

function tagSection({ name, description, operations: of }, tools) {
  const id = `tag-${name}`;
  return entries.group(el("section", { id, tabindex: -1 }, el("h3", {}, name), ...paragraphs(description), ...of.map((operation) => callEntry(operation, tools))));
}

function schemaEntry(name, { schemas }, prefix) {
  const reference = { $ref: `#/components/schemas/${name}` };
  const { description, properties } = schemas.resolve(reference) ?? {};
  return entries.add({
    id: prefix + name,
    level: 3,
    head: [el("code", {}, name)],
    words: [description, ...Object.keys(properties ?? {})].join(" "),
    fill: () => [schemas.shown(reference)],
  });
}

/** Links to the parts, and to the parts of the first two. */
function list(parts) {
  const link = (section) => el("a", { href: `#${encodeURIComponent(section.id)}` }, section.querySelector("h2, h3").textContent);
  const inside = (section) => [...section.querySelectorAll(":scope > section")].map((each) => el("li", {}, link(each)));
  const items = parts.map((section) => {
    const within = inside(section);
    return el("li", {}, link(section), within.length > 0 ? el("ul", {}, ...within) : null);
  });
  return el("ul", {}, ...items);
}

function searched() {
  const text = byId("search").value;
  const found = entries.search(text);
  byId("found").textContent = text.trim() === "" ? `${entries.count} entries` : `${found} of ${entries.count} entries have these words`;
}

/** What the address's fragment names is opened, also where a search had hidden it. */
function follow() {
  const id = fragment();
  if (id === "" || id === "main") return;
  if (byId("search").value !== "") {
    byId("search").value = "";
    searched();
  }
  byId("notice").hidden = true;
  if (entries.open(id)) return;
  const section = document.getElementById(id);
  if (section === null) return say(`This page has no “${id}”. Search for it.`);
  section.scrollIntoView();
  section.focus({ preventScroll: true });
}

function fragment() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

function say(text, again = null) {
  const button = again && el("button", { type: "button", onclick: () => void again() }, "Try again");
  byId("notice").replaceChildren(text, " ", ...(button ? [button] : []));
  byId("notice").hidden = false;
}

void open();
