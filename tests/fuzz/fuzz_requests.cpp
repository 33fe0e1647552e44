// fuzz_requests.cpp: any bytes as a line of a batch file: a request, or an Error.
#include "error.h"
#include "requests/request_body.h"
#include "requests/request_line.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        find_custom_id({reinterpret_cast<const char*>(data), size});
        const Json line = parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "the line");
        read_custom_id(line);
        const RequestLine request = read_request_line(line);
        read_request_body(request.body, request.url);
    } catch (const Error&) {
    }
    return 0;
}
