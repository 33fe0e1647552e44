// test_tokenizer_files.cpp: every kind of tokenizer file, whole and damaged, and which one belongs to a model.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/base64.h"
#include "base/file.h"
#include "model.h"
#include "support/json.h"
#include "support/tokenizer_vocab.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace {

using Ids = std::vector<int>;
using Json = nlohmann::ordered_json;

const TestVocab kVocab = byte_vocab({"ab", "  ", "\xc3\xa9", "abab"}, {{260, "<|a|>"}, {261, "<|b b|>"}});
const TestVocab kPlain = byte_vocab({"ab", "  ", "\xc3\xa9", "abab"});

std::string open_error(const std::string& bytes) {
    return error_of([&] { open_bytes(bytes); });
}

// The error says "some file: " and then `expected`, in one line.
void expect_error(const std::string& bytes, const std::string& expected) {
    const std::string error = open_error(bytes);
    EXPECT_NE(error.find("some file: " + expected), std::string::npos) << "error: " << error << "\nwant: " << expected;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

std::string serialized(const TestVocab& vocab) {
    return open_bytes(tokenizer_json(vocab)).serialize();
}

// The demo's file was written by another program (tools/demo/bpe.py), in the way of transformers.
TEST(TokenizerFiles, WrittenAsTransformersReadsThem) {
    const std::string path = "demo/tokenizer.json";
    EXPECT_TRUE(json_of(Tokenizer::open(path).to_json()) == json_of(read_file(path)));
    for (const TestVocab& vocab : {kVocab, kPlain}) {
        const std::string json = open_bytes(serialized(vocab)).to_json();
        EXPECT_EQ(open_bytes(json).serialize(), serialized(vocab));
    }
}

TEST(TokenizerFiles, EveryKindHoldsTheSame) {
    const std::string text = "abababé  x <|a|> \t";
    const std::string sources[] = {tokenizer_json(kVocab), ordered_json_of(tokenizer_json(kVocab)).dump(2),
                                   "\xef\xbb\xbf\n " + tokenizer_json(kVocab), legacy_file(kVocab), serialized(kVocab)};
    const std::string want = open_bytes(sources[0]).serialize();
    for (const std::string& source : sources) {
        const Tokenizer tokenizer = open_bytes(source);
        EXPECT_EQ(tokenizer.serialize(), want);
        EXPECT_EQ(tokenizer.encode(text), (Ids{259, 256, 258, ' ', ' ', 'x', ' ', '<', '|', 'a', '|', '>', ' ', '\t'}));
        EXPECT_EQ(tokenizer.encode_with_special("a<|b b|>"), (Ids{'a', 261}));
        EXPECT_EQ(tokenizer.id_limit(), 262);
    }
    const Tokenizer from_ranks = open_bytes(rank_file(kPlain));
    EXPECT_EQ(from_ranks.serialize(), serialized(kPlain));
    EXPECT_EQ(from_ranks.id_limit(), 260) << "only the 199998 ranks of o200k_base get special tokens";
}

TEST(TokenizerFiles, Base64) {
    const std::pair<const char*, const char*> cases[] = {{"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
                                                         {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "+/8="}};
    for (const auto& [bytes, text] : cases) {
        std::string encoded, decoded;
        append_base64(encoded, bytes);
        EXPECT_EQ(encoded, text);
        EXPECT_TRUE(decode_base64(text, decoded));
        EXPECT_EQ(decoded, bytes);
    }
    for (const char* bad : {"Z", "Zg=", "Zg", "Zg===", "=g==", "Z===", "Zg==Zg==", "Zm9v\n", "Zm-v", "Zm 9"}) {
        std::string decoded;
        EXPECT_FALSE(decode_base64(bad, decoded)) << bad;
    }
}

TEST(TokenizerFiles, RankFile) {
    std::string windows = rank_file(kPlain);
    for (size_t i = 0; (i = windows.find('\n', i)) != std::string::npos; i += 2) windows.insert(i, "\r");
    EXPECT_EQ(open_bytes(windows + "\r\n").serialize(), serialized(kPlain)) << "CR LF, and an empty last line";
    std::string no_last_end = rank_file(kPlain);
    no_last_end.pop_back();
    EXPECT_EQ(open_bytes(no_last_end).serialize(), serialized(kPlain));

    const std::string good = rank_file(kPlain);
    expect_error(good + "YQ== x\n", "line 261: expected a token in base64, a space and its rank");
    expect_error(good + "YQ=\n", "line 261: expected a token");
    expect_error(good + "YWI= 300 \n", "line 261: expected a token");
    expect_error(good + "YWI= 99999999999999999999\n", "line 261: expected a token");
    expect_error(good + "eHl6 -1\n", "token id: expected 0..1048575, found -1");
    expect_error(good + "eHl6 2000000000\n", "token id: expected 0..1048575, found 2000000000");
    expect_error(good + "eHl6 256\n", "token 256: expected one token of this id, found two");
    expect_error(good + "YWI= 300\n", "token 300: expected bytes of its own, found those of token 256");
    expect_error(good.substr(good.find('\n') + 1),
                 "tokens: expected one for each single byte, found none for byte 0x00");
}

TEST(TokenizerFiles, NoTokenizerAtAll) {
    for (const char* bytes : {"", "\n", "x", "hello world\n", "[1, 2]", "\x89PNG", "\x7f\x45LF\1\1\1"})
        expect_error(
            bytes, "expected a tokenizer (tokenizer.json, a .tiktoken rank file, tokenizer.bin or gpt2_tokenizer.bin)");
    // No first record; no room for any token; a checkpoint, which begins with the length of its header.
    for (const std::string& start :
         {std::string("\x80\0\0\0", 4), std::string(12, '\0'), std::string("\x80\1\0\0\0\0\0\0{\"__metadata__\"", 22)})
        expect_error(start, "expected a tokenizer (tokenizer.json");
    EXPECT_NE(error_of([] { Tokenizer::open("/nonexistent/tokenizer.json"); }).find("/nonexistent/tokenizer.json: "),
              std::string::npos);
}

TEST(TokenizerFiles, LegacyFile) {
    const std::string good = legacy_file(kPlain);
    expect_error(good.substr(0, 4 + 8 + 6), "tokens: expected one for each single byte, found none for byte 0x01");
    expect_error(good.substr(0, good.size() - 1), "token 259: expected 4 bytes, found 3 and the end of the file");
    expect_error(good.substr(0, good.size() - 5), "token 259: expected its score and length, found the end");
    expect_error(good + legacy_record(260, "longer than six"), "token 260: byte_len: expected 0..6 (max_token_length)");
    expect_error(good + legacy_record(7, "xyz"), "token 260: score: expected its id, or -1e+30 for a special token");
    expect_error(good + legacy_record(-1e30f, "\xff"), "special token 260: expected a name in UTF-8");
    std::string negative = legacy_record(260, "xyz");
    negative[7] = '\xff';
    expect_error(good + negative, "token 260: byte_len: expected 0..6");
    // An id without a token, then one more token: ids count on.
    EXPECT_EQ(open_bytes(good + legacy_record(0, "") + legacy_record(261, "xyz")).encode("xyz"), Ids{261});
}

// tokenizer.json with one change.
std::string changed(const std::function<void(Json&)>& change) {
    Json json = ordered_json_of(tokenizer_json(kVocab));
    change(json);
    return json.dump();
}

Json& split(Json& json) {
    return json["pre_tokenizer"]["pretokenizers"][0];
}

TEST(TokenizerFiles, Json) {
    // Not a Sequence; a pattern of its own.
    const std::string single = changed([&](Json& json) {
        split(json)["pattern"]["Regex"] = "[a-z]|[^a-z]+";
        json["pre_tokenizer"] = Json(split(json));
    });
    EXPECT_EQ(open_bytes(single).encode("ab  "), (Ids{'a', 'b', 257}));
    // Merges are not looked at, in either spelling; nor are tokens that vocab and added_tokens both list.
    const std::string others = changed([](Json& json) {
        json["model"]["merges"] = {"a b", Json::array({"a", "b"}), Json::array({"not", "there"})};
        json["model"]["vocab"]["<|a|>"] = 260;
        json["extra"] = {{"vocab", {{"x", -1}}}, {"model", {{"type", "WordPiece"}}}};
    });
    EXPECT_EQ(open_bytes(others).serialize(), serialized(kVocab));
}

TEST(TokenizerFiles, JsonThatIsWrong) {
    const auto error = [&](const std::function<void(Json&)>& change, const std::string& expected) {
        expect_error(changed(change), expected);
    };
    error([](Json& j) { j["model"]["type"] = "Unigram"; }, "model.type: expected BPE");
    error([](Json& j) { j["model"].erase("vocab"); },
          "model.vocab: expected an object of tokens and their ids, found nothing");
    error([](Json& j) { j["model"]["vocab"] = Json::array({"a"}); },
          "model.vocab: expected an object of tokens and their ids, found an array of 1");
    error([](Json& j) { j["model"]["vocab"]["a"] = "1"; }, "model.vocab: expected integer ids");
    error([](Json& j) { j["model"]["vocab"]["a"] = 1.5; }, "model.vocab: expected integer ids");
    error([](Json& j) { j["model"]["vocab"]["a"] = nullptr; }, "model.vocab: expected integer ids");
    error([](Json& j) { j["model"]["vocab"]["a"] = Json::array(); }, "model.vocab: expected integer ids, found []");
    error([](Json& j) { j["model"]["vocab"]["xyz"] = -1; }, "token id: expected 0..1048575, found -1");
    error([](Json& j) { j["model"]["vocab"]["xyz"] = UINT64_MAX; }, "model.vocab: expected integer ids");
    error([](Json& j) { j["model"]["vocab"]["xyz"] = 7; }, "token 7: expected one token of this id, found two");
    error([](Json& j) { j["model"]["vocab"]["\u4e2d"] = 300; },
          "model.vocab: token 300: expected the byte-level alphabet");
    error([](Json& j) { j["model"]["vocab"]["\u0144"] = 300; },
          "model.vocab: token 300: expected the byte-level alphabet");
    error([](Json& j) { j["model"]["vocab"]["x y"] = 300; },
          "model.vocab: token 300: expected the byte-level alphabet");
    error([](Json& j) { j["model"]["vocab"][""] = 300; }, "token 300: expected 1..65536 bytes, found 0");
    error([](Json& j) { j["model"]["vocab"].erase("a"); },
          "tokens: expected one for each single byte, found none for byte 0x61");
    error([](Json& j) { j["added_tokens"][0]["id"] = 97; }, "special token 97: expected an id of its own");
    error([](Json& j) { j["added_tokens"][0].erase("id"); }, "added_tokens: expected an id and a content in each");
    error([](Json& j) { j["added_tokens"][1].erase("content"); }, "added_tokens: expected an id and a content in each");
    error([](Json& j) { j["added_tokens"][0]["content"] = ""; },
          "special token 260: expected a name of 1..65536 bytes");
    error([](Json& j) { j["added_tokens"][1]["content"] = "<|a|>"; },
          "special tokens 260 and 261: expected different names");
    error([](Json& j) { j["added_tokens"] = Json::object(); }, "added_tokens: expected an array, found {}");
    error([](Json& j) { j["normalizer"] = {{"type", "NFC"}}; }, "normalizer: expected null");
    error([](Json& j) { j.erase("pre_tokenizer"); },
          "pre_tokenizer: expected a Split with a Regex pattern, found none");
    error(
        [&](Json& j) {
            split(j)["pattern"] = {{"String", " "}};
        },
        "pre_tokenizer: expected a Split with a Regex pattern");
    error([&](Json& j) { split(j)["pattern"]["Regex"] = "(a"; }, "pattern: at byte 2: missing closing parenthesis");
    error([&](Json& j) { split(j)["behavior"] = "Removed"; },
          "pre_tokenizer.pretokenizers[].behavior: expected Isolated, found \"Removed\"");
    error([&](Json& j) { split(j)["invert"] = true; },
          "pre_tokenizer.pretokenizers[].invert: expected false, found true");
    error([&](Json& j) { j["pre_tokenizer"]["pretokenizers"].push_back(split(j)); },
          "pre_tokenizer.pretokenizers[].pattern: expected one Split in all");
    error([](Json& j) { j["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true; },
          "pre_tokenizer.pretokenizers[].use_regex: expected false");
}

TEST(TokenizerFiles, SplitsThatThisProgramLacks) {
    const auto error = [&](const std::function<void(Json&)>& change, const std::string& expected) {
        expect_error(changed(change), expected);
    };
    const auto parts = [](Json& j) -> Json& { return j["pre_tokenizer"]["pretokenizers"]; };
    error(  // the order of the two does not matter
        [&](Json& j) {
            parts(j)[1]["use_regex"] = true;
            std::swap(parts(j)[0], parts(j)[1]);
        },
        "pre_tokenizer.pretokenizers[].use_regex: expected false");
    error(
        [&](Json& j) {
            parts(j) = {{{"type", "Digits"}}, {{"type", "ByteLevel"}}};
        },
        "pre_tokenizer.pretokenizers[].type: expected Sequence, Split or ByteLevel, found \"Digits\"");
    error(
        [&](Json& j) {
            parts(j)[0]["pattern"] = {{"String", " "}};
            parts(j)[1] = {{"type", "ByteLevel"}};
        },
        "pre_tokenizer: expected a Split with a Regex pattern");
}

TEST(TokenizerFiles, NotJson) {
    const std::string good = tokenizer_json(kVocab);
    expect_error(good.substr(0, good.size() / 2), "expected JSON, found the end of the text at byte ");
    expect_error(good + "x", "expected JSON, found something after its end at byte ");
    expect_error("{\"model\": \"\xff\"}", "expected JSON, found invalid UTF-8 at byte 12");
    expect_error("{\"extra\": " + std::string(1'000'000, '['), "expected JSON nested at most 64 levels deep");
    expect_error(changed([](Json& j) { j["added_tokens"].push_back(Json::array()); }),
                 "added_tokens[]: expected an object, found []");
    expect_error("{}", "model: expected an object, found nothing");
}

TEST(TokenizerFiles, SerializedFormIsAscii) {
    for (const char c : serialized(kVocab)) ASSERT_TRUE((c >= ' ' && c <= '~') || c == '\n');
}

TEST(TokenizerFiles, SerializedFormKeepsGapsNamesAndPattern) {
    // An id without a token, a special token among the others, two names, lengths of more than one LEB128 byte.
    TestVocab vocab = byte_vocab({"ab", "", std::string(127, 'x'), std::string(128, 'x'), std::string(20000, 'x')},
                                 {{257, "<|\n é\"|>"}, {257, "<|other|>"}});
    Json json = ordered_json_of(tokenizer_json(vocab, "a|b|x+"));
    json["model"]["vocab"].erase("");
    const Tokenizer tokenizer = open_bytes(json.dump());
    const Tokenizer again = Tokenizer::parse(tokenizer.serialize(), "model.bin");
    EXPECT_EQ(again.serialize(), tokenizer.serialize());
    for (int id = 0; id < 262; id++) EXPECT_EQ(again.bytes(id), tokenizer.bytes(id)) << id;
    EXPECT_EQ(again.special("<|other|>"), 257);
    EXPECT_EQ(again.bytes(257), "<|\n é\"|>");
    EXPECT_EQ(again.encode("ab" + std::string(128, 'x')), (Ids{'a', 'b', 259})) << "by the pattern of the file";
}

TEST(TokenizerFiles, DamagedSerializedForm) {
    const std::string good = serialized(kVocab);
    const auto error = [](const std::string& text, const std::string& expected) {
        const std::string message = error_of([&] { Tokenizer::parse(text, "model.bin"); });
        EXPECT_EQ(message.find("model.bin: "), 0u) << message;
        EXPECT_NE(message.find(expected), std::string::npos) << message << "\nwant: " << expected;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    };
    const auto replaced = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        return text.replace(text.find(from), from.size(), to);
    };
    error("", "expected a first line \"gpt-oss tokenizer 1\"");
    error("gpt-oss tokenizer 2\n", "expected a first line");
    error("gpt-oss tokenizer 1\n", "expected a pattern and tokens, found only part of it");
    error(good.substr(0, good.find("tokens ")), "expected a pattern and tokens");
    error(good.substr(0, good.size() - 1), "found a torn line");
    error(good + "pattern YQ==\n", "each but special once, found another field");
    error(good + "colour YQ==\n", "expected pattern, special or tokens");
    error(replaced("special 260", "special x"), "special: expected an id and a name");
    error(replaced("special 260", "special 260,"), "special: expected an id and a name");
    error(replaced("special 260 ", "special 260 !"), "special: expected base64");
    error(replaced("tokens ", "tokens ="), "tokens: expected base64");
    error(good.substr(0, good.size() - 5) + "\n", "tokens: expected all bytes of token 259, found the end");
    error(replaced("special 260", "special 97"), "special token 97: expected an id of its own");
}

// Which file belongs to a model.

Model model_at(const std::string& path, CheckpointKind kind = CheckpointKind::kHuggingFace, int vocab_size = 1000) {
    Model model;
    model.path = path;
    model.kind = kind;
    model.gpt_oss().config.vocab_size = vocab_size;
    return model;
}

// A vocabulary that can be told from others by its id limit.
TestVocab vocab_of(int n_more) {
    std::vector<std::string> more;
    for (int i = 0; i < n_more; i++) more.push_back("token" + std::to_string(i));
    return byte_vocab(more);
}

TEST(TokenizerForModel, ThePathGivenThenItsOwnThenTheOneBeside) {
    const TempFolder folder;
    folder.write("tokenizer.json", tokenizer_json(vocab_of(1)));
    const std::string given = folder.write("given", rank_file(vocab_of(3)));
    Model model = model_at(folder.path(""));
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 257);
    model.tokenizer_data = open_bytes(rank_file(vocab_of(2))).serialize();
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 258);
    EXPECT_EQ(Tokenizer::for_model(model, given).id_limit(), 259);
    model.tokenizer_data = "damaged";
    EXPECT_EQ(error_of([&] { Tokenizer::for_model(model); }).find(model.path + ": tokenizer: "), 0u);
}

TEST(TokenizerForModel, InADirectory) {
    const TempFolder folder;
    const Model model = model_at(folder.path("."));
    const std::string none = error_of([&] { Tokenizer::for_model(model); });
    EXPECT_NE(none.find("expected a tokenizer with the model"), std::string::npos) << none;
    EXPECT_NE(error_of([&] { Tokenizer::open(folder.path(".")); }).find("in this directory, found none"),
              std::string::npos);

    folder.write("tokenizer.bin", legacy_file(vocab_of(1)));
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 257);
    folder.write("o200k_base.tiktoken", rank_file(vocab_of(2)));
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 258);
    folder.write("other.tiktoken", rank_file(vocab_of(2)));
    const std::string two = error_of([&] { Tokenizer::for_model(model); });
    EXPECT_NE(two.find("expected one .tiktoken file, found 2"), std::string::npos) << two;
    folder.write("tokenizer.json", tokenizer_json(vocab_of(3)));
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 259);
    EXPECT_EQ(Tokenizer::open(folder.path(".")).id_limit(), 259);
}

