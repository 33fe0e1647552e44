// test_page.mjs: the page in headless Chromium, before a server that does as a script says: errors, hostile text, keys.
// node --test tests/page/test_page.mjs
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {assembled, lastAnswer, openPage, send, startBrowser} from './browser.mjs';
import {startFake} from './fake_server.mjs';

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

// A test with a server and a page of its own. `expected` are the console's errors that belong to it.
function pageTest(name, body, {options = {}, expected = /^$/} = {}) {
    test(name, async () => {
        const fake = await startFake(assembled());
        const page = await openPage(browser, fake.url, options);
        try {
            await body(page, fake);
            assert.deepEqual(page.problems.filter((problem) => !expected.test(problem)), []);
        } finally {
            await page.context().close();
            await fake.close();
        }
    });
}

const REFUSED = /Failed to load resource|ERR_/; // what Chromium says of a status that is not 2xx

const titles = (page) => page.locator('#chats .open').allInnerTexts();
const errorOf = (page) => page.locator('.problem:not([hidden]) span').innerText();

pageTest('an answer streams, and its reasoning is folded and counted', async (page, fake) => {
    fake.thinkMs = 120; // twelve words: more than a second
    await send(page, 'think');
    await page.locator('summary', {hasText: /^Thinking \d+ s$/}).waitFor();
    assert.equal(await page.locator('details').evaluate((details) => details.open), false);
    assert.equal(await lastAnswer(page), 'The answer is 3.');
    assert.equal(await page.locator('.answer strong').innerText(), '3');
    assert.match(await page.locator('summary').innerText(), /^Thought for [1-9]\d* s$/);
    await page.click('summary');
    assert.match(await page.locator('details .text').innerText(), /^The user wants an answer/);
    assert.match(await page.locator('.stats').innerText(), /^[\d.,]+ tok\/s · \d+ tokens · first after [\d.]+ s$/);
    const used = 40 + Number((await page.locator('.stats').innerText()).match(/(\d+) tokens/)[1]);
    assert.equal(await page.locator('#meter').getAttribute('aria-valuenow'), String(used));
    const body = fake.requests[0];
    assert.deepEqual(body.messages, [{role: 'user', content: 'think'}]);
    assert.equal(body.model, 'fake-20b');
    assert.equal(body.reasoning_effort, 'medium');
    assert.equal(body.stream, true);
});

pageTest('Markdown becomes elements, and code can be copied', async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await send(page, 'markdown');
    await lastAnswer(page);
    for (const [selector, n] of [['ol > li', 2], ['ol ul li', 1], ['pre code', 1], ['tbody tr', 2], ['blockquote a', 1],
        ['h3', 1], ['td.right', 4]]) {
        assert.equal(await page.locator(`.answer ${selector}`).count(), n, selector);
    }
    assert.equal(await page.locator('.code-head span').innerText(), 'python');
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await page.click('.code button');
    assert.match(await copied(), /^def longest[^]*return max\(lines, key=len\)$/);
    await page.click('[aria-label="Copy answer"]');
    assert.match(await copied(), /^Here is \*\*a list\*\*[^]*all\*\.$/);
});

pageTest('hostile text stays text: in answers, reasoning, messages, titles and files', async (page) => {
    const evil = '<img src=x onerror="window.broken=1">';
    await send(page, 'hostile');
    assert.match(await lastAnswer(page), /<script>window\.broken = 1<\/script>/);
    await page.click('summary');
    await page.setInputFiles('#pick', {name: `${evil}.txt`, mimeType: 'text/plain', buffer: Buffer.from(evil)});
    await page.locator('#files li').waitFor();
    await send(page, evil);
    await lastAnswer(page);
    await page.click('#new');
    await send(page, evil);
    await lastAnswer(page);
    await page.waitForTimeout(100);
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await page.locator('#log img, #log svg[onload], #log iframe, #log script, #side img').count(), 0);
    const links = await page.locator('#log a').evaluateAll((all) => all.map((a) => a.protocol));
    assert.ok(links.every((protocol) => protocol === 'https:'), String(links));
});

pageTest('the policy forbids other scripts, markup of strings and other servers', async (page) => {
    const caught = await page.evaluate(async () => {
        const problems = [];
        const attempt = (name, f) => {
            try {
                f();
            } catch {
                problems.push(name);
            }
        };
        attempt('innerHTML', () => (document.body.innerHTML = '<b>x</b>'));
        attempt('src', () => (document.createElement('script').src = '/x.js'));
        await fetch('http://127.0.0.2:1/').catch(() => problems.push('fetch'));
        const script = document.createElement('script');
        attempt('text', () => (script.textContent = 'window.broken = 1'));
        return problems;
    });
    assert.deepEqual(caught, ['innerHTML', 'src', 'fetch', 'text']);
}, {expected: /./});

