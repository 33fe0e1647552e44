// test_output_file.cpp: outputs that are written in place: what they refuse, when old content goes, and what other
// programs do to them meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <thread>

#include "base/output_file.h"
#include "temp_folder.h"
#include "text_checks.h"

namespace fs = std::filesystem;

namespace {

using Use = OutputFile::Use;

class Output : public testing::Test {
  protected:
    std::string refused(const std::string& path, Use use = Use::kAppend) const {
        return error_of([&] { OutputFile("--output", path, kept, use); });
    }

    TempFolder folder;
    KeptFiles kept;
};

TEST_F(Output, OldContentGoesWithTheFirstLine) {
    folder.write("out", "what was there before\n");
    OutputFile out("--output", folder.path("out"), kept, Use::kAppend);
    EXPECT_EQ(folder.read("out"), "what was there before\n");
    out.append("one\n");
    EXPECT_EQ(folder.read("out"), "one\n");
    out.append("\n");
    out.finish();
    EXPECT_EQ(folder.read("out"), "one\n\n");
}

TEST_F(Output, OldContentStaysIfTheWorkDoesNotBegin) {
    folder.write("out", "what was there before\n");
    { const OutputFile out("--output", folder.path("out"), kept, Use::kAppend); }
    EXPECT_EQ(folder.read("out"), "what was there before\n");
    { const OutputFile out("--output", folder.path("new"), kept, Use::kAppend); }
    EXPECT_FALSE(fs::exists(folder.path("new"))) << "and no empty file appears";
}

TEST_F(Output, OldContentGoesIfThereIsNothingToWrite) {
    folder.write("out", "what was there before\n");
    OutputFile("--output", folder.path("out"), kept, Use::kAppend).finish();
    EXPECT_EQ(folder.read("out"), "");
    OutputFile("--output", folder.path("new"), kept, Use::kAppend).finish();
    EXPECT_TRUE(fs::exists(folder.path("new")));
}

TEST_F(Output, KeptFilesAreRefusedUnderEveryName) {
    const std::string in = folder.write("in", "x");
    fs::create_symlink(in, folder.path("link"));
    fs::create_symlink("link", folder.path("link to link"));
    fs::create_hard_link(in, folder.path("hard"));
    kept.add(in, "--input's");
    for (const char* name : {"in", "./in", "link", "link to link", "hard"})
        for (const Use use : {Use::kAppend, Use::kPlaced}) {
            const std::string error = refused(folder.path(name), use);
            EXPECT_NE(error.find("--output: expected a file other than --input's"), std::string::npos) << error;
        }
    EXPECT_EQ(folder.read("in"), "x");
}

TEST_F(Output, AllFilesOfAKeptFolderAreRefused) {
    fs::create_directories(folder.path("cache/blobs"));
    fs::create_directories(folder.path("cache/snapshot/original"));
    folder.write("cache/blobs/1f3a", "weights");
    fs::create_symlink("../blobs/1f3a", folder.path("cache/snapshot/model.safetensors"));  // as the hub's cache has it
    folder.write("cache/snapshot/config.json", "{}");
    folder.write("cache/snapshot/original/config.json", "{}");
    kept.add(folder.path("cache/snapshot"), "the model's");
    for (const char* name : {"cache/snapshot/model.safetensors", "cache/blobs/1f3a", "cache/snapshot/config.json",
                             "cache/snapshot/original/config.json"})
        EXPECT_NE(refused(folder.path(name)).find("the model's"), std::string::npos) << name;
    EXPECT_EQ(refused(folder.path("cache/snapshot/answers")), "") << "a new file there destroys nothing";
    EXPECT_EQ(folder.read("cache/blobs/1f3a"), "weights");
}

TEST_F(Output, WhatIsNoPlaceForAnswersIsRefused) {
    EXPECT_NE(refused(folder.path("nowhere/out")).find("nowhere/out: cannot write"), std::string::npos);
    EXPECT_NE(refused(folder.path("")).find("irectory"), std::string::npos);
    fs::create_symlink("loop", folder.path("loop"));
    EXPECT_NE(refused(folder.path("loop")), "");
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{AF_UNIX, {}};
    std::strncpy(address.sun_path, folder.path("socket").c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_NE(refused(folder.path("socket")), "");
    close(fd);
    ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
    const int reader = open(folder.path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
    EXPECT_NE(refused(folder.path("pipe"), Use::kPlaced), "") << "a pipe has no places";
    EXPECT_NE(refused("-", Use::kPlaced), "");
    close(reader);
}

TEST_F(Output, DevicesAndPipesAreWrittenTo) {
    kept.add("/dev/null", "--input's");
    OutputFile null("--output", "/dev/null", kept, Use::kAppend);
    null.append("x");
    EXPECT_NO_THROW(null.finish());
    ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
    const int reader = open(folder.path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
    OutputFile pipe("--output", folder.path("pipe"), kept, Use::kAppend);
    pipe.append("line\n");
    pipe.finish();
    char buffer[16] = {};
    EXPECT_EQ(read(reader, buffer, sizeof buffer), 5);
    EXPECT_STREQ(buffer, "line\n");
    close(reader);
    EXPECT_EQ(fs::status(folder.path("pipe")).type(), fs::file_type::fifo) << "it is still a pipe";
}

TEST_F(Output, ALinkToANewFileMakesIt) {
    fs::create_symlink("target", folder.path("link"));
    OutputFile out("--output", folder.path("link"), kept, Use::kAppend);
    out.append("x\n");
    out.finish();
    EXPECT_EQ(folder.read("target"), "x\n");
    EXPECT_TRUE(fs::is_symlink(folder.path("link")));
}

// What is open already is neither truncated nor written from its beginning.
TEST_F(Output, DescriptorsAreSharedAsTheyAre) {
    folder.write("log", "before\n");
    const int fd = open(folder.path("log").c_str(), O_WRONLY | O_APPEND);
    fs::create_symlink("/dev/fd/" + std::to_string(fd), folder.path("link"));
    for (const std::string& name :
         {"/dev/fd/" + std::to_string(fd), "/proc/self/fd/" + std::to_string(fd), folder.path("link")}) {
        OutputFile out("--output", name, kept, Use::kAppend);
        out.append("line\n");
        out.finish();
    }
    EXPECT_EQ(folder.read("log"), "before\nline\nline\nline\n");
    kept.add(folder.path("log"), "--input's");
    EXPECT_NE(refused("/dev/fd/" + std::to_string(fd)).find("--input's"), std::string::npos);
    close(fd);
    const int read_only = open(folder.path("log").c_str(), O_RDONLY);
    EXPECT_NE(refused("/dev/fd/" + std::to_string(read_only)).find("reading only"), std::string::npos);
    close(read_only);
    EXPECT_NE(refused("/dev/fd/" + std::to_string(read_only)), "") << "nothing is open there";
}

TEST_F(Output, TwoRunsCannotWriteOneFile) {
    folder.write("out", "old");
    OutputFile first("--output", folder.path("out"), kept, Use::kAppend);
    EXPECT_NE(refused(folder.path("out")).find("another run"), std::string::npos);
    EXPECT_EQ(folder.read("out"), "old");
    first.finish();
    EXPECT_EQ(refused(folder.path("out")), "");
}

TEST_F(Output, AFullDiskIsRemembered) {
    OutputFile full("--output", "/dev/full", kept, Use::kAppend);
    EXPECT_FALSE(full.failed());
    full.append("x");
    EXPECT_TRUE(full.failed());
    EXPECT_NE(error_of([&] { full.check(); }).find("/dev/full: cannot write: No space"), std::string::npos);
    EXPECT_NE(error_of([&] { full.finish(); }).find("/dev/full: cannot write: No space"), std::string::npos);
}

struct Meddling {
    const char* how;
    std::function<void(const TempFolder&)> act;
};

TEST_F(Output, WhatOtherProgramsDoToItIsNoticed) {
    const Meddling cases[] = {
        {"truncated", [](const TempFolder& f) { fs::resize_file(f.path("out"), 0); }},
        {"written to", [](const TempFolder& f) { std::ofstream(f.path("out"), std::ios::app) << "mine\n"; }},
        {"removed", [](const TempFolder& f) { fs::remove(f.path("out")); }},
        {"replaced", [](const TempFolder& f) { fs::rename(f.write("other", "1\n"), f.path("out")); }},
        {"moved", [](const TempFolder& f) { fs::rename(f.path("out"), f.path("done")); }},
    };
    for (const Meddling& meddling : cases)
        for (const bool more : {false, true}) {
            SCOPED_TRACE(meddling.how + std::string(more ? ", then written on" : ""));
            OutputFile out("--output", folder.path("out"), kept, Use::kAppend);
            out.append("1\n");
            meddling.act(folder);
            if (more) out.append("2\n");
            const std::string error = error_of([&] { out.finish(); });
            EXPECT_NE(error.find("during the run"), std::string::npos) << error;
            fs::remove(folder.path("out"));
        }
}

TEST_F(Output, ARemovedFileEndsTheWorkAtOnce) {
    OutputFile out("--output", folder.path("out"), kept, Use::kAppend);
    out.append("1\n");
    fs::remove(folder.path("out"));
    out.append("2\n");
    EXPECT_TRUE(out.failed());
}

TEST_F(Output, PlacedBytesComeInAnyOrderFromAnyThread) {
    folder.write("out", std::string(100, 'x'));
    OutputFile out("--logits", folder.path("out"), kept, Use::kPlaced);
    EXPECT_EQ(folder.read("out").size(), 100u);
    std::thread one([&] { out.write_at(4, "cd", 2); }), two([&] { out.write_at(0, "ab", 2); });
    one.join();
    two.join();
    out.set_size(8);
    out.finish();
    EXPECT_EQ(folder.read("out"), std::string("ab\0\0cd\0\0", 8));
}

// A pipe that is full and does not block makes the writer wait.
TEST_F(Output, AFullPipeIsWaitedFor) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
    OutputFile out("--output", "/dev/fd/" + std::to_string(ends[1]), kept, Use::kAppend);
    close(ends[1]);
    const std::string text(300'000, 'a');  // pipes hold 65,536 bytes
    std::string got;
    std::thread reader([&, fd = ends[0]] {
        char buffer[4096];
        while (got.size() < text.size()) {
            const ssize_t n = read(fd, buffer, sizeof buffer);
            if (n > 0) got.append(buffer, size_t(n));
            if (n < 0) std::this_thread::yield();
        }
    });
    out.append(text);
    reader.join();
    EXPECT_NO_THROW(out.finish());
    EXPECT_TRUE(got == text);
    close(ends[0]);
}

}  // namespace
