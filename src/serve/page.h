// page.h: the web page that the server shows at "/", put together from page/ at build time.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

// One HTML document in UTF-8 that loads nothing else.
std::string_view page();

// The headers that it must be sent with. By its Content-Security-Policy only the page's own script and style count,
// known by their hashes; requests go to this server only, no string becomes markup, and no other site may frame it.
std::vector<std::pair<std::string, std::string>> page_headers();