pageTest('stop keeps what was written, and the server hears of it', async (page, fake) => {
    await send(page, 'endless');
    await page.locator('.answer', {hasText: 'word5 '}).waitFor();
    assert.equal(await page.locator('#send').isVisible(), false);
    await page.click('#stop');
    assert.match(await lastAnswer(page), /^word1 word2 word3/);
    assert.equal(await page.locator('.note').innerText(), 'Stopped.');
    assert.match(await page.locator('.stats').innerText(), /≈ \d+ tokens/);
    for (let i = 0; i < 100 && !fake.closed; i++) await page.waitForTimeout(20);
    assert.equal(fake.closed, 1);
    await send(page, 'hello');
    assert.equal(await lastAnswer(page), 'You said: hello');
});

pageTest('write again, and edit and send again', async (page, fake) => {
    await send(page, 'one');
    await lastAnswer(page);
    await send(page, 'two');
    await lastAnswer(page);
    await page.locator('[aria-label="Write again"]:visible').click();
    await page.waitForFunction(() => document.querySelectorAll('#log article').length === 4);
    await lastAnswer(page);
    assert.deepEqual(fake.requests[2], fake.requests[1]);
    await page.locator('.user').first().hover();
    await page.locator('[aria-label="Edit and send again"]').first().click();
    await page.fill('.editor textarea', 'changed');
    await page.press('.editor textarea', 'Escape');
    assert.equal(fake.requests.length, 3);
    await page.locator('[aria-label="Edit and send again"]').first().click();
    await page.fill('.editor textarea', 'changed');
    await page.press('.editor textarea', 'Enter');
    await page.locator('.answer', {hasText: 'You said: changed'}).waitFor();
    assert.equal(await page.locator('#log article').count(), 2);
    assert.deepEqual(fake.requests[3].messages, [{role: 'user', content: 'changed'}]);
});

pageTest('several chats outlive a reload; search, rename, delete, undo', async (page) => {
    for (const text of ['apples', 'pears', 'plums']) {
        await page.click('#new');
        await send(page, text);
        await lastAnswer(page);
    }
    await page.reload();
    assert.equal(await lastAnswer(page), 'You said: plums'); // the address names the chat
    assert.deepEqual(await titles(page), ['plums', 'pears', 'apples']);
    await page.press('body', 'Control+k');
    await page.keyboard.type('SAID pear');
    assert.deepEqual(await titles(page), ['pears']);
    await page.keyboard.press('Enter');
    assert.equal(await lastAnswer(page), 'You said: pears');
    await page.fill('#search', 'nothing');
    assert.equal(await page.locator('#no-chats').innerText(), 'No chat has these words.');
    await page.fill('#search', '');
    await page.hover('#chats .open >> text=pears');
    await page.click('[aria-label="Rename pears"]');
    await page.keyboard.type('Fruit');
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('#title').innerText(), 'Fruit');
    await page.hover('#chats .open >> text=Fruit');
    await page.click('[aria-label="Delete Fruit"]');
    assert.deepEqual(await titles(page), ['plums', 'apples']);
    await page.click('.toast button');
    assert.deepEqual(await titles(page), ['plums', 'Fruit', 'apples']);
    await page.hover('#chats .open >> text=apples');
    await page.click('[aria-label="Delete apples"]');
    await page.reload();
    await page.locator('#chats .open').first().waitFor();
    assert.deepEqual(await titles(page), ['plums', 'Fruit']);
});

pageTest('an answer goes on while another chat is read', async (page, fake) => {
    fake.thinkMs = 60;
    await send(page, 'think');
    await page.locator('summary:visible').waitFor();
    await page.click('#new');
    await send(page, 'other');
    assert.equal(await lastAnswer(page), 'You said: other');
    await page.click('#chats .open >> text=think');
    assert.equal(await lastAnswer(page), 'The answer is 3.');
});

