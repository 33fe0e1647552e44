// test_responses_store.cpp: responses that are kept: going on from one must give the prompt of the whole conversation.
#include <gtest/gtest.h>

#include "request_file.h"
#include "requests/responses_answer.h"
#include "requests/responses_request.h"
#include "support/json.h"

namespace {

using nlohmann::json;

const std::string kThought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant";
const std::string kCall = "<|channel|>commentary to=functions.find<|constrain|>json<|message|>{}<|call|>";
const std::string kHello = "<|channel|>final<|message|>Hello.<|return|>";
const std::string kTools = R"("tools": [{"type": "function", "name": "find"}])";

class Responses : public testing::Test {
  protected:
    Responses() {
        config.vocab_size = 300;
        config.max_context = 4000;
    }

    Request read(const std::string& body) {
        RequestContext context{defaults, config, bytes_codec()};
        context.responses = &store;
        return read_request("/v1/responses", body, 0, context);
    }

    // Answers a request as a stream, and returns its object.
    json answer(const std::string& body, const std::string& text) {
        Request request = read(body);
        std::string last;
        const ResponseStamp stamp{std::to_string(++n_answers), "m", 1000};
        auto events = std::make_unique<ResponseEvents>(request, stamp, &store,
                                                       [&](std::string_view, const std::string& data) { last = data; });
        const std::unique_ptr<Job> job = make_job(std::move(request), bytes_codec(), std::move(events));
        for (const int id : ids_of(text)) job->on_token(id);
        job->on_done(Finish::kStop);
        return json_of(last)["response"];
    }

    std::string error_in(const std::string& body) {
        try {
            read(body);
        } catch (const BadRequest& e) {
            return e.error.code + " " + e.error.message;
        }
        return "";
    }

    ResponseStore store{3};
    RequestDefaults defaults;
    Config config;
    int n_answers = 0;
};

std::vector<ResponseTurn> one_turn(std::vector<std::string> items) {
    return {std::make_shared<std::vector<std::string>>(std::move(items))};
}

}  // namespace

TEST_F(Responses, AChainIsTheWholeHistory) {
    const json first =
        answer(R"({"store": true, "instructions": "First.", "input": "hi", )" + kTools + "}", kThought + kCall);
    EXPECT_EQ(first["store"], true);
    const std::string result = R"({"type": "function_call_output", "call_id": ")" +
                               std::string(first["output"][1]["call_id"]) + R"(", "output": "found"})";
    const json second = answer(R"({"store": true, "previous_response_id": ")" + std::string(first["id"]) +
                                   R"(", "input": [)" + result + "], " + kTools + "}",
                               kThought + kHello);
    EXPECT_EQ(second["previous_response_id"], first["id"]);

    json history = json::array({{{"role", "user"}, {"content", "hi"}}});
    for (const json& item : first["output"]) history.push_back(item);
    history.push_back(json_of(result));
    const Request after_call = read(json({{"input", history}, {"tools", json_of("{" + kTools + "}")["tools"]}}).dump());
    EXPECT_EQ(marked(read(R"({"previous_response_id": "resp_1", "input": [)" + result + "], " + kTools + "}").prompt),
              marked(after_call.prompt))
        << "instructions are not inherited";
    EXPECT_NE(marked(after_call.prompt).find("analysis<|message|>Hm."), std::string::npos) << "the turn goes on";

    for (const json& item : second["output"]) history.push_back(item);
    history.push_back({{"role", "user"}, {"content", "more"}});
    EXPECT_EQ(marked(read(R"({"previous_response_id": "resp_2", "input": "more", "instructions": "Third."})").prompt),
              marked(read(json({{"input", history}, {"instructions", "Third."}}).dump()).prompt));
}