TEST(TokenizerForModel, AnOriginalDirectoryHasItOneAbove) {
    const TempFolder folder;
    std::filesystem::create_directory(folder.path("original"));
    folder.write("tokenizer.json", tokenizer_json(vocab_of(1)));
    EXPECT_EQ(Tokenizer::for_model(model_at(folder.path("original"), CheckpointKind::kOriginal)).id_limit(), 257);
    EXPECT_NE(error_of([&] { Tokenizer::for_model(model_at(folder.path("original"))); }), "");
}

TEST(TokenizerForModel, BesideAFile) {
    const TempFolder folder;
    const Model model = model_at(folder.write("model.bin", ""), CheckpointKind::kLegacy);
    folder.write("tokenizer.bin", legacy_file(vocab_of(1)));
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 257);
    folder.write("tokenizer.json", tokenizer_json(vocab_of(2)));
    EXPECT_EQ(Tokenizer::for_model(model).id_limit(), 258);
}

TEST(TokenizerForModel, IdsFitTheVocabulary) {
    const TempFolder folder;
    TestVocab vocab = vocab_of(1);
    vocab.specials = {{257, "<|start|>"}, {258, "<|reserved_258|>"}, {259, "<|reserved_259|>"}};
    const std::string file = folder.write("tokenizer.json", tokenizer_json(vocab));
    const auto limit = [&](int vocab_size) {
        return Tokenizer::for_model(model_at(folder.path("."), CheckpointKind::kHuggingFace, vocab_size)).id_limit();
    };
    EXPECT_EQ(limit(1000), 260) << "a model may have more rows than the tokenizer has ids";
    EXPECT_EQ(limit(260), 260);
    EXPECT_EQ(limit(259), 259) << "names that are only reserved give way";
    EXPECT_EQ(limit(258), 258);
    EXPECT_EQ(error_of([&] { limit(257); }), folder.path(".") +
                                                 "/tokenizer.json: token ids: expected below 257, the "
                                                 "model's vocabulary size, found 257");
}

}  // namespace
