// test_read_ahead.cpp: a checkpoint that is not in memory is read into it, and one that is there is left alone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint.h"
#include "temp_folder.h"

namespace {

constexpr int64_t kBytes = (int64_t(33) << 20) + 5;

// Files of a model, mapped, in the page cache or not.
std::shared_ptr<const MappedFile> map_file(const TempFolder& folder, const char* name, bool in_memory) {
    folder.write(name, std::string(size_t(kBytes), 'w'));
    if (!in_memory) {
        const int fd = open(folder.path(name).c_str(), O_RDONLY);
        fsync(fd);  // what is not on disk yet stays
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    return std::make_shared<const MappedFile>(folder.path(name));
}

TEST(ReadAhead, BringsInWhatIsMissingOnce) {
    const TempFolder folder;
    Model model;
    for (const char* name : {"there", "not there"}) {
        const auto file = map_file(folder, name, name == std::string("there"));
        model.mappings.push_back({file, file->data(), file->size()});
    }
    const auto missing = [&](size_t i) { return missing_bytes(model.mappings[i].data, kBytes); };
    EXPECT_EQ(missing(0), 0);
    if (missing(1) != kBytes) GTEST_SKIP() << "this file system keeps everything in memory";

    std::vector<int64_t> done;
    const auto progress = [&](int64_t n, int64_t total) {
        EXPECT_EQ(total, 2 * kBytes);
        done.push_back(n);
    };
    read_ahead(model, progress);
    EXPECT_EQ(done, std::vector<int64_t>{2 * kBytes}) << "one piece, the second file, was missing";
    EXPECT_EQ(missing(1), 0);
    read_ahead(model, progress);
    EXPECT_EQ(done.size(), 1u) << "nothing is missing any more";
}

TEST(ReadAhead, LeavesAModelLargerThanMemoryAlone) {
    const TempFolder folder;
    const auto file = map_file(folder, "file", false);
    Model model;
    model.mappings.push_back({file, file->data(), file->size()});
    if (missing_bytes(file->data(), kBytes) != kBytes) GTEST_SKIP() << "this file system keeps everything in memory";
    // As many mappings of one file as make it too large, whatever other processes give back meanwhile.
    const int64_t memory_bytes = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
    while (int64_t(model.mappings.size()) * kBytes <= memory_bytes) model.mappings.push_back(model.mappings[0]);
    read_ahead(model, [](int64_t, int64_t) { FAIL() << "it began to read"; });
    EXPECT_EQ(missing_bytes(file->data(), kBytes), kBytes);
}

}  // namespace
