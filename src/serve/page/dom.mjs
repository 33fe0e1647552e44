// dom.mjs: makes elements. No string ever becomes markup: text goes in as text nodes, and the policy that the page is
// sent with (page.h) forbids innerHTML.

// element('button', {class: 'icon', onclick: f, 'aria-label': 'Copy'}, child, 'text', ...)
export function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
        else if (value === true) made.setAttribute(name, '');
        else if (value !== false && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
}

export function byId(id) {
    return document.getElementById(id);
}

export function icon(name) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    const use = document.createElementNS(space, 'use');
    use.setAttribute('href', `#i-${name}`);
    svg.setAttribute('aria-hidden', 'true');
    svg.append(use);
    return svg;
}

export function iconButton(name, label, onclick) {
    return element('button', {type: 'button', class: 'icon', 'aria-label': label, title: label, onclick}, icon(name));
}

// The elements of a node of markdown.mjs.
function ofNode(node) {
    if (typeof node === 'string') return node;
    const {tag, children} = node;
    if (tag === 'codeblock') return codeBlock(node);
    if (tag === 'a') {
        const link = {href: node.href, target: '_blank', rel: 'noopener noreferrer'};
        return element('a', link, ...children.map(ofNode));
    }
    if (tag === 'table') {
        const [head, ...body] = children.map(ofNode);
        const table = element('table', {}, element('thead', {}, head), element('tbody', {}, ...body));
        return element('div', {class: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Table'}, table);
    }
    const attributes = {start: node.start, class: node.align && node.align !== 'left' ? node.align : undefined};
    return element(tag, attributes, ...children.map(ofNode));
}

function codeBlock({language, text}) {
    const copy = element('button', {type: 'button', class: 'small', onclick: () => copyText(text, copy)}, 'Copy');
    const head = element('div', {class: 'code-head'}, element('span', {}, language || 'text'), copy);
    return element('div', {class: 'code'}, head, element('pre', {tabindex: '0'}, element('code', {}, text)));
}

// Shows a list of blocks in `parent`. Blocks that are there already stay, so that a selection, or how far a long line
// of code is scrolled, outlives the next token.
export function showBlocks(parent, blocks) {
    const shown = parent.shown || [];
    let same = 0;
    while (same < shown.length && same < blocks.length && shown[same] === blocks[same].key) same++;
    while (parent.childNodes.length > same) parent.lastChild.remove();
    for (const block of blocks.slice(same)) parent.append(ofNode(block.node));
    parent.shown = blocks.map((block) => block.key);
}

// Copies, and says so on the button for a moment. Away from localhost and TLS there is no navigator.clipboard.
export async function copyText(text, button) {
    let done = true;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        const area = element('textarea', {class: 'hidden', 'aria-hidden': 'true'});
        area.value = text;
        document.body.append(area);
        area.select();
        done = document.execCommand('copy');
        area.remove();
        button.focus();
    }
    announce(done ? 'Copied' : 'The browser did not allow copying');
    button.classList.add(done ? 'done' : 'failed');
    setTimeout(() => button.classList.remove('done', 'failed'), 1200);
}

// For screen readers.
export function announce(text) {
    byId('status').textContent = text;
}

// A line at the bottom, for some seconds, with at most one thing to do about it.
export function toast(text, action, act) {
    const box = byId('toast');
    const line = element('div', {class: 'toast'}, element('span', {}, text));
    if (action) {
        line.append(element('button', {type: 'button', class: 'small', onclick: () => (line.remove(), act())}, action));
    }
    box.replaceChildren(line);
    setTimeout(() => line.remove(), action ? 10000 : 6000);
}
