// app.mjs: the page's state, the chats and their running answers, and what joins its parts.
import {startAnswer} from './answer.mjs';
import {ApiError, getModel} from './api.mjs';
import {prepareComposer, showContext, showRunning} from './composer.mjs';
import {announce, byId, element, icon, toast} from './dom.mjs';
import {answerView, userView} from './messages.mjs';
import {askKey, prepareSettings} from './settings.mjs';
import {hideSideIfNarrow, listChats, openSearch, prepareSide} from './sidebar.mjs';
import {exportChats, importChats, newId, openStore} from './store.mjs';

const DONE = {state: 'done'};
const SAVE_EVERY_MS = 3000; // an answer that is being written, so that a reload keeps most of it

let store, chats = [], current = null, draftTokens = 0;
let model = {name: '', limit: 0};
const runs = new Map(); // chat id -> what startAnswer returned
const views = new Map(); // message -> answerView, of the chat that is shown

// ---- what is shown ----

const sideActions = {create: newChat, choose: chooseChat, rename: renameChat, remove: removeChat, list: showList};

function showList() {
    listChats(chats, current, (chat) => runs.has(chat.id), sideActions);
}

function showChat() {
    const messages = current ? current.messages : [];
    views.clear();
    byId('log').replaceChildren(...messages.map((message, i) => viewOf(message, i)));
    byId('empty').hidden = messages.length > 0;
    byId('title').textContent = current ? current.title : 'New chat';
    document.title = current ? `${current.title} – run` : 'run';
    update();
    scrollToEnd();
}

function viewOf(message, i) {
    const chat = current;
    if (message.role === 'user') {
        return userView(message, (text) => sendAgain(chat, i, {...message, text}));
    }
    const view = answerView(message, i === chat.messages.length - 1, () => answer(chat, i));
    view.update(DONE);
    views.set(message, view);
    return view.view;
}

// Shows what changed of the running answer, if its chat is the one on the screen.
function update() {
    const run = current && runs.get(current.id);
    if (run) views.get(run.message)?.update(run.phase());
    showRunning(Boolean(run));
    showContext((current?.used || 0) + draftTokens, model.limit);
    if (follow) scrollToEnd();
    showToEnd();
}

let frame = 0; // that is asked for
function updateSoon() {
    frame = frame || requestAnimationFrame(() => {
        frame = 0;
        update();
    });
}

function isAtEnd() {
    const box = byId('scroll');
    return box.scrollHeight - box.scrollTop - box.clientHeight < 60;
}

// The text is followed until the user scrolls up.
let follow = true, lastTop = 0;
function scrolled() {
    const top = byId('scroll').scrollTop;
    follow = isAtEnd() || (follow && top >= lastTop);
    lastTop = top;
    showToEnd();
}

function scrollToEnd() {
    follow = true;
    byId('scroll').scrollTop = byId('scroll').scrollHeight;
}

function showToEnd() {
    byId('to-end').hidden = follow || isAtEnd();
}

// ---- chats ----

async function save(chat) {
    try {
        await store.put(chat);
    } catch (error) {
        toast(`This chat could not be kept: ${error.message}`);
    }
}

function goTo(chat, push = true) {
    current = chat;
    const address = chat ? `#${chat.id}` : location.pathname + location.search;
    if (push) history.pushState(null, '', address);
    else history.replaceState(null, '', address);
    showList();
    showChat();
}

function newChat() {
    goTo(null);
    hideSideIfNarrow();
    byId('draft').focus();
}

function chooseChat(chat) {
    goTo(chat);
    hideSideIfNarrow();
    byId('draft').focus();
}

function renameChat(chat, title) {
    if (title !== chat.title) {
        chat.title = title;
        save(chat);
    }
    showList();
    if (chat === current) byId('title').textContent = title;
}

function removeChat(chat) {
    runs.get(chat.id)?.stop();
    chats = chats.filter((other) => other !== chat);
    store.remove(chat.id);
    if (chat === current) goTo(null, false);
    else showList();
    byId('search').focus();
    toast(`Deleted “${chat.title.slice(0, 60)}”`, 'Undo', () => {
        chats.push(chat);
        save(chat);
        goTo(chat);
    });
}

function chatOfAddress() {
    return chats.find((chat) => `#${chat.id}` === location.hash) || null;
}

// ---- messages ----

