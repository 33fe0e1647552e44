// test_responses_events.cpp: answers of the Responses API, whole and as events. The order of the events is the one that
// the openai package's responses.stream() accepts. Jobs are driven by hand, as an engine would.
#include <gtest/gtest.h>

#include <algorithm>

#include "request_file.h"
#include "requests/responses_answer.h"
#include "requests/responses_request.h"
#include "support/json.h"

namespace {

using nlohmann::json;

const std::string kThought = "<|channel|>analysis<|message|>Hm.<|end|>";
const std::string kNext = "<|start|>assistant";
const std::string kText = "<|channel|>final<|message|>Hello.<|return|>";
const std::string kPreamble = "<|channel|>commentary<|message|>One moment.<|end|>";
const std::string kCall = "<|channel|>commentary to=functions.find<|constrain|>json<|message|>{\"q\":1}<|call|>";

struct Event {
    std::string type;
    json data;
};

Request response_request() {
    Request request;
    request.kind = AnswerKind::kResponse;
    request.stop_ids = ids_of("<|return|><|call|>");
    request.tool_names = {"find"};
    request.prompt = {1, 2, 3};
    auto response = std::make_shared<ResponseRequest>();
    response->echo = R"("tools":[])";
    request.response = response;
    return request;
}

// Feeds `ids` as an engine does: until on_token says no, a stop id comes, or they are used up.
void drive(Job& job, const std::vector<int>& ids) {
    for (const int id : ids)
        if (!job.on_token(id) || std::count(job.stop_ids.begin(), job.stop_ids.end(), id))
            return job.on_done(Finish::kStop);
    job.on_done(Finish::kLength);
}

const ResponseStamp kStamp{"x", "gpt-oss-20b", 1000};

// The events of an answer, whose numbers have no gaps.
std::vector<Event> stream(const std::string& answer, Request request = response_request(),
                          ResponseStore* store = nullptr) {
    std::vector<Event> events;
    const auto out = [&](std::string_view type, const std::string& data) {
        EXPECT_EQ(data.find('\n'), std::string::npos) << data;
        events.push_back({std::string(type), json_of(data)});
    };
    auto sink = std::make_unique<ResponseEvents>(request, kStamp, store, out);
    drive(*make_job(std::move(request), bytes_codec(), std::move(sink)), ids_of(answer));
    for (size_t i = 0; i < events.size(); i++) {
        EXPECT_EQ(events[i].data["sequence_number"], i);
        EXPECT_EQ(events[i].data["type"], events[i].type);
    }
    return events;
}

// The object that answers the same request without a stream.
json whole(const std::string& answer, Request request = response_request()) {
    struct Sink : ResultSink {
        void on_answers(const Request& r, std::vector<Answer> a) override {
            object = response_object(*r.response, kStamp, a.at(0));
        }
        std::string object;
    } sink;
    drive(*make_jobs(std::move(request), bytes_codec(), sink).at(0), ids_of(answer));
    return json_of(sink.object);
}

// The types of events in their order, without "response.", each once where it is repeated.
std::vector<std::string> types(const std::vector<Event>& events) {
    std::vector<std::string> types;
    for (const Event& event : events) {
        const std::string type = event.type.substr(std::string("response.").size());
        if (types.empty() || types.back() != type) types.push_back(type);
    }
    return types;
}

const std::vector<std::string> kReasoningEvents = {"output_item.added",   "content_part.added", "reasoning_text.delta",
                                                   "reasoning_text.done", "content_part.done",  "output_item.done"};
const std::vector<std::string> kTextEvents = {"output_item.added", "content_part.added", "output_text.delta",
                                              "output_text.done",  "content_part.done",  "output_item.done"};
const std::vector<std::string> kCallEvents = {"output_item.added", "function_call_arguments.delta",
                                              "function_call_arguments.done", "output_item.done"};

std::vector<std::string> in_order(const std::vector<std::vector<std::string>>& items, const std::string& last) {
    std::vector<std::string> all = {"created", "in_progress"};
    for (const std::vector<std::string>& item : items) all.insert(all.end(), item.begin(), item.end());
    all.push_back(last);
    return all;
}

// What the stream says adds up: deltas to texts, texts to items, items to the last event's object, and that object is
// what the answer would be without a stream.
void expect_sound(const std::string& answer, Request request = response_request()) {
    SCOPED_TRACE(answer);
    const std::vector<Event> events = stream(answer, request);
    std::vector<json> items;
    std::string text;
    bool part_is_open = false;
    for (const Event& e : events) {
        const json& d = e.data;
        EXPECT_EQ(d.value("output_index", items.size()), items.size()) << e.type;
        if (e.type == "response.output_item.added") {
            text.clear();
            EXPECT_EQ(d["item"]["status"], "in_progress");
            EXPECT_EQ(d["item"].value("arguments", ""), "");
            EXPECT_TRUE(d["item"].value("content", json::array()).empty());
        } else if (d.contains("delta")) {
            EXPECT_EQ(d.contains("content_index"), part_is_open);
            text += d["delta"];
        } else if (e.type == "response.content_part.added") {
            part_is_open = true;
            EXPECT_EQ(d["part"]["text"], "");
        } else if (e.type == "response.content_part.done") {
            part_is_open = false;
            EXPECT_EQ(d["part"]["text"], text);
        } else if (d.contains("text")) {
            EXPECT_EQ(d["text"], text);
        } else if (d.contains("arguments")) {
            EXPECT_EQ(d["arguments"], text);
            EXPECT_EQ(d["name"], "find");
        } else if (e.type == "response.output_item.done") {
            const json& item = d["item"];
            EXPECT_EQ(item["type"] == "function_call" ? item["arguments"] : item["content"][0]["text"], text);
            items.push_back(item);
        }
    }
    json object = events.back().data["response"];
    EXPECT_EQ(object["output"], json(items));
    json alone = whole(answer, request);
    object.erase("completed_at");
    alone.erase("completed_at");
    EXPECT_EQ(object, alone);
}

}  // namespace