TEST_F(Responses, WhatIsStoredIsWhatWasAnswered) {
    const json object = answer(R"({"store": true, "input": "hi"})", kThought + kHello);
    EXPECT_EQ(json_of(*store.object("resp_1")), object);
    EXPECT_FALSE(store.object("1"));
    EXPECT_TRUE(store.remove("resp_1"));
    EXPECT_FALSE(store.remove("resp_1"));
    EXPECT_FALSE(store.object("resp_1"));
    EXPECT_EQ(error_in(R"({"previous_response_id": "resp_1"})"),
              "previous_response_not_found previous_response_id: expected the id of a response that is stored, found "
              "\"resp_1\"");
}

TEST_F(Responses, OnlyWhatAsksForItIsStored) {
    EXPECT_EQ(answer(R"({"input": "hi"})", kHello)["store"], false);
    EXPECT_FALSE(store.object("resp_1"));
    EXPECT_EQ(answer(R"({"input": "hi", "store": false})", kHello)["store"], false);
    EXPECT_FALSE(store.object("resp_2"));
}

TEST_F(Responses, TheOldestIsForgottenAndAChainIsNot) {
    answer(R"({"store": true, "input": "hi"})", kHello);
    for (int i = 1; i < 4; i++)
        answer(R"({"store": true, "input": "more", "previous_response_id": "resp_)" + std::to_string(i) + "\"}",
               kHello);
    EXPECT_FALSE(store.object("resp_1"));
    EXPECT_TRUE(store.object("resp_2"));
    EXPECT_TRUE(store.remove("resp_3"));
    const std::string text = marked(read(R"({"input": "last", "previous_response_id": "resp_4"})").prompt);
    size_t n_answers_in_it = 0;
    for (size_t at = text.find("Hello."); at != std::string::npos; at = text.find("Hello.", at + 1)) n_answers_in_it++;
    EXPECT_EQ(n_answers_in_it, 4u) << "what leads to a response stays with it";
}

TEST_F(Responses, ItemsAreFoundByReference) {
    answer(R"({"store": true, "input": [{"type": "message", "id": "msg_mine", "role": "user", "content": "hi"}]})",
           kThought + kHello);
    const std::string referring =
        marked(read(R"({"input": [{"type": "item_reference", "id": "msg_mine"}, {"id": "msg_1_1"},
                                  {"role": "user", "content": "more"}]})")
                   .prompt);
    EXPECT_EQ(referring, marked(read(R"({"input": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "more"}]})")
                                    .prompt));
    store.remove("resp_1");
    EXPECT_NE(error_in(R"({"input": [{"id": "msg_1_1"}]})"), "");
}

TEST_F(Responses, AReferenceThatIsStoredAgainOutlivesTheFirst) {
    answer(R"({"store": true, "input": "hi"})", kHello);
    answer(R"({"store": true, "input": [{"id": "msg_1_0"}, {"role": "user", "content": "more"}]})", kHello);
    store.remove("resp_1");
    EXPECT_NE(marked(read(R"({"input": [{"id": "msg_1_0"}]})").prompt).find("Hello."), std::string::npos);
}

TEST(ResponseStore, ForgetsByBytesToo) {
    ResponseStore store(100, 1000);
    store.add("a", std::string(400, ' '), one_turn({R"({"id": "x"})"}));
    store.add("b", std::string(400, ' '), one_turn({R"({"id": "y"})"}));
    EXPECT_TRUE(store.object("a") && store.item("x"));
    store.add("c", std::string(400, ' '), one_turn({"{}"}));
    EXPECT_FALSE(store.object("a") || store.item("x"));
    EXPECT_TRUE(store.object("b") && store.item("y") && store.object("c"));
    store.add("d", std::string(2000, ' '), one_turn({"{}"}));
    EXPECT_FALSE(store.object("b") || store.object("c") || store.object("d")) << "it would not fit alone";
    store.add("e", "", one_turn({"{}"}));
    EXPECT_TRUE(store.object("e"));
}

TEST(ResponseStore, OfNothingKeepsNothing) {
    ResponseStore store(0);
    store.add("a", "", one_turn({"{}"}));
    EXPECT_FALSE(store.object("a"));
}
