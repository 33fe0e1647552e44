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

// Files that no output may be. They are known by device and inode, so that hard and symbolic links to them count too.
class KeptFiles {
  public:
    // The file at `path`, or all files in that directory and in the directories in it; nothing, if nothing is there.
    // `whose` says in an error what they are: "the model's".
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

// A file, a pipe or a device for answers. The first write replaces a file's old content, or finish() does if there was
// none, so a run that cannot start loses nothing. No two outputs, of this or another process, can share a file.
// Replicas' threads write, so a failure is remembered instead of thrown.
class OutputFile {
  public:
    enum class Use {
        kAppend,    // lines, one after the other
        kContinue,  // the same, after those that are there
        kPlaced,    // bytes at their places, in any order: no pipe
    };
    // "" and "-" are stdout. "/dev/stdout", "/dev/fd/N" and links to them mean what is open there, as it is: with
    // ">> file" it is appended to. Throws Error, which names `flag` or the path.
    OutputFile(const std::string& flag, const std::string& path, const KeptFiles& kept, Use use);
    ~OutputFile();  // without finish(): a file that this made and wrote nothing to goes again
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    // After what was written before; one thread at a time. If it fails half-way, a file ends before `text` again.
    void append(std::string_view text);
    void write_at(int64_t offset, const void* data, int64_t n_bytes);  // from any thread
    void set_size(int64_t n_bytes);                                    // of a kPlaced file
    void begin();  // drops the old content now, unless it is continued
    void sync();   // makes what was written durable; from any thread

    bool failed() const { return error_ != 0; }
    void check() const;  // throws Error if something has failed
    // Makes sure that all of it has arrived: synced, closed, still under its name, and nobody else's bytes in it.
    // Throws Error.
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
    bool is_shared_ = false;  // opened by who started the program: its content and size are not ours
    bool made_ = false;       // it did not exist
    std::once_flag begun_;
    std::mutex closing_;  // held by sync() and where finish() closes
    std::atomic<bool> has_begun_{false};
    std::atomic<int> error_{0};  // errno, or kRemoved
    int64_t size_ = 0;           // in bytes, as it must be at the end
};
