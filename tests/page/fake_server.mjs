// fake_server.mjs: a server that speaks the stream of `run serve` as a script says, for what a model cannot be made to
// do on demand: errors, hostile text, endless answers. The last user message chooses what happens (SCRIPTS).
import {createServer} from 'node:http';

export const RICH = `Here is **a list** and some \`code\`:

1. First, *read* the file
   - with care
2. Then sort it

\`\`\`python
def longest(lines):
    """The longest line, and a comment that is far too long for one line of any screen, so that it has to scroll."""
    return max(lines, key=len)
\`\`\`

| Model | Layers | Experts |
|:------|-------:|--------:|
| 20b   |     24 |      32 |
| 120b  |     36 |     128 |

> A quotation, and [a link](https://example.org/page).

### Done

That is *all*.`;

const LINES = Array.from({length: 40}, (_, i) => `const int line_${i} = something(${i}, "a string", 'c'); // why`);
const CODE = `The whole program:\n\n\`\`\`cpp\n${LINES.join('\n')}\n\`\`\``;

// What a model could write to break out of the page. If any of it runs, window.broken is set.
export const HOSTILE = `<script>window.broken = 1</script> <img src=x onerror="window.broken = 1">
[click](javascript:window.broken=1) [data](data:text/html,<script>window.broken=1</script>)
[case](JaVaScRiPt:window.broken=1) [tab](java\tscript:window.broken=1) <javascript:window.broken=1>
![image](javascript:window.broken=1) [quote](https://example.org/"onmouseover="window.broken=1)
<svg onload=window.broken=1> <a href="javascript:window.broken=1">x</a> &lt;script&gt;

\`\`\`"><script>window.broken=1</script>
</code></pre><script>window.broken = 1</script>
\`\`\`

| <img src=x onerror=window.broken=1> | b |
|---|---|
| <script>window.broken=1</script> | [x](vbscript:window.broken=1) |

# <iframe srcdoc="<script>parent.broken=1</script>">`;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// How each kind of message is answered: a function of (stream, state, messages).
const SCRIPTS = {
    async think(stream, state) {
        for (const word of 'The user wants an answer. Let me count: one, two, three.'.split(/(?<= )/)) {
            stream.delta({reasoning: word, reasoning_content: word});
            await wait(state.thinkMs);
        }
        await SCRIPTS.say(stream, 'The answer is **3**.');
    },
    async markdown(stream) {
        await SCRIPTS.say(stream, RICH);
    },
    async code(stream) {
        await SCRIPTS.say(stream, CODE);
    },
    async hostile(stream) {
        stream.delta({reasoning: HOSTILE, reasoning_content: HOSTILE});
        await SCRIPTS.say(stream, HOSTILE);
    },
    async endless(stream) {
        for (let i = 1; !stream.gone(); i++) {
            stream.delta({content: `word${i} `});
            await wait(20);
        }
    },
    async limit(stream) {
        stream.delta({content: 'Cut off in the'});
        stream.finish('length');
    },
    async break(stream) {
        stream.delta({content: 'Half an answ'});
        await wait(300);
        stream.cut();
    },
    async fail(stream) {
        stream.delta({content: 'Half an answ'});
        stream.event({error: {message: 'the engine has stopped', type: 'server_error', param: null, code: null}});
        stream.end();
    },
    async say(stream, text) {
        for (const piece of text.match(/[^]{1,7}/g)) {
            stream.delta({content: piece});
            await wait(1);
        }
        stream.finish('stop');
    },
};

// The answer's events on `response`, in the order and form of the specification.
function streamOf(response, withUsage) {
    let tokens = 0, gone = false;
    response.on('close', () => (gone = true));
    const text = (data) => (typeof data === 'string' ? data : JSON.stringify(data));
    const event = (data) => gone || response.write(`data: ${text(data)}\n\n`);
    const head = {id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'fake-20b'};
    const chunk = (delta, finish_reason = null) =>
        event({...head, choices: [{index: 0, delta, finish_reason}], ...(withUsage ? {usage: null} : {})});
    response.writeHead(200, {'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache'});
    chunk({role: 'assistant', content: ''});
    return {
        event,
        gone: () => gone,
        cut: () => response.destroy(),
        end: () => response.end(),
        delta: (delta) => (tokens++, chunk(delta)),
        finish(reason) {
            const usage = {prompt_tokens: 40, completion_tokens: tokens, total_tokens: 40 + tokens};
            chunk({}, reason);
            if (withUsage) event({...head, choices: [], usage});
            event('[DONE]');
            response.end();
        },
    };
}

function problem(response, status, message, code = null) {
    response.writeHead(status, {'content-type': 'application/json'});
    response.end(JSON.stringify({error: {message, type: 'invalid_request_error', param: null, code}}));
}

async function answer(response, state, body) {
    const text = body.messages[body.messages.length - 1].content;
    state.requests.push(body);
    if (state.loading > 0) {
        state.loading--;
        return problem(response, 503, 'The model is being loaded.');
    }
    const first = text.split('\n')[0];
    if (first === 'refuse') return problem(response, 400, 'temperature: expected 0 to 2, found 9');
    const stream = streamOf(response, body.stream_options?.include_usage);
    response.on('close', () => state.closed++);
    if (SCRIPTS[first]) return SCRIPTS[first](stream, state);
    return SCRIPTS.say(stream, `You said: ${text}`);
}

async function route(request, response, state) {
    let text = '';
    for await (const piece of request) text += piece;
    const path = request.url.split('?')[0];
    if (path === '/') {
        response.writeHead(200, {'content-type': 'text/html; charset=utf-8', 'content-security-policy': state.policy});
        return response.end(state.html);
    }
    if (state.key && request.headers.authorization !== `Bearer ${state.key}`) {
        return problem(response, 401, 'wrong API key', 'invalid_api_key');
    }
    if (path === '/v1/models') {
        return response.end(JSON.stringify({object: 'list', data: [{id: 'fake-20b', max_model_len: 4096}]}));
    }
    if (path === '/tokenize') return response.end(JSON.stringify({count: JSON.parse(text).prompt.split(/\s+/).length}));
    if (path === '/v1/chat/completions') return answer(response, state, JSON.parse(text));
    return problem(response, 404, `no such path: ${path}`);
}

// Starts a server with the page. Returns its state: {url, requests, closed, key, loading, thinkMs, close()}; what is
// set there holds from the next request on.
export async function startFake({html, policy, port = 0}) {
    const state = {html, policy, key: '', loading: 0, thinkMs: 10, requests: [], closed: 0};
    const server = createServer((request, response) => route(request, response, state).catch(() => response.destroy()));
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    state.port = server.address().port;
    state.url = `http://127.0.0.1:${state.port}/`;
    state.close = () => new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
    });
    return state;
}
