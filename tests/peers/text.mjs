// text.mjs: the seeded text that the peers and this project's tokenizer are compared on.

let state = 1;
// Mulberry32: 32 pseudo-random bits as a number in [0, 1).
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const times = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const join = (n, make, separator = "") => times(n, make).join(separator);
const between = (first, last) => String.fromCodePoint(first + below(last - first + 1));

const words = (
  "the of and to a in is that for it as was with be by on not he his but at are this have from or had an they which " +
  "one you were all her she there would their we him been has when who will no more if out so up said what its about " +
  "than into them can only other time new some could these two may first then do any like my now over such our man " +
  "weight gradient matrix tensor kernel bandwidth scheduler latency throughput antidisestablishmentarianism river " +
  "mountain yesterday government probably understanding beautiful straightforward library cache token NASA GPU " +
  "iPhone McDonald eBay JSON HTTPServer naïve façade über Ångström coöperate Zürich São smörgåsbord jalapeño"
).split(" ");
const contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'lL", "'D", "'M", "'ſ",
  "'ſt", "’s", "'x", "'", "''s", "'s's", "'LL've", "'K", "'rE", "'vE"];
const punctuation = [".", ",", ";", ":", "!", "?", "...", "—", "-", "--", "…", "\"", "(", ")", "/", "//", "/\n",
  ".\n\n",
  "!!\r\n", "§", "€", "№", "«", "»", "„", "¿", "·", "。", "、", "「", "」", "،", "؟", "।"];
const capital = (word) => word[0].toUpperCase() + word.slice(1);
const madeUp = () => join(1 + below(5), () => pick(["ka", "str", "ion", "pre", "ne", "o", "th", "lum", "qui", "xy",
  "er"]));

function prose() {
  const word = () => {
    let w = random() < 0.85 ? pick(words) : madeUp();
    if (random() < 0.1) w = capital(w);
    if (random() < 0.03) w = w.toUpperCase();
    if (random() < 0.08) w += pick(contractions);
    if (random() < 0.03) w = String(below(10 ** (1 + below(9))));
    return w;
  };
  const sentence = () => capital(join(3 + below(20), word, " ")) + pick([".", ".", ".", "?", "!", ";", ":", "..."]);
  return join(40, () => join(1 + below(6), sentence, " "), pick(["\n", "\n\n", "\r\n", "  "]));
}

function code() {
  const name = () => pick([madeUp(), capital(madeUp()), "n_" + madeUp(), madeUp() + capital(madeUp()),
    "k" + capital(madeUp())]);
  const number = () => pick([String(below(100)), "0x" + below(65536).toString(16), random().toFixed(below(9)), "1e-6",
    "1_000"]);
  const indent = () => pick(["", "    ", "        ", "\t", "\t\t", "  ", "            "]);
  const line = () => indent() + pick([
    () => `for (int ${name()} = 0; i < ${number()}; i++) ${name()}[i] += ${number()}f;`,
    () => `if (!${name()}->${name()}(&x, ${number()})) return -1;  // ${pick(words)} ${pick(words)}`,
    () => `def ${name()}(self, ${name()}: int = ${number()}) -> list[str]:`,
    () => `{"${name()}": [${number()}, ${number()}], "${name()}": null, "s": "\\u00e9\\n"}`,
    () => `<div class="${name()}" id='${name()}'>${pick(words)}&nbsp;</div>`,
    () => `#include <${name()}/${name()}.h>`,
    () => `SELECT ${name()}, COUNT(*) FROM ${name()} WHERE ${name()} >= ${number()};`,
    () => `std::vector<std::pair<int, ${name()}>> ${name()}{};`,
    () => `$ ${name()} --${name()}=${number()} | grep -E '^[a-z]+\\s*$' > /tmp/${name()}.txt 2>&1`,
    () => `# ${"=".repeat(below(80))} ${name()}`,
    () => `https://${name()}.example/${name()}/?q=${number()}&r=%20%E2%82%AC#${name()}`,
  ])();
  return join(120, line, pick(["\n", "\n", "\r\n", "\n\n", " \n"]));
}

