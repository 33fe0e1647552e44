// test_serve_http.cpp: what holds for every request: routes, keys, hosts, origins, limits, connections.
#include "serve_checks.h"

namespace {

class ServeHttp : public testing::Test, public FakeServer {};

std::string error_type(const HttpAnswer& answer) {
    const nlohmann::json json = answer.json();
    if (!json.contains("error")) return "no error";
    for (const char* field : {"message", "type", "param", "code"}) EXPECT_TRUE(json["error"].contains(field)) << field;
    return json["error"]["type"];
}
std::string error_code(const HttpAnswer& answer) {
    return answer.json()["error"].value("code", "");
}

TEST_F(ServeHttp, HealthAndModels) {
    options.serve.names = {"gpt-oss-20b", "other"};
    const RunningServer& server = start();
    EXPECT_EQ(server.get("/health").body, R"({"status":"ok"})");
    EXPECT_EQ(server.get("/v1/health").status, 200);
    for (const char* path : {"/v1/models", "/models", "/v1/models/", "/models?x=1"}) {
        const nlohmann::json list = server.get(path).json();
        EXPECT_EQ(list["object"], "list") << path;
        ASSERT_EQ(list["data"].size(), 2u);
        EXPECT_EQ(list["data"][0]["id"], "gpt-oss-20b");
        EXPECT_EQ(list["data"][0]["object"], "model");
        EXPECT_EQ(list["data"][0]["max_model_len"], 500);
        EXPECT_TRUE(list["data"][0].contains("created") && list["data"][0].contains("owned_by"));
    }
    EXPECT_EQ(server.get("/v1/models/other").json()["id"], "other");
    EXPECT_EQ(server.get("/v1/models/openai%2Fgpt-oss-20b").status, 200);
    const HttpAnswer unknown = server.get("/v1/models/llama");
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(error_code(unknown), "model_not_found");
}

TEST_F(ServeHttp, PathsAndMethodsThatAreNone) {
    const RunningServer& server = start();
    const HttpAnswer unknown = server.get("/v1/nothing");
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(error_type(unknown), "not_found_error");
    EXPECT_FALSE(unknown.headers.at("x-request-id").empty());
    for (const char* path : {"/v1/embeddings", "/v1/audio/speech", "/v1/images/generations"}) {
        const HttpAnswer answer = server.post(path, "{}");
        EXPECT_EQ(answer.status, 404) << path;
        EXPECT_NE(answer.body.find("it has no"), std::string::npos) << answer.body;
    }
    const HttpAnswer wrong = server.get("/v1/chat/completions");
    EXPECT_EQ(wrong.status, 405);
    EXPECT_EQ(wrong.headers.at("allow"), "POST");
    EXPECT_EQ(error_type(wrong), "invalid_request_error");
    HttpClient head = server.client();
    head.send(HttpClient::head("HEAD", "/health") + "\r\n");
    EXPECT_EQ(head.answer(/*is_to_head=*/true).status, 200);
    head.get("/health");
    EXPECT_EQ(head.answer().body, R"({"status":"ok"})") << "the other answer had no body";
}

TEST_F(ServeHttp, BadRequestsNameTheField) {
    const RunningServer& server = start();
    const HttpAnswer answer = server.post("/v1/completions", R"({"prompt": [1], "temperature": "hot"})");
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.json()["error"]["param"], "temperature");
    EXPECT_EQ(error_type(server.post("/v1/completions", "{")), "invalid_request_error");
    EXPECT_EQ(server.post("/v1/completions", "").status, 400);
    const HttpAnswer model = server.post("/v1/completions", completion_body(1, R"(, "model": "llama")"));
    EXPECT_EQ(model.status, 404);
    EXPECT_EQ(error_code(model), "model_not_found");
    const HttpAnswer longer = server.post("/v1/completions", completion_body(
                                                                 1, "", "[" + [] {
                                                                     std::string ids = "1";
                                                                     for (int i = 0; i < 600; i++) ids += ",1";
                                                                     return ids;
                                                                 }() + "]"));
    EXPECT_EQ(longer.status, 400);
    EXPECT_EQ(error_code(longer), "context_length_exceeded");
}