pageTest('chats are exported and imported; what is no such file is refused', async (page) => {
    await send(page, 'apples');
    await lastAnswer(page);
    await page.click('#open-settings');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
    const path = await download.path();
    await page.keyboard.press('Escape');
    await page.hover('#chats .open >> text=apples');
    await page.click('[aria-label="Delete apples"]');
    const take = async (file) => {
        await page.click('#open-settings');
        await page.setInputFiles('#import-file', file);
        await page.locator('.toast', {hasText: /mported/}).waitFor();
        return page.locator('.toast').innerText();
    };
    const json = (text) => ({name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(text)});
    assert.match(await take(json('{')), /^Not imported: the file is not JSON/);
    assert.match(await take(json('{"chats": []}')), /^Not imported: expected a file that this page exported/);
    const odd = {format: 'run-chats', chats: [{messages: [{role: 'system'}]}]};
    assert.match(await take(json(JSON.stringify(odd))), /chats\[0\]\.messages\[0\]\.role: expected "user" or/);
    assert.match(await take(path), /^Imported 1 chat$/);
    await page.click('#chats .open');
    assert.equal(await lastAnswer(page), 'You said: apples');
});

pageTest('a key is asked for, and kept', async (page, fake) => {
    fake.key = 'secret';
    await page.reload();
    await page.locator('#ask-key[open]').waitFor();
    await page.fill('#asked-key', 'wrong');
    await page.keyboard.press('Enter');
    await page.locator('#ask-key-wrong:visible').waitFor();
    await page.fill('#asked-key', 'secret');
    await page.keyboard.press('Enter');
    await page.locator('#model', {hasText: 'fake-20b'}).waitFor();
    await page.reload();
    await send(page, 'hello');
    assert.equal(await lastAnswer(page), 'You said: hello');
    fake.key = 'changed';
    await send(page, 'again');
    await page.locator('#ask-key[open]').waitFor();
    await page.click('#no-key');
    assert.equal(await errorOf(page), 'The server wants an API key.');
}, {expected: REFUSED});

pageTest('errors in words: refused, broken off, failed, at the limit', async (page) => {
    await send(page, 'refuse');
    await lastAnswer(page);
    assert.equal(await errorOf(page), 'temperature: expected 0 to 2, found 9');
    await page.click('#new');
    await send(page, 'break');
    assert.equal(await lastAnswer(page), 'Half an answ');
    assert.equal(await errorOf(page), 'The connection broke before the answer was complete.');
    await page.click('#new');
    await send(page, 'fail');
    await lastAnswer(page);
    assert.equal(await errorOf(page), 'the engine has stopped');
    await page.click('#new');
    await send(page, 'limit');
    await lastAnswer(page);
    assert.equal(await page.locator('.note').innerText(), 'The answer ended at the limit of tokens.');
}, {expected: REFUSED});

pageTest('a server that is gone, and one that comes back', async (page, fake) => {
    const {port} = fake;
    await send(page, 'hello');
    await lastAnswer(page);
    await fake.close();
    await send(page, 'still there?');
    await lastAnswer(page);
    assert.equal(await errorOf(page), `No answer from 127.0.0.1:${port}. Is the server still running?`);
    const again = await startFake({...assembled(), port});
    await page.click('.problem button');
    await page.locator('.answer', {hasText: 'You said: still there?'}).waitFor();
    await again.close();
}, {expected: REFUSED});

pageTest('while the model is loaded, the page says so and asks again', async (page, fake) => {
    fake.loading = 1;
    await send(page, 'hello');
    await page.locator('.waiting', {hasText: 'The model is being loaded. Trying again'}).waitFor();
    assert.equal(await lastAnswer(page), 'You said: hello');
    fake.loading = 100;
    await send(page, 'more');
    await page.locator('.waiting', {hasText: 'Trying again'}).waitFor();
    await page.press('#draft', 'Escape');
    await lastAnswer(page);
    assert.equal(await page.locator('.note').last().innerText(), 'Stopped.');
}, {expected: REFUSED});

pageTest('settings go into requests', async (page, fake) => {
    await page.click('#open-settings');
    await page.fill('#instructions', 'Be brief.');
    await page.fill('#temperature', '0');
    await page.fill('#max-tokens', '7');
    await page.click('#settings .main');
    assert.equal(await page.locator('#settings').isVisible(), false);
    await page.selectOption('#effort', 'high');
    await page.reload();
    await send(page, 'hello');
    await lastAnswer(page);
    const {messages, temperature, max_completion_tokens, reasoning_effort} = fake.requests[0];
    assert.deepEqual(messages, [{role: 'developer', content: 'Be brief.'}, {role: 'user', content: 'hello'}]);
    assert.deepEqual([temperature, max_completion_tokens, reasoning_effort], [0, 7, 'high']);
});

