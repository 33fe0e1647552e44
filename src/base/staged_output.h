// staged_output.h: files and directories that are written under another name and get their own once complete.
//
// The other name stands beside the final one and cannot be guessed, so nobody can have put a link there. The unfinished
// file is removed when the work fails, and when SIGINT, SIGTERM or SIGHUP ends the program.
#pragma once
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

enum class Existing {
    kRefuse,   // the final name must be free
    kReplace,  // a file of that name is replaced
};

// Makes durable which names are in the directory that `path` is in.
void sync_directory_of(const std::string& path);

// Throws Error if there is something at `path` that a new file must not replace, or cannot.
void check_free(const std::string& path, Existing existing);
// The same for a directory: there may be an empty one.
void check_free_directory(const std::string& path);

// Removes its path when it is destroyed, or when one of the three signals ends the process.
class TemporaryPath {
  public:
    explicit TemporaryPath(const std::string& path);  // need not exist yet
    ~TemporaryPath();
    TemporaryPath(const TemporaryPath&) = delete;
    TemporaryPath& operator=(const TemporaryPath&) = delete;

    const std::string& path() const { return path_; }
    void release();  // forgets the path: the file has its final name

  private:
    std::string path_;
    int slot_;  // in the list that the signals' handler sees; -1: none
    bool released_ = false;
};

// The final name appears, complete and synced, at commit(), and not at all if commit() is never reached. Throws Error.
class AtomicFile {
  public:
    explicit AtomicFile(const std::string& path, Existing existing = Existing::kReplace);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* data, int64_t n_bytes);
    void write(std::string_view text) { write(text.data(), int64_t(text.size())); }
    void commit();

  private:
    const std::string path_;
    const Existing existing_;
    TemporaryPath temporary_;
    int fd_ = -1;
};

// The same for a directory.
class StagedDirectory {
  public:
    explicit StagedDirectory(const std::string& path);
    ~StagedDirectory();
    StagedDirectory(const StagedDirectory&) = delete;
    StagedDirectory& operator=(const StagedDirectory&) = delete;

    std::string file(const std::string& name);  // where to write a file of it
    void commit();                              // its files have been synced by then

  private:
    const std::string path_;
    TemporaryPath temporary_;
    std::list<TemporaryPath> files_;
};
