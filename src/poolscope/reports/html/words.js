"use strict";
// How the page writes numbers and makes elements: text stays text and is never parsed as HTML.

const $ = (id) => document.getElementById(id);

/** An element with properties and children; strings become text nodes. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const DASH = "–";
const UNITS = [[99.5, 1, 0, "µs"], [9950, 1e3, 1, "ms"], [999500, 1e3, 0, "ms"], [9995000, 1e6, 2, "s"], [99950000, 1e6, 1, "s"]];

/** A duration for people: 40 µs, 0.4 ms, 12 ms, 1.92 s, 153 s. */
function duration(micros) {
  if (micros === null || Number.isNaN(micros)) return DASH;
  for (const [limit, unit, digits, name] of UNITS) {
    if (Math.abs(micros) < limit) return `${(micros / unit).toFixed(digits)} ${name}`;
  }
  return `${number(Math.round(micros / 1e6))} s`;
}

/** Seconds, as in the records. */
const seconds = (value) => (value === null || value === undefined ? DASH : duration(value * 1e6));

/** Milliseconds to the microsecond, for tables. */
const exact = (micros) => (Number.isNaN(micros) ? DASH : (micros / 1e3).toFixed(3));

const number = (value) => value.toLocaleString("en-US");
const count = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;
const plain = (name) => name.replaceAll("_", " ");
const last = (name) => name.slice(name.lastIndexOf(".") + 1);

function share(part, whole) {
  if (!whole) return DASH;
  const percent = (100 * part) / whole;
  if (part === 0 || part === whole) return `${percent} %`;
  return `${percent > 99 || percent < 1 ? Math.min(99.9, Math.max(0.1, percent)).toFixed(1) : percent.toFixed(0)} %`;
}

const INSTALLED = /.*\/(?:site-packages|dist-packages|lib\/python\d+\.\d+(?!\/site-|\/dist-))\//;

/** A file's name without the folders that all of them share. */
function short(file, base) {
  const found = INSTALLED.exec(file.replaceAll("\\", "/"));
  if (found) return file.slice(found[0].length);
  return base && file.startsWith(`${base}/`) ? file.slice(base.length + 1) : file;
}

/** A line of code: of its file, or named as code that is in none, as of `python -c` and `exec()`. */
function place(site, base) {
  if (!site) return null;
  const [file, line, , inNoFile] = site;
  return inNoFile ?? `${short(file, base)}:${line}`;
}

const sameSite = (one, other) => (one ? one.join("\n") : null) === (other ? other.join("\n") : null);