// Whether the message was taken: not while this chat's answer is being written.
function sendMessage({text, files}) {
    if (current && runs.has(current.id)) return false;
    const title = (text || files[0].name).split('\n')[0].slice(0, 80);
    const chat = current || {id: newId(), title, updated: Date.now(), messages: []};
    if (!current) chats.push(chat);
    sendAgain(chat, chat.messages.length, {role: 'user', text, files});
    return true;
}

// Puts the message at place i, where all that followed goes, and has it answered.
function sendAgain(chat, i, message) {
    chat.messages.splice(i, chat.messages.length, message);
    answer(chat, i + 1);
}

// Writes the message at place i, which is the last one then.
async function answer(chat, i) {
    const before = runs.get(chat.id);
    before?.stop();
    await before?.done;
    chat.messages.splice(i, chat.messages.length, {role: 'assistant'});
    chat.updated = Date.now();
    let saved = Date.now();
    const run = startAnswer(chat, model.name, () => {
        updateSoon();
        if (Date.now() - saved < SAVE_EVERY_MS) return;
        saved = Date.now();
        save(chat);
    });
    runs.set(chat.id, run);
    if (chat === current || !current) goTo(chat, !current);
    scrollToEnd();
    save(chat);
    await run.done;
    runs.delete(chat.id);
    if (chats.includes(chat)) save(chat);
    views.get(run.message)?.update(DONE);
    update();
    showList();
    if (!model.name) findModel();
    announce(run.message.error || (run.message.note === 'Stopped.' ? 'Stopped' : 'The answer is complete'));
}

// ---- the server, files of chats, keys ----

async function findModel() {
    try {
        model = await getModel();
        byId('model').textContent = model.name;
        byId('model').title = model.name;
        update();
    } catch (error) {
        byId('model').textContent = error.status === 0 ? 'no server' : '';
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 401 && await askKey()) findModel();
        if (error.status === 503) setTimeout(findModel, 2000);
    }
}

function download() {
    const url = URL.createObjectURL(new Blob([exportChats(chats)], {type: 'application/json'}));
    element('a', {href: url, download: `chats-${new Date().toISOString().slice(0, 10)}.json`}).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function takeFile(file) {
    try {
        const added = importChats(await file.text());
        for (const chat of added) {
            chats = [...chats.filter((other) => other.id !== chat.id), chat];
            await save(chat);
        }
        byId('settings').close();
        toast(`Imported ${added.length} chat${added.length === 1 ? '' : 's'}`);
        goTo(chatOfAddress(), false);
    } catch (error) {
        byId('settings').close();
        toast(`Not imported: ${error.message}`);
    }
}

function prepareKeys() {
    addEventListener('keydown', (event) => {
        if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
            event.preventDefault();
            if (!document.querySelector('dialog[open]')) openSearch();
        } else if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
            if (event.target.id === 'draft' && current) runs.get(current.id)?.stop();
            hideSideIfNarrow();
        }
    });
}

async function start() {
    for (const button of document.querySelectorAll('[data-icon]')) {
        button.prepend(icon(button.dataset.icon));
        button.title = button.title || button.ariaLabel || '';
    }
    prepareSettings();
    prepareSide(sideActions);
    prepareComposer({
        send: sendMessage,
        stop: () => runs.get(current?.id)?.stop(),
        change: (tokens) => {
            draftTokens = tokens;
            showContext((current?.used || 0) + tokens, model.limit);
        },
    });
    prepareKeys();
    const box = byId('scroll'); // the field for writing is as wide as the text, where scroll bars take room
    document.body.style.setProperty('--gutter', `${(box.offsetWidth - box.clientWidth) / 2}px`);
    box.addEventListener('scroll', scrolled);
    byId('to-end').addEventListener('click', scrollToEnd);
    byId('export').addEventListener('click', download);
    byId('import').addEventListener('click', () => byId('import-file').click());
    byId('import-file').addEventListener('change', () => {
        if (byId('import-file').files[0]) takeFile(byId('import-file').files[0]);
        byId('import-file').value = '';
    });
    addEventListener('popstate', () => goTo(chatOfAddress(), false));
    store = await openStore();
    chats = await store.load();
    if (!store.lasting) toast('This browser keeps no data here: chats are lost when the page closes.');
    goTo(chatOfAddress(), false);
    findModel();
}

start();
