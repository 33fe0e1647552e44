// test_http_parser.cpp: requests in any portions, and what is no request.
#include <gtest/gtest.h>

#include "serve/http_parser.h"

namespace {

constexpr int64_t kMostBody = 1000;

// Reads requests from `text`, given in portions of n bytes; the parser stops at an error.
struct Parsed {
    std::vector<HttpRequest> requests;
    int status = 0;
    std::string error;
};
Parsed parse(const std::string& text, size_t n = std::string::npos) {
    HttpParser parser(kMostBody);
    Parsed parsed;
    for (size_t begin = 0; begin < text.size();) {
        const size_t taken = parser.feed(std::string_view(text).substr(begin, n));
        begin += taken;
        if (parser.error_status() != 0) break;
        if (!parser.is_done()) {
            EXPECT_GT(taken, 0u) << "it goes on";
            continue;
        }
        parsed.requests.push_back(parser.request());
        parser.reset();
    }
    parsed.status = parser.error_status();
    parsed.error = parser.error();
    return parsed;
}

int status_of(const std::string& text) {
    return parse(text).status;
}

std::string with(const std::string& header) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + header + "\r\n\r\n";
}

TEST(HttpParser, ARequest) {
    const Parsed parsed = parse(
        "POST /v1/models/a%2Fb?x=1 HTTP/1.1\r\nHost: localhost:80\r\nX-One:  a b \r\ncontent-length: 5\r\n\r\nhello");
    ASSERT_EQ(parsed.requests.size(), 1u) << parsed.error;
    const HttpRequest& request = parsed.requests[0];
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/models/a/b");
    EXPECT_EQ(request.body, "hello");
    EXPECT_EQ(*request.header("x-one"), "a b");
    EXPECT_EQ(request.header("x-two"), nullptr);
    EXPECT_TRUE(request.keep_alive);
}

const std::string kChunked =
    "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n \r\n00a\r\n0123456789\r\n"
    "0\r\nTrailer: x\r\n\r\n";

TEST(HttpParser, AChunkedBody) {
    const Parsed parsed = parse(kChunked);
    ASSERT_EQ(parsed.requests.size(), 1u) << parsed.error;
    EXPECT_EQ(parsed.requests[0].body, "hello 0123456789");
}

TEST(HttpParser, HoweverItIsCut) {
    const std::string text = kChunked + "\r\nGET /a HTTP/1.1\r\nHost: b\r\n\r\n" +
                             "POST /b HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc" + "GET /c HTTP/1.0\r\n\r\n";
    for (size_t n = 1; n < text.size(); n++) {
        const Parsed parsed = parse(text, n);
        ASSERT_EQ(parsed.requests.size(), 4u) << n << ": " << parsed.error;
        EXPECT_EQ(parsed.requests[0].body, "hello 0123456789");
        EXPECT_EQ(parsed.requests[1].path, "/a");
        EXPECT_EQ(parsed.requests[2].body, "abc");
        EXPECT_FALSE(parsed.requests[3].keep_alive) << "HTTP/1.0";
    }
}

TEST(HttpParser, WhetherTheConnectionStays) {
    EXPECT_FALSE(parse(with("Connection: Close")).requests.at(0).keep_alive);
    EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").requests.at(0).keep_alive);
}

TEST(HttpParser, OtherFormsOfATarget) {
    const auto path = [](const std::string& target) {
        return parse("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").requests.at(0).path;
    };
    EXPECT_EQ(path("http://host:80/a/b"), "/a/b");
    EXPECT_EQ(path("HTTP://host"), "/");
    EXPECT_EQ(path("/a?b"), "/a");
    EXPECT_EQ(path("*"), "*");
}

TEST(HttpParser, WhatIsNoRequest) {
    for (const char* text :
         {"GET\r\n\r\n", "GET /\r\n\r\n", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
          "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
          "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
          " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "hello world out there\r\n\r\n"})
        EXPECT_EQ(status_of(text), 400) << text;
    for (const char* header :
         {"no colon", "X : y", " continued", ": y", "X: a\x01z", "Host: b", "Content-Length: x", "Content-Length: -1",
          "Content-Length: 1, 1", "Content-Length: 1\r\nContent-Length: 1",
          "Content-Length: 1\r\nTransfer-Encoding: chunked", "Content-Length: 99999999999999999999"})
        EXPECT_EQ(status_of(with(header)), 400) << header;
    EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    EXPECT_EQ(status_of(with("Transfer-Encoding: gzip, chunked")), 501);
    EXPECT_EQ(status_of(with("Expect: a miracle")), 417);
}

TEST(HttpParser, ChunksThatAreNone) {
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char* chunks : {"x\r\n", "-1\r\n", "\r\n", "5\r\nhelloX\r\n", "5\nhello\r\n", "ffffffffffffffffff\r\n"})
        EXPECT_EQ(status_of(head + chunks), 400) << chunks;
    EXPECT_EQ(status_of(head + std::string(2000, '1')), 400) << "a line without an end";
    EXPECT_EQ(status_of(head + "ffffffffffffffff\r\n"), 413) << "sizes do not overflow";
}

TEST(HttpParser, Limits) {
    EXPECT_EQ(status_of("GET /" + std::string(kMostHeadBytes, 'a')), 431);
    std::string headers = "X: y";
    for (size_t i = 0; i < kMostHeaders; i++) headers += "\r\nX: y";
    EXPECT_EQ(status_of(with(headers)), 431);
    EXPECT_EQ(status_of(with("Content-Length: 1001")), 413) << "before the body";
    EXPECT_EQ(status_of(with("Content-Length: 1000")), 0);
    std::string chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 10; i++) chunks += "64\r\n" + std::string(100, 'a') + "\r\n";
    EXPECT_EQ(status_of(chunks), 0);
    EXPECT_EQ(status_of(chunks + "1\r\n"), 413);
}

}  // namespace
