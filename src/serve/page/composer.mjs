// composer.mjs: the field in which a message is written, its files, and how full the context is.
import {byId, toast} from './dom.mjs';
import {LONG_PASTE, fileOf, readTextFile} from './files.mjs';
import {chipOf, growWithText, isSendKey} from './messages.mjs';

let files = [];

// on: {send({text, files}), stop(), change(tokens of the draft)}
export function prepareComposer(on) {
    const draft = byId('draft');
    const change = () => {
        growWithText(draft);
        byId('send').disabled = !draft.value.trim() && !files.length;
        on.change(files.reduce((sum, file) => sum + (file.tokens || 0), Math.ceil(draft.value.length / 4)));
    };
    const showFiles = () => {
        byId('files').replaceChildren(...files.map((file) => chipOf(file, () => {
            files = files.filter((other) => other !== file);
            showFiles();
            draft.focus();
        })));
        change();
    };
    const add = async (list) => {
        for (const file of list) {
            try {
                files.push(await readTextFile(file));
            } catch (error) {
                toast(error.message);
            }
        }
        showFiles();
        draft.focus();
    };
    const send = () => {
        const message = {text: draft.value.trim(), files};
        if ((!message.text && !files.length) || !on.send(message)) return;
        draft.value = '';
        files = [];
        showFiles();
    };
    draft.addEventListener('input', change);
    draft.addEventListener('keydown', (event) => {
        if (!isSendKey(event)) return;
        event.preventDefault();
        send();
    });
    byId('composer').addEventListener('submit', (event) => {
        event.preventDefault();
        send();
    });
    byId('stop').addEventListener('click', on.stop);
    byId('attach').addEventListener('click', () => byId('pick').click());
    byId('pick').addEventListener('change', () => {
        add([...byId('pick').files]);
        byId('pick').value = '';
    });
    draft.addEventListener('paste', async (event) => {
        const text = event.clipboardData.getData('text/plain');
        if (event.clipboardData.files.length && !text) {
            event.preventDefault();
            add([...event.clipboardData.files]);
        } else if (text.length > LONG_PASTE) {
            event.preventDefault();
            files.push(await fileOf(`pasted ${files.length + 1}.txt`, text));
            showFiles();
        }
    });
    prepareDrop(add);
    showFiles();
}

function prepareDrop(add) {
    const drop = byId('drop');
    const withFiles = (event) => event.dataTransfer?.types.includes('Files');
    addEventListener('dragover', (event) => {
        if (!withFiles(event)) return;
        event.preventDefault();
        drop.hidden = false;
    });
    addEventListener('dragleave', (event) => {
        if (!event.relatedTarget) drop.hidden = true;
    });
    addEventListener('drop', (event) => {
        drop.hidden = true;
        if (!withFiles(event)) return;
        event.preventDefault();
        add([...event.dataTransfer.files]);
    });
}

// While an answer is written, the button stops it.
export function showRunning(running) {
    const hadFocus = [byId('send'), byId('stop')].includes(document.activeElement);
    byId('send').hidden = running;
    byId('stop').hidden = !running;
    if (hadFocus) byId('draft').focus();
}

export function showContext(used, limit) {
    const meter = byId('meter');
    meter.hidden = !limit;
    if (!limit) return;
    const share = Math.min(1, used / limit);
    const words = `${short(used)} of ${short(limit)}`;
    meter.classList.toggle('full', share > 0.9);
    meter.title = `About ${used.toLocaleString('en')} of ${limit.toLocaleString('en')} tokens of context are used`;
    meter.setAttribute('aria-valuemax', limit);
    meter.setAttribute('aria-valuenow', Math.min(used, limit));
    meter.setAttribute('aria-valuetext', `${words} tokens`);
    byId('meter-text').textContent = words;
    byId('meter-bar').style.width = `${100 * share}%`;
}

function short(tokens) {
    return tokens < 1000 ? String(tokens) : `${(tokens / 1000).toFixed(tokens < 10000 ? 1 : 0)}k`;
}
