// answer.mjs: one answer while it is written: the request, its times, and what went wrong.
import {ApiError, streamChat} from './api.mjs';
import {contentOf} from './files.mjs';
import {askKey, instructions, requestFields} from './settings.mjs';

const INTERRUPTED = 'Interrupted.'; // stands in a kept chat until its answer ends

// Writes the last message of `chat`. onChange() after every change of it. Returns {stop(), done, message, phase()}.
export function startAnswer(chat, model, onChange) {
    const controller = new AbortController();
    const message = chat.messages[chat.messages.length - 1];
    const run = {message, chat, model, onChange, state: 'waiting', began: 0, first: 0, last: 0, pieces: 0, thought: 0};
    Object.assign(message, {text: '', reasoning: '', seconds: 0, stats: '', note: INTERRUPTED, error: ''});
    const ticker = setInterval(onChange, 1000); // "thinking 12 s" counts while nothing arrives
    const done = write(run, controller.signal).finally(() => clearInterval(ticker));
    return {stop: () => controller.abort(), done, message, phase: () => phase(run)};
}

// {state, seconds, said}: waiting, loading (said: why), thinking or writing.
function phase(run) {
    const {state, said} = run;
    return {state, said, seconds: state === 'thinking' ? secondsSince(run.thought) : run.message.seconds};
}

function secondsSince(start) {
    return (performance.now() - start) / 1000;
}

async function write(run, signal) {
    const {message} = run;
    try {
        const {finish, usage} = await untilReady(run, signal);
        message.note = '';
        if (finish === 'length') message.note = 'The answer ended at the limit of tokens.';
        if (finish === 'content_filter') message.note = 'The answer was withheld.';
        conclude(run, usage);
    } catch (error) {
        message.note = error.name === 'AbortError' ? 'Stopped.' : '';
        if (error.name !== 'AbortError') message.error = error.message;
        conclude(run, null);
    }
}

// Asks again while the server loads its model, and after a key was given.
async function untilReady(run, signal) {
    for (;;) {
        try {
            run.began = performance.now();
            return await streamChat(requestOf(run), signal, (piece) => take(run, piece));
        } catch (error) {
            const early = error instanceof ApiError && run.pieces === 0;
            if (early && error.status === 401 && await askKey()) continue;
            if (!early || error.status !== 503) throw error;
            run.state = 'loading';
            run.said = error.message;
            run.onChange();
            await pause(2000, signal);
        }
    }
}

function pause(milliseconds, signal) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, milliseconds);
        signal.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(new DOMException('stopped', 'AbortError'));
        }, {once: true});
    });
}

// Reasoning of earlier turns is not sent: the models were trained to read only their answers.
function requestOf({chat, model}) {
    const messages = instructions() ? [{role: 'developer', content: instructions()}] : [];
    for (const message of chat.messages.slice(0, -1)) {
        if (message.role === 'user') messages.push({role: 'user', content: contentOf(message)});
        else if (message.text) messages.push({role: 'assistant', content: message.text});
    }
    const streamed = {stream: true, stream_options: {include_usage: true}};
    return {model: model || 'default', messages, ...streamed, ...requestFields()};
}

function take(run, {reasoning, content}) {
    const {message} = run;
    if (!reasoning && !content) return;
    run.last = performance.now();
    run.first = run.first || run.last;
    run.pieces++;
    if (reasoning) {
        if (run.state !== 'thinking') run.thought = performance.now() - message.seconds * 1000;
        run.state = 'thinking';
    } else if (run.state === 'thinking') {
        message.seconds = secondsSince(run.thought);
    }
    if (content) run.state = 'writing';
    message.reasoning += reasoning;
    message.text += content;
    run.onChange();
}

// The line under the answer. Where the server could not say how many tokens there are, pieces of the stream stand for
// them: nearly every piece is one.
function conclude(run, usage) {
    const {message} = run;
    if (run.state === 'thinking') message.seconds = secondsSince(run.thought);
    run.state = 'done';
    if (!run.first) return;
    const tokens = usage?.completion_tokens ?? run.pieces;
    const seconds = (run.last - run.first) / 1000;
    const parts = [`${usage ? '' : '≈ '}${tokens.toLocaleString('en')} token${tokens === 1 ? '' : 's'}`];
    if (seconds > 0.05 && tokens > 1) parts.unshift(`${rounded((tokens - 1) / seconds)} tok/s`);
    parts.push(`first after ${rounded((run.first - run.began) / 1000)} s`);
    message.stats = parts.join(' · ');
    if (usage) run.chat.used = usage.total_tokens;
}

function rounded(number) {
    return number.toLocaleString('en', number < 100 ? {maximumSignificantDigits: 2} : {maximumFractionDigits: 0});
}