// First and last letters (and marks, digits) of blocks; whatever else lies between comes too.
const scripts = [
  [0x370, 0x3ff], [0x400, 0x52f], [0x531, 0x58a], [0x591, 0x5f4], [0x600, 0x6ff], [0x700, 0x74f], [0x780, 0x7b1],
  [0x7c0, 0x7ff], [0x840, 0x85e], [0x8a0, 0x8ff], [0x900, 0x97f], [0x980, 0x9fe], [0xa01, 0xa76], [0xa81, 0xaff],
  [0xb01, 0xb77], [0xb82, 0xbfa], [0xc00, 0xc7f], [0xc80, 0xcf3], [0xd00, 0xd7f], [0xd81, 0xdf4], [0xe01, 0xe5b],
  [0xe81, 0xedf], [0xf00, 0xfd4], [0x1000, 0x109f], [0x10a0, 0x10ff], [0x1100, 0x11ff], [0x1200, 0x137c],
  [0x13a0, 0x13fd], [0x1400, 0x167f], [0x1680, 0x169c], [0x1780, 0x17f9], [0x1800, 0x18aa], [0x1c80, 0x1cbf],
  [0x1d00, 0x1dbf], [0x1e00, 0x1eff], [0x1f00, 0x1ffe], [0x2c00, 0x2c5f], [0x2c60, 0x2c7f], [0x2d30, 0x2d7f],
  [0x3041, 0x309f], [0x30a0, 0x30ff], [0x3105, 0x312f], [0x4e00, 0x9fff], [0xa000, 0xa48c], [0xa640, 0xa69f],
  [0xa720, 0xa7ff], [0xab30, 0xabf9], [0xac00, 0xd7a3], [0xfb00, 0xfb4f], [0xfb50, 0xfdff], [0xfe70, 0xfefc],
  [0xff01, 0xffee], [0x10000, 0x100fa], [0x10280, 0x1031f], [0x10400, 0x1049d], [0x10800, 0x10855], [0x11000, 0x1107f],
  [0x118a0, 0x118ff], [0x12000, 0x12399], [0x13000, 0x1342e], [0x16800, 0x16a38], [0x16e40, 0x16e9a],
  [0x1b000, 0x1b122], [0x1d400, 0x1d7ff], [0x1e900, 0x1e95f], [0x20000, 0x2a6df], [0x30000, 0x3134a],
];
const sentences = [
  "Быстрая лиса перепрыгнула через ленивую собаку, не так ли?", "Η γρήγορη αλεπού πηδάει πάνω από το σκύλο.",
  "今天天气很好，我们去公园散步吧。", "明日の天気は晴れでしょう。カタカナとひらがな。", "오늘 날씨가 정말 좋네요. 산책하러 갈까요?",
  "الطقس جميل اليوم، هل نذهب في نزهة؟", "מזג האוויר יפה היום, בואו נטייל.",
  "आज मौसम बहुत अच्छा है, चलो घूमने चलते हैं।",
  "วันนี้อากาศดีมาก ไปเดินเล่นกันเถอะ", "Hôm nay trời đẹp quá, chúng ta đi dạo nhé.", "இன்று வானிலை நன்றாக இருக்கிறது.",
  "დღეს კარგი ამინდია.", "Այսօր եղանակը լավ է։", "ዛሬ አየሩ ጥሩ ነው።", "Der Fluß trägt große Schiffe; ÄÖÜ ẞ.",
  "İstanbul'da ılık bir gün, IĞDIR'a gidiyoruz.", "Dziś jest ładna pogoda, chodźmy się przejść.",
];
function manyScripts() {
  return join(60, () => {
    if (random() < 0.3) return pick(sentences);
    const [first, last] = pick(scripts);
    return join(1 + below(12), () => join(1 + below(8), () => between(first, last)), pick([" ", " ", ", ", "-", "'",
      ""]));
  }, pick(["\n", " ", "\u3000", "\r\n\r\n"]));
}