TEST(ResponseEvents, ReasoningThenText) {
    const std::vector<Event> events = stream(kThought + kNext + kText);
    EXPECT_EQ(types(events), in_order({kReasoningEvents, kTextEvents}, "completed"));
    const json& begun = events[0].data["response"];
    EXPECT_EQ(begun["status"], "in_progress");
    EXPECT_EQ(begun["output"], json::array());
    EXPECT_EQ(begun["usage"], nullptr);
    const json object = events.back().data["response"];
    EXPECT_EQ(object["id"], "resp_x");
    EXPECT_EQ(object["object"], "response");
    EXPECT_EQ(object["created_at"], 1000);
    EXPECT_EQ(object["completed_at"], 1000);
    EXPECT_EQ(object["status"], "completed");
    EXPECT_EQ(object["model"], "gpt-oss-20b");
    EXPECT_EQ(object["tools"], json::array()) << "what the request said";
    EXPECT_EQ(object["output"], json_of(R"([
        {"id": "rs_x_0", "type": "reasoning", "summary": [], "status": "completed",
         "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"id": "msg_x_1", "type": "message", "role": "assistant", "status": "completed", "phase": "final_answer",
         "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}]}])"));
    const auto n_ids = int(ids_of(kThought + kNext + kText).size());
    EXPECT_EQ(object["usage"], json({{"input_tokens", 3},
                                     {"input_tokens_details", {{"cached_tokens", 0}}},
                                     {"output_tokens", n_ids},
                                     {"output_tokens_details", {{"reasoning_tokens", 3}}},
                                     {"total_tokens", 3 + n_ids}}));
}

TEST(ResponseEvents, ACall) {
    const std::vector<Event> events = stream(kThought + kNext + kCall);
    EXPECT_EQ(types(events), in_order({kReasoningEvents, kCallEvents}, "completed"));
    EXPECT_EQ(events.back().data["response"]["output"][1], json_of(R"({
        "id": "fc_x_1", "type": "function_call", "call_id": "call_x_1", "name": "find", "arguments": "{\"q\":1}",
        "status": "completed"})"));
}

TEST(ResponseEvents, APreambleIsAMessageInThePhaseCommentary) {
    const std::vector<Event> events = stream(kThought + kNext + kPreamble + kNext + kCall);
    EXPECT_EQ(types(events), in_order({kReasoningEvents, kTextEvents, kCallEvents}, "completed"));
    const json output = events.back().data["response"]["output"];
    EXPECT_EQ(output[1]["phase"], "commentary");
    EXPECT_EQ(output[1]["content"][0]["text"], "One moment.");
    EXPECT_EQ(output[2]["call_id"], "call_x_2");
}

TEST(ResponseEvents, APreambleAndTheAnswerAreTwoMessages) {
    const json output = whole(kPreamble + kNext + kText)["output"];
    ASSERT_EQ(output.size(), 2u);
    EXPECT_EQ(output[0]["phase"], "commentary");
    EXPECT_EQ(output[1]["phase"], "final_answer");
    EXPECT_EQ(output[1]["content"][0]["text"], "Hello.") << "without the new line that joins them in a chat";
}

TEST(ResponseEvents, MessagesOfOneKindInARowAreOneItem) {
    const std::vector<Event> events = stream(kThought + kNext + kThought + kNext + kText);
    EXPECT_EQ(types(events), in_order({kReasoningEvents, kTextEvents}, "completed"));
    EXPECT_EQ(events.back().data["response"]["output"][0]["content"][0]["text"], "Hm.\nHm.");
}

TEST(ResponseEvents, ReasoningAfterAPreambleIsAnItemOfItsOwn) {
    const std::vector<Event> events = stream(kThought + kNext + kPreamble + kNext + kThought + kNext + kCall);
    EXPECT_EQ(types(events), in_order({kReasoningEvents, kTextEvents, kReasoningEvents, kCallEvents}, "completed"));
    EXPECT_EQ(events.back().data["response"]["output"][2]["content"][0]["text"], "Hm.") << "with no new line before";
}

TEST(ResponseEvents, SeveralCalls) {
    Request request = response_request();
    request.stop_ids = ids_of("<|return|>");  // as ignore_eos leaves it
    const std::vector<Event> events = stream(kCall + kNext + kCall + "<|return|>", request);
    EXPECT_EQ(types(events), in_order({kCallEvents, kCallEvents}, "completed"));
    const json output = events.back().data["response"]["output"];
    EXPECT_NE(output[0]["call_id"], output[1]["call_id"]);
}

TEST(ResponseEvents, TheLimitCutsOffTheLastItem) {
    const struct {
        const char* where;
        std::string answer;
        std::vector<std::vector<std::string>> items;
        std::vector<const char*> statuses;
    } cases[] = {
        {"in reasoning", "<|channel|>analysis<|message|>Hm", {kReasoningEvents}, {"incomplete"}},
        {"in text",
         kThought + kNext + "<|channel|>final<|message|>Hel",
         {kReasoningEvents, kTextEvents},
         {"completed", "incomplete"}},
        {"in arguments",
         kPreamble + kNext + "<|channel|>commentary to=functions.find<|message|>{\"q",
         {kTextEvents, kCallEvents},
         {"completed", "incomplete"}},
        {"before anything", "<|channel|>", {}, {}},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.where);
        const std::vector<Event> events = stream(c.answer);
        EXPECT_EQ(types(events), in_order(c.items, "incomplete"));
        const json object = events.back().data["response"];
        EXPECT_EQ(object["status"], "incomplete");
        EXPECT_EQ(object["incomplete_details"], json({{"reason", "max_output_tokens"}}));
        EXPECT_EQ(object["completed_at"], nullptr);
        ASSERT_EQ(object["output"].size(), c.statuses.size());
        for (size_t i = 0; i < c.statuses.size(); i++) EXPECT_EQ(object["output"][i]["status"], c.statuses[i]);
        expect_sound(c.answer);
    }
}

