// line_writer.h: files of lines: answers (--output) and the report (--report).
#pragma once
#include <memory>
#include <string>

#include "options.h"

class KeptFiles;
class OutputFile;

// Files that no answer may overwrite: the model and its tokenizer.
KeptFiles model_files(const Options& options, const Model& model);
// The same, and the files that are read.
KeptFiles kept_files(const Options& options, const Model& model);

// Writes each line at once. The old content stays until the first line, or until finish() if none came. Replicas'
// threads call it, so a failure is remembered, not thrown. See base/output_file.h.
class LineWriter {
  public:
    // flag names it in errors. Throws Error.
    LineWriter(const std::string& flag, const std::string& path, const Options& options, const Model& model);
    ~LineWriter();
    LineWriter(const LineWriter&) = delete;
    LineWriter& operator=(const LineWriter&) = delete;

    void write(std::string line);  // adds the newline
    bool failed() const;           // whether nothing more can be written
    void check() const;            // throws Error if something has failed
    void finish();                 // throws Error unless all lines have arrived
    int fd() const;

  private:
    std::unique_ptr<OutputFile> file_;
};
