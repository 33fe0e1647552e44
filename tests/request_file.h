// request_file.h: a file of requests, read with the byte tokenizer, whose ids are the bytes of the text.
#pragma once
#include <gtest/gtest.h>

#include "harmony_checks.h"
#include "requests.h"
#include "temp_folder.h"
#include "text_checks.h"

inline const TextCodec& bytes_codec() {
    static const TextCodec codec(byte_tokenizer());
    return codec;
}

class RequestFile : public testing::Test {
  protected:
    RequestFile() {
        options.steps = 100;
        options.seed = 1;
        config.vocab_size = 300;
        config.max_context = 1000;
        config.stop_ids = {7, 8};
    }

    // All requests of a file with this text.
    std::vector<Request> read(const std::string& text, Purpose purpose = Purpose::kAnswer) {
        options.input = folder.write("requests", text);
        return read_input(purpose);
    }
    std::vector<Request> read_input(Purpose purpose = Purpose::kAnswer) {
        RequestReader reader(options, config, *codec, purpose);
        is_text = reader.is_text();
        total = reader.total();
        max_positions = reader.max_request_positions();
        std::vector<Request> requests;
        while (std::optional<Request> r = reader.next()) requests.push_back(std::move(*r));
        EXPECT_FALSE(reader.next()) << "the end stays the end";
        return requests;
    }
    // Of the one request in a file with this line.
    Request read_line(const std::string& line) {
        std::vector<Request> requests = read(line + "\n");
        EXPECT_EQ(requests.size(), 1u);
        return requests.at(0);
    }
    std::string error_of_file(const std::string& text) {
        const std::string error = error_of([&] { read(text); });
        EXPECT_EQ(error.find(options.input), error.empty() ? std::string::npos : 0) << "names the file: " << error;
        return error;
    }

    TempFolder folder;
    RequestOptions options;
    Config config;
    const TextCodec* codec = &bytes_codec();
    bool is_text = false;
    int64_t total = 0;
    int max_positions = 0;
};
