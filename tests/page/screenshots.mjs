// screenshots.mjs: pictures of the page, for a person to look at: node tests/page/screenshots.mjs FOLDER
import {mkdirSync} from 'node:fs';
import {assembled, lastAnswer, openPage, send, startBrowser} from './browser.mjs';
import {startFake} from './fake_server.mjs';

const SCREENS = {
    desktop: {},
    dark: {colorScheme: 'dark'},
    phone: {viewport: {width: 360, height: 720}, hasTouch: true, isMobile: true},
};

const folder = process.argv[2];
if (!folder) throw new Error('expected a folder for the pictures');
mkdirSync(folder, {recursive: true});
const fake = await startFake(assembled());
const browser = await startBrowser();
for (const [name, options] of Object.entries(SCREENS)) {
    const page = await openPage(browser, fake.url, options);
    const picture = (what) => page.screenshot({path: `${folder}/${name}-${what}.png`});
    await page.locator('#model', {hasText: 'fake'}).waitFor();
    await picture('empty');
    fake.thinkMs = 300;
    await send(page, 'think');
    await page.locator('summary', {hasText: 'Thinking 1 s'}).waitFor();
    await picture('thinking');
    await lastAnswer(page);
    await send(page, 'markdown');
    await lastAnswer(page);
    await picture('markdown');
    await send(page, 'code');
    await lastAnswer(page);
    await picture('code');
    await page.setInputFiles('#pick', {name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('a few words')});
    await page.locator('#files li').waitFor();
    await send(page, 'refuse');
    await lastAnswer(page);
    await picture('error');
    await page.locator('[aria-label="Edit and send again"]').last().click();
    await picture('edit');
    await page.keyboard.press('Escape');
    await page.click('#open-settings');
    await picture('settings');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await picture('list');
    await page.keyboard.press('Escape');
    fake.key = 'secret';
    await page.reload();
    await page.locator('#ask-key[open]').waitFor();
    await picture('key');
    fake.key = '';
    await page.context().close();
}
await browser.close();
await fake.close();
