// store.mjs: chats in this browser's IndexedDB, and as a file of JSON. Nothing is kept on the server.
//
// A chat: {id, title, updated, messages: [{role: 'user', text, files: [{name, text, tokens}]} |
// {role: 'assistant', text, reasoning, seconds, stats, note, error}]}. `updated` is in milliseconds.

const FORMAT = 'run-chats';

function promised(request) {
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

// {load(), put(chat), remove(id), lasting}. Where the browser allows no database, as in some private windows, nothing
// is kept and `lasting` is false.
export async function openStore() {
    try {
        const opening = indexedDB.open(FORMAT, 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore('chats', {keyPath: 'id'});
        const database = await promised(opening);
        const chats = (mode) => database.transaction('chats', mode).objectStore('chats');
        return {
            lasting: true,
            load: () => promised(chats('readonly').getAll()),
            put: (chat) => promised(chats('readwrite').put(chat)),
            remove: (id) => promised(chats('readwrite').delete(id)),
        };
    } catch {
        return {lasting: false, load: async () => [], put: async () => {}, remove: async () => {}};
    }
}

export function newId() {
    return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function exportChats(chats) {
    return JSON.stringify({format: FORMAT, version: 1, chats}, null, 1);
}

// The chats of an exported file; throws an Error whose message says what is wrong. Only known fields of the right type
// are taken over.
export function importChats(json) {
    let file;
    try {
        file = JSON.parse(json);
    } catch (error) {
        throw new Error(`the file is not JSON: ${error.message}`);
    }
    if (file?.format !== FORMAT || !Array.isArray(file.chats)) {
        throw new Error(`expected a file that this page exported ("format": "${FORMAT}")`);
    }
    return file.chats.map((chat, i) => {
        if (!Array.isArray(chat?.messages)) throw new Error(`chats[${i}].messages: expected a list`);
        return {
            id: /^[0-9a-f]{24}$/.test(chat.id) ? chat.id : newId(),
            title: string(chat.title) || 'Imported chat',
            updated: Number.isFinite(chat.updated) ? chat.updated : 0,
            messages: chat.messages.map((message, k) => importMessage(message, `chats[${i}].messages[${k}]`)),
        };
    });
}

function string(value) {
    return typeof value === 'string' ? value : '';
}

function importMessage(message, where) {
    if (message?.role === 'user') {
        const files = Array.isArray(message.files) ? message.files : [];
        return {
            role: 'user',
            text: string(message.text),
            files: files.map((file) => ({name: string(file?.name), text: string(file?.text)})),
        };
    }
    if (message?.role !== 'assistant') throw new Error(`${where}.role: expected "user" or "assistant"`);
    const {text, reasoning, seconds, stats, note} = message;
    return {
        role: 'assistant',
        text: string(text),
        reasoning: string(reasoning),
        seconds: Number.isFinite(seconds) ? seconds : 0,
        stats: string(stats),
        note: string(note),
    };
}
