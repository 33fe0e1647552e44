// browser.mjs: the page as the build puts it together, and a headless Chromium that opens it.
import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';

const ASSEMBLE = fileURLToPath(new URL('../../src/serve/page/assemble.sh', import.meta.url));

export function assembled() {
    const part = (flag) => execFileSync(ASSEMBLE, [flag], {encoding: 'utf8'});
    return {html: part('--html'), policy: part('--policy').trim()};
}

// As root, as in a container, Chromium starts only without its sandbox.
export function startBrowser() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
        args: process.getuid() === 0 ? ['--no-sandbox'] : [],
    });
}

// A page in a profile of its own; `problems` collects what it says on the console, and its uncaught errors.
export async function openPage(browser, url, options = {}) {
    const context = await browser.newContext({viewport: {width: 1180, height: 800}, ...options});
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(String(error)));
    page.on('console', (message) => {
        if (message.type() === 'error') page.problems.push(message.text());
    });
    await page.goto(url);
    return page;
}

export async function send(page, text) {
    await page.fill('#draft', text);
    await page.press('#draft', 'Enter');
}

// The text of the last answer, once it is complete.
export async function lastAnswer(page) {
    const last = page.locator('#log article').last();
    await last.and(page.locator('[aria-busy=false]')).waitFor();
    return last.locator('.answer').innerText();
}
