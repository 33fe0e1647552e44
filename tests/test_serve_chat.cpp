// test_serve_chat.cpp: chats and completions through the server, on small models: the order of a stream's chunks, and
// that an answer is the same, bit for bit, whoever asks beside it and by whatever way.
#include <fstream>
#include <sstream>

#include "mode_test.h"
#include "serve_checks.h"
#include "support/scripted_model.h"

namespace {

using Json = nlohmann::json;

// Serves the model in `path`.
class ModelServer {
  public:
    explicit ModelServer(const std::string& path, const std::vector<std::string>& cors = {}) : model(open_model(path)) {
        options.model = path;
        options.precision = Precision::kF32;
        options.serve.port = 0;
        options.serve.cors = cors;
        options.seed = 1;
        running = std::make_unique<RunningServer>(options, model.common(), limits, [this] { return load(); });
        EXPECT_TRUE(running->reaches(200));
    }
    LoadedModel load() {
        LoadedModel loaded;
        loaded.codec = std::make_unique<const TextCodec>(model, "");
        loaded.engine = std::make_unique<Engine>(model, engine_options(options, 0));
        loaded.in_flight = 32;
        return loaded;
    }
    Model model;
    Options options;
    HttpLimits limits;
    std::unique_ptr<RunningServer> running;
};

std::string go(const std::string& more = "") {
    return R"({"messages": [{"role": "user", "content": "Go."}])" + more + "}";
}

// All chunks of a stream but [DONE], which must be there.
std::vector<Json> chunks(RunningServer& server, const std::string& path, const std::string& body) {
    HttpClient client = server.client();
    client.post(path, body);
    EXPECT_EQ(client.head_of_answer().status, 200);
    std::vector<Json> all;
    std::vector<std::string> events = client.events();
    EXPECT_FALSE(events.empty());
    if (events.empty()) return all;
    EXPECT_EQ(events.back(), "[DONE]");
    events.pop_back();
    for (const std::string& event : events) all.push_back(Json::parse(event));
    return all;
}

TEST(ServeChat, ReasoningThenContent) {
    const ScriptedModel model(
        "<|channel|>analysis<|message|>Hm, so.<|end|><|start|>assistant<|channel|>final<|message|>Hello.<|return|>");
    ModelServer server(model.path());
    const HttpAnswer whole = server.running->post("/v1/chat/completions", go());
    ASSERT_EQ(whole.status, 200) << whole.body;
    const Json body = whole.json();
    EXPECT_EQ(body["object"], "chat.completion");
    EXPECT_EQ(body["id"].get<std::string>().rfind("chatcmpl-", 0), 0u);
    const Json message = body["choices"][0]["message"];
    EXPECT_EQ(message["content"], "Hello.");
    EXPECT_EQ(message["reasoning"], "Hm, so.");
    EXPECT_EQ(message["reasoning_content"], "Hm, so.");
    EXPECT_EQ(message["refusal"], nullptr);
    EXPECT_FALSE(message.contains("tool_calls"));
    EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
    for (const char* field : {"usage", "timings", "system_fingerprint", "created", "model"})
        EXPECT_TRUE(body.contains(field)) << field;
    EXPECT_TRUE(body["usage"]["prompt_tokens_details"].contains("cached_tokens"));
    EXPECT_GT(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 0);

    const std::vector<Json> all =
        chunks(*server.running, "/v1/chat/completions",
               go(R"(, "stream": true, "stream_options": {"include_usage": true}, "model": "openai/model")"));
    ASSERT_GE(all.size(), 5u);
    EXPECT_EQ(all[0]["choices"][0]["delta"], Json::parse(R"({"role": "assistant", "content": ""})"));
    std::string reasoning, content;
    size_t n_usage = 0;
    for (size_t i = 0; i < all.size(); i++) {
        EXPECT_EQ(all[i]["id"], all[0]["id"]);
        EXPECT_EQ(all[i]["object"], "chat.completion.chunk");
        ASSERT_TRUE(all[i].contains("usage")) << "null but in the last";
        if (all[i]["choices"].empty()) {
            n_usage++;
            EXPECT_EQ(i, all.size() - 1);
            EXPECT_EQ(all[i]["usage"]["completion_tokens"], body["usage"]["completion_tokens"]);
            continue;
        }
        EXPECT_EQ(all[i]["usage"], nullptr);
        const Json& choice = all[i]["choices"][0];
        EXPECT_EQ(choice["index"], 0);
        EXPECT_EQ(choice["finish_reason"].is_null(), i != all.size() - 2);
        const Json& delta = choice["delta"];
        EXPECT_EQ(delta.value("reasoning", ""), delta.value("reasoning_content", ""));
        reasoning += delta.value("reasoning", "");
        content += delta.value("content", "");
        if (!content.empty()) {
            EXPECT_EQ(reasoning, "Hm, so.") << "all of it comes before the content";
        }
    }
    EXPECT_EQ(n_usage, 1u);
    EXPECT_EQ(content, "Hello.");
    EXPECT_EQ(all[all.size() - 2]["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(all[all.size() - 2]["choices"][0]["delta"], Json::object());
}

TEST(ServeChat, Calls) {
    const ScriptedModel model("<|channel|>commentary to=functions.find <|constrain|>json<|message|>{\"q\": 1}<|call|>");
    ModelServer server(model.path());
    const std::string tools =
        R"(, "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}])";
    const Json body = server.running->post("/v1/chat/completions", go(tools)).json();
    const Json& choice = body["choices"][0];
    ASSERT_EQ(choice["finish_reason"], "tool_calls") << body;
    ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u);
    EXPECT_EQ(choice["message"]["tool_calls"][0]["function"],
              Json::parse(R"({"name": "find", "arguments": "{\"q\": 1}"})"));
    EXPECT_EQ(choice["message"]["content"], nullptr);

    const std::vector<Json> all = chunks(*server.running, "/v1/chat/completions", go(tools + R"(, "stream": true)"));
    std::string id, arguments;
    int n_begun = 0;
    for (const Json& chunk : all) {
        EXPECT_FALSE(chunk.contains("usage"));
        const Json& delta = chunk["choices"][0]["delta"];
        if (!delta.contains("tool_calls")) continue;
        const Json& call = delta["tool_calls"][0];
        EXPECT_EQ(call["index"], 0);
        if (call.contains("id")) {
            n_begun++;
            EXPECT_EQ(call["type"], "function");
            EXPECT_EQ(call["function"]["name"], "find");
        }
        arguments += call["function"]["arguments"].get<std::string>();
    }
    EXPECT_EQ(n_begun, 1);
    EXPECT_EQ(arguments, "{\"q\": 1}");
    EXPECT_EQ(all.back()["choices"][0]["finish_reason"], "tool_calls");
}

