// messages.mjs: shows the messages of a chat.
import {copyText, element, iconButton, showBlocks} from './dom.mjs';
import {sizeOf} from './files.mjs';
import {parseMarkdown} from './markdown.mjs';

export function chipOf(file, remove) {
    const chip = element('li', {class: 'chip'}, element('b', {title: file.name}, file.name),
        element('span', {class: 'dim'}, sizeOf(file)));
    if (remove) chip.append(iconButton('close', `Remove ${file.name}`, remove));
    return chip;
}

export function growWithText(area) {
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight}px`;
}

// A user's message; resend(text) when it was edited.
export function userView(message, resend) {
    const tools = element('div', {class: 'tools'});
    const bubble = element('div', {class: 'bubble'}, message.text);
    const view = element('article', {class: 'user', 'aria-label': 'You'}, bubble, tools);
    if (message.files.length) {
        view.prepend(element('ul', {class: 'chips'}, ...message.files.map((file) => chipOf(file))));
    }
    bubble.hidden = !message.text;
    const edit = iconButton('edit', 'Edit and send again', () => {
        tools.hidden = true;
        view.classList.add('editing');
        view.append(editor(message.text, (text) => {
            tools.hidden = false;
            view.classList.remove('editing');
            view.lastChild.remove();
            edit.focus();
            if (text !== undefined) resend(text);
        }));
        growWithText(view.querySelector('textarea'));
        view.querySelector('textarea').focus();
    });
    const copy = iconButton('copy', 'Copy message', () => copyText(message.text, copy));
    tools.append(edit, copy);
    return view;
}

// A field with the text; close(new text), or close() if it was left.
function editor(text, close) {
    const area = element('textarea', {'aria-label': 'Edit message', oninput: () => growWithText(area)});
    const send = () => area.value.trim() && close(area.value.trim());
    area.value = text;
    area.addEventListener('keydown', (event) => {
        if (event.key === 'Escape') close();
        if (isSendKey(event)) {
            event.preventDefault();
            send();
        }
        event.stopPropagation();
    });
    return element('div', {class: 'editor'}, area, element('div', {},
        element('button', {type: 'button', class: 'small', onclick: () => close()}, 'Cancel'),
        element('button', {type: 'button', class: 'small', onclick: send}, 'Send')));
}

// Enter alone, and not the one that ends a word of an input method.
export function isSendKey(event) {
    return event.key === 'Enter' && !event.shiftKey && !event.isComposing;
}

function thoughtLine(message, phase) {
    const seconds = Math.floor(phase.seconds ?? message.seconds);
    if (phase.state === 'thinking') return `Thinking ${seconds} s`;
    return seconds < 1 ? 'Thought for a moment' : `Thought for ${seconds} s`;
}

// An answer. Returns {view, update(phase)}; a phase as answer.mjs has it, {state: 'done'} later on.
export function answerView(message, isLast, regenerate) {
    const summary = element('summary');
    const reasoning = element('div', {class: 'text'});
    const thoughts = element('details', {}, summary, reasoning);
    const waiting = element('p', {class: 'waiting'});
    const text = element('div', {class: 'text answer'});
    const note = element('p', {class: 'note'});
    const problem = element('div', {class: 'problem', role: 'alert'});
    const stats = element('span', {class: 'stats'});
    const copy = iconButton('copy', 'Copy answer', () => copyText(message.text, copy));
    const again = iconButton('again', 'Write again', regenerate);
    const tools = element('div', {class: 'tools'}, stats, copy, again);
    const view = element('article', {'aria-label': 'Answer'}, thoughts, waiting, text, note, problem, tools);
    const update = (phase) => {
        const done = phase.state === 'done';
        const waits = phase.state === 'waiting' || phase.state === 'loading';
        waiting.hidden = !waits;
        waiting.textContent = phase.state === 'loading' ? `${phase.said} Trying again …` : 'Reading …';
        thoughts.hidden = !message.reasoning;
        thoughts.classList.toggle('thinking', phase.state === 'thinking');
        summary.textContent = thoughtLine(message, phase);
        if (thoughts.open) showBlocks(reasoning, parseMarkdown(message.reasoning));
        showBlocks(text, parseMarkdown(message.text));
        note.textContent = done ? message.note : '';
        note.hidden = !note.textContent;
        problem.hidden = !message.error;
        if (message.error && !problem.firstChild) {
            problem.append(element('span', {}, message.error),
                element('button', {type: 'button', class: 'small', onclick: regenerate}, 'Try again'));
        }
        stats.textContent = message.stats;
        tools.hidden = !done;
        copy.hidden = !message.text;
        again.hidden = Boolean(message.error) || !isLast;
        view.setAttribute('aria-busy', String(!done));
    };
    thoughts.addEventListener('toggle', () => {
        if (thoughts.open) showBlocks(reasoning, parseMarkdown(message.reasoning));
    });
    return {view, update};
}
