// answered.cpp: one pass finds out what a journal holds. Only if lines in its middle must go, a second pass copies the
// rest into a new file.
#include "batch/answered.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/line_reader.h"
#include "base/staged_output.h"
#include "error.h"
#include "log.h"

namespace fs = std::filesystem;

namespace {

constexpr size_t kBlockBytes = 4096;  // small, as answers to neighbours may be far apart

// Decides what to do with each line of a journal.
class Sorter {
  public:
    Sorter(MarkReader read_mark, bool drop_failed, const RequestReader& reader, const std::string& path,
           const std::string& input)
        : read_mark_(read_mark), drop_failed_(drop_failed), reader_(reader), path_(path), input_(input) {}

    std::optional<AnswerMark> keep(std::string_view line, const Answered& answered) const {
        std::optional<AnswerMark> mark = read_mark_(line);
        if (!mark) return {};
        if (mark->index >= reader_.total())
            fail("{}: expected answers to the {} requests of {}, found one to request {}", path_, reader_.total(),
                 input_, mark->index);
        if (mark->hash != reader_.scan()->hashes[size_t(mark->index)])
            fail(
                "{}:{}: expected the line that {} has an answer to, found another: it has changed since; --overwrite "
                "starts anew",
                input_, reader_.line_of(mark->index), path_);
        if (answered.has(mark->index) || (mark->is_error && drop_failed_)) return {};
        return mark;
    }

  private:
    const MarkReader read_mark_;
    const bool drop_failed_;
    const RequestReader& reader_;
    const std::string &path_, &input_;
};

struct Found {
    Answered answered;
    int64_t end = 0;         // where the last line that stays ends
    bool in_middle = false;  // whether a line before that one goes
    int64_t n_dropped = 0;
};

// Reads the lines of a journal, and gives those that stay to `on_line`.
Found look(const std::string& path, const Sorter& sorter, int64_t n_requests,
           const std::function<void(std::string_view)>& on_line) {
    Found found{Answered(n_requests)};
    const auto size = int64_t(fs::file_size(path));
    LineReader lines(path);
    for (std::string_view line; lines.next(line);) {
        const int64_t begin = lines.offset(), end = begin + int64_t(line.size()) + 1;
        const bool whole = end <= size && !lines.too_long();  // with its newline
        const auto mark = whole ? sorter.keep(line, found.answered) : std::nullopt;
        if (!mark) {
            found.n_dropped++;
            continue;
        }
        found.in_middle = found.in_middle || begin != found.end;
        found.answered.add(mark->index, mark->is_error, begin);
        found.end = end;
        if (on_line) on_line(line);
    }
    return found;
}

}  // namespace

void Answered::add(int64_t index, bool is_error, int64_t offset) {
    offsets_[size_t(index - first_)] = offset;
    n_++;
    n_failed_ += is_error;
}

Answered load_journal(const std::string& path, MarkReader read_mark, bool drop_failed, const RequestReader& reader,
                      const std::string& input) {
    const int64_t n = reader.total();
    if (!is_file(path)) return Answered(n);
    const Sorter sorter(read_mark, drop_failed, reader, path, input);
    Found found = look(path, sorter, n, {});
    if (found.n_dropped == 0) return std::move(found.answered);
    if (!drop_failed) log_line("{}: {} lines that are no whole answers are dropped", path, found.n_dropped);
    if (!found.in_middle) {
        if (truncate(path.c_str(), found.end) != 0) fail("{}: cannot write: {}", path, std::strerror(errno));
        return std::move(found.answered);
    }
    AtomicFile kept(path);
    look(path, sorter, n, [&](std::string_view line) { kept.write(std::string(line) + "\n"); });
    kept.commit();
    return std::move(look(path, sorter, n, {}).answered);
}

void read_in_order(const std::string& path, MarkReader read_mark, const Answered& answered,
                   const std::function<void(const AnswerMark& mark, std::string_view line)>& use) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
    const std::unique_ptr<const int, void (*)(const int*)> closes(&fd, [](const int* open_fd) { close(*open_fd); });
    std::string block;  // the file's bytes from `at` on
    int64_t at = 0;
    const auto read_block = [&](int64_t offset, size_t n_bytes) {
        block.resize(n_bytes);
        ssize_t n;
        do n = pread(fd, block.data(), n_bytes, offset);
        while (n < 0 && errno == EINTR);
        if (n < 0) fail("{}: cannot read: {}", path, std::strerror(errno));
        block.resize(size_t(n));
        at = offset;
    };
    for (int64_t i = answered.first(); i < answered.end(); i++) {
        const int64_t offset = answered.offset(i);
        size_t end = std::string::npos;
        if (offset >= at && offset < at + int64_t(block.size())) end = block.find('\n', size_t(offset - at));
        for (size_t n_bytes = kBlockBytes; end == std::string::npos; n_bytes *= 2) {
            read_block(offset, n_bytes);
            end = block.find('\n');
            if (end == std::string::npos && block.size() < n_bytes)
                fail("{}: expected the answer to request {} at byte {}, found the end", path, i, offset);
        }
        const std::string_view line = std::string_view(block).substr(size_t(offset - at), end - size_t(offset - at));
        const auto mark = read_mark(line);
        if (!mark || mark->index != i)
            fail(
                "{}: expected the answer to request {} at byte {}, found something else: another program has changed "
                "it during the run",
                path, i, offset);
        use(*mark, line);
    }
}
