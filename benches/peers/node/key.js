import { createHash } from "node:crypto";

/** The digits of Crockford's base32, by value. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PRINTED = /^(?:[0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$/;

/** Multiplies in GF(32), whose polynomial is x⁵ + x² + 1, by the class of x. */
const timesAlpha = (value) => (value & 0b1_0000 ? (value << 1) ^ 0b10_0101 : value << 1);

/**
 * Checks a key as it is printed, both check symbols included, and returns the SHA-256 of its symbols, which is what its
 * ticket is stored under; undefined when it is no key.
 */
export function ticketId(key) {
  if (typeof key !== "string" || !PRINTED.test(key)) return undefined;
  const symbols = key.replaceAll("-", "");
  // The symbols as a polynomial over GF(32), at α and at α²: zero for a key.
  let first = 0;
  let second = 0;
  for (const symbol of symbols) {
    const value = ALPHABET.indexOf(symbol);
    first = timesAlpha(first) ^ value;
    second = timesAlpha(timesAlpha(second)) ^ value;
  }
  if (first !== 0 || second !== 0) return undefined;
  return createHash("sha256").update(symbols).digest();
}
