// The form's script against the definition of a key. Run with: node --test tests/browser/
import assert from "node:assert/strict";
import { test } from "node:test";

await import("../../static/tickey.js");
const { read, format, caretAfter, check, tell } = globalThis.tickey;

const VALID = ["M9S34-6Q3D2-5VT4F-5V37E-3S3NJ", "E28JT-97KB6-CQ643-DZVMX-XQK4G"];
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const plain = (key) => key.replaceAll("-", "");
const replace = (text, index, symbol) => text.slice(0, index) + symbol + text.slice(index + 1);

test("the published keys check", () => {
  for (const key of VALID) assert.equal(check(key), null);
});

test("the published typo is placed", () => {
  const finding = check("SSZ5AW8H8VHTPRE95B9EE0ZA3");
  assert.equal(finding.reason, "mistyped");
  assert.deepEqual(finding.suggestions[0], { kind: "substitution", position: 7, typed: "8", perhaps: "S" });
  const { hints } = tell(finding, read("SSZ5AW8H8VHTPRE95B9EE0ZA3"));
  assert.equal(hints[0], "Look at symbol 7 (second group): you typed 8, it may be S.");
});

test("every single wrong symbol is placed and mended", () => {
  for (const key of VALID.map(plain)) {
    for (let i = 0; i < 25; i += 1) {
      for (const symbol of ALPHABET) {
        if (symbol === key[i]) continue;
        const found = check(replace(key, i, symbol)).suggestions.filter((s) => s.kind === "substitution");
        assert.deepEqual(found, [{ kind: "substitution", position: i + 1, typed: symbol, perhaps: key[i] }]);
      }
    }
  }
});

test("every swap of neighbours is told of", () => {
  for (const key of VALID.map(plain)) {
    for (let i = 0; i < 24; i += 1) {
      if (key[i] === key[i + 1]) continue;
      const swapped = replace(replace(key, i, key[i + 1]), i + 1, key[i]);
      const finding = check(swapped);
      assert.ok(finding.suggestions.some((s) => s.kind === "swap" && s.position === i + 1));
      assert.ok(finding.wrong.includes(i + 1) && finding.wrong.includes(i + 2));
    }
  }
});

test("two wrong symbols never pass", () => {
  const key = plain(VALID[0]);
  for (let a = 0; a < 25; a += 1) {
    for (let b = a + 1; b < 25; b += 1) {
      for (const [one, two] of ["0Z", "7H", "KX"]) {
        if (one === key[a] || two === key[b]) continue;
        assert.notEqual(check(replace(replace(key, a, one), b, two)), null);
      }
    }
  }
});

test("every suggestion makes a key", () => {
  let seed = 1;
  const next = () => ALPHABET[(seed = (seed * 48271) % 2147483647) % 32];
  for (let round = 0; round < 2000; round += 1) {
    const word = Array.from({ length: 25 }, next).join("");
    for (const s of check(word)?.suggestions ?? []) {
      const i = s.position - 1;
      const mended = s.kind === "swap"
        ? replace(replace(word, i, word[i + 1]), i + 1, word[i])
        : replace(word, i, s.perhaps);
      assert.equal(check(mended), null);
    }
  }
});

test("entry is as forgiving as the server's", () => {
  for (const text of [
    "m9s346q3d25vt4f5v37e3s3nj",
    "  M9S34 6Q3D2\t5VT4F 5V37E 3S3NJ\r\n",
    "M9S34—6Q3D2–5VT4F‐5V37E−3S3NJ",
    "M9S34.6Q3D2·5VT4F。5V37E．3S3NJ",
    "\uFEFFM9S34\u00AD6Q3D2\u200B5VT4F\u30005V37E\uFF0D3S3NJ",
    "Ｍ９ｓ３４６Ｑ３Ｄ２５ＶＴ４Ｆ５Ｖ３７Ｅ３Ｓ３ＮＪ",
  ]) assert.equal(check(text), null, JSON.stringify(text));
  assert.deepEqual(read("oOiIlL").map((s) => s.value), [0, 0, 1, 1, 1, 1]);
});

test("every separator that the server ignores is ignored", () => {
  const separators = [
    0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
    0x200b, 0x200c, 0x200d, 0x2060, 0xfeff, 0x2d, 0xad, 0x58a, 0x5be, 0x1400, 0x1806, 0x2010, 0x2011, 0x2012, 0x2013,
    0x2014, 0x2015, 0x2043, 0x207b, 0x208b, 0x2212, 0x2e17, 0x2e1a, 0x2e3a, 0x2e3b, 0x2e40, 0x2e5d, 0x301c, 0x3030,
    0x30a0, 0xfe31, 0xfe32, 0xfe58, 0xfe63, 0x10ead, 0x2e, 0xb7, 0x2022, 0x2024, 0x2025, 0x2026, 0x2027, 0x2219, 0x22c5,
    0x3002, 0x30fb, 0xfe52, 0xff61, 0xff65, 0xff0d, 0xff0e, 0x200e, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069, 0xfe0f,
    0xe0100, 0x61c, 0x34f, 0x115f, 0x3164, 0x2800, 0xfffc, 0x01, 0x1f, 0x7f, 0x30fc, 0x964, 0x6d4, 0x2796,
  ];
  for (const point of separators) assert.deepEqual(read(String.fromCodePoint(point)), [], point.toString(16));
});

