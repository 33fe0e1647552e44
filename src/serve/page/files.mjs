// files.mjs: text files for a message: chosen, dropped or pasted.
import {countTokens} from './api.mjs';

const MAX_BYTES = 4 << 20;
export const LONG_PASTE = 2000; // characters; a longer paste becomes a file, so that the message stays readable

// {name, text, tokens} of a File; throws an Error that says why it cannot be sent.
export async function readTextFile(file) {
    if (file.size > MAX_BYTES) throw new Error(`${file.name} is larger than ${MAX_BYTES >> 20} MB.`);
    let text;
    try {
        text = new TextDecoder('utf-8', {fatal: true}).decode(await file.arrayBuffer());
    } catch {
        throw new Error(`${file.name} is not text in UTF-8.`);
    }
    if (text.includes('\0')) throw new Error(`${file.name} is not a text file.`);
    return fileOf(file.name, text);
}

export async function fileOf(name, text) {
    return {name, text, tokens: await countTokens(text)};
}

export function sizeOf(file) {
    if (file.tokens !== undefined) return `${file.tokens.toLocaleString('en')} tokens`;
    return `${file.text.length.toLocaleString('en')} characters`;
}

// What the model reads: the message, then each file in a fence that is longer than any in it.
export function contentOf(message) {
    const parts = message.files.map(({name, text}) => {
        let fence = '```';
        for (const [run] of text.matchAll(/`{3,}/g)) if (run.length >= fence.length) fence = `${run}\``;
        return `File: ${name}\n${fence}\n${text}${text.endsWith('\n') ? '' : '\n'}${fence}`;
    });
    return [message.text, ...parts].filter(Boolean).join('\n\n');
}
