// agents.ts: @openai/agents runs a tool and comes back with its result, over both APIs.
import assert from 'node:assert/strict';
import { Agent, OpenAIProvider, Runner, tool } from '@openai/agents';
import { z } from 'zod';

for (const useResponses of [true, false]) {
    const calls: unknown[] = [];
    const add = tool({
        name: 'add',
        description: 'Adds two numbers.',
        parameters: z.object({ a: z.number(), b: z.number() }),
        execute: async (numbers) => {
            calls.push(numbers);
            return String(numbers.a + numbers.b);
        },
    });
    const agent = new Agent({ name: 'Adder', instructions: 'Use the tool.', model: 'model', tools: [add] });
    const modelProvider = new OpenAIProvider({ baseURL: process.argv[2], apiKey: 'none', useResponses });
    const runner = new Runner({ modelProvider, tracingDisabled: true });
    for (const stream of [false, true]) {
        const result = stream ? await runner.run(agent, 'Add.', { stream }) : await runner.run(agent, 'Add.');
        if ('completed' in result) await result.completed;
        assert.equal(result.finalOutput, 'The sum is 5.');
        assert.deepEqual(calls.splice(0), [{ a: 2, b: 3 }]);
        console.log(`ok ${useResponses ? 'responses' : 'chat'}${stream ? ', as a stream' : ''}`);
    }
}
