// Which fields the screens have, read from their source, so that a story can tell which it missed.
import { readdirSync, readFileSync } from "node:fs";

const SOURCE = new URL("../../src/", import.meta.url);
const TEXTS = JSON.parse(readFileSync(new URL("i18n/en.json", SOURCE), "utf8"));
/** What fields are made of is no field itself. */
const PARTS = new Set(["ui/kit.tsx", "ui/variables.tsx"]);

const texts = new Map();
const collect = (node, path) => {
  for (const [name, value] of Object.entries(node)) {
    if (typeof value === "string") texts.set([...path, name].join("."), value);
    else collect(value, [...path, name]);
  }
};
collect(TEXTS, []);

const escape = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
/** What a text may look like once its holes are filled. */
const pattern = (text) => new RegExp(`^${text.split(/\{\{\w+\}\}/).map(escape).join("[^]*")}$`);

/** What stands between a brace and the one that closes it. */
function braced(code, open) {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === "{") depth++;
    if (code[at] === "}" && --depth === 0) return code.slice(open + 1, at);
  }
  throw new Error(`a brace is never closed: ${code.slice(open, open + 60)}`);
}

/** The texts that an expression may say. `known` resolves a name that was given its text before. */
function said(expression, known) {
  const found = [];
  for (const [, key] of expression.matchAll(/["`]([\w.]+)["`]/g)) if (texts.has(key)) found.push(pattern(texts.get(key)));
  for (const [, prefix, suffix] of expression.matchAll(/`([\w.]+\.)\$\{[^}]*\}([\w.]*)`/g)) {
    for (const [key, text] of texts) if (key.startsWith(prefix) && key.endsWith(suffix)) found.push(pattern(text));
  }
  const named = /^\s*(\w+)\s*$/.exec(expression);
  return found.length === 0 && named ? known(named[1]) : found;
}

/** Of a component: each field, by the labels it may have and the titles of the dialog it is in. */
function inComponent(file, name, code) {
  const found = [];
  const known = (variable) => {
    const given = new RegExp(`const ${variable} = (t\\([^;]*);`).exec(code);
    return given ? said(given[1], () => []) : [/[^]*/];
  };
  const dialogs = [...code.matchAll(/<(Dialog|Confirm)\s+title=\{/g)].map((match) => {
    const open = match.index + match[0].length - 1;
    const title = braced(code, open);
    const end = match[1] === "Dialog" ? code.indexOf("</Dialog>", open) : open;
    // Whoever has to type a thing's name has a field, too.
    if (match[1] === "Confirm" && /^\s*name=\{/.test(code.slice(open + title.length + 2))) {
      found.push({ where: `${file} ${name}: the name that ${title} asks for`, labels: [pattern(texts.get("common.typeName"))], titles: said(title, known) });
    }
    return { from: open, to: end < 0 ? code.length : end, titles: said(title, known) };
  });
  for (const match of code.matchAll(/<(TextField|VariableField|Field|input|textarea)\s/g)) {
    const tag = code.slice(match.index, match.index + 600);
    const label = /(?:^|\s)(?:aria-)?label=\{/.exec(tag.slice(0, tag.search(/\/>|>\s*\n/) + 1 || undefined));
    if (!label || /type="(checkbox|radio|file)"/.test(tag.slice(0, tag.indexOf(">")))) continue;
    const expression = braced(tag, label.index + label[0].length - 1);
    const dialog = dialogs.find(({ from, to }) => match.index > from && match.index < to);
    found.push({ where: `${file} ${name}: ${expression.trim()}`, labels: said(expression, known), titles: dialog?.titles });
  }
  return found;
}

/** Every field of every screen. */
export function fieldsInSource() {
  const files = readdirSync(SOURCE, { recursive: true }).map((file) => file.replaceAll("\\", "/")).filter((file) => file.endsWith(".tsx") && !PARTS.has(file));
  return files.toSorted().flatMap((file) => {
    const code = readFileSync(new URL(file, SOURCE), "utf8");
    const starts = [...code.matchAll(/^(?:export )?(?:async )?function (\w+)/gm)];
    return starts.flatMap((start, n) => inComponent(file, start[1], code.slice(start.index, starts[n + 1]?.index ?? code.length)));
  });
}

/** Those of which none of the `typed` is one: `{title, label}`, without a title outside of dialogs. */
export function missedFields(typed) {
  const isOne = ({ labels, titles }, { title, label }) =>
    labels.some((one) => one.test(label)) && (titles === undefined || titles.some((one) => one.test(title)));
  return fieldsInSource().filter((field) => !typed.some((one) => isOne(field, one))).map(({ where }) => where);
}
