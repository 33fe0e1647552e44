// job_file.h: the small file beside an output that says which job it belongs to, and that one process alone writes it.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

class JobFile {
  public:
    using Json = nlohmann::ordered_json;

    // Makes the file if there is none, and locks it. Throws Error, also if another process has it.
    explicit JobFile(const std::string& path);
    ~JobFile();  // a file that this made and wrote nothing to goes again
    JobFile(const JobFile&) = delete;
    JobFile& operator=(const JobFile&) = delete;

    // What it says of a job; empty if nothing yet.
    const Json& content() const { return content_; }
    void clear();                // durable when it returns, as is the next one
    void add(const Json& more);  // later values win

  private:
    void read();
    const std::string path_;
    int fd_ = -1;
    bool made_ = false;
    int64_t size_ = 0;  // bytes of whole lines
    Json content_ = Json::object();
};