const emoji = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇺🇸", "👨🏿‍🚀", "❤️", "☺︎", "1️⃣", "#️⃣", "🧑🏻‍🤝‍🧑🏾", "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
  "🫠", "🫨", "™️", "⌚", "🀄"];
const emojiText = () => join(200, () => pick([() => pick(emoji), () => between(0x1f300, 0x1faff), () => pick(words),
  () => between(0x1f3fb, 0x1f3ff), () => "\u200d", () => "\ufe0f", () => " "])());

const spaces = [" ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", "\v", "\f", "\u0085", "\u00a0", "\u1680",
  "\u2000", "\u2003", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u180e", "\u200b",
  "\ufeff", "\u001c", "\u001f", " ".repeat(17), " ".repeat(130), "\n".repeat(20), "\t".repeat(40)];
const whiteSpace = () => join(300, () => (random() < 0.7 ? pick(spaces) :
  pick(["a", "B", "1", "!", "/", "é", "中", "'s"])));

const zeros = [0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xe50, 0xf20, 0x1040, 0x17e0, 0xff10, 0x104a0, 0x1d7ce,
  0x1fbf0];
const otherNumbers = ["½", "Ⅷ", "ↂ", "²", "①", "㊿", "๙", "〇", "𐄇", "𝟘", "٪", "㆒", "一"];
const digits = () => join(150, () => {
  const zero = pick(zeros);
  const run = join(1 + below(9), () => String.fromCodePoint(zero + below(10)));
  return run + pick(["", " ", ",", ".", "-", "e", "%", "\n", "th", pick(otherNumbers)]);
});

const marks = ["\u0301", "\u0308", "\u0323", "\u20d0", "\u20dd", "\u0488", "\u093f", "\u094d", "\u0e33", "\ufe0f",
  "\u{1d165}",
  "\u{101fd}", "\u0345", "\u3099", "\u05b0", "\u064b"];
const combining = () => join(250, () => pick([() => pick(marks), () => join(below(6), () => pick(marks)),
  () => pick(words),
  () => pick(["A", "É", "ǅ", "!", "1", " ", "\n", "'s", "中"])])());

const titleCase = ["ǅ", "ǈ", "ǋ", "ǲ", "ᾈ", "ᾼ", "ῼ", "ʰ", "ˀ", "ª", "º", "ー", "ᴬ", "ⁿ", "Ⅷ", "ⅷ", "ß", "ẞ", "ſ", "ı",
  "İ", "K",
  "A", "b", "Z", "é", "Ω", "ж", "Ж", "中", "ა", "Ა", "Ꭰ", "ꭰ"];
const caseMix = () => join(200, () => join(1 + below(6), () => pick(titleCase)) +
  (random() < 0.4 ? pick(contractions) : ""),
  pick(["", " ", ".", "\n"]));

const contractionText = () => join(300, () => pick([pick(words), pick(titleCase), "I", "WE", "1", " ", "中"]) +
  pick(contractions) +
  pick(["", " ", "x", "X", "\n", "!"]));

const decoder = new TextDecoder(); // bytes that are no UTF-8 become U+FFFD
const randomBytes = () => decoder.decode(Uint8Array.from(times(3000, () => below(256))));
const mostlyAscii = () => decoder.decode(Uint8Array.from(times(3000, () =>
  (random() < 0.9 ? below(128) : below(256)))));
const scalar = (limit) => { const c = below(limit); return c >= 0xd800 && c < 0xe000 ? 0xfffd : c; };
const anyPlane = () => join(800, () => String.fromCodePoint(scalar(pick([0x80, 0x800, 0x3000, 0x10000, 0x20000,
  0x110000]))));

