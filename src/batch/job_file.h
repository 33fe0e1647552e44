// job_file.h: the small file beside an output that says which job it belongs to, and that one process alone writes it.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

class JobFile {
  public:
    using Json = nlohmann::ordered_json;
    struct Said {
        Json content = Json::object();  // empty if it says nothing yet
        int64_t n_bytes = 0;            // of whole lines
    };

    // What such a file says; none if it is something else. Throws Error if it cannot be read.
    static std::optional<Said> read(const std::string& path);

    // Makes the file if there is none, and locks it. Throws Error, also if another process has it.
    explicit JobFile(const std::string& path);
    ~JobFile();  // a file that this made and wrote nothing to goes again
    JobFile(const JobFile&) = delete;
    JobFile& operator=(const JobFile&) = delete;

    // What it says of a job; empty if nothing yet.
    const Json& content() const { return said_.content; }
    void clear();                // durable when it returns, as is the next one
    void add(const Json& more);  // later values win

  private:
    const std::string path_;
    int fd_ = -1;
    bool made_ = false;
    Said said_;
};
