// test_markdown.mjs: the page's Markdown, without a browser: node --test tests/page/test_markdown.mjs
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {HOSTILE} from './fake_server.mjs';
import {parseMarkdown} from '../../src/serve/page/markdown.mjs';

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

// What the page would make of a tree, as HTML.
function html(node) {
    if (typeof node === 'string') return escaped(node);
    const {tag, children, ...attributes} = node;
    if (tag === 'br' || tag === 'hr') return `<${tag}>`;
    if (tag === 'codeblock') return `<pre ${attributes.language}>${escaped(attributes.text)}</pre>`;
    const shown = Object.entries(attributes).filter(([name, value]) => !(name === 'align' && value === 'left'));
    const open = [tag, ...shown.map(([name, value]) => `${name}=${value}`)].join(' ');
    return `<${open}>${children.map(html).join('')}</${tag}>`;
}

const render = (text) => parseMarkdown(text).map(({node}) => html(node)).join('');

// [name, Markdown, HTML]
const CASES = [
    ['paragraphs', 'one\n\n\ntwo', '<p>one</p><p>two</p>'],
    ['lines of a poem', 'Rain falls\nsoftly', '<p>Rain falls<br>softly</p>'],
    ['Windows line ends', 'a\r\n\r\nb', '<p>a</p><p>b</p>'],
    ['nothing', '', ''],
    ['headings', '# A\n###### F #\n####### no', '<h1>A</h1><h6>F</h6><p>####### no</p>'],
    ['a heading after a paragraph', 'a\n# b', '<p>a</p><h1>b</h1>'],
    ['no heading without space', '#hash', '<p>#hash</p>'],
    ['emphasis', '*a* _b_ **c** __d__ ~~e~~',
        '<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <del>e</del></p>'],
    ['both', '***a***', '<p><em><strong>a</strong></em></p>'],
    ['nested', '**a *b* c**', '<p><strong>a <em>b</em> c</strong></p>'],
    ['nested without spaces', '**a*b*c**', '<p><strong>a<em>b</em>c</strong></p>'],
    ['snake_case', 'a_b_c and 2 * 3 * 4', '<p>a_b_c and 2 * 3 * 4</p>'],
    ['unfinished', 'so **bold', '<p>so **bold</p>'],
    ['crossed', '*a **b* c**', '<p><em>a <em><em>b</em> c</em></em></p>'],
    ['escaped', '\\*a\\* \\# \\q', '<p>*a* # \\q</p>'],
    ['code', '`a*b*` ``c`d`` ` e `', '<p><code>a*b*</code> <code>c`d</code> <code>e</code></p>'],
    ['unfinished code', 'a `b', '<p>a `b</p>'],
    ['fence', '```js\nlet a;\n\n  b\n```\nafter', '<pre js>let a;\n\n  b</pre><p>after</p>'],
    ['unfinished fence', '~~~\na', '<pre >a</pre>'],
    ['fence in a fence', '````\n```\n````', '<pre >```</pre>'],
    ['bullets', '- a\n- b\n  more\n* c', '<ul><li>a</li><li>b<br>more</li></ul><ul><li>c</li></ul>'],
    ['nested list', '1. a\n   - b\n     - c\n2. d',
        '<ol start=1><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ol>'],
    ['numbers go on', '3. a\n4. b', '<ol start=3><li>a</li><li>b</li></ol>'],
    ['fence in a list', '1. a\n   ```\n   x\n   ```\n2. b', '<ol start=1><li>a<pre >x</pre></li><li>b</li></ol>'],
    ['paragraphs in a list', '- a\n\n  b\n- c', '<ul><li>a<p>b</p></li><li>c</li></ul>'],
    ['list after text', 'a:\n- b', '<p>a:</p><ul><li>b</li></ul>'],
    ['rule', '---\n***\n- - -', '<hr><hr><hr>'],
    ['quote', '> a\n> > b\n\nc', '<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>'],
    ['table', '| a | b |\n|---|:-:|\n| 1 | `x` |\n| 2\\|3 |\nend', '<table><tr><th>a</th><th align=center>b</th></tr>' +
        '<tr><td>1</td><td align=center><code>x</code></td></tr>' +
        '<tr><td>2|3</td><td align=center></td></tr></table><p>end</p>'],
    ['no table', 'a | b\n--- x', '<p>a | b<br>--- x</p>'],
    ['link', '[*a*](https://x.y/z_(1) "t")', '<p><a href=https://x.y/z_(1)><em>a</em></a></p>'],
    ['bare address', 'see https://x.y/a_b. (https://x.y)', '<p>see <a href=https://x.y/a_b>https://x.y/a_b</a>. ' +
        '(<a href=https://x.y/>https://x.y</a>)</p>'],
    ['address in brackets', '<https://x.y>', '<p><a href=https://x.y/>https://x.y</a></p>'],
    ['mail', '[a](mailto:a@b.c)', '<p><a href=mailto:a@b.c>a</a></p>'],
    ['image', 'an ![image](https://x.y/z.png)', '<p>an <a href=https://x.y/z.png>image</a></p>'],
    ['no link in a link', '[a [b](https://x.y) c](https://z.w)',
        '<p>[a <a href=https://x.y/>b</a> c](<a href=https://z.w/>https://z.w</a>)</p>'],
    ['entities', '&lt;b&gt; &amp;lt; &nope;', '<p>&#60;b&#62; &#38;lt; &#38;nope;</p>'],
    ['HTML is text', '<b onclick=x>a</b>', '<p>&#60;b onclick=x&#62;a&#60;/b&#62;</p>'],
    ['a line break of HTML', 'a<br>b<br/>c', '<p>a<br>b<br>c</p>'],
    ['not UTF-16', '**\ud800**', '<p><strong>\ud800</strong></p>'],
];

