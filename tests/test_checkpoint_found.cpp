// test_checkpoint_found.cpp: what people give as MODEL, and which checkpoint it means: folders of the hub's cache,
// files of a snapshot, paths that no shell has expanded; and what is said where there is none.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>

#include "support/checkpoint_checks.h"
#include "tokenizer.h"

namespace fs = std::filesystem;

namespace {

const char* const kCommit = "6cee5e81ee83917806bbde320786a8fb61efebee";
const char* const kOlder = "0123456789abcdef0123456789abcdef01234567";

// An environment variable for the length of a test; nullptr: not set.
class Variable {
  public:
    Variable(const char* name, const char* value) : name_(name) {
        if (const char* old = std::getenv(name)) old_ = old;
        value ? setenv(name, value, 1) : unsetenv(name);
    }
    ~Variable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

  private:
    const char* name_;
    std::optional<std::string> old_;
};

class Found : public testing::Test {
  protected:
    // A model's folder as Hugging Face's tools lay it out: files are links from the snapshot to the blobs.
    std::string cached(const std::string& cache, const std::string& name, const std::string& commit = kCommit) {
        const std::string folder = cache + "/" + name, snapshot = folder + "/snapshots/" + commit;
        fs::create_directories(folder + "/blobs");
        fs::create_directories(folder + "/refs");
        fs::create_directories(snapshot);
        for (const auto& entry : fs::directory_iterator(tiny.path())) {
            const std::string file = entry.path().filename(), blob = "blob-of-" + file;
            if (!fs::exists(folder + "/blobs/" + blob)) fs::copy(entry.path(), folder + "/blobs/" + blob);
            fs::create_symlink("../../blobs/" + blob, snapshot + "/" + file);
        }
        return folder;
    }

    const TinyModel tiny{"mxfp4", {"num_hidden_layers=1"}};
    const TempFolder directory;
    // Variables of whoever runs the tests do not count.
    const Variable home{"HOME", directory.path().c_str()}, hf_home{"HF_HOME", nullptr},
        hub_cache{"HF_HUB_CACHE", nullptr}, old_name{"HUGGINGFACE_HUB_CACHE", nullptr}, xdg{"XDG_CACHE_HOME", nullptr};
};

TEST_F(Found, ByItsNameInTheHubsCache) {
    const std::string id = "openai/gpt-oss-20b", name = "models--openai--gpt-oss-20b";
    const struct {
        const char* variable;
        std::string value, cache;
    } cases[] = {
        {"HOME", directory.path("h"), directory.path("h") + "/.cache/huggingface/hub"},
        {"XDG_CACHE_HOME", directory.path("x"), directory.path("x") + "/huggingface/hub"},
        {"HF_HOME", directory.path("hf"), directory.path("hf") + "/hub"},
        {"HF_HOME", "~/other", directory.path("other") + "/hub"},
        {"HF_HUB_CACHE", directory.path("c"), directory.path("c")},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.variable + (" " + c.value));
        const Variable set(c.variable, c.value.c_str());
        std::string looked_in;
        EXPECT_EQ(find_in_hub_cache(id, &looked_in), std::nullopt);
        EXPECT_EQ(looked_in, c.cache + "/" + name);
        EXPECT_TRUE(has(open_error(id), {id, looked_in, "hf download openai/gpt-oss-20b"}));
        const std::string snapshot = cached(c.cache, name) + "/snapshots/" + kCommit;
        EXPECT_EQ(find_in_hub_cache(id, nullptr), snapshot);
        for (const char* end : {"", "/"}) EXPECT_EQ(open_model(id + end).path, snapshot) << "tokenizers stand there";
        EXPECT_EQ(open_model("https://huggingface.co/" + id).path, snapshot);
    }
    for (const char* no_id : {"gpt-oss-20b", "/openai/gpt", "openai/", "/gpt", "a/b/c", "../b", "a/..", "a b/c", ""}) {
        std::string looked_in = "?";
        EXPECT_EQ(find_in_hub_cache(no_id, &looked_in), std::nullopt) << no_id;
        EXPECT_EQ(looked_in, "") << no_id;
    }
}

