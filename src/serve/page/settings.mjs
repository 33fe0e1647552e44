// settings.mjs: what holds for every chat: instructions, sampling, effort, the key. Kept in this browser.
import {getKey, setKey} from './api.mjs';
import {byId} from './dom.mjs';

const NAME = 'run-settings';
const FIELDS = {instructions: 'instructions', temperature: 'temperature', maxTokens: 'max-tokens', effort: 'effort'};

let settings = {instructions: '', temperature: '', maxTokens: '', effort: 'medium'};

// Fills the form from what was kept, and keeps what is typed.
export function prepareSettings() {
    try {
        settings = {...settings, ...JSON.parse(localStorage.getItem(NAME))};
    } catch {} // nothing was kept, or no longer readable
    for (const [name, id] of Object.entries(FIELDS)) {
        const field = byId(id);
        field.value = settings[name];
        if (field.value === '') field.value = name === 'effort' ? 'medium' : '';
        field.addEventListener('input', () => {
            if (!field.checkValidity()) return;
            settings[name] = field.value;
            try {
                localStorage.setItem(NAME, JSON.stringify(settings));
            } catch {}
        });
    }
    byId('key').addEventListener('change', () => setKey(byId('key').value.trim()));
    byId('open-settings').addEventListener('click', () => {
        byId('key').value = getKey();
        byId('settings').showModal();
    });
    byId('no-key').addEventListener('click', () => byId('ask-key').close('cancel'));
}

// The fields of a request that the settings give.
export function requestFields() {
    const fields = {reasoning_effort: settings.effort};
    if (settings.temperature !== '') fields.temperature = Number(settings.temperature);
    if (settings.maxTokens !== '') fields.max_completion_tokens = Number(settings.maxTokens);
    return fields;
}

export function instructions() {
    return settings.instructions.trim();
}

// Asks for a key; whether one was given.
let asking = null;
export function askKey() {
    asking = asking || new Promise((resolve) => {
        const dialog = byId('ask-key');
        byId('ask-key-wrong').hidden = !getKey();
        byId('asked-key').value = '';
        dialog.returnValue = 'cancel';
        dialog.showModal();
        dialog.addEventListener('close', () => {
            const given = byId('asked-key').value.trim();
            if (dialog.returnValue !== 'cancel' && given) setKey(given);
            asking = null;
            resolve(dialog.returnValue !== 'cancel' && given !== '');
        }, {once: true});
    });
    return asking;
}