for (const [name, markdown, expected] of CASES) {
    test(name, () => assert.equal(render(markdown), expected));
}

// Every node of a tree, with its depth.
function* nodesOf(node, depth = 0) {
    yield [node, depth];
    for (const child of node.children || []) yield* nodesOf(child, depth + 1);
}

const TAGS = /^(p|h[1-6]|ul|ol|li|blockquote|hr|table|tr|th|td|br|strong|em|del|code|a|codeblock)$/;

function assertHarmless(text) {
    for (const {node: block} of parseMarkdown(text)) {
        for (const [node, depth] of nodesOf(block)) {
            assert.ok(depth < 150, 'too deep for a browser');
            if (typeof node === 'string') continue;
            assert.match(node.tag, TAGS);
            for (const name of Object.keys(node)) {
                assert.ok(['tag', 'children', 'href', 'start', 'align', 'language', 'text'].includes(name), name);
            }
            if (node.tag === 'a') assert.match(node.href, /^(https?:\/\/|mailto:)[^\s"<>]*$/);
            if (node.tag === 'ol') assert.ok(Number.isInteger(node.start));
            if (node.align) assert.match(node.align, /^(left|right|center)$/);
        }
    }
}

test('hostile text makes no element but Markdown\'s, and no link but to the web', () => assertHarmless(HOSTILE));

for (const address of [
    'javascript:alert(1)', 'JAVASCRIPT:alert(1)', 'java\tscript:alert(1)', ' javascript:alert(1)', '\u0001javascript:x',
    'javascript&colon;alert(1)', 'data:text/html,<script>x</script>', 'vbscript:x', 'file:///etc/passwd',
    '//evil.example', '/v1/models', '#a', 'blob:x', 'https:', 'http://', 'ws://x.y',
    '<javascript:x>', 'https://[', 'x:y',
]) {
    test(`no link: ${JSON.stringify(address)}`, () => {
        for (const text of [`[a](${address})`, `<${address}>`, `![a](${address})`, address]) {
            assert.doesNotMatch(render(text), /<a /);
        }
    });
}

// Texts that make careless parsers take quadratic time or overflow the stack. There is no limit of time here: what is
// quadratic does not end within the patience of the one who runs this.
const MANY = 40000;
const HEAVY = {
    'stars': '*a '.repeat(MANY), 'run of stars': '*'.repeat(MANY),
    'nested emphasis': '*a '.repeat(MANY) + 'a* '.repeat(MANY),
    'mixed marks': '*_~~'.repeat(MANY), 'brackets': '['.repeat(MANY),
    'links': '[]('.repeat(MANY), 'half links': ']('.repeat(MANY),
    'nested links': '['.repeat(MANY) + '](https://x.y)'.repeat(MANY), 'ticks': '`'.repeat(MANY),
    'runs of ticks': Array.from({length: 700}, (_, i) => '`'.repeat(i)).join(' '), 'quotes': '>'.repeat(MANY),
    'lists': '- '.repeat(MANY),
    'deep lists': Array.from({length: 5000}, (_, i) => `${' '.repeat(i % 90)}- x`).join('\n'),
    'fence and spaces': `\`\`\` ${' '.repeat(MANY)}\``,
    'rule and spaces': `-${' '.repeat(MANY)}x`, 'pipes': `${'\\|'.repeat(MANY)}\n-`,
    'table': `${'a|'.repeat(3000)}\n${'-|'.repeat(3000)}\n${'b|\n'.repeat(300)}`, 'addresses': 'http://'.repeat(MANY),
    'address and brackets': `https://a${')'.repeat(MANY)}`, 'angles': '<'.repeat(MANY), 'entities': '&'.repeat(MANY),
    'lines': '\n'.repeat(MANY), 'quoted lines': '> a\n'.repeat(MANY), 'hashes': `# ${'#'.repeat(MANY)}x`,
    'hashes apart': `# ${'# '.repeat(MANY)}x`, 'backslashes': '\\'.repeat(MANY), 'titles': '[a](b "'.repeat(MANY),
};
for (const [name, text] of Object.entries(HEAVY)) {
    test(`much of it: ${name}`, () => assertHarmless(text));
}

test('random marks', () => {
    let seed = 1;
    const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
    const words = ['*', '**', '_', '~~', '`', '```', '\n', '\n\n', '- ', '1. ', '> ', '# ', '|', '|-|', '[', '](', ')',
        '<', 'https://x.y', 'javascript:x', '\\', '&lt;', ' ', '    ', 'a', '<br>', '"', '\t', '!'];
    for (let i = 0; i < 1000; i++) {
        assertHarmless(Array.from({length: 1 + random(60)}, () => words[random(words.length)]).join(''));
    }
});

test('while a text grows, blocks that are complete keep their keys', () => {
    const text = '# A\n\n- b\n- c\n\n```\nd\n```\n\nlast';
    const whole = parseMarkdown(text).map((block) => block.key);
    const part = parseMarkdown(text.slice(0, -2)).map((block) => block.key);
    assert.deepEqual(part.slice(0, -1), whole.slice(0, -1));
});