TEST_F(Found, AFolderOfTheHubsCacheMeansTheSnapshotOfMain) {
    const std::string folder = cached(directory.path("hub"), "models--openai--gpt-oss-20b"),
                      snapshots = folder + "/snapshots/", snapshot = snapshots + kCommit;
    for (const std::string& path :
         {folder, folder + "/", folder + "/snapshots", folder + "/refs", folder + "/blobs", directory.path("hub")})
        EXPECT_EQ(open_model(path).path, snapshot) << path << ": the only one";
    EXPECT_EQ(open_model(folder + "/blobs/blob-of-model.safetensors").path, snapshot);

    cached(directory.path("hub"), "models--openai--gpt-oss-20b", kOlder);
    fs::last_write_time(snapshots + kOlder, fs::last_write_time(snapshot) - std::chrono::hours(1));
    EXPECT_EQ(open_model(folder).path, snapshot) << "the newest";
    write_bytes(folder + "/refs/main", kOlder);
    EXPECT_EQ(open_model(folder).path, snapshots + kOlder) << "the one of main";
    write_bytes(folder + "/refs/main", kOlder + std::string("\n"));
    EXPECT_EQ(open_model(folder).path, snapshots + kOlder);
    for (const char* ref : {"", "\n", "..", "../../x", "ffffffffffffffffffffffffffffffffffffffff"}) {
        write_bytes(folder + "/refs/main", ref);
        EXPECT_EQ(open_model(folder).path, snapshot) << "main is not there: the newest";
    }
    fs::create_directory(snapshots + "newer-without-a-config");
    EXPECT_EQ(open_model(folder).path, snapshot);

    cached(directory.path("hub"), "models--openai--gpt-oss-120b");
    EXPECT_TRUE(has(open_error(directory.path("hub")), {"expected one model", "found 2", "gpt-oss-120b"}));
}

TEST_F(Found, DownloadsThatHaveNotEnded) {
    const std::string folder = cached(directory.path("hub"), "models--openai--gpt-oss-20b"),
                      snapshot = folder + "/snapshots/" + kCommit, part = folder + "/blobs/1234abcd.incomplete";
    write_bytes(part, "some of it");
    fs::remove(snapshot + "/model.safetensors");
    EXPECT_TRUE(has(open_error(folder), {snapshot, "model.safetensors", "not ended", part}));
    EXPECT_TRUE(has(open_error(part), {part, "not ended"}));
    fs::remove_all(snapshot);
    EXPECT_TRUE(has(open_error(folder), {folder, "snapshot", "not ended", part}));
    fs::remove(part);
    EXPECT_TRUE(has(open_error(folder), {folder, "snapshot", "none"}));

    // hf download --local-dir
    const std::string local = directory.path("local"), notes = local + "/.cache/huggingface/download";
    fs::copy(tiny.path(), local);
    fs::remove(local + "/model.safetensors");
    fs::create_directories(notes);
    write_bytes(notes + "/x.5678.incomplete", "");
    EXPECT_TRUE(has(open_error(local), {local, "not ended", notes + "/x.5678.incomplete"}));

    const std::string gone = cached(directory.path("hub"), "models--openai--other");
    fs::remove(gone + "/blobs/blob-of-config.json");
    EXPECT_TRUE(has(open_error(gone + "/snapshots/" + kCommit), {"config.json", "link", "blob-of-config.json"}));
}

TEST_F(Found, WhatIsNearTheModel) {
    fs::create_directories(directory.path("outer/empty"));
    fs::copy(tiny.path(), directory.path("outer/gpt-oss"));
    const std::string model = directory.path("outer/gpt-oss");
    EXPECT_EQ(open_model(directory.path("outer")).path, model) << "the one folder that holds a model";
    for (const char* file : {"/config.json", "/model.safetensors", "/", "///"})
        EXPECT_EQ(open_model(model + file).path, model) << file;
    EXPECT_EQ(open_model("~/outer/gpt-oss").path, model) << "~ where no shell has expanded it";

    fs::create_directory(directory.path("outer/x"));
    fs::copy(tiny.path(), directory.path("outer/y"));
    EXPECT_TRUE(has(open_error(directory.path("outer")), {"expected one model", "found 2", "outer/y"}));
    EXPECT_TRUE(has(open_error(directory.path("outer/empty")), {"outer/empty", "config.json", "an empty directory"}));
    EXPECT_TRUE(has(open_error(""), {"MODEL", "path", "empty"}));
    ASSERT_EQ(mkfifo(directory.path("pipe").c_str(), 0600), 0);
    EXPECT_TRUE(has(open_error(directory.path("pipe")), {"pipe", "expected a file or a directory"})) << "at once";
    EXPECT_TRUE(has(open_error("/dev/null"), {"/dev/null", "expected a file or a directory"}));
    EXPECT_TRUE(has(open_error("~/gone"), {directory.path("gone"), "cannot open"}));
}

