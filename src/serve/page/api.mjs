// api.mjs: the server's HTTP interface, as OpenAI's clients use it: errors in words, and the stream of an answer.

export class ApiError extends Error {
    constructor(status, message, code) {
        super(message);
        this.status = status; // 0: no answer at all
        this.code = code;
    }
}

let key = '';
try {
    key = localStorage.getItem('run-key') || '';
} catch {} // a browser that keeps nothing

export function setKey(value) {
    key = value;
    try {
        if (value) localStorage.setItem('run-key', value);
        else localStorage.removeItem('run-key');
    } catch {}
}

export function getKey() {
    return key;
}

// The response, if its status is 2xx; throws ApiError otherwise, and the browser's AbortError after an abort.
async function request(path, body, signal) {
    const headers = key ? {authorization: `Bearer ${key}`} : {};
    if (body) headers['content-type'] = 'application/json';
    let response;
    try {
        response = await fetch(path, {method: body ? 'POST' : 'GET', headers, body: JSON.stringify(body), signal});
    } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new ApiError(0, `No answer from ${location.host}. Is the server still running?`);
    }
    if (response.ok) return response;
    throw await errorOf(response);
}

async function errorOf(response) {
    let error = {};
    try {
        error = (await response.json()).error || {};
    } catch {} // some proxy's page
    const said = typeof error.message === 'string' ? error.message : '';
    const words = {
        401: 'The server wants an API key.',
        413: 'The message is larger than the server accepts.',
        429: 'The server is busy. Please try again.',
        503: 'The server is not ready.',
    };
    const message = response.status === 401 ? words[401] : said || words[response.status];
    return new ApiError(response.status, message || `The server answered ${response.status}.`, error.code);
}

// {name, limit}: the first model, and how many tokens its context holds (0: unknown).
export async function getModel() {
    const list = (await (await request('v1/models')).json()).data || [];
    return {name: String(list[0]?.id || 'model'), limit: Number(list[0]?.max_model_len) || 0};
}

// How many tokens a text has; undefined where the server does not say.
export async function countTokens(text) {
    try {
        const answer = await (await request('tokenize', {prompt: text, content: text})).json();
        return answer.count ?? answer.tokens?.length;
    } catch {
        return undefined;
    }
}

// The data of each event of a text/event-stream, without comments. A line may end anywhere between two reads.
export async function* events(stream) {
    const reader = stream.getReader();
    const decoder = new TextDecoder();
    let rest = '', data = [];
    for (;;) {
        const {value, done} = await reader.read();
        rest += decoder.decode(value, {stream: !done});
        const lines = rest.split('\n');
        rest = lines.pop();
        for (let line of lines) {
            line = line.replace(/\r$/, '');
            if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
            if (line === '' && data.length) {
                yield data.join('\n');
                data = [];
            }
        }
        if (done) return;
    }
}

// Streams an answer: on(delta) for each piece {reasoning, content}. Returns {finish, usage}; throws ApiError also when
// the stream breaks off or carries an error.
export async function streamChat(body, signal, on) {
    const response = await request('v1/chat/completions', body, signal);
    let finish = '', usage = null;
    try {
        for await (const data of events(response.body)) {
            if (data === '[DONE]') return {finish, usage};
            const chunk = JSON.parse(data);
            if (chunk.error) throw new ApiError(500, String(chunk.error.message), chunk.error.code);
            const choice = chunk.choices?.[0];
            if (choice?.delta) {
                const {reasoning, reasoning_content: old, content} = choice.delta;
                on({reasoning: reasoning || old || '', content: content || ''});
            }
            finish = choice?.finish_reason || finish;
            usage = chunk.usage || usage;
        }
    } catch (error) {
        if (error.name === 'AbortError' || error instanceof ApiError) throw error;
        throw new ApiError(0, 'The connection broke before the answer was complete.');
    }
    throw new ApiError(0, 'The connection broke before the answer was complete.');
}
