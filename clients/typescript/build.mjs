// Makes JavaScript modules for browsers of src/: types are blanked out by Node itself, nothing else changes.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";

const source = new URL("./src/", import.meta.url);
const target = new URL(process.argv[2] ? `file://${process.argv[2]}/` : "./dist/", import.meta.url);
mkdirSync(target, { recursive: true });
for (const name of readdirSync(source)) {
  const script = stripTypeScriptTypes(readFileSync(new URL(name, source), "utf8"));
  const linked = script.replaceAll(/from "(\.\/\w+)\.ts"/g, 'from "$1.js"');
  writeFileSync(new URL(name.replace(/\.ts$/, ".js"), target), linked);
}
