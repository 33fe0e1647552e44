// test_served.mjs: the page in headless Chromium, served by build/run with the demo model.
// node --test tests/page/test_served.mjs; $RUN is the program, if it is another one
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {after, before, test} from 'node:test';
import {assembled, lastAnswer, openPage, send, startBrowser} from './browser.mjs';

const RUN = process.env.RUN || 'build/run';

// The server on a free port, when it is ready: {url, process, end(signal)}.
async function startServer(...flags) {
    const child = spawn(RUN, ['serve', 'demo', '--device', 'cpu', '--port', '0', '-T', '0', ...flags], {
        stdio: ['ignore', 'inherit', 'pipe'], env: {...process.env, OMP_NUM_THREADS: '1'},
    });
    let log = '', url;
    child.stderr.on('data', (data) => (log += data));
    while (!(url = /http:\/\/127\.0\.0\.1:\d+/.exec(log))) {
        if (child.exitCode !== null) throw new Error(log);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    while (!(await fetch(`${url[0]}/health`)).ok) await new Promise((resolve) => setTimeout(resolve, 50));
    const end = async (signal = 'SIGTERM') => {
        if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
        child.kill(signal);
        await once(child, 'exit');
        return child.exitCode;
    };
    return {url: url[0], process: child, end};
}

let browser, server;
before(async () => {
    browser = await startBrowser();
    server = await startServer();
});
after(async () => {
    await browser?.close();
    assert.equal(await server.end(), 0);
});

async function withPage(url, body, expected = []) {
    const page = await openPage(browser, url);
    try {
        await body(page);
        assert.deepEqual(page.problems.filter((problem) => !expected.some((text) => problem.includes(text))), []);
    } finally {
        await page.context().close();
    }
}

test('the page comes with its headers', async () => {
    const response = await fetch(`${server.url}/`);
    const {html, policy} = assembled();
    assert.ok(await response.text() === `${html.trimEnd()}\n`, 'it is not that of src/serve/page/');
    assert.equal(response.headers.get('content-security-policy'), policy);
    assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
});

test('a first message: the answer, its reasoning, its numbers; then a second one', () =>
    withPage(server.url, async (page) => {
        await page.locator('#model', {hasText: 'demo'}).waitFor();
        await page.selectOption('#effort', 'high');
        await send(page, 'What is 347 + 586?');
        assert.equal(await lastAnswer(page), '347 + 586 = 933');
        assert.match(await page.locator('summary').innerText(), /^Thought/);
        await page.click('summary');
        assert.match(await page.locator('details .text').innerText(), /7 \+ 6 = 13/);
        assert.match(await page.locator('.stats').innerText(), /^[\d.,]+ tok\/s · \d+ tokens · first after [\d.]+ s$/);
        assert.match(await page.locator('#meter-text').innerText(), /^\d+ of [\d.]+k$/);
        await send(page, 'My name is Ada.');
        await lastAnswer(page);
        await send(page, 'What is my name?');
        assert.match(await lastAnswer(page), /Ada/);
        await page.reload();
        assert.match(await lastAnswer(page), /Ada/);
    }));

test('write again says the same at temperature 0; edited, it is another question', () =>
    withPage(server.url, async (page) => {
        await page.selectOption('#effort', 'low');
        await send(page, 'Reverse the word garden.');
        assert.equal(await lastAnswer(page), 'nedrag');
        await page.locator('[aria-label="Write again"]:visible').click();
        await page.locator('#log article[aria-busy=false] .answer', {hasText: 'nedrag'}).waitFor();
        await page.locator('.user').hover();
        await page.click('[aria-label="Edit and send again"]');
        await page.fill('.editor textarea', 'Reverse the word stone.');
        await page.press('.editor textarea', 'Enter');
        await page.locator('.answer', {hasText: 'enots'}).waitFor();
    }));

test('the size of a file is in this model\'s tokens', () =>
    withPage(server.url, async (page) => {
        await page.setInputFiles('#pick', {name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('Reverse it.')});
        const body = JSON.stringify({prompt: 'Reverse it.'});
        const {count} = await (await fetch(`${server.url}/tokenize`, {method: 'POST', body})).json();
        await page.locator('#files li', {hasText: `${count} tokens`}).waitFor();
    }));

test('stop while the server does not answer; it answers the next message', () =>
    withPage(server.url, async (page) => {
        await page.locator('#model', {hasText: 'demo'}).waitFor();
        server.process.kill('SIGSTOP');
        await send(page, 'Write a haiku about rain.');
        await page.click('#stop');
        await lastAnswer(page);
        assert.equal(await page.locator('.note').innerText(), 'Stopped.');
        server.process.kill('SIGCONT');
        await send(page, 'Reverse the word garden.');
        assert.equal(await lastAnswer(page), 'nedrag');
    }));

test('a bad request is answered in words', () =>
    withPage(server.url, async (page) => {
        await page.click('#open-settings');
        await page.fill('#max-tokens', '1');
        await page.click('#settings .main');
        await send(page, 'word '.repeat(3000));
        await lastAnswer(page);
        assert.match(await page.locator('.problem span').innerText(), /context|tokens/);
    }, ['400']));

test('a server with a key: asked for once; gone: said, and the answer stays', async () => {
    const locked = await startServer('--api-key', 'open sesame');
    try {
        await withPage(locked.url, async (page) => {
            await page.locator('#ask-key[open]').waitFor();
            await page.fill('#asked-key', 'open sesame');
            await page.keyboard.press('Enter');
            await send(page, 'Reverse the word garden.');
            assert.equal(await lastAnswer(page), 'nedrag');
            await locked.end('SIGKILL');
            await send(page, 'Still there?');
            await lastAnswer(page);
            const said = await page.locator('.problem span').innerText();
            assert.match(said, /^No answer from 127\.0\.0\.1:\d+\. Is the server/);
            assert.equal(await page.locator('.answer').first().innerText(), 'nedrag');
        }, ['401', 'ERR_CONNECTION']);
    } finally {
        await locked.end('SIGKILL');
    }
});
