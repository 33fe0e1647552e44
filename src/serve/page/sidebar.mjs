// sidebar.mjs: the list of chats: choose, search, rename, delete.
import {byId, element, iconButton} from './dom.mjs';

const narrow = matchMedia('(max-width: 720px)');

export function showSide(open) {
    document.body.classList.toggle('side-closed', !open);
    byId('menu').setAttribute('aria-expanded', String(open));
}

// On a small screen the list covers the chat, so it goes when it has been used.
export function hideSideIfNarrow() {
    if (narrow.matches) showSide(false);
}

export function openSearch() {
    showSide(true);
    byId('search').focus();
    byId('search').select();
}

// on: {create(), choose(chat), rename(chat, title), remove(chat), list()}
export function prepareSide(on) {
    showSide(!narrow.matches);
    byId('menu').addEventListener('click', () => {
        const open = document.body.classList.contains('side-closed');
        showSide(open);
        if (open && narrow.matches) byId('side-close').focus();
    });
    for (const id of ['shade', 'side-close']) {
        byId(id).addEventListener('click', () => {
            showSide(false);
            byId('menu').focus();
        });
    }
    byId('new').addEventListener('click', on.create);
    byId('search').addEventListener('input', on.list);
    byId('side').addEventListener('keydown', (event) => {
        const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
        if (event.key === 'Escape' && event.target.id === 'search') {
            byId('search').value = '';
            on.list();
            hideSideIfNarrow();
            byId('draft').focus();
        } else if (event.key === 'Enter' && event.target.id === 'search') {
            byId('chats').querySelector('.open')?.click();
        } else if (step && (event.target.id === 'search' || event.target.className === 'open')) {
            const stops = [byId('search'), ...byId('chats').querySelectorAll('.open')];
            stops[stops.indexOf(event.target) + step]?.focus();
            event.preventDefault();
        }
    });
}

function found(chat, words) {
    const texts = [chat.title, ...chat.messages.map((message) => message.text)].join('\n').toLowerCase();
    return words.every((word) => texts.includes(word));
}

// Lists the chats that hold all words of the search, the newest first.
export function listChats(chats, current, isRunning, on) {
    const words = byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const list = chats.filter((chat) => found(chat, words)).sort((a, b) => b.updated - a.updated);
    byId('chats').replaceChildren(...list.map((chat) => rowOf(chat, chat === current, isRunning(chat), on)));
    byId('no-chats').textContent = list.length ? '' : words.length ? 'No chat has these words.' : 'No chats yet.';
}

function rowOf(chat, isCurrent, busy, on) {
    const open = element('button', {
        type: 'button', class: 'open', title: chat.title, 'aria-current': isCurrent ? 'page' : undefined,
        onclick: () => on.choose(chat),
    }, chat.title);
    const rename = iconButton('edit', `Rename ${chat.title}`, () => {
        const field = element('input', {'aria-label': 'Title', maxlength: '120'});
        const close = (title) => {
            field.onblur = null;
            on.rename(chat, title.trim() || chat.title);
            [...byId('chats').querySelectorAll('.open')].find((b) => b.title === chat.title)?.focus();
        };
        field.value = chat.title;
        field.onblur = () => close(field.value);
        field.onkeydown = (event) => {
            if (event.key === 'Enter') close(field.value);
            if (event.key === 'Escape') close(chat.title);
            event.stopPropagation();
        };
        row.replaceChildren(field);
        field.focus();
        field.select();
    });
    const remove = iconButton('trash', `Delete ${chat.title}`, () => on.remove(chat));
    const classes = [isCurrent && 'current', busy && 'busy'].filter(Boolean).join(' ');
    const row = element('li', {class: classes}, open, rename, remove);
    return row;
}
