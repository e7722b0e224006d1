// Makes the form kinder; everything works without it. It groups the key while it is typed, takes a key out of a
// scanned address (`/#KEY`), and tells of a typo before anything is sent. The key stays in its field: it goes into no
// storage, no address and no title.
(() => {
  "use strict";

  // A key is 25 symbols of Crockford base32. The last two are check symbols of a Reed–Solomon code over GF(32).
  const LENGTH = 25;
  const GROUP = 5;
  const ORDER = 31;
  const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  // White space, dashes and dots of every kind: the same ones that the server ignores.
  const SEPARATOR = new RegExp(
    "[\\s\\u0085\\u200B-\\u200D\\u2060\\uFEFF\\p{Pd}\\u00AD\\u2043\\u207B\\u208B\\u2212" +
      ".\\u00B7\\u2022\\u2024-\\u2027\\u2219\\u22C5\\u3002\\u30FB\\uFE52\\uFF61\\uFF65]", "u");
  const ORDINALS = ["first", "second", "third", "fourth", "fifth"];

  // Powers of α in GF(32) with x⁵ + x² + 1, twice over so that a sum of two logarithms needs no reduction.
  const EXP = [1];
  while (EXP.length < 2 * ORDER) {
    const twice = EXP.at(-1) << 1;
    EXP.push(twice & 32 ? twice ^ 0b100101 : twice);
  }
  const LOG = EXP.slice(0, ORDER).reduce((log, value, power) => { log[value] = power; return log; }, []);
  const times = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

  // ---- The pure part ----

  // What a text says: its symbols without separators, upper case but otherwise as typed, each with the value it is
  // read as (-1 when it cannot stand in a key). Only ASCII is put into upper case: "ß" must not become two symbols.
  function read(text) {
    const symbols = [];
    for (const typed of text) {
      const point = typed.codePointAt(0);
      const plain = point >= 0xff01 && point <= 0xff5e ? String.fromCodePoint(point - 0xfee0) : typed;
      if (SEPARATOR.test(plain)) continue;
      const upper = /^[a-z]$/.test(plain) ? plain.toUpperCase() : plain;
      const meant = { I: "1", L: "1", O: "0" }[upper] ?? upper;
      symbols.push({ character: plain === typed ? upper : typed, meant, value: ALPHABET.indexOf(meant) });
    }
    return symbols;
  }

  // The symbols in groups of five. A dash comes with the symbol after it, so that deleting never meets a wall.
  function format(text) {
    return grouped(read(text)).map((group) => group.map((s) => s.character).join("")).join("-");
  }

  function grouped(symbols) {
    const groups = [];
    for (let i = 0; i < symbols.length; i += GROUP) groups.push(symbols.slice(i, i + GROUP));
    return groups;
  }

  // Where the caret stands in `formatted` when `count` symbols are to be before it.
  function caretAfter(formatted, count, overDash) {
    let at = 0;
    for (let left = count; left > 0 && at < formatted.length; ) {
      const character = String.fromCodePoint(formatted.codePointAt(at));
      if (character !== "-") left -= 1;
      at += character.length;
    }
    return overDash && formatted[at] === "-" ? at + 1 : at;
  }

  // The key as a polynomial at α and at α²: both zero when nothing is wrong. The first symbol has the highest power.
  const syndromes = (values) =>
    values.reduce(([one, two], value) => [times(one, EXP[1]) ^ value, times(two, EXP[2]) ^ value], [0, 0]);
  const fits = (values) => syndromes(values).every((syndrome) => syndrome === 0);

  // Every explanation by one wrong symbol (S₂/S₁ = α^place) or by one swap of neighbours. Positions count from 1.
  function explain(values) {
    const found = [];
    const [one, two] = syndromes(values);
    if (one && two) {
      const power = (LOG[two] - LOG[one] + ORDER) % ORDER;
      const index = LENGTH - 1 - power;
      if (index >= 0) {
        const perhaps = values[index] ^ EXP[LOG[one] - power + ORDER];
        found.push({ kind: "substitution", position: index + 1, typed: ALPHABET[values[index]], perhaps: ALPHABET[perhaps] });
      }
    }
    for (let i = 1; i < LENGTH && (one || two); i += 1) {
      const swapped = [...values];
      [swapped[i - 1], swapped[i]] = [values[i], values[i - 1]];
      if (fits(swapped)) found.push({ kind: "swap", position: i });
    }
    return found;
  }

  // Null when the text is a key (whether it belongs to a ticket, only the server knows), else what is wrong with it.
  function check(text) {
    const symbols = read(text);
    const foreign = symbols.flatMap((s, i) => (s.value < 0 ? [i + 1] : []));
    if (foreign.length) return { reason: "malformed", length: symbols.length, wrong: foreign };
    if (symbols.length !== LENGTH) return { reason: "malformed", length: symbols.length, wrong: [] };
    const values = symbols.map((s) => s.value);
    if (fits(values)) return null;
    const suggestions = explain(values);
    const wrong = suggestions.flatMap((s) => (s.kind === "swap" ? [s.position, s.position + 1] : [s.position]));
    return { reason: "mistyped", length: LENGTH, wrong, suggestions };
  }

  const place = (position) => {
    const group = Math.ceil(position / GROUP);
    return `symbol ${position}` + (group <= ORDINALS.length ? ` (${ORDINALS[group - 1]} group)` : "");
  };

  // A finding in words: title, detail, hints.
  function tell(finding, symbols) {
    const { reason, length, wrong, suggestions } = finding;
    if (reason === "mistyped") {
      const hints = suggestions.map((s) => s.kind === "swap"
        ? `${suggestions.length > 1 ? "Or look" : "Look"} at symbols ${s.position} and ${s.position + 1}: they may be in the wrong order.`
        : `Look at ${place(s.position)}: you typed ${symbols[s.position - 1].character}, it may be ${s.perhaps}.`);
      return { title: "This key has a typing mistake", hints,
        detail: `Its last two symbols check the others, and they do not fit.${hints.length ? "" : " More than one symbol must differ, so please compare it with your card, group by group."}` };
    }
    if (wrong.length) {
      return { title: wrong.length > 1 ? "Some of this cannot be in a key" : "One symbol cannot be in a key",
        detail: "A key has only digits and the letters A to Z, and never the letter U.",
        hints: wrong.slice(0, 3).map((p) => `Look at ${place(p)}: ${symbols[p - 1].character}${symbols[p - 1].meant === "U" ? ", it may be V" : ""}.`) };
    }
    if (!length) return { title: "The key is still missing", detail: "Type the 25 letters and digits from your card.", hints: [] };
    const off = Math.abs(LENGTH - length);
    return { title: length < LENGTH ? "This key is too short" : "This key is too long", hints: [],
      detail: `A key has 25 symbols and this has ${length}: ${off === 1 ? "one" : off} too ${length < LENGTH ? "few" : "many"}. Compare it with your card, group by group.` };
  }

  globalThis.tickey = Object.freeze({ read, format, caretAfter, syndromes, explain, check, tell });

  // ---- The page ----

  if (!globalThis.document) return;

  // Links may live for minutes only, so their end is told in the reader's own time.
  const clock = { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.textContent = new Date(time.dateTime).toLocaleString("en-GB", clock);
  }

  const field = document.getElementById("key");
  if (!field) return;

  // The fragment is taken and gone before anything else, so that it is in no screenshot and no copied address.
  function liftFragment() {
    const fragment = location.hash.slice(1);
    if (fragment) history.replaceState(null, "", location.pathname + location.search);
    try { return decodeURIComponent(fragment); } catch { return fragment; }
  }
  const scanned = liftFragment();

  const form = field.form;
  const button = form.querySelector("button");
  const alertBox = document.getElementById("key-alert");
  const status = document.getElementById("key-status");
  const discs = document.querySelectorAll(".disc");
  // What was in the field when the person was last told of a mistake: pressing again sends just that.
  let warnedOf = null;
  const words = button.textContent.trim();

  function fill(text) {
    if (!text) return;
    field.value = format(text);
    changed();
    status.textContent = "Your key is filled in. Press the button to redeem it.";
    (check(text) ? field : button).focus();
  }

  function group(event) {
    // Never into the middle of a word that an input method is still composing.
    if (event?.isComposing) return;
    const text = field.value;
    const tidy = format(text);
    if (tidy !== text) {
      const before = read(text.slice(0, field.selectionStart)).length;
      const overDash = event?.inputType === "deleteContentForward" || (event?.data && !read(event.data).length);
      field.value = tidy;
      const caret = caretAfter(tidy, before, overDash);
      if (document.activeElement === field) field.setSelectionRange(caret, caret);
    }
    changed();
  }

  function changed() {
    const typed = read(field.value).length;
    const told = /^(malformed|mistyped)$/.test(alertBox.firstElementChild?.dataset.reason);
    const finding = told && check(field.value);
    discs.forEach((disc, i) => {
      disc.classList.toggle("disc-on", i < typed);
      disc.classList.toggle("disc-wrong", Boolean(finding) && finding.wrong.includes(i + 1));
    });
    // A typo that has been put right needs no slip any more; what the server said of a whole key stays.
    if (told && !finding) {
      warnedOf = null;
      alertBox.replaceChildren();
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-errormessage");
      field.setAttribute("aria-describedby", "key-help");
      document.title = document.title.replace(/^Error: /, "");
      document.body.classList.remove("refused");
    }
    const doubtful = finding && finding.reason === "mistyped";
    button.textContent = told && doubtful && field.value === warnedOf ? "Send it anyway" : words;
  }

  function element(name, className, ...children) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  // The same slip that the server writes.
  function show(finding) {
    const symbols = read(field.value);
    const { title, detail, hints } = tell(finding, symbols);
    const text = element("div", "", element("p", "slip-title", title), element("p", "", detail));
    text.id = "key-problem";
    if (hints.length) text.append(element("ul", "hints", ...hints.map((hint) => element("li", "", hint))));
    if (finding.reason === "mistyped") {
      text.append(element("p", "", "Nothing has been sent yet. If your card says exactly this, press the button again and it is sent as it is."));
    }
    const slip = element("div", "slip", text);
    slip.dataset.reason = finding.reason;
    if (finding.wrong.length) {
      const cells = symbols.map((s, i) => (finding.wrong.includes(i + 1) ? element("mark", "", s.character) : s.character));
      const marked = element("p", "marked", ...grouped(cells).map((cell) => element("span", "group", ...cell)));
      marked.setAttribute("aria-hidden", "true");
      slip.append(marked);
    }
    alertBox.replaceChildren(slip);
    document.title = `Error: ${document.title.replace(/^Error: /, "")}`;
    document.body.classList.add("refused");
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", "key-problem");
    field.setAttribute("aria-describedby", "key-problem key-help");
    changed();
    field.focus();
    button.scrollIntoView({ block: "nearest" });
  }

  form.addEventListener("submit", (event) => {
    const finding = check(field.value);
    if (finding && warnedOf !== field.value) {
      event.preventDefault();
      warnedOf = field.value;
      show(finding);
      return;
    }
    // Once is enough. (Twice would do no harm: the hidden field tells the server that it is the same person.)
    button.disabled = true;
    status.textContent = "Asking for your download …";
    setTimeout(ready, 20_000);
  });

  function ready() {
    if (!button.disabled) return;
    button.disabled = false;
    status.textContent = "";
  }

  field.addEventListener("input", (event) => { ready(); status.textContent = ""; group(event); });
  field.addEventListener("compositionend", () => group());
  addEventListener("hashchange", () => fill(liftFragment()));
  addEventListener("pageshow", () => { ready(); group(); });
  fill(scanned);
})();
