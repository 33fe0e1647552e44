// lazy_memory.cpp: untouched pages are those of a small file of 0xff bytes, mapped copy-on-write as often as it takes,
// and the system's page of zeros.
#include "emu/lazy_memory.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace emu {
namespace {

constexpr size_t kAlignment = 256, kPage = 4096, kFileBytes = 4 << 20;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;

size_t rounded_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::abort();
}

int file_of_unset_bytes() {
    const int file = memfd_create("unset", MFD_CLOEXEC);
    const std::vector<unsigned char> bytes(kFileBytes, 0xff);
    if (file < 0 || write(file, bytes.data(), kFileBytes) != ssize_t(kFileBytes)) die("emu: a file of unset bytes");
    return file;
}

// In place of the pages that are there.
void map(char* to, size_t bytes, int flags, int file) {
    if (mmap(to, bytes, kReadWrite, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | flags, file, 0) == MAP_FAILED)
        die("emu: device memory");
}

}  // namespace

LazyMemory::LazyMemory(size_t bytes) : bytes_(bytes), page_bytes_(rounded_up(std::max<size_t>(bytes, 1), kPage)) {
    static const int file = file_of_unset_bytes();
    void* const all =
        mmap(nullptr, page_bytes_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    pages_ = static_cast<char*>(all) + kPage;
    for (size_t at = 0; at < page_bytes_; at += kFileBytes)
        map(pages_ + at, std::min(kFileBytes, page_bytes_ - at), 0, file);
    ASAN_POISON_MEMORY_REGION(data() + bytes_, size_t(pages_ + page_bytes_ - (data() + bytes_)));
}

LazyMemory::~LazyMemory() {
    ASAN_UNPOISON_MEMORY_REGION(pages_, page_bytes_);
    munmap(pages_ - kPage, page_bytes_ + 2 * kPage);
}

char* LazyMemory::data() const {
    return pages_ + page_bytes_ - rounded_up(bytes_, kAlignment);
}

void LazyMemory::zero(char* from, size_t bytes) const {
    char* const first = pages_ + rounded_up(size_t(from - pages_), kPage);  // whole pages: from here
    char* const last = pages_ + size_t(from + bytes - pages_) / kPage * kPage;
    if (last <= first) {
        std::memset(from, 0, bytes);
        return;
    }
    std::memset(from, 0, size_t(first - from));
    map(first, size_t(last - first), MAP_ANONYMOUS, -1);
    std::memset(last, 0, size_t(from + bytes - last));
}

void LazyMemory::open(bool may) const {
    if (mprotect(pages_, page_bytes_, may ? kReadWrite : PROT_NONE) != 0) die("emu: mprotect");
}

}  // namespace emu