TEST(ServeChat, WhatTheFieldOfReasoningIsCalled) {
    const ScriptedModel model(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>");
    ModelServer server(model.path());
    const auto message = [&](const std::string& more) {
        return server.running->post("/v1/chat/completions", go(more)).json()["choices"][0]["message"];
    };
    for (const char* field : {"reasoning", "reasoning_content", "none"}) {
        server.options.serve.reasoning_field = field;  // the server reads it for each answer
        const Json said = message("");
        EXPECT_EQ(said.contains("reasoning"), std::string(field) == "reasoning");
        EXPECT_EQ(said.contains("reasoning_content"), std::string(field) == "reasoning_content");
        for (const Json& chunk : chunks(*server.running, "/v1/chat/completions", go(R"(, "stream": true)")))
            EXPECT_FALSE(chunk["choices"][0]["delta"].empty() && chunk["choices"][0]["finish_reason"].is_null());
    }
    server.options.serve.reasoning_field = "both";
    EXPECT_FALSE(message(R"(, "include_reasoning": false)").contains("reasoning"));
}

TEST(ServeChat, TokensWithoutGeneration) {
    const ScriptedModel model("<|channel|>final<|message|>Hi<|return|>");
    ModelServer server(model.path());
    const Json text = server.running->post("/tokenize", R"({"prompt": "Hello world"})").json();
    EXPECT_GT(text["count"], 0);
    EXPECT_EQ(text["count"], text["tokens"].size());
    const Json back = server.running->post("/v1/detokenize", Json{{"tokens", text["tokens"]}}.dump()).json();
    EXPECT_EQ(back["prompt"], "Hello world");
    EXPECT_EQ(server.running->post("/tokenize", go()).json()["count"],
              server.running->post("/v1/chat/completions", go()).json()["usage"]["prompt_tokens"]);
    EXPECT_EQ(server.running->post("/tokenize", "{}").status, 400);
    for (const char* path : {"/tokenize", "/detokenize", "/v1/responses/input_tokens"})
        EXPECT_EQ(server.running->post(path, "[]").json()["error"]["message"], "the body: expected an object, found []")
            << path;
    EXPECT_EQ(server.running->post("/detokenize", R"({"tokens": [-1]})").status, 400);
}

// ---- the same answer whatever the way

class ServeAnswers : public ModeTest {};

// Requests of every kind; all sample, each with a seed of its own.
std::vector<Json> various_bodies(int n) {
    std::vector<Json> bodies;
    for (int i = 0; i < n; i++) {
        Json body{{"max_tokens", 8 + i % 17}, {"seed", i}, {"temperature", i % 3 * 0.6}, {"return_token_ids", true}};
        if (i % 2)
            body["messages"] = {{{"role", "user"}, {"content", "Say " + std::to_string(i)}}};
        else
            body["prompt"] = "Once upon a time " + std::to_string(i);
        if (i % 4 == 1) body["stop"] = {"e", "\n"};
        if (i % 5 == 0) body["top_k"] = 20;
        bodies.push_back(body);
    }
    return bodies;
}

TEST_F(ServeAnswers, ByGetpAloneAndWithSixtyFourOthers) {
    const std::vector<Json> bodies = various_bodies(64);
    std::string lines;
    for (const Json& body : bodies) lines += body.dump() + "\n";
    ASSERT_EQ(run_mode(getp, lines), 0) << error << report;
    std::vector<Json> by_getp(bodies.size());
    std::istringstream answers(folder.read("answers"));
    for (std::string line; std::getline(answers, line);) {
        const Json answer = Json::parse(line);
        const std::string id = answer["id"], prefix = "batch_req_";
        by_getp.at(std::stoul(id.substr(prefix.size()))) = answer["response"]["body"]["choices"][0];
    }

    ModelServer server(tiny->path());
    const auto path = [](const Json& body) {
        return body.contains("prompt") ? "/v1/completions" : "/v1/chat/completions";
    };
    // What a server adds.
    const auto plain = [](Json choice) {
        if (choice.contains("message")) choice["message"].erase("reasoning");
        return choice;
    };
    for (size_t i = 0; i < bodies.size(); i += 7)
        EXPECT_EQ(plain(server.running->post(path(bodies[i]), bodies[i].dump()).json()["choices"][0]), by_getp[i]) << i;

    std::vector<HttpClient> clients;
    for (const Json& body : bodies) {
        Json asked = body;
        asked["stream"] = clients.size() % 3 == 0;
        clients.push_back(server.running->client());
        clients.back().post(path(body), asked.dump());
    }
    for (size_t i = 0; i < bodies.size(); i++) {
        if (i % 3) {
            EXPECT_EQ(plain(clients[i].answer().json()["choices"][0]), by_getp[i]) << i;
            continue;
        }
        ASSERT_EQ(clients[i].head_of_answer().status, 200);
        std::string content, reasoning;
        Json last;
        for (const std::string& event : clients[i].events()) {
            if (event == "[DONE]") continue;
            last = Json::parse(event)["choices"][0];
            content += last.contains("text") ? last["text"].get<std::string>() : last["delta"].value("content", "");
            if (last.contains("delta")) reasoning += last["delta"].value("reasoning_content", "");
        }
        EXPECT_EQ(last["token_ids"], by_getp[i]["token_ids"]) << i;
        EXPECT_EQ(last["finish_reason"], by_getp[i]["finish_reason"]);
        const Json& said = by_getp[i];
        EXPECT_EQ(content, said.contains("text") ? said["text"] : said["message"]["content"]) << i;
        if (said.contains("message") && said["message"]["reasoning_content"].is_string()) {
            EXPECT_EQ(reasoning, said["message"]["reasoning_content"]) << i;
        }
    }
}

}  // namespace