TEST(ResponseEvents, AddUpToTheAnswerWithoutAStream) {
    for (const std::string& answer :
         {kText, kThought + kNext + kText, kThought + kNext + kCall, kThought + kNext + kPreamble + kNext + kCall,
          kPreamble + kNext + kThought + kNext + kText, std::string("no header at all"), std::string("<|return|>"),
          "<|channel|>final<|message|>caf\xc3\xa9 \xff \"\\\n<|return|>" + std::string()})
        expect_sound(answer);
    Request request = response_request();
    request.stop_texts = {"lo."};
    expect_sound(kText, request);
    EXPECT_EQ(whole(kText, request)["output"][0]["content"][0]["text"], "Hel");
}

TEST(ResponseEvents, ReasoningThatIsNotWanted) {
    Request request = response_request();
    request.include_reasoning = false;
    EXPECT_EQ(types(stream(kThought + kNext + kText, request)), in_order({kTextEvents}, "completed"));
    expect_sound(kThought + kNext + kText, request);
}

TEST(ResponseEvents, ReasoningToBeCarriedByTheClient) {
    Request request = response_request();
    auto response = std::make_shared<ResponseRequest>(*request.response);
    response->encrypts_reasoning = true;
    request.response = response;
    const json item = whole(kThought + kNext + kText, request)["output"][0];
    EXPECT_EQ(reasoning_in(item["encrypted_content"]), "Hm.");
    expect_sound(kThought + kNext + kText, request);
}

TEST(ResponseEvents, AFailureEndsTheStreamWithWhatThereIs) {
    std::vector<Event> events;
    Request request = response_request();
    auto sink =
        std::make_unique<ResponseEvents>(request, kStamp, nullptr, [&](std::string_view type, const std::string& data) {
            events.push_back({std::string(type), json_of(data)});
        });
    const std::unique_ptr<Job> job = make_job(std::move(request), bytes_codec(), std::move(sink));
    for (const int id : ids_of("<|channel|>final<|message|>Hel")) job->on_token(id);
    job->on_error("the device \"0\" is gone");
    EXPECT_EQ(types(events), in_order({kTextEvents}, "failed"));
    const json object = events.back().data["response"];
    EXPECT_EQ(object["status"], "failed");
    EXPECT_EQ(object["error"], json({{"code", "server_error"}, {"message", "the device \"0\" is gone"}}));
    EXPECT_EQ(object["incomplete_details"], nullptr);
    EXPECT_EQ(object["output"][0]["status"], "incomplete");
    EXPECT_EQ(object["usage"], nullptr);
}

TEST(ResponseEvents, AStreamBeginsOnce) {
    std::vector<std::string> began;
    ResponseEvents sink(response_request(), kStamp, nullptr,
                        [&](std::string_view type, const std::string&) { began.emplace_back(type); });
    sink.start();
    sink.on_begin(0);
    EXPECT_EQ(began, (std::vector<std::string>{"response.created", "response.in_progress"}));
}
