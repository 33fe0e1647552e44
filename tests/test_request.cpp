// test_request.cpp: one body with its URL, as a server gets it: no file, no line.
#include <gtest/gtest.h>

#include "request.h"
#include "support/byte_tokenizer.h"
#include "support/json.h"

namespace {

using Json = nlohmann::json;

class Body : public testing::Test {
  protected:
    Body() {
        config.vocab_size = kByteVocab;
        config.max_context = 100;
    }
    Request read(const std::string& url, const std::string& body, int64_t index = 0) {
        return read_request(url, body, index, {defaults, config, codec});
    }
    ApiError error_in(const std::string& url, const std::string& body) {
        try {
            read(url, body);
        } catch (const BadRequest& e) {
            return e.error;
        }
        ADD_FAILURE() << "accepted: " << body;
        return {};
    }

    RequestDefaults defaults;
    CommonConfig config;
    const TextCodec codec{byte_tokenizer()};
};

TEST_F(Body, IsARequestWithoutALine) {
    const Request r = read("/v1/completions?x=1", R"({"prompt": "abc", "max_tokens": 3, "mood": 1})");
    EXPECT_EQ(r.kind, AnswerKind::kCompletion);
    EXPECT_EQ(r.prompt, (std::vector<int>{'a', 'b', 'c'}));
    EXPECT_EQ(r.max_new_tokens, 3);
    EXPECT_EQ(r.line, 0);
    EXPECT_EQ(r.unknown_fields, std::vector<std::string>{"mood"});
    EXPECT_NE(read("", R"({"prompt": "abc"})", 1).sampling.seed, r.sampling.seed) << "the index gives the seed";
}

TEST_F(Body, ErrorsHaveFieldAndCode) {
    ApiError e = error_in("/v1/completions", R"({"prompt": "abc", "top_p": 2})");
    EXPECT_EQ(e.status, 400);
    EXPECT_EQ(e.type, "invalid_request_error");
    EXPECT_EQ(e.param, "top_p");
    EXPECT_EQ(e.code, "");
    e = error_in("/v1/completions", R"({"prompt": ")" + std::string(100, 'x') + "\"}");
    EXPECT_EQ(e.code, "context_length_exceeded");
    EXPECT_EQ(e.param, "");
    EXPECT_EQ(error_in("/v1/completions", "{").message.rfind("the body: ", 0), 0u);
    EXPECT_EQ(error_in("/v1/completions", "[]").message, "the body: expected an object, found []");
    EXPECT_EQ(error_in("/v1/embeddings", R"({"prompt": "abc"})").param, "url");
    defaults.strict_fields = true;
    EXPECT_EQ(error_in("/v1/completions", R"({"prompt": "abc", "mood": 1})").param, "mood");
}

TEST(ErrorObject, HasAllFourFieldsOnOneLine) {
    ApiError error;
    error.message = "a\n\xff";
    EXPECT_EQ(
        Json::parse(error_object(error)),
        (Json{{"error",
               {{"message", "a\n\ufffd"}, {"type", "invalid_request_error"}, {"param", nullptr}, {"code", nullptr}}}}));
    EXPECT_EQ(error_object(error).find('\n'), std::string::npos);
    error.param = "n";
    error.code = "c";
    EXPECT_EQ(Json::parse(error_object(error))["error"]["param"], "n");
    EXPECT_EQ(Json::parse(error_object(error))["error"]["code"], "c");
}

}  // namespace
