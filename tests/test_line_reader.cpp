// test_line_reader.cpp: lines longer than the limit, across blocks, and from a pipe that never ends.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "base/line_reader.h"
#include "error.h"
#include "temp_folder.h"

namespace {

TEST(LineReader, TooLongALineIsCutAndTheNextOnesGoOn) {
    const TempFolder folder;
    const std::string three_blocks(size_t(3) << 20, 'x'), at_limit(100, 'y');
    const std::vector<std::string> lines = {"first", three_blocks, "", std::string(101, 'z'), at_limit, three_blocks};
    for (const char* end : {"", "\n"}) {
        std::string text;
        for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
        LineReader reader(folder.write("lines", text + end), 100);
        std::string_view line;
        for (size_t i = 0; i < lines.size(); i++) {
            for (int again = 0; again < 2; again++) {
                ASSERT_TRUE(reader.next(line)) << i;
                EXPECT_EQ(reader.too_long(), lines[i].size() > 100) << i;
                EXPECT_EQ(line, lines[i].substr(0, 100)) << i;
                EXPECT_EQ(reader.line_number(), int64_t(i) + 1);
                if (again == 0) reader.again();
            }
        }
        EXPECT_FALSE(reader.next(line));
    }
}

TEST(LineReader, AnInterruptEndsTheWaitForAPipe) {
    const TempFolder folder;
    const std::string path = folder.path("pipe");
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    const int writer = open(path.c_str(), O_RDWR);  // stays open: the pipe never ends
    ASSERT_GE(writer, 0);
    ASSERT_EQ(write(writer, "whole\nbegun", 11), 11);
    LineReader reader(path);
    std::string_view line;
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "whole");
    std::thread other([&] { reader.interrupt(); });
    EXPECT_FALSE(reader.next(line)) << line;
    EXPECT_FALSE(reader.next(line)) << line;
    other.join();
    close(writer);
}

TEST(LineReader, LinesAcrossBlocks) {
    const TempFolder folder;
    // Blocks are 1 MiB: lines that end just before, at and after that, and one that is longer than two.
    std::vector<std::string> expected;
    for (const size_t size : {size_t(0), size_t(1 << 20) - 3, size_t(1), size_t(0), size_t(5) << 19, size_t(3)})
        expected.push_back(std::string(size, char('a' + expected.size())));
    for (const bool newline_at_end : {false, true}) {
        std::string text;
        for (const std::string& line : expected) text += (text.empty() && &line == &expected[0] ? "" : "\n") + line;
        LineReader reader(folder.write("lines", newline_at_end ? text + "\n" : text));
        std::string_view line;
        for (const std::string& e : expected) {
            ASSERT_TRUE(reader.next(line));
            ASSERT_TRUE(line == e) << line.size() << " bytes, expected " << e.size();
        }
        EXPECT_EQ(reader.line_number(), int64_t(expected.size()));
        EXPECT_FALSE(reader.next(line));
        EXPECT_FALSE(reader.next(line));
    }
    EXPECT_THROW(LineReader(folder.path("nowhere")), Error);
}

}  // namespace
