// page.h: the web page that the server shows at "/", put together from page/ at build time.
#pragma once

#include <string_view>

// One HTML document in UTF-8 that loads nothing else.
std::string_view page();

// What it must be sent with as the header Content-Security-Policy: only the page's own script and style count, known by
// their hashes; requests go to this server only, no string becomes markup, and no other site may frame it.
std::string_view page_policy();