TEST_F(Found, FoldersThatHoldSomethingElse) {
    const struct {
        const char *file, *content;
        std::vector<std::string> words;
    } cases[] = {
        {"gpt-oss-20b-mxfp4.gguf", "GGUF", {"GGUF", "gpt-oss-20b-mxfp4.gguf", "safetensors"}},
        {"pytorch_model.bin", "PK", {"PyTorch", "pytorch_model.bin", "safetensors"}},
        {"consolidated.00.pth", "PK", {"PyTorch", "consolidated.00.pth"}},
        {"model.bin", "x", {"model.bin", "give that file"}},
        {"model.safetensors", "x", {"model.safetensors without it"}},
        {"adapter_config.json",
         "{\"base_model_name_or_path\": \"openai/gpt-oss-20b\"}",
         {"adapter", "merge", "openai/gpt-oss-20b"}},
        {"adapter_config.json", "{}", {"adapter", "merge", "its base model"}},
        {"readme.txt", "x", {"found none"}},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.file);
        const TempFolder folder;
        folder.write(c.file, c.content);
        EXPECT_TRUE(has(open_error(folder.path()), {folder.path(), "expected"}));
        EXPECT_TRUE(has(open_error(folder.path()), c.words));
        // With a config.json beside it, it still is no model. (A model.safetensors would be one then.)
        if (c.file == std::string("model.safetensors")) continue;
        fs::copy(tiny.path() + "/config.json", folder.path("config.json"));
        EXPECT_TRUE(has(open_error(folder.path()), c.words));
    }
}

TEST_F(Found, NothingMayBeReadThere) {
    if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
    const std::string model = directory.path("closed");
    fs::copy(tiny.path(), model);
    for (const char* file : {"/config.json", "/model.safetensors", ""}) {
        fs::permissions(model + file, fs::perms::none);
        EXPECT_TRUE(has(open_error(model), {model, "Permission denied"})) << file;
        fs::permissions(model + file, fs::perms::owner_all);
    }
}

// One case for each kind of file that people give in place of a model's.
TEST_F(Found, FilesOfAnotherKind) {
    const std::string zip = std::string("PK\x03\x04\x00\x00\x08\x08", 8);
    std::string tar(512, '\0');
    tar.replace(0, 6, "model/"), tar.replace(257, 5, "ustar");
    const struct {
        const char* name;
        std::string content;
        std::vector<std::string> words;
        bool text;  // text where JSON is expected is an error of its own
    } cases[] = {
        {"Git LFS pointer",
         "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4792272488\n",
         {"Git LFS pointer", "git lfs pull"},
         false},
        {"GGUF", "GGUF\3\0\0\0 and a lot more of it that is no header of ours at all", {"GGUF", "safetensors"}, false},
        {"Metal", std::string("GPT-OSS v1.0\0\1\2\3\4", 17), {"Metal"}, false},
        {"torch.save", zip + "archive/data.pkl" + std::string(100, '\0'), {"PyTorch", "safetensors"}, false},
        {"torch.save of old", "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", {"PyTorch"}, false},
        {"pickle", "\x80\x04\x95 some pickle", {"pickle"}, false},
        {"zip", zip + "model/config.json", {"zip", "unpack"}, false},
        {"gzip", "\x1f\x8b\x08 and so on", {"gzip", "unpack"}, false},
        {"zstd", "\x28\xb5\x2f\xfd and so on", {"zstd", "unpack"}, false},
        {"tar", tar, {"tar", "unpack"}, false},
        {"HDF5", "\x89HDF\r\n\x1a\n and so on", {"HDF5"}, false},
        {"web page", "<!DOCTYPE html>\n<html><head><title>Log in</title>", {"web page", "download"}, false},
        {"web page, white space first", " \r\n<HTML lang=en>", {"web page", "download"}, false},
        {"XML of a store", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", {"web page", "download"}, false},
        {"error as text", "Entry not found\n", {"text", "\"Entry not found\":", "download"}, true},
        {"error as JSON", "{\"error\":\"Repository not found\"}\n", {"Repository not found", "server"}, false},
        {"nothing", "", {"empty file"}, true},
        {"zeros", std::string(5000, '\0'), {"zeros", "did not end"}, true},
    };
    for (const auto& c : cases)
        for (const char* name : {"model.safetensors", "config.json", "model.safetensors.index.json",
                                 "generation_config.json", "alone.bin"}) {
            if (c.text && std::string(name).find(".json") != std::string::npos) continue;
            SCOPED_TRACE(c.name + std::string(" as ") + name);
            const std::string model = directory.path("model"), file = model + "/" + name;
            fs::copy(tiny.path(), model);
            write_bytes(file, c.content);
            const std::string error = open_error(name == std::string("alone.bin") ? file : model);
            EXPECT_TRUE(has(error, {file, "expected", "found"}));
            EXPECT_TRUE(has(error, c.words));
            fs::remove_all(model);
        }
}

TEST_F(Found, TokenizersOfAnotherKind) {
    const Model model = tiny.model();
    for (const auto& [content, word] : std::vector<std::pair<std::string, std::string>>{
             {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
             {"GGUF\3\0\0\0", "GGUF"},
             {"<!doctype html>", "web page"},
             {"\x1f\x8b\x08", "gzip"}}) {
        const std::string file = directory.write("tokenizer.json", content);
        EXPECT_TRUE(has(error_of([&] { Tokenizer::for_model(model, file); }), {file, "a tokenizer", word}));
    }
}

}  // namespace