TEST_F(ServeHttp, Keys) {
    const TempFolder folder;
    options.serve.api_keys = {"alpha"};
    options.serve.api_key_file = folder.write("keys", "beta\r\n\ngamma\n");
    running = std::make_unique<RunningServer>(options, config, limits, [this] { return load(); });
    ASSERT_TRUE(running->reaches(200)) << "without a key";
    const HttpAnswer none = running->get("/v1/models");
    EXPECT_EQ(none.status, 401);
    EXPECT_EQ(none.headers.at("www-authenticate"), "Bearer");
    EXPECT_EQ(error_code(none), "invalid_api_key");
    for (const char* wrong : {"Bearer alph", "Bearer alphaa", "Bearer ", "alpha", "Basic alpha", "Bearer Alpha"})
        EXPECT_EQ(running->get("/v1/models", std::string("Authorization: ") + wrong + "\r\n").status, 401) << wrong;
    for (const char* right : {"Authorization: Bearer alpha", "Authorization: Bearer beta", "Authorization: bearer beta",
                              "x-api-key: gamma"})
        EXPECT_EQ(running->get("/v1/models", std::string(right) + "\r\n").status, 200) << right;
    EXPECT_EQ(running->get("/metrics").status, 401);
    EXPECT_EQ(running->get("/").status, 200) << "the page asks for the key";
    HttpClient refused = running->client();
    refused.send(HttpClient::head("POST", "/v1/completions", "Content-Length: 1000\r\n") + "\r\n");
    EXPECT_EQ(refused.answer().status, 401) << "before the body is there";
    EXPECT_TRUE(refused.is_closed());
}

TEST_F(ServeHttp, OtherMachinesNeedAKey) {
    options.serve.host = "0.0.0.0";
    const auto make = [&] { Server(options, config, limits, [this] { return load(); }); };
    EXPECT_NE(error_of(make).find("--no-auth"), std::string::npos);
    options.serve.no_auth = true;
    EXPECT_EQ(error_of(make), "");
    options.serve.no_auth = false;
    options.serve.api_keys = {"k"};
    EXPECT_EQ(error_of(make), "");
    options.serve.api_keys = {""};
    EXPECT_NE(error_of(make).find("--api-key"), std::string::npos);
    options.serve.host = "no.such.host.invalid";
    options.serve.api_keys = {"k"};
    EXPECT_NE(error_of(make).find("--host"), std::string::npos);
}

TEST_F(ServeHttp, APortInUse) {
    const RunningServer& server = start();
    options.serve.port = server.server.port();
    EXPECT_NE(error_of([&] { Server(options, config, limits, [this] { return load(); }); }).find("--port"),
              std::string::npos);
}

