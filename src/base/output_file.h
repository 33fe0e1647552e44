// output_file.h: opens every file that the program writes in place, and protects those that no output may touch. Files
// that get their name last are in staged_output.h.
#pragma once
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

// Files that no output may overwrite. They are known by device and inode, so that hard and symbolic links to them
// count.
class KeptFiles {
  public:
    // Adds the file at `path`, or all files in and below that directory; nothing if nothing is there. In errors,
    // `whose` says what they are: "the model's".
    void add(const std::string& path, const std::string& whose);
    void add_open(int fd, const std::string& whose);
    // Throws Error if `file`, which `flag` names as `path`, is one of them.
    void check(const struct stat& file, const std::string& flag, const std::string& path) const;
    // The same for what is at `path`; a path with nothing there is free.
    void check(const std::string& flag, const std::string& path) const;

  private:
    void add(const struct stat& file, const std::string& whose);
    std::map<std::pair<dev_t, ino_t>, std::string> whose_;
};

// Whether a path stands for a descriptor that is open already: "-", "/dev/stdout", "/dev/fd/N", or a link to such.
bool names_descriptor(const std::string& path);

// A file, a pipe or a device for answers. The old content of a file goes at the first write, or at finish() if there
// was none: a run that cannot start loses nothing. No two outputs, of this or another process, can share a file.
// Replicas' threads write, so a failure is remembered, not thrown.
class OutputFile {
  public:
    enum class Use {
        kAppend,    // lines, one after the other
        kContinue,  // the same, after those that are there
        kPlaced,    // bytes at their places, in any order: no pipe
    };
    // "" and "-" are stdout. "/dev/stdout", "/dev/fd/N" and links to them mean the file that is open there, in its
    // state: after ">> file" it is appended to. Throws Error, which names `flag` or the path.
    OutputFile(const std::string& flag, const std::string& path, const KeptFiles& kept, Use use);
    ~OutputFile();  // without finish(), removes a file that this object made and wrote nothing to
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    // Writes after what was written before; one thread at a time. If it fails half-way, a file is cut to its old end.
    void append(std::string_view text);
    void write_at(int64_t offset, const void* data, int64_t n_bytes);  // from any thread
    void set_size(int64_t n_bytes);                                    // of a kPlaced file
    void begin();  // drops the old content now, unless it is continued
    void sync();   // makes what was written durable; from any thread

    bool failed() const { return error_ != 0; }
    void check() const;  // throws Error if something has failed
    // Syncs and closes. Throws Error unless everything has arrived in the file, which still has its name and holds no
    // other program's bytes.
    void finish();

    int fd() const { return fd_; }
    bool is_file_of_its_own() const { return is_file_ && !is_shared_; }
    const std::string& name() const { return name_; }

  private:
    void open_path(const std::string& path);
    void examine(const std::string& flag, const KeptFiles& kept);
    void note_unsynced(int error);
    void fail_with(int error);
    void check_unchanged() const;

    const std::string name_;  // for errors
    const Use use_;
    int fd_ = -1;
    bool is_file_ = false;    // a regular one
    bool is_shared_ = false;  // opened by whoever started the program: its old content stays
    bool made_ = false;       // it did not exist
    std::once_flag begun_;
    std::mutex closing_;  // held by sync(), and by finish() while it closes
    std::atomic<bool> has_begun_{false};
    std::atomic<int> error_{0};  // errno, or kRemoved
    int64_t size_ = 0;           // in bytes, as it must be at the end
};
