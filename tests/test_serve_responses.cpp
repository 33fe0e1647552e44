// test_serve_responses.cpp: the Responses API over HTTP: how events are framed, and what becomes of responses that are
// kept. What they say is tested without HTTP (test_responses_*.cpp) and with real clients (test_serve_clients.cpp).
#include "serve_checks.h"

namespace {

using nlohmann::json;

std::string body(const std::string& more = "") {
    return R"({"input": "hi", "ignore_eos": true, "max_output_tokens": 6)" + more + "}";
}

class ServeResponses : public testing::Test {
  protected:
    RunningServer& start() { return server.start(); }
    HttpAnswer ask(const std::string& method, const std::string& path) {
        HttpClient client = server.running->client();
        client.send(HttpClient::head(method, path, "Content-Length: 0\r\n") + "\r\n");
        return client.answer();
    }
    FakeServer server;
};

struct Event {
    std::string type;
    json data;
};

// Events with their names; EXPECTs that there is nothing else but comments.
std::vector<Event> named_events(const std::string& text) {
    std::vector<Event> events;
    for (size_t at = 0; at < text.size();) {
        const size_t end = text.find("\n\n", at);
        const std::string event = text.substr(at, end - at);
        at = end == std::string::npos ? text.size() : end + 2;
        if (event[0] == ':') continue;
        const size_t line_end = event.find('\n');
        EXPECT_EQ(event.substr(0, 7), "event: ") << event;
        EXPECT_EQ(event.substr(line_end, 7), "\ndata: ") << event;
        events.push_back({event.substr(7, line_end - 7), json_of(event.substr(line_end + 7))});
    }
    return events;
}

}  // namespace

TEST_F(ServeResponses, AStreamNamesItsEventsAndEndsWithTheAnswer) {
    const RunningServer& running = start();
    HttpClient client = running.client();
    client.post("/v1/responses", body(R"(, "stream": true)"));
    const HttpAnswer answer = client.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream; charset=utf-8");
    const std::vector<Event> events = named_events(answer.body);
    ASSERT_GE(events.size(), 3u);
    for (size_t i = 0; i < events.size(); i++) {
        EXPECT_EQ(events[i].data["type"], events[i].type);
        EXPECT_EQ(events[i].data["sequence_number"], i);
    }
    EXPECT_EQ(events[0].type, "response.created");
    EXPECT_EQ(events[1].type, "response.in_progress");
    EXPECT_EQ(events.back().type, "response.incomplete");

    json streamed = events.back().data["response"];
    json whole = running.post("/v1/responses", body()).json();
    EXPECT_EQ(whole["id"].get<std::string>().substr(0, 5), "resp_");
    EXPECT_NE(whole["id"], streamed["id"]);
    for (json* object : {&streamed, &whole}) {
        (*object)["usage"].erase("input_tokens_details");  // the second prompt is in the cache
        for (const char* varies : {"id", "created_at", "completed_at"}) object->erase(varies);
        for (json& item : (*object)["output"]) {
            item.erase("id");
            item.erase("call_id");
        }
    }
    EXPECT_EQ(streamed, whole);

    client.get("/health");
    EXPECT_EQ(client.answer().status, 200) << "the connection lives on";
}

TEST_F(ServeResponses, BeginsBeforeTheFirstToken) {
    const RunningServer& running = start();
    server.gate.open(false);
    HttpClient client = running.client();
    client.post("/v1/responses", body(R"(, "stream": true)"));
    EXPECT_EQ(client.head_of_answer().status, 200);
    std::string piece;
    ASSERT_TRUE(client.next_chunk(piece));
    EXPECT_EQ(piece.rfind("event: response.created\n", 0), 0u) << piece;
    server.gate.open();
}

TEST_F(ServeResponses, KeepsWhatAsksForIt) {
    const RunningServer& running = start();
    const json kept = running.post("/v1/responses", body(R"(, "store": true)")).json();
    const json other = running.post("/v1/responses", body()).json();
    const std::string path = "/v1/responses/" + kept["id"].get<std::string>();
    EXPECT_EQ(running.get(path).json(), kept);
    EXPECT_EQ(running.get("/v1/responses/" + other["id"].get<std::string>()).status, 404);

    const std::string goes_on = R"(, "previous_response_id": ")" + kept["id"].get<std::string>() + '"';
    const json second = running.post("/v1/responses", body(goes_on)).json();
    EXPECT_EQ(second["previous_response_id"], kept["id"]);
    EXPECT_GT(second["usage"]["input_tokens"], kept["usage"]["input_tokens"]);

    EXPECT_EQ(ask("POST", path + "/cancel").status, 400) << "it is none that runs in the background";
    const HttpAnswer deleted = ask("DELETE", path);
    EXPECT_EQ(deleted.status, 200);
    EXPECT_EQ(deleted.json(), json({{"id", kept["id"]}, {"object", "response"}, {"deleted", true}}));
    for (const auto& [method, target] : std::vector<std::pair<std::string, std::string>>{
             {"GET", path}, {"DELETE", path}, {"POST", path + "/cancel"}}) {
        const HttpAnswer gone = ask(method, target);
        EXPECT_EQ(gone.status, 404) << method << target;
        EXPECT_EQ(gone.json()["error"]["type"], "not_found_error");
    }
    const HttpAnswer broken = running.post("/v1/responses", body(goes_on));
    EXPECT_EQ(broken.status, 400);
    EXPECT_EQ(broken.json()["error"]["code"], "previous_response_not_found");
    EXPECT_EQ(broken.json()["error"]["param"], "previous_response_id");
}

TEST_F(ServeResponses, KeepsNoneIfToldSo) {
    server.options.serve.store = 0;
    const RunningServer& running = start();
    const json answer = running.post("/v1/responses", body(R"(, "store": true)")).json();
    EXPECT_EQ(answer["store"], false) << "it says so";
    EXPECT_EQ(running.get("/v1/responses/" + answer["id"].get<std::string>()).status, 404);
}

TEST_F(ServeResponses, CountsWhatItWouldRead) {
    const RunningServer& running = start();
    const json counted = running.post("/v1/responses/input_tokens", body()).json();
    EXPECT_EQ(counted["object"], "response.input_tokens");
    EXPECT_EQ(counted["input_tokens"], running.post("/v1/responses", body()).json()["usage"]["input_tokens"]);
    EXPECT_EQ(running.post("/v1/responses/input_tokens", R"({"input": 5})").status, 400);
}

TEST_F(ServeResponses, BadRequests) {
    const RunningServer& running = start();
    const HttpAnswer bad = running.post("/v1/responses", R"({"input": [{"type": "computer_call"}]})");
    EXPECT_EQ(bad.status, 400);
    EXPECT_EQ(bad.json()["error"]["param"], "input[0].type");
    EXPECT_EQ(running.post("/v1/responses", R"({"input": )").status, 400);
    EXPECT_EQ(ask("GET", "/v1/responses").status, 405);
    EXPECT_EQ(running.post("/responses/", body()).status, 200) << "the path without a version, with a slash";
}
