// Requests of the API reference: { urls, lines, texts } in, addresses or problems, lines for a shell and indented texts out.

import { curl, urlOf } from "../../../pages/reference/request.js";
import { pretty } from "../../../pages/reference/text.js";

const { urls, lines, texts } = JSON.parse(process.argv[2]);

function addressOf([path, values]) {
  try {
    return urlOf({ operation: { path }, values }, "http://127.0.0.1:8080");
  } catch (problem) {
    return problem.message;
  }
}

console.log(JSON.stringify({ urls: urls.map(addressOf), lines: lines.map(([request, url]) => curl(request, url)), texts: texts.map(pretty) }));
