// A request as it is sent, and the same as a line for a shell. The line names what opens the call and never holds it.

const JSON_TYPE = "application/json";
// What stands for the credentials in the line.
const VARIABLES = { sessionToken: "$token", operatorKey: "$key", platformKey: "$platform_key" };

/** The address of a request, from what was entered for its parameters. Throws an Error that says what is missing. */
export function urlOf({ operation, values }, origin) {
  const path = operation.path.replace(/\{([^}]+)\}/g, (_, name) => segment(name, values));
  const url = new URL(origin);
  url.pathname = path;
  for (const { name, value, in: where } of values) {
    if (where === "query" && value !== "") url.searchParams.append(name, value);
  }
  return url.href;
}

function segment(name, values) {
  const value = values.find((each) => each.in === "path" && each.name === name)?.value ?? "";
  // A browser would read the last two as steps to another address.
  if (value === "" || value === "." || value === "..") throw new Error(`Enter a value for ${name}.`);
  return encodeURIComponent(value);
}

export function headersOf({ body, opened }) {
  return {
    ...(opened === null ? {} : { Authorization: `Bearer ${opened.value}` }),
    ...(body === null ? {} : { "Content-Type": JSON_TYPE }),
  };
}

/** As sh reads it. */
export function curl({ operation, body, opened }, url) {
  const parts = ["curl", "-i"];
  if (operation.method !== "GET") parts.push("-X", operation.method);
  parts.push(quoted(url));
  if (opened !== null) parts.push("-H", `"Authorization: Bearer ${VARIABLES[opened.name] ?? "$credentials"}"`);
  if (body !== null) parts.push("-H", quoted(`Content-Type: ${JSON_TYPE}`), "--data-raw", quoted(body));
  return parts.join(" ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