TEST_F(ServeHttp, OnlyThisMachinesNames) {
    const RunningServer& server = start();
    const auto status = [&](const std::string& host) {
        HttpClient client = server.client();
        client.send("GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        return client.answer().status;
    };
    for (const char* host : {"localhost", "localhost:80", "LocalHost:80", "127.0.0.1:8000", "[::1]:80"})
        EXPECT_EQ(status(host), 200) << host;
    EXPECT_EQ(status("evil.example"), 403);
    EXPECT_EQ(status("localhost.evil.example:80"), 403);
    EXPECT_EQ(status("127.evil.example"), 403) << "no address, but a name that may stand for any";
}

TEST_F(ServeHttp, PagesOfOtherOrigins) {
    options.serve.cors = {"https://a.example", "https://b.example"};
    const RunningServer& server = start();
    HttpClient client = server.client();
    client.send(HttpClient::head("OPTIONS", "/v1/chat/completions",
                                 "Origin: https://b.example\r\nAccess-Control-Request-Method: POST\r\n"
                                 "Access-Control-Request-Headers: authorization,x-stainless-os\r\n") +
                "\r\n");
    const HttpAnswer preflight = client.answer();
    EXPECT_EQ(preflight.status, 204);
    EXPECT_EQ(preflight.headers.at("access-control-allow-origin"), "https://b.example");
    EXPECT_EQ(preflight.headers.at("access-control-allow-headers"), "authorization,x-stainless-os");
    EXPECT_EQ(server.get("/v1/models", "Origin: https://a.example\r\n").headers.at("access-control-allow-origin"),
              "https://a.example");
    EXPECT_FALSE(
        server.get("/v1/models", "Origin: https://c.example\r\n").headers.count("access-control-allow-origin"));
}

TEST_F(ServeHttp, PagesOfOtherOriginsPostNothingWithoutAKey) {
    const auto status = [](const RunningServer& server, const std::string& headers) {
        HttpClient client = server.client();
        client.send("POST /tokenize HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 0\r\n" + headers + "\r\n");
        return client.answer().status;
    };
    options.serve.cors = {"https://a.example"};
    const RunningServer& server = start();
    for (const char* origin : {"https://evil.example", "null", "http://localhost:81", "http://evil/localhost:80"})
        EXPECT_EQ(status(server, std::string("Origin: ") + origin + "\r\n"), 403) << origin;
    for (const char* origin : {"https://a.example", "http://localhost:80"})
        EXPECT_NE(status(server, std::string("Origin: ") + origin + "\r\n"), 403) << origin;
    EXPECT_NE(status(server, ""), 403) << "no browser";
}

TEST_F(ServeHttp, OriginsCountNothingUnlessAskedFor) {
    const RunningServer& server = start();
    EXPECT_FALSE(
        server.get("/v1/models", "Origin: https://a.example\r\n").headers.count("access-control-allow-origin"));
    HttpClient client = server.client();
    client.send(HttpClient::head("OPTIONS", "/v1/models") + "\r\n");
    EXPECT_EQ(client.answer().status, 405);
}

TEST_F(ServeHttp, BodiesOverTheLimit) {
    limits.body_bytes = 1000;
    const RunningServer& server = start();
    HttpClient client = server.client();
    client.send(HttpClient::head("POST", "/v1/completions", "Content-Length: 1001\r\n") + "\r\n");
    const HttpAnswer refused = client.answer();
    EXPECT_EQ(refused.status, 413) << "before the body is there";
    EXPECT_EQ(error_type(refused), "request_too_large");
    EXPECT_TRUE(client.is_closed());
    // The whole body is sent before the answer is read, which must not be lost.
    EXPECT_EQ(server.post("/v1/completions", std::string(1'000'000, ' ')).status, 413);
    EXPECT_EQ(server.post("/v1/completions", completion_body(1) + std::string(900, ' ')).status, 200);
}

TEST_F(ServeHttp, AClientThatWaitsToBeAskedForItsBody) {
    const RunningServer& server = start();
    HttpClient client = server.client();
    const std::string body = completion_body(1);
    client.send(HttpClient::head("POST", "/v1/completions",
                                 "Expect: 100-continue\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") +
                "\r\n");
    EXPECT_EQ(client.answer().status, 100);
    client.send(body);
    EXPECT_EQ(client.answer().status, 200);
}

TEST_F(ServeHttp, MalformedHeadsAndChunks) {
    const RunningServer& server = start();
    for (const char* text :
         {"garbage\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /health?a\nX: y HTTP/1.1\r\nHost: localhost\r\n\r\n",
          "GET /health?a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
          "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        HttpClient client = server.client();
        client.send(text);
        const HttpAnswer answer = client.answer();
        EXPECT_EQ(answer.status, 400) << text;
        EXPECT_EQ(error_type(answer), "invalid_request_error");
        EXPECT_TRUE(client.is_closed()) << text;
    }
    HttpClient client = server.client();
    const std::string body = completion_body(1);
    client.send(HttpClient::head("POST", "/v1/completions", "Transfer-Encoding: chunked\r\n") + "\r\n");
    for (const char c : body) client.send(std::string("1\r\n") + c + "\r\n");
    client.send("0\r\n\r\n");
    EXPECT_EQ(client.answer().status, 200);
}

TEST_F(ServeHttp, EveryStatusHasItsReason) {
    const RunningServer& server = start();
    const auto first_line = [&](const std::string& text) {
        HttpClient client = server.client();
        client.send(text);
        const HttpAnswer answer = client.answer();
        return std::to_string(answer.status) + " " + answer.reason;
    };
    EXPECT_EQ(first_line(HttpClient::head("GET", "/health") + "\r\n"), "200 OK");
    EXPECT_EQ(first_line(HttpClient::head("GET", "/health", "Expect: rain\r\n") + "\r\n"), "417 Expectation Failed");
    EXPECT_EQ(first_line(HttpClient::head("GET", "/" + std::string(kMostHeadBytes, 'a')) + "\r\n"),
              "431 Request Header Fields Too Large");
    EXPECT_EQ(first_line(HttpClient::head("POST", "/health", "Transfer-Encoding: gzip\r\n") + "\r\n"),
              "501 Not Implemented");
    EXPECT_EQ(first_line("GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n"), "505 HTTP Version Not Supported");
}

TEST_F(ServeHttp, RequestsInARow) {
    const RunningServer& server = start();
    HttpClient client = server.client();
    std::string all;
    for (const char* path : {"/health", "/v1/models", "/nothing", "/health"})
        all += HttpClient::head("GET", path) + "\r\n";
    const std::string body = completion_body(3, R"(, "stream": true)");
    all += HttpClient::head("POST", "/v1/completions", "Content-Length: " + std::to_string(body.size()) + "\r\n") +
           "\r\n" + body + HttpClient::head("GET", "/health", "Connection: close\r\n") + "\r\n";
    client.send(all);
    for (const int status : {200, 200, 404, 200}) EXPECT_EQ(client.answer().status, status);
    EXPECT_EQ(client.head_of_answer().status, 200);
    EXPECT_EQ(client.events().back(), "[DONE]");
    EXPECT_EQ(client.answer().status, 200);
    EXPECT_TRUE(client.is_closed());
}

TEST_F(ServeHttp, AClientThatAsksOnAndReadsNothing) {
    options.serve.names = {std::string(2000, 'm')};  // so that each answer is long
    limits.stalled_bytes = 10'000;
    limits.send_buffer_bytes = 4096;
    limits.body_bytes = 1000;
    const RunningServer& server = start();
    constexpr int kRequests = 300;  // in one read of the server's
    std::string all;
    for (int i = 0; i < kRequests; i++) all += HttpClient::head("GET", "/v1/models") + "\r\n";
    const auto n_answered = [&] {
        const std::string text = server.get("/metrics").body, name = "status=\"200\"} ";
        const size_t at = text.find(name);
        return at == std::string::npos ? 0 : std::stoi(text.substr(at + name.size()));
    };
    const int n_before = n_answered();
    HttpClient client = server.client(/*receive_bytes=*/4096);
    client.send(all);
    for (int i = 0; i < 100; i++) EXPECT_LT(n_answered() - n_before - i, kRequests / 2);
    for (int i = 0; i < kRequests; i++) ASSERT_EQ(client.answer().status, 200) << "it reads at last: " << i;
    for (int i = 0; i < 10; i++) all += all;
    client.send(all);
    EXPECT_TRUE(client.is_closed()) << "far too many";
}

TEST_F(ServeHttp, AClientThatAsksAndShutsItsSideGetsAQuickAnswer) {
    const RunningServer& server = start();
    HttpClient client = server.client();
    client.get("/health");
    client.half_close();
    EXPECT_EQ(client.answer().status, 200);
    EXPECT_TRUE(client.is_closed());
}

TEST_F(ServeHttp, HeadsAndBodiesThatDoNotCome) {
    limits.head_s = limits.body_s = 0.2;
    limits.idle_s = 0.4;
    const RunningServer& server = start();
    HttpClient slow_head = server.client(), slow_body = server.client(), idle = server.client();
    slow_head.send("GET / HT");
    slow_body.send(HttpClient::head("POST", "/v1/completions", "Content-Length: 10\r\n") + "\r\nabc");
    for (HttpClient* client : {&slow_head, &slow_body}) {
        const HttpAnswer answer = client->answer();
        EXPECT_EQ(answer.status, 408);
        EXPECT_EQ(error_type(answer), "timeout");
        EXPECT_TRUE(client->is_closed());
    }
    EXPECT_EQ(idle.answer().status, 0);
    EXPECT_TRUE(idle.is_closed());
}

TEST_F(ServeHttp, HttpOneZero) {
    const RunningServer& server = start();
    HttpClient client = server.client();
    const std::string body = completion_body(3, R"(, "stream": true)");
    client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const HttpAnswer answer = client.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_FALSE(answer.headers.count("transfer-encoding"));
    EXPECT_EQ(HttpClient::events_of(answer.body).back(), "[DONE]");
}

TEST_F(ServeHttp, WhileItLoads) {
    StepGate loading;
    loading.open(false);
    running = std::make_unique<RunningServer>(options, config, limits, [&] {
        loading.pass();
        return load();
    });
    EXPECT_EQ(running->get("/health").status, 503);
    const HttpAnswer answer = running->post("/v1/completions", completion_body(1));
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.headers.at("retry-after"), "1");
    EXPECT_EQ(running->get("/v1/models").status, 200);
    loading.open();
    EXPECT_TRUE(running->reaches(200));
    EXPECT_EQ(running->post("/v1/completions", completion_body(1)).status, 200);
}

TEST_F(ServeHttp, AModelThatCannotBeLoaded) {
    Server server(options, config, limits, []() -> LoadedModel { fail("no such thing"); });
    EXPECT_NE(error_of([&] { server.run(); }).find("no such thing"), std::string::npos);
}

TEST(Keys, EqualInAnyOrder) {
    EXPECT_TRUE(equal_in_constant_time("", ""));
    EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
    for (const char* other : {"", "ab", "abd", "abcabc", "xbc"}) {
        EXPECT_FALSE(equal_in_constant_time("abc", other)) << other;
        EXPECT_FALSE(equal_in_constant_time(other, "abc")) << other;
    }
}

}  // namespace
