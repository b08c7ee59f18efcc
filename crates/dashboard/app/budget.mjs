// Fails when the first load, with the overview, is more gzipped JavaScript than it may be.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 200_000;
const manifest = JSON.parse(readFileSync("dist/manifest.json", "utf8"));
const files = new Set();

function load(name) {
  const entry = manifest[name];
  if (files.has(entry.file)) return;
  files.add(entry.file);
  for (const part of entry.imports ?? []) load(part);
}

load("index.html");
const bare = [...files];
load("src/screens/overview.tsx");
const size = (names) => names.reduce((sum, file) => sum + gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length, 0);
const [first, all] = [size(bare), size([...files])];
console.log(`first load: ${first} bytes of gzipped JavaScript, ${all} with the overview; at most ${BUDGET}`);
if (all > BUDGET) process.exit(1);