test("length and foreign symbols are told apart", () => {
  assert.deepEqual(check(""), { reason: "malformed", length: 0, wrong: [] });
  assert.deepEqual(check("M9S34-6Q3D2"), { reason: "malformed", length: 10, wrong: [] });
  assert.deepEqual(check(`${VALID[0]}0`), { reason: "malformed", length: 26, wrong: [] });
  assert.deepEqual(check("M9S34-6Q3U2-5VT4F-5V37E-3S3NJ").wrong, [9]);
  assert.deepEqual(check(`“${VALID[0].replace("6", "”")}”`).wrong, [6]);
  assert.deepEqual(check("M9S34_6Q3D2-5VT4F-5V37E-3S3NJ").wrong, [6]);
});

test("what a chat, a phone or a keyboard puts between and around the symbols is skipped", () => {
  const key = VALID[0];
  for (const text of [
    `\u2068${key}\u2069`, `${key}\u200E`, `\u202A${key}\u202C`, `\u200F${key}`, `${key}\uFE0F`, `${key}\uFFFC`,
    `"${key}"`, `“${key}”`, `„${key}“`, `«\u00A0${key}\u00A0»`, `『${key}』`, `（${key}）`, `*${key}*`, `||${key}||`,
    key.replaceAll("-", "ー"), key.replaceAll("-", "・"), key.replaceAll("-", "। "), key.replaceAll("-", "\u0002\n"),
    key.replaceAll("3", "٣").replaceAll("4", "४"), [...plain(key)].join("\u2060"),
    [...key].map((c) => /[A-Z]/.test(c) ? String.fromCodePoint(0x1D400 + c.charCodeAt(0) - 65) : c).join(""),
  ]) {
    assert.equal(check(text), null, JSON.stringify(text));
    assert.equal(read(format(text)).map((s) => s.meant).join(""), plain(key), JSON.stringify(text));
  }
  assert.equal(format(`\u2068${key}\u2069`), key);
  assert.equal(format(`“${key.toLowerCase()}”`), key);
});

test("a text with one key in it is that key", () => {
  const key = VALID[0];
  for (const text of [
    `Key: ${key}`, `KEY ${key}`, `Code\n${key}`, `Your download code is ${key}. Enjoy!`, `https://host.example/#${key}`,
    `https://host.example/#${plain(key)}`, `https://host.example/%23${key.replaceAll("-", "%2D")}`, `<${key}>, `,
    `https://host.example/#%E2%81%A8${key}%E2%81%A9`, `${key} (${key})!`, `下载码${key}，谢谢`, `Key:\n${key.replaceAll("-", " ")}`,
  ]) {
    assert.equal(check(text), null, JSON.stringify(text));
    assert.equal(format(text), key, JSON.stringify(text));
  }
});

test("nothing is guessed", () => {
  const [key, other] = VALID;
  for (const text of [
    `Keys: ${key} ${other}`, `${key} ${key}`, `${key} 1`, `U${key}`, `${key}é`, `Key: ${key}0`, `Key: ${key.slice(0, -1)}Z`,
    `Key: ${key.replace("-", "_")}`, `${key.replace("-", "-U-")}`, `A ${key}`, `12345 ${key}`,
  ]) assert.equal(check(text)?.reason, "malformed", JSON.stringify(text));
});

test("every finding has words", () => {
  for (const text of ["", "A", `${VALID[0]}00`, "U", "é😀ß", "SSZ5AW8H8VHTPRE95B9EE0ZA3", "Z".repeat(25)]) {
    const { title, detail, hints } = tell(check(text), read(text));
    for (const words of [title, detail, ...hints]) assert.match(words, /^[A-Z].*[a-zA-Z0-9.]$/u);
    assert.doesNotMatch([title, detail, ...hints].join(" "), /undefined|NaN|null/);
  }
});

test("grouping changes case and separators, and nothing else", () => {
  assert.equal(format("m9s346q3d25vt4f5v37e3s3nj"), VALID[0]);
  assert.equal(format("M9S34"), "M9S34");
  assert.equal(format("M9S34-"), "M9S34");
  assert.equal(format("m9s346"), "M9S34-6");
  assert.equal(format("oil u"), "OILU");
  assert.equal(format("ß“ſ😀é!"), "ß“ſ😀é-!");
  assert.equal(format("Ｍ９ｓ"), "Ｍ９ｓ");
  assert.equal(format(`${VALID[0]} 12`), `${VALID[0]}-12`);
  for (const key of VALID) assert.equal(format(format(key)), key);
});

test("the caret stays where the person is", () => {
  assert.equal(caretAfter("M9S34-6Q", 5, false), 5);
  assert.equal(caretAfter("M9S34-6Q", 5, true), 6);
  assert.equal(caretAfter("M9S34-6Q", 6, false), 7);
  assert.equal(caretAfter("M9S34-6Q", 0, false), 0);
  assert.equal(caretAfter("😀9S34-6", 6, false), 8);
  assert.equal(caretAfter("M9", 9, false), 2);
});