// Every string of four out of one character of each kind that the pattern tells apart.
const kinds = ["A", "a", "ǅ", "ʰ", "中", "\u0301", "7", " ", "\n", "\r", "\u00a0", "!", "/", "'", "s", "ſ"];
const allOfFour = () => times(kinds.length ** 4, (i) => [i & 15, (i >> 4) & 15, (i >> 8) & 15, i >> 12]
  .map((k) => kinds[k]).join(""));

// Contexts in which each two of the pattern's categories give different pieces.
const inContexts = (c) => `${c}\na${c}\n${c}a ${c}${c} ${c}Aa !!${c} 1${c}\n`;
// Long ranges of one category are sampled, one in `stride` and both ends; all else is complete.
const uniform = [[0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xac00, 0xd7a3], [0xe000, 0xf8ff], [0x17000, 0x18cff],
  [0x20000, 0x2ffff], [0x30000, 0x3ffff], [0x40000, 0xdffff], [0xe0200, 0x10ffff]];
function codePointTexts(stride) {
  const chosen = [];
  for (let c = 0; c < 0x110000; ) {
    const range = uniform.find(([first, last]) => c >= first && c <= last);
    if (c < 0xd800 || c > 0xdfff) chosen.push(c);
    c = !range || c === range[1] ? c + 1 : Math.min(c + stride, range[1]);
  }
  return times(Math.ceil(chosen.length / 256),
    (i) => chosen.slice(256 * i, 256 * (i + 1)).map((c) => inContexts(String.fromCodePoint(c))).join(""));
}

const specialNames = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|constrain|>",
  "<|endoftext|>", "<|startoftext|>", "<|endofprompt|>", "<|reserved_200018|>", "<|reserved_200000|>",
  "<|reserved_201087|>",
  "<|reserved_201088|>", "<|Start|>", "<|start|", "<|start |>", "<<|start|>>", "|>", "<|", "<|im_start|>"];
const specialText = () => join(100, () => pick([() => pick(specialNames), () => pick(specialNames), () => pick(words),
  () => pick(spaces), () => pick(punctuation), () => pick(emoji)])());

// Of one piece of n bytes both peers take time in n^2, 12 s and more for 100,000 letters: tiktoken alone gets these.
const equal = () => ["a".repeat(100000), " ".repeat(100000) + "x", "7".repeat(100000), "é".repeat(6000),
  "中".repeat(3000), "\u0301".repeat(6000), "A".repeat(10000), "!".repeat(10000), "\n".repeat(10000), "aA".repeat(50000),
  "\r\n".repeat(10000), "\u3000".repeat(4000), "😀".repeat(3000), "ab".repeat(6000), "=-".repeat(6000)];

export function groups() {
  state = 20251; // the seed
  return [
    { name: "prose", texts: times(60, prose) },
    { name: "code", texts: times(50, code) },
    { name: "scripts", texts: times(80, manyScripts) },
    { name: "emoji", texts: times(60, emojiText) },
    { name: "white space", texts: times(80, whiteSpace) },
    { name: "digits", texts: times(60, digits) },
    { name: "combining", texts: times(80, combining) },
    { name: "case", texts: times(80, caseMix) },
    { name: "contractions", texts: times(60, contractionText) },
    { name: "random bytes", texts: times(40, randomBytes) },
    { name: "mostly ASCII", texts: times(60, mostlyAscii) },
    { name: "any plane", texts: times(80, anyPlane) },
    // gpt-tokenizer has the Unicode of the node it runs on: another with each version.
    { name: "code points", texts: codePointTexts(97), onePeer: true },
    { name: "all of four", texts: allOfFour() },
    { name: "special as text", texts: times(60, specialText) },
    { name: "special", texts: times(60, specialText), special: true },
    { name: "short", texts: ["", " ", "\n", "a", "\u0000", "\u{10ffff}", "\ufeff", "\ufeffa", "<|start|>"] },
    { name: "equal", texts: equal(), onePeer: true },
  ];
}
