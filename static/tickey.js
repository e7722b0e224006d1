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
  // The longest text in which a key is looked for: more is never sent.
  const MAX_TEXT = 4096;
  const ORDINALS = ["first", "second", "third", "fourth", "fifth"];

  // What characters mean: the lists of src/redemption/key/characters.rs, which explains them. A test keeps both alike.
  const ranges = (list) => list.trim().split(/\s+/).map((item) => {
    const [, first, last = first, ascii] = /^([0-9a-f]+)(?:-([0-9a-f]+))?(?:=(.))?$/.exec(item);
    return [parseInt(first, 16), parseInt(last, 16), ascii];
  });
  const SEPARATORS = ranges(`
    1-8 9-d e-1f 20 2d-2e 7f-a0 ad b7
    2d7 34f 387 589-58a 5be 61c 6d4 701-702
    964-965 104a-104b 115f-1160 1362 1400 166e 1680 17b4-17b5
    17d4-17d5 1803 1806 1809 180b-180f 2000-2015 2022-202f 2043
    204c-204d 2053 205f-206f 207b 208b 2212 2219 22c5
    2500-2501 25a0-25a1 25aa-25ab 25cb 25cf 25e6 2796 2800
    2981 2e17 2e1a 2e31 2e33 2e3a-2e3c 2e40 2e5d
    3000 3002 301c 3030 30a0 30fb-30fc 3164 a4ff
    a60e a6f3 fe00-fe0f fe12 fe31-fe32 fe52 fe58 fe63
    feff ff61 ff65 ff70 ffa0 fff0-fffc 10d6e 10ead
    1bca0-1bca3 1d173-1d17a e0000-e0fff
  `);
  const AROUND = ranges(`
    22 27-2a 3c 3e 5b 5d 5f-60 7b-7e
    ab b4 bb 2b9-2bc 2018-201f 2032-2037 2039-203a 275b-2760
    276e-276f 27e8-27eb 2e02-2e0d 2e1c-2e1d 2e20-2e21 2e42 3008-3011 3014-301b
    301d-301f fe35-fe44 fe47-fe48 fe59-fe5e ff5f-ff60 ff62-ff63 1f676-1f678
  `);
  const DIGITS = ranges(`
    660-669=0 6f0-6f9=0 7c0-7c9=0 966-96f=0 9e6-9ef=0 a66-a6f=0 ae6-aef=0 b66-b6f=0
    be6-bef=0 c66-c6f=0 ce6-cef=0 d66-d6f=0 de6-def=0 e50-e59=0 ed0-ed9=0 f20-f29=0
    1040-1049=0 1090-1099=0 17e0-17e9=0 1810-1819=0 1946-194f=0 19d0-19d9=0 1a80-1a89=0 1a90-1a99=0
    1b50-1b59=0 1bb0-1bb9=0 1c40-1c49=0 1c50-1c59=0 a620-a629=0 a8d0-a8d9=0 a900-a909=0 a9d0-a9d9=0
    a9f0-a9f9=0 aa50-aa59=0 abf0-abf9=0 104a0-104a9=0 10d30-10d39=0 10d40-10d49=0 11066-1106f=0 110f0-110f9=0
    11136-1113f=0 111d0-111d9=0 112f0-112f9=0 11450-11459=0 114d0-114d9=0 11650-11659=0 116c0-116c9=0 116d0-116d9=0
    116da-116e3=0 11730-11739=0 118e0-118e9=0 11950-11959=0 11bf0-11bf9=0 11c50-11c59=0 11d50-11d59=0 11da0-11da9=0
    11de0-11de9=0 11f50-11f59=0 16a60-16a69=0 16ac0-16ac9=0 16b50-16b59=0 1ccf0-1ccf9=0 1d7ce-1d7d7=0 1d7d8-1d7e1=0
    1d7e2-1d7eb=0 1d7ec-1d7f5=0 1d7f6-1d7ff=0 1e140-1e149=0 1e2f0-1e2f9=0 1e4f0-1e4f9=0 1e5f1-1e5fa=0 1e950-1e959=0
    1fbf0-1fbf9=0
  `);
  const FORMS = ranges(`
    2102=C 210a=g 210b=H 210c=H 210d=H 210e=h 2110=I 2111=I
    2112=L 2113=l 2115=N 2119-211b=P 211c=R 211d=R 2124=Z 2128=Z
    212c-212d=B 212f=e 2130-2131=E 2133=M 2134=o 2139=i 2145=D 2146-2147=d
    2148-2149=i ff01-ff5e=! 1ccd6-1ccef=A 1d400-1d419=A 1d41a-1d433=a 1d434-1d44d=A 1d44e-1d454=a 1d456-1d467=i
    1d468-1d481=A 1d482-1d49b=a 1d49c=A 1d49e-1d49f=C 1d4a2=G 1d4a5-1d4a6=J 1d4a9-1d4ac=N 1d4ae-1d4b5=S
    1d4b6-1d4b9=a 1d4bb=f 1d4bd-1d4c3=h 1d4c5-1d4cf=p 1d4d0-1d4e9=A 1d4ea-1d503=a 1d504-1d505=A 1d507-1d50a=D
    1d50d-1d514=J 1d516-1d51c=S 1d51e-1d537=a 1d538-1d539=A 1d53b-1d53e=D 1d540-1d544=I 1d546=O 1d54a-1d550=S
    1d552-1d56b=a 1d56c-1d585=A 1d586-1d59f=a 1d5a0-1d5b9=A 1d5ba-1d5d3=a 1d5d4-1d5ed=A 1d5ee-1d607=a 1d608-1d621=A
    1d622-1d63b=a 1d63c-1d655=A 1d656-1d66f=a 1d670-1d689=A 1d68a-1d6a3=a
  `);
  // Powers of α in GF(32) with x⁵ + x² + 1, twice over so that a sum of two logarithms needs no reduction.
  const EXP = [1];
  while (EXP.length < 2 * ORDER) {
    const twice = EXP.at(-1) << 1;
    EXP.push(twice & 32 ? twice ^ 0b100101 : twice);
  }
  const LOG = EXP.slice(0, ORDER).reduce((log, value, power) => { log[value] = power; return log; }, []);
  const times = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

  // ---- The pure part ----

  const within = (ranges, point) => {
    let [low, high] = [0, ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranges[middle][1] < point) low = middle + 1; else high = middle;
    }
    return low < ranges.length && ranges[low][0] <= point ? ranges[low] : null;
  };

  // The ASCII character that a character stands for, or the character itself.
  function plain(character) {
    const point = character.codePointAt(0);
    const form = within(DIGITS, point) ?? within(FORMS, point);
    return form ? String.fromCharCode(form[2].charCodeAt(0) + point - form[0]) : character;
  }

  // What one character means: "separator", "around" (skipped before the first symbol and after the last), or a symbol
  // in upper case with its value, which is -1 when it cannot stand in a key. Only ASCII is put into upper case: "ß"
  // must not become two symbols.
  function meaning(typed) {
    const point = typed.codePointAt(0);
    const ascii = within(SEPARATORS, point) ? "-" : within(AROUND, point) ? "_" : plain(typed);
    if (within(SEPARATORS, ascii.codePointAt(0))) return "separator";
    if (within(AROUND, ascii.codePointAt(0))) return "around";
    const upper = /^[a-z]$/.test(ascii) ? ascii.toUpperCase() : ascii;
    const meant = { I: "1", L: "1", O: "0" }[upper] ?? upper;
    return { character: ascii === typed ? upper : typed, meant, value: ALPHABET.indexOf(meant) };
  }

  // What a text says: its symbols without separators, each with where it stands in the text.
  function read(text) {
    const symbols = [];
    let around = [];
    let at = 0;
    for (const typed of text) {
      const means = meaning(typed);
      if (means === "around") {
        if (symbols.length) around.push({ character: typed, meant: typed, value: -1, at });
      } else if (means !== "separator") {
        symbols.push(...around, { ...means, at });
        around = [];
      }
      at += typed.length;
    }
    return symbols;
  }

  // ---- A key in a longer text ----

  // A letter of the Latin script.
  const isLetter = (character) => character.codePointAt(0) < 0x250
    ? /\p{Alphabetic}/u.test(character) : /^[A-Za-z]$/.test(plain(character));

  // What makes a key that it touches another text: a letter, or what is left of an escape that stands for nothing.
  const spoils = (character) => isLetter(character) || "%\0\uFFFD".includes(character);

  // A text as words of symbols.
  function wordsOf(text) {
    const words = [];
    let [inWord, follows, touched, foreign] = [false, false, false, false];
    for (const typed of text) {
      const means = meaning(typed);
      if (means === "separator") {
        inWord = touched = false;
      } else if (means === "around" || means.value < 0) {
        touched = spoils(typed);
        if (inWord && touched) words.at(-1).touched = true;
        inWord = follows = false;
        foreign = true;
      } else {
        if (!inWord) words.push({ symbols: [], follows, touched, onlyLetters: true });
        words.at(-1).symbols.push(means);
        words.at(-1).onlyLetters &&= isLetter(typed);
        inWord = follows = true;
      }
    }
    return { words, foreign };
  }

  // The keys that stand in a text by themselves, in groups of five or in one piece.
  function keysIn(text) {
    const { words, foreign } = wordsOf(text);
    const found = new Set();
    words.forEach((word, first) => {
      const before = words.slice(0, first);
      const isLabel = before.length && before[0].symbols.length >= 3 && before.every((label) => label.onlyLetters);
      let symbols = [];
      for (let i = first; i < words.length && symbols.length < LENGTH; i += 1) {
        if (words[i].symbols.length % GROUP || words[i].touched || (i > first && !words[i].follows)) return;
        symbols = symbols.concat(words[i].symbols);
        if (symbols.length !== LENGTH) continue;
        if ((foreign || (isLabel && i === words.length - 1)) && fits(symbols.map((s) => s.value))) {
          found.add(symbols.map((s) => s.meant).join(""));
        }
      }
    });
    return found;
  }

  // What a person meant by a text: the key that is the only one in it, as in "Key: …", a sentence or a link, or else
  // all of the text. Nothing is guessed.
  function meantBy(text) {
    if (text.length > MAX_TEXT || read(text).length <= LENGTH) return text;
    let found = keysIn(text);
    if (!found.size && text.includes("%")) {
      found = keysIn(text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => new TextDecoder("utf-8", { ignoreBOM: true })
        .decode(Uint8Array.from(run.slice(1).split("%"), (byte) => parseInt(byte, 16)))));
    }
    return found.size === 1 ? [...found][0] : text;
  }

  // The symbols in groups of five. A dash comes with the symbol after it, so that deleting never meets a wall.
  function format(text) {
    return grouped(read(meantBy(text))).map((group) => group.map((s) => s.character).join("")).join("-");
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
    const symbols = read(meantBy(text));
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

  globalThis.tickey = Object.freeze({ meaning, meantBy, read, format, caretAfter, syndromes, explain, check, tell });

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
    const wrong = Boolean(check(text));
    status.textContent = wrong
      ? "Something is filled in that is not a whole key yet. Compare it with what is printed."
      : "Your key is filled in. Press the button to redeem it.";
    (wrong ? field : button).focus();
  }

  function group(event) {
    // Never into the middle of a word that an input method is still composing.
    if (event?.isComposing) return;
    const text = field.value;
    const tidy = format(text);
    if (tidy !== text) {
      const before = meantBy(text) === text
        ? read(text).filter((symbol) => symbol.at < field.selectionStart).length : LENGTH;
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