pageTest('text files: chosen, dropped, pasted; what is no text is refused', async (page, fake) => {
    const file = (name, bytes) => ({name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes)});
    const [latin, zero] = [file('b.bin', [0xff, 0xfe]), file('c.bin', [65, 0])];
    await page.setInputFiles('#pick', [file('a.md', 'one two ``` three'), latin, zero]);
    await page.locator('.toast', {hasText: 'c.bin is not a text file.'}).waitFor();
    assert.equal(await page.locator('#files li').innerText(), 'a.md4 tokens'.replace('md4', 'md\n4'));
    await page.evaluate(() => {
        const drop = (data) => new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: data});
        const data = new DataTransfer();
        data.items.add(new File(['dropped'], 'd.txt'));
        document.body.dispatchEvent(drop(data));
        const paste = new DataTransfer();
        paste.setData('text/plain', 'long '.repeat(500));
        const event = new ClipboardEvent('paste', {bubbles: true, cancelable: true, clipboardData: paste});
        document.getElementById('draft').dispatchEvent(event);
    });
    await page.locator('#files li').nth(2).waitFor();
    await page.click('[aria-label^="Remove pasted"]');
    assert.equal(await page.locator('#files li').count(), 2);
    await send(page, 'Compare.');
    await lastAnswer(page);
    assert.equal(fake.requests[0].messages[0].content,
        'Compare.\n\nFile: a.md\n````\none two ``` three\n````\n\nFile: d.txt\n```\ndropped\n```');
    assert.equal(await page.locator('.user .chip').count(), 2);
});

const PHONE = {viewport: {width: 360, height: 640}, hasTouch: true, isMobile: true};
pageTest('360 pixels: nothing is wider than the screen', async (page) => {
    const fits = async (what) => {
        const parts = page.locator('html, body, #scroll, #log, #composer, header, dialog[open]');
        const wide = await parts.evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1)
            .map((e) => e.id || e.tagName));
        assert.deepEqual(wide, [], what);
        assert.equal(await page.evaluate(() => (scrollTo(99, 0), scrollX)), 0, what);
    };
    await fits('empty');
    for (const text of ['markdown', 'hostile', 'w'.repeat(300), 'refuse']) {
        await send(page, text);
        await lastAnswer(page);
        await fits(text);
    }
    await page.tap('#menu');
    await fits('list');
    await page.tap('#shade', {position: {x: 340, y: 300}});
    assert.equal(await page.locator('#side').isVisible(), false);
    await page.tap('#open-settings');
    await fits('settings');
}, {options: PHONE, expected: REFUSED});

pageTest('the keyboard alone is enough', async (page, fake) => {
    const press = async (...keys) => {
        for (const key of keys) await page.keyboard.press(key);
    };
    const focused = () => page.evaluate(() => document.activeElement.ariaLabel || document.activeElement.textContent);
    // Tab until what has the focus is called so.
    const tabTo = async (name, key = 'Tab') => {
        for (let i = 0; i < 40; i++) {
            if (await focused() === name) return;
            await press(key);
        }
        assert.fail(`Tab does not reach "${name}"`);
    };
    assert.equal(await focused(), 'Message');
    await page.keyboard.type('first');
    await press('Shift+Enter');
    await page.keyboard.type('line');
    await press('Enter');
    assert.equal(await lastAnswer(page), 'You said: first\nline');
    assert.equal(fake.requests[0].messages[0].content, 'first\nline');
    assert.equal(await focused(), 'Message');
    await tabTo('Write again', 'Shift+Tab');
    await press('Enter');
    await page.waitForFunction(() => document.querySelector('#log article:last-child[aria-busy=false]'));
    assert.equal(fake.requests.length, 2);
    await press('Control+k');
    assert.equal(await focused(), 'Search chats');
    await press('ArrowDown');
    assert.equal(await focused(), 'first');
    await press('Enter');
    assert.equal(await focused(), 'Message');
    await tabTo('Settings', 'Shift+Tab');
    await press('Enter');
    assert.equal(await page.locator('#settings').evaluate((dialog) => dialog.open), true);
    await press('Escape');
    assert.equal(await page.locator('#settings').evaluate((dialog) => dialog.open), false);
    await press('Control+k', 'Escape');
    await page.keyboard.type('endless');
    await press('Enter');
    await page.locator('.answer', {hasText: 'word3 '}).waitFor();
    await press('Escape');
    await lastAnswer(page);
});

pageTest('every control has a name', async (page) => {
    await send(page, 'markdown');
    await lastAnswer(page);
    await page.click('#open-settings');
    const controls = page.locator('button, input:not([hidden]), select, textarea, a');
    const nameless = await controls.evaluateAll((all) => all
        .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML));
    assert.deepEqual(nameless, []);
});
