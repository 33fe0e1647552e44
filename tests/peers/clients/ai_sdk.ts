// ai_sdk.ts: Vercel's AI SDK, through @ai-sdk/openai-compatible, runs a tool and comes back with its result.
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const provider = createOpenAICompatible({ name: 'local', baseURL: process.argv[2]!, includeUsage: true });
const calls: unknown[] = [];
const settings = {
    model: provider('model'),
    prompt: 'Add.',
    maxRetries: 0,
    stopWhen: stepCountIs(3),
    tools: {
        add: tool({
            description: 'Adds two numbers.',
            inputSchema: z.object({ a: z.number(), b: z.number() }),
            execute: async (numbers) => {
                calls.push(numbers);
                return String(numbers.a + numbers.b);
            },
        }),
    },
};

const whole = await generateText(settings);
assert.equal(whole.text, 'The sum is 5.');
assert.equal(whole.steps.length, 2);
assert.equal(whole.steps[0]!.reasoningText, 'I need the tool.');
assert.deepEqual(calls.splice(0), [{ a: 2, b: 3 }]);
console.log('ok generateText');

const stream = streamText(settings);
let text = '';
for await (const piece of stream.textStream) text += piece;
assert.ok(text.endsWith('The sum is 5.'), text);
assert.ok((await stream.totalUsage).totalTokens! > 0);
assert.deepEqual(calls, [{ a: 2, b: 3 }]);
console.log('ok streamText');
