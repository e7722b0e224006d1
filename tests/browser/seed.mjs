// The demo's content as the tests need it: its keys by what happens to them, and its files.
import { readFileSync } from "node:fs";

const seed = (path) => new URL(`../../seed/${path}`, import.meta.url);

// In the order of the table in seed/README.md.
const keys = readFileSync(seed("demo-keys.csv"), "utf8").trim().split("\n").slice(1).map((line) => line.split(",")[0]);

export const FRESH = { "slow-tide": keys.slice(0, 4), "rooftop-arcade": keys.slice(4, 8) };
export const [REDEEMED, REVOKED, EXPIRED, FUTURE] = keys.slice(8);
/** Its check symbols are right, but it belongs to no ticket. */
export const UNKNOWN = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ";
export const ALL_KEYS = [...keys, UNKNOWN];

export const libraryFile = (album, name) => readFileSync(seed(`library/${album}/${name}`));

export const plain = (key) => key.replaceAll("-", "");
export const grouped = (symbols) => symbols.match(/.{1,5}/g).join("-");

/** The key with another symbol at this position, from 1; never the one that was there. */
export function mistype(key, position) {
  const symbols = [...plain(key)];
  symbols[position - 1] = symbols[position - 1] === "7" ? "8" : "7";
  return grouped(symbols.join(""));
}

/** The key with the symbols at this position, from 1, and the next one exchanged. */
export function swap(key, position) {
  const symbols = [...plain(key)];
  symbols.splice(position - 1, 2, symbols[position], symbols[position - 1]);
  return grouped(symbols.join(""));
}
