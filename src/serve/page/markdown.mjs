// markdown.mjs: Markdown as models write it, as a tree of nodes. Never HTML: text stays text, and the page makes
// elements of the tree, so that nothing that a model writes can become markup or script.
//
// A node is a string, or {tag, ...attributes, children}. Tags: p h1..h6 ul ol li blockquote hr table tr th td br
// strong em del code a, and codeblock {language, text}. Work grows linearly with the text, whatever it is.

const MAX_DEPTH = 12; // of quotes and lists within each other; what is deeper is text
const MAX_OPEN = 30; // marks of emphasis that wait for their end; what is older is text
const MAX_URL = 2000;
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:-[ \t]*){3,}$|^ {0,3}(?:\*[ \t]*){3,}$|^ {0,3}(?:_[ \t]*){3,}$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:( +)(.*))?$/;
const TABLE_RULE = /^\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?$/;

// The blocks of a text: [{key, node}]. A block with the same key as before is the same block: while an answer grows,
// only the last ones change.
export function parseMarkdown(text) {
    return parseBlocks(text.replace(/\r\n?/g, '\n').split('\n').map(withoutTabs), 0);
}

function withoutTabs(line) {
    return line.replace(/^[ \t]+/, (space) => space.replace(/\t/g, '    '));
}

function parseBlocks(lines, depth) {
    const blocks = [];
    let i = 0;
    while (i < lines.length) {
        if (!lines[i].trim()) {
            i++;
            continue;
        }
        const {node, end} = parseBlock(lines, i, depth);
        blocks.push({key: `${node.tag}\n${lines.slice(i, end).join('\n')}`, node});
        i = end;
    }
    return blocks;
}

function nodesOf(lines, depth) {
    return parseBlocks(lines, depth).map((block) => block.node);
}

