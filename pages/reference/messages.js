// What goes over sockets, the broker and webhooks: channels, what is done on them, and the messages.

import { el } from "../shared/dom.js";
import { named } from "./schemas.js";
import { inline, paragraphs, words } from "./text.js";

const DIRECTIONS = { receive: "You send", send: "You receive" };

/** The channels, each with its operations. */
export function channels(document) {
  const all = Object.entries(document.operations ?? {}).map(([id, operation]) => ({ id, ...operation }));
  return Object.entries(document.channels ?? {}).map(([name, channel]) => ({
    name,
    ...channel,
    operations: all.filter((operation) => last(operation.channel) === name),
  }));
}

/** The part of one channel: what holds for all of it, and its operations. */
export function channelSection(channel, tools) {
  const { name, title, description, address } = channel;
  return tools.entries.group(el("section", { id: `channel-${name}`, tabindex: -1 },
    el("h3", {}, title ?? words(name)),
    ...paragraphs(description),
    el("p", {}, "Address: ", address === null || address === undefined ? "named when it is used" : el("code", {}, address), ...through(channel, tools)),
    ...parameters(channel, tools),
    ...bindings(channel.bindings),
    ...channel.operations.map((operation) => operationEntry(operation, tools)),
    ...(channel.operations.length === 0 ? answersHere(channel) : [])));
}

/** A channel on which nothing is begun: what arrives there as an answer. */
function answersHere(channel) {
  return [el("p", {}, "Messages: ", ...links(Object.values(channel.messages ?? {})))];
}

function through({ servers }, { document, schemas }) {
  return (servers ?? []).flatMap((reference) => {
    const server = schemas.resolve(reference);
    const needed = (server.security ?? []).map((each) => schemas.resolve(each).description).filter(Boolean);
    const hosts = Object.values(server.variables ?? {}).map(({ description }) => description).filter(Boolean);
    const more = [["Server", hosts], ["Credentials", needed]].filter(([, told]) => told.length > 0);
    return [
      ", by ", el("code", {}, [server.protocol, server.protocolVersion].filter(Boolean).join(" ")), ".",
      ...more.flatMap(([what, told]) => inline(` ${what}: ${told.join(" ")}`)),
    ];
  });
}

function parameters(channel, { schemas }) {
  const items = Object.entries(channel.parameters ?? {}).map(([name, parameter]) => {
    const { description, ...rest } = schemas.resolve(parameter);
    return named(schemas, { name, required: true, description, schema: { type: "string", ...rest } });
  });
  return items.length > 0 ? [el("ul", { class: "fields" }, ...items)] : [];
}

/** What a protocol needs to know beside: an exchange, a method. */
function bindings(found) {
  const lines = Object.entries(found ?? {}).flatMap(([protocol, { bindingVersion, ...told }]) =>
    flat(told).map(([name, value]) => el("li", {}, `${protocol} ${name}: `, el("code", {}, String(value)))));
  return lines.length > 0 ? [el("ul", { class: "plain" }, ...lines)] : [];
}

function flat(value, name = "") {
  if (typeof value !== "object" || value === null) return [[name, value]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, `${name} ${key}`.trim()));
}

function operationEntry(operation, tools) {
  const { id, action, summary, messages, reply, bindings: own } = operation;
  const names = (messages ?? []).map(last);
  return tools.entries.add({
    id: `operation-${id}`,
    level: 4,
    head: [el("span", { class: `method ${action}` }, DIRECTIONS[action] ?? action), " ", el("span", { class: "title" }, summary ?? words(id))],
    words: [id, ...names, ...(reply?.messages ?? []).map(last)].join(" "),
    fill: () => [
      ...paragraphs(operation.description),
      el("p", {}, "Messages: ", ...links(messages ?? [])),
      ...bindings(own),
      ...replied(reply, tools),
    ],
  });
}

function replied(reply, { schemas }) {
  if (reply === undefined) return [];
  const { location, description } = reply.address ?? {};
  const channel = schemas.resolve(reply.channel);
  return [
    el("p", {}, "Answered on ", el("a", { href: `#channel-${encodeURIComponent(last(reply.channel))}` }, channel?.title ?? last(reply.channel)),
      ...(location ? [", which ", el("code", {}, location), " names"] : []), ". ", ...inline(description ?? "")),
    el("p", {}, "Answers: ", ...links(reply.messages ?? [])),
  ];
}

function links(references) {
  return references.flatMap((reference, at) => {
    const name = last(reference);
    return [at === 0 ? "" : ", ", el("a", { href: `#message-${encodeURIComponent(name)}` }, name)];
  });
}

/** The entry of one message. */
export function messageEntry(name, message, tools) {
  const { title, summary, description, contentType, payload, headers, name: type } = message;
  const { schemas } = tools;
  return tools.entries.add({
    id: `message-${name}`,
    level: 3,
    head: [el("span", { class: "title" }, title ?? name), type && type !== name ? el("code", {}, ` ${type}`) : ""],
    words: [name, type, summary, description, JSON.stringify(schemas.resolve(payload)?.properties ?? {})].join(" "),
    fill: () => [
      ...paragraphs(summary),
      ...paragraphs(description),
      el("p", {}, "Content type: ", el("code", {}, contentType ?? tools.document.defaultContentType ?? "")),
      ...(headers === undefined ? [] : [el("h4", {}, "Headers"), schemas.shown(headers)]),
      el("h4", {}, "Body"),
      schemas.shown(payload),
    ],
  });
}

function last(reference) {
  return reference.$ref.split("/").at(-1);
}
