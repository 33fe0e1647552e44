// serve_flags.cpp: the flags of `run serve` alone.
#include <limits>

#include "app/flags.h"
#include "options.h"

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

void add_flags_of_access(CLI::App& app, ServeOptions& o) {
    app.add_option_function<std::string>(
           "--host",
           [&o](const std::string& text) {
               if (text.empty()) fail("--host: expected an address of this machine, found \"\"");
               o.host = text;
           },
           "serve: the address to listen on (default 127.0.0.1: this machine alone; 0.0.0.0: all)")
        ->type_name("ADDRESS");
    add_number(app, "--port", "--port", o.port, 0, 65535, "a port from 0 to 65535",
               "serve: the port (default 8000; 0: one that is free, which the first line on stderr says)");
    app.add_option("--api-key", o.api_keys, "serve: clients need this key, or one of several")->type_name("KEY");
    app.add_option("--api-key-file", o.api_key_file, "serve: likewise; a file with a key a line")->type_name("PATH");
    app.add_flag("--no-auth", o.no_auth, "serve: with a --host that others reach: they need no key");
    app.add_option("--cors", o.cors, "serve: pages of these origins may ask, such as https://chat.example; *: all")
        ->type_name("ORIGIN");
}

}  // namespace

void add_flags_of_serve(CLI::App& app, ServeOptions& o) {
    add_flags_of_access(app, o);
    app.add_option("--served-name", o.names, "serve: the model's name, or names (default: its folder's)")
        ->type_name("NAME");
    add_number(app, "--queue", "--queue", o.queue, 0, kMaxInt, "an integer of at least 0",
               "serve: requests that may wait (default: four times --in-flight); more get status 429");
    add_number(app, "--store", "--store", o.store, 0, kMaxInt, "an integer of at least 0",
               "serve: responses kept in memory for clients that ask for it with \"store\" (default 1000)");
    app.add_option_function<std::string>(
           "--max-body",
           [&o](const std::string& text) { o.max_body_bytes = parse_bytes("--max-body", text, kBytesExpected); },
           "serve: the longest body of a request, in bytes or with K, M or G (default 8M)")
        ->type_name("BYTES");
    app.add_flag_callback(
        "--no-web", [&o] { o.page = false; }, "serve: without the page at /");
    app.add_option("--metrics-prefix", o.metrics_prefix,
                   "serve: what names in /metrics begin with (default vllm, which its dashboards look for)")
        ->type_name("NAME");
    add_choice(
        app, "--reasoning-field", "--reasoning-field", o.reasoning_field,
        {{"reasoning", "reasoning"}, {"reasoning_content", "reasoning_content"}, {"both", "both"}, {"none", "none"}},
        "serve: the field of a message that holds the reasoning: reasoning, reasoning_content, both\n"
        "(default) or none");
}
