// openai.ts: the openai package against a server: what people's programs do with it, and what its helpers check.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'none', maxRetries: 0 });
const model = 'model';
const messages = [{ role: 'user' as const, content: 'Go.' }];
const addTool = {
    type: 'function' as const,
    name: 'add',
    description: 'Adds two numbers.',
    parameters: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
    strict: false,
};

async function chat() {
    const answer = await client.chat.completions.create({ model, messages });
    assert.equal(answer.object, 'chat.completion');
    assert.equal(answer.choices[0]?.message.content, 'Hello there.');
    assert.equal(answer.choices[0]?.finish_reason, 'stop');
    assert.ok(answer.usage && answer.usage.total_tokens > answer.usage.prompt_tokens);
}

async function chatParse() {
    const answer = await client.chat.completions.parse({ model, messages });
    assert.equal(answer.choices[0]?.message.content, 'Hello there.');
    assert.equal(answer.choices[0]?.message.parsed, null);
}

async function chatStream() {
    let text = '', usage = 0;
    const stream = await client.chat.completions.create({
        model, messages, stream: true, stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        usage += chunk.usage?.total_tokens ?? 0;
    }
    assert.equal(text, 'Hello there.');
    assert.ok(usage > 0);
}

async function chatStreamHelper() {
    const stream = client.chat.completions.stream({ model, messages });
    let text = '';
    stream.on('content', (delta) => (text += delta));
    const final = await stream.finalChatCompletion();
    assert.equal(text, 'Hello there.');
    assert.equal(final.choices[0]?.message.content, 'Hello there.');
}

async function chatCall() {
    const tools = [{ type: 'function' as const, function: { name: 'add', parameters: addTool.parameters } }];
    const question = { role: 'user' as const, content: 'Add.' };
    const stream = client.chat.completions.stream({ model, messages: [question], tools });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0]!;
    assert.equal(finish_reason, 'tool_calls');
    const call = message.tool_calls![0]!;
    assert.ok(call.type === 'function');
    assert.equal(call.function.name, 'add');
    assert.deepEqual(JSON.parse(call.function.arguments), { a: 2, b: 3 });
    const result = { role: 'tool' as const, tool_call_id: call.id, content: '5' };
    const answer = await client.chat.completions.create({ model, tools, messages: [question, message, result] });
    assert.equal(answer.choices[0]?.message.content, 'The sum is 5.');
}

async function responses() {
    const answer = await client.responses.create({ model, input: 'Go.' });
    assert.equal(answer.status, 'completed');
    assert.equal(answer.output_text, 'Hello there.');
    assert.deepEqual(answer.output.map((item) => item.type), ['reasoning', 'message']);
    const parsed = await client.responses.parse({ model, input: 'Go.' });
    assert.equal(parsed.output_text, 'Hello there.');
    assert.equal(parsed.output_parsed, null);
}

// The helper checks the order of events, and that they add up.
async function responsesStream() {
    const stream = client.responses.stream({ model, input: 'Add.', tools: [addTool] });
    const types: string[] = [];
    let call = '';
    stream.on('event', (event) => types.push(event.type));
    stream.on('response.function_call_arguments.delta', (event) => (call += event.delta));
    const final = await stream.finalResponse();
    assert.deepEqual(JSON.parse(call), { a: 2, b: 3 });
    assert.deepEqual(final.output.map((item) => item.type), ['reasoning', 'message', 'function_call']);
    assert.equal(final.output_text, 'Let me add.');
    assert.equal(types[0], 'response.created');
    assert.equal(types.at(-1), 'response.completed');
}

// A conversation that the server keeps.
async function responsesStored() {
    const first = await client.responses.create({ model, input: 'Add.', tools: [addTool], store: true });
    const call = first.output.find((item) => item.type === 'function_call')!;
    const second = await client.responses.create({
        model, tools: [addTool], previous_response_id: first.id,
        input: [{ type: 'function_call_output', call_id: call.call_id, output: '5' }],
    });
    assert.equal(second.output_text, 'The sum is 5.');
    assert.deepEqual((await client.responses.retrieve(first.id)).output, first.output);
    await client.responses.delete(first.id);
    await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
    await assert.rejects(client.responses.create({ model, input: 'Go.', previous_response_id: first.id }),
        (error: unknown) => error instanceof OpenAI.BadRequestError && error.code === 'previous_response_not_found');
}

async function responsesCutOff() {
    const answer = await client.responses.create({ model, input: 'Go.', max_output_tokens: 4 });
    assert.equal(answer.status, 'incomplete');
    assert.equal(answer.incomplete_details?.reason, 'max_output_tokens');
    const counted = await client.responses.inputTokens.count({ model, input: 'Go.' });
    assert.equal(counted.input_tokens, answer.usage?.input_tokens);
}

async function aborts() {
    for (const input of ['chat', 'responses']) {
        const stop = new AbortController();
        const options = { signal: stop.signal };
        const stream = input === 'chat'
            ? await client.chat.completions.create(
                { model, stream: true, messages: [{ role: 'user', content: 'Count.' }] }, options)
            : await client.responses.create({ model, stream: true, input: 'Count.' }, options);
        let pieces = 0;
        for await (const piece of stream) {
            void piece;
            if (++pieces === 5) stop.abort();
        }
        assert.ok(pieces < 60, `${input}: ${pieces} pieces after the abort`);
    }
    await chat();  // the server goes on
}

async function errors() {
    await assert.rejects(client.chat.completions.create({ model, messages, temperature: -1 }),
        (error: unknown) => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
    await assert.rejects(client.responses.create({ model, input: 'Go.', background: true }),
        (error: unknown) => error instanceof OpenAI.BadRequestError && error.param === 'background');
    await assert.rejects(client.chat.completions.create({ model: 'other', messages }), OpenAI.NotFoundError);
}

async function models() {
    const names = [];
    for await (const each of client.models.list()) names.push(each.id);
    assert.deepEqual(names, [model]);
}

for (const test of [chat, chatParse, chatStream, chatStreamHelper, chatCall, responses, responsesStream,
    responsesStored, responsesCutOff, aborts, errors, models]) {
    await test();
    console.log(`ok ${test.name}`);
}