function parseBlock(lines, i, depth) {
    const line = lines[i];
    if (FENCE.test(line)) return parseFence(lines, i);
    const heading = HEADING.exec(line);
    if (heading) {
        const title = (heading[2] || '').trim().replace(/(^|[ \t])#+$/, '');
        return {node: {tag: `h${heading[1].length}`, children: parseInline(title)}, end: i + 1};
    }
    if (RULE.test(line)) return {node: {tag: 'hr', children: []}, end: i + 1};
    if (depth < MAX_DEPTH && isQuote(line)) return parseQuote(lines, i, depth);
    if (depth < MAX_DEPTH && ITEM.test(line)) return parseList(lines, i, depth);
    if (isTable(lines, i)) return parseTable(lines, i);
    return parseParagraph(lines, i, depth);
}

function isQuote(line) {
    return /^ {0,3}>/.test(line);
}

function isTable(lines, i) {
    return lines[i].includes('|') && i + 1 < lines.length && lines[i + 1].includes('-') &&
        TABLE_RULE.test(lines[i + 1].trim()) && cellsOf(lines[i]).length === cellsOf(lines[i + 1]).length;
}

function parseFence(lines, i) {
    const [, fence, info] = FENCE.exec(lines[i]);
    const indent = lines[i].search(/\S/);
    const text = [];
    let end = i + 1;
    for (; end < lines.length; end++) {
        const line = lines[end].trim();
        if (line.length >= fence.length && line[0] === fence[0] && /^(`+|~+)$/.test(line)) break;
        text.push(lines[end].slice(Math.min(indent, Math.max(0, lines[end].search(/\S|$/)))));
    }
    const language = info.trim().split(/\s/)[0].slice(0, 30);
    return {node: {tag: 'codeblock', language, text: text.join('\n'), children: []}, end: end + 1};
}

function parseQuote(lines, i, depth) {
    let end = i;
    while (end < lines.length && isQuote(lines[end])) end++;
    const inner = lines.slice(i, end).map((line) => line.replace(/^ {0,3}> ?/, ''));
    return {node: {tag: 'blockquote', children: nodesOf(inner, depth + 1)}, end};
}

function parseList(lines, i, depth) {
    const [, indent, marker] = ITEM.exec(lines[i]);
    const kind = marker.slice(-1); // another bullet, or ")" after ".", begins another list
    const list = {tag: /\d/.test(marker) ? 'ol' : 'ul', children: []};
    if (list.tag === 'ol') list.start = parseInt(marker, 10);
    let end = i;
    while (end < lines.length) {
        const item = ITEM.exec(lines[end]);
        if (!item || item[1].length > indent.length + 1 || item[2].slice(-1) !== kind || RULE.test(lines[end])) break;
        const next = endOfItem(lines, end, item[1].length);
        const width = item[1].length + item[2].length + Math.min((item[3] || ' ').length, 4);
        const inner = [item[4] || ''];
        for (const line of lines.slice(end + 1, next)) inner.push(line.slice(Math.min(width, line.search(/\S|$/))));
        list.children.push({tag: 'li', children: tight(nodesOf(inner, depth + 1))});
        end = next;
    }
    while (end > i + 1 && !lines[end - 1].trim()) end--; // blank lines after the list are not of it
    return {node: list, end};
}

// Where an item ends that begins at line i: before a line that is not indented more than its marker, but for lines
// that go on with its paragraph.
function endOfItem(lines, i, indent) {
    let end = i + 1;
    for (; end < lines.length; end++) {
        const line = lines[end];
        if (!line.trim()) continue;
        if (line.search(/\S/) >= indent + 2) continue;
        if (!lines[end - 1].trim() || startsBlock(lines, end)) break;
    }
    return end;
}

// An item's first paragraph needs no element of its own.
function tight(nodes) {
    return nodes.length && nodes[0].tag === 'p' ? [...nodes[0].children, ...nodes.slice(1)] : nodes;
}

function startsBlock(lines, i) {
    const line = lines[i];
    return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || isQuote(line) || ITEM.test(line) ||
        isTable(lines, i);
}

function parseParagraph(lines, i, depth) {
    let end = i + 1;
    while (end < lines.length && lines[end].trim() && (depth >= MAX_DEPTH || !startsBlock(lines, end))) end++;
    const text = lines.slice(i, end).map((line) => line.trim()).join('\n');
    return {node: {tag: 'p', children: parseInline(text)}, end};
}

function cellsOf(line) {
    // A pipe after a backslash is text; it stands as a NUL until the line is cut.
    const cells = line.trim().replace(/^\|/, '').replace(/\0/g, '').replace(/\\\|/g, '\0').split('|');
    if (cells.length > 1 && !cells[cells.length - 1].trim()) cells.pop();
    return cells.map((cell) => cell.trim().replace(/\0/g, '|'));
}

function parseTable(lines, i) {
    const align = cellsOf(lines[i + 1]).map((cell) =>
        cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'right') : 'left');
    const row = (line, tag) => {
        const cells = cellsOf(line);
        return {tag: 'tr', children: align.map((a, k) => ({tag, align: a, children: parseInline(cells[k] || '')}))};
    };
    const table = {tag: 'table', children: [row(lines[i], 'th')]};
    let end = i + 2;
    for (; end < lines.length && lines[end].includes('|') && lines[end].trim(); end++) {
        table.children.push(row(lines[end], 'td'));
    }
    return {node: table, end};
}

// ---- within a line ----

const ENTITIES = {amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0', '#39': "'"};
const ESCAPED = /[!-/:-@[-`{-~]/;
// What is tried at a place, in this order; all are bound to where they begin (sticky).
const PLAIN = /[^\\`[\]*_~<&h\n]+/y;
const BREAK = /\n|<br ?\/?>/y;
const ENTITY = /&(amp|lt|gt|quot|nbsp|#39);/y;
const ADDRESS = /<?(https?:\/\/[^\s<>"`*]+)>?/y;
const TICKS = /`+/y;
const MARKS = /\*+|_+|~~(?!~)/y;

function at(pattern, text, i) {
    pattern.lastIndex = i;
    return pattern.exec(text);
}

// Only these go anywhere: never javascript:, data: or a path on this server.
function safeUrl(address) {
    try {
        const url = new URL(address);
        return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : '';
    } catch {
        return '';
    }
}

export function parseInline(text) {
    const out = [], brackets = [], ticks = ticksOf(text);
    let i = 0, match;
    while (i < text.length) {
        const c = text[i];
        if ((match = at(PLAIN, text, i))) {
            out.push(match[0]);
        } else if (c === '\\' && ESCAPED.test(text[i + 1] || '')) {
            out.push(text[i + 1]);
            match = ['\\x'];
        } else if (c === '`') {
            match = codeSpan(text, i, ticks, out);
        } else if ((match = at(BREAK, text, i))) {
            out.push({tag: 'br', children: []});
        } else if ((match = at(ENTITY, text, i))) {
            out.push(ENTITIES[match[1]]);
        } else if ((c === 'h' || c === '<') && !/\w/.test(text[i - 1] || '') && (match = at(ADDRESS, text, i))) {
            match = address(match, out);
        } else if ((match = at(MARKS, text, i))) {
            out.push(marks(text, i, match[0]));
        } else if (c === ']' && brackets.length) {
            match = link(text, i, brackets, out);
        } else {
            if (c === '[') brackets.push(out.length);
            match = [c];
            out.push(c);
        }
        i += match[0].length;
    }
    return emphasize(out);
}

// Where runs of backticks begin, by their length.
function ticksOf(text) {
    const starts = new Map();
    for (const run of text.matchAll(/`+/g)) {
        const length = run[0].length;
        if (!starts.has(length)) starts.set(length, {list: [], next: 0});
        starts.get(length).list.push(run.index);
    }
    return starts;
}

function codeSpan(text, i, ticks, out) {
    const run = at(TICKS, text, i)[0];
    const starts = ticks.get(run.length) || {list: [], next: 0};
    while (starts.next < starts.list.length && starts.list[starts.next] <= i) starts.next++;
    const close = starts.list[starts.next];
    if (close === undefined) {
        out.push(run);
        return [run];
    }
    const inner = text.slice(i + run.length, close).replace(/\n/g, ' ');
    const padded = inner.length > 2 && inner[0] === ' ' && inner.endsWith(' ') && inner.trim();
    out.push({tag: 'code', children: [padded ? inner.slice(1, -1) : inner]});
    return [text.slice(i, close + run.length)];
}

// A bare address, or one in <>. Punctuation at its end belongs to the sentence, and so does a bracket not opened in it.
function address(match, out) {
    let url = match[1].slice(0, MAX_URL);
    let whole = match[0];
    if (whole[0] !== '<' || !whole.endsWith('>')) {
        let end = url.length;
        while (/[.,:;!?'_)\]]/.test(url[end - 1]) && !(url[end - 1] === ')' && url.slice(0, end).includes('('))) end--;
        url = url.slice(0, end);
        whole = whole[0] === '<' ? `<${url}` : url;
        if (whole[0] === '<') out.push('<');
    }
    const href = safeUrl(url);
    out.push(href ? {tag: 'a', href, children: [url]} : url);
    return [whole];
}

// At "]": a link, if "(address)" follows. An image is a link too: the page loads nothing.
function link(text, i, brackets, out) {
    const opener = brackets.pop();
    const target = text[i + 1] === '(' ? linkTarget(text, i + 2) : null;
    const href = target && safeUrl(target.address);
    if (!href) {
        out.push(']');
        return [']'];
    }
    const inner = out.splice(opener).slice(1);
    const before = out[out.length - 1];
    if (typeof before === 'string' && before.endsWith('!')) out[out.length - 1] = before.slice(0, -1);
    out.push({tag: 'a', href, children: emphasize(inner.length ? inner : [target.address])});
    brackets.length = 0; // no link within a link
    return [text.slice(i, target.end)];
}

// The address from `start` on, up to its ")", which may follow a title in quotes.
function linkTarget(text, start) {
    let depth = 0, end = start;
    for (; end < text.length && end - start < MAX_URL; end++) {
        const c = text[end];
        if (/\s/.test(c) || (c === ')' && depth === 0)) break;
        depth += c === '(' ? 1 : c === ')' ? -1 : 0;
        if (depth > 8) return null;
    }
    const title = at(/(?:\s+(?:"[^"\n]{0,300}"|'[^'\n]{0,300}'))?\s?\)/y, text, end);
    return title ? {address: text.slice(start, end).replace(/^<(.*)>$/, '$1'), end: end + title[0].length} : null;
}

// A run of * or _ or ~~ that may begin or end emphasis, by what stands around it.
function marks(text, i, run) {
    const before = text[i - 1] || ' ', after = text[i + run.length] || ' ';
    const space = /\s/, punctuation = /[\p{P}\p{S}]/u;
    let opens = !space.test(after) && (!punctuation.test(after) || space.test(before) || punctuation.test(before));
    let closes = !space.test(before) && (!punctuation.test(before) || space.test(after) || punctuation.test(after));
    if (run[0] === '_') { // snake_case is no emphasis
        [opens, closes] = [opens && (!closes || punctuation.test(before)),
            closes && (!opens || punctuation.test(after))];
    }
    return {mark: run[0], length: run.length, left: run.length, opens, closes, starts: [], ends: []};
}

// Pairs the marks, and makes a tree of what lies between them.
function emphasize(tokens) {
    const openers = [];
    for (const token of tokens) {
        if (!token.mark || token.length > 3) continue;
        while (token.closes && token.left && pair(openers, token));
        if (token.opens && token.left) openers.push(token);
        if (openers.length > MAX_OPEN) openers.shift();
    }
    const root = {children: []}, open = [root];
    const add = (node) => open[open.length - 1].children.push(node);
    for (const token of tokens) {
        if (!token.mark) {
            add(token);
            continue;
        }
        for (let k = 0; k < token.ends.length; k++) open.pop();
        if (token.left) add(token.mark.repeat(token.left));
        for (const tag of token.starts.reverse()) {
            const node = {tag, children: []};
            add(node);
            open.push(node);
        }
    }
    return joined(root.children);
}

// Ends the innermost emphasis that `closer` can end; openers between the two stay text.
function pair(openers, closer) {
    let k = openers.length - 1;
    while (k >= 0 && !matches(openers[k], closer)) k--;
    if (k < 0) return false;
    const opener = openers[k];
    const n = opener.left > 1 && closer.left > 1 ? 2 : 1;
    const tag = closer.mark === '~' ? 'del' : n === 2 ? 'strong' : 'em';
    opener.starts.push(tag);
    closer.ends.push(tag);
    opener.left -= n;
    closer.left -= n;
    openers.length = opener.left ? k + 1 : k;
    return true;
}

// CommonMark's rule: where a run could both begin and end emphasis, lengths that sum to a multiple of 3 do not match,
// so that **a*b*c** is what it looks like.
function matches(opener, closer) {
    if (opener.mark !== closer.mark) return false;
    const unclear = opener.closes || closer.opens;
    return !unclear || (opener.length + closer.length) % 3 !== 0 || opener.length % 3 === 0;
}

// Neighbouring strings as one.
function joined(nodes) {
    const out = [];
    for (const node of nodes) {
        if (typeof node === 'string' && typeof out[out.length - 1] === 'string') out[out.length - 1] += node;
        else out.push(node);
    }
    return out;
}
