// line_writer.h: files of lines: the answers that --output names, the report that --report does.
#pragma once
#include <memory>
#include <string>

#include "options.h"

class KeptFiles;
class OutputFile;

// What no answer may be written to: the model and its tokenizer.
KeptFiles model_files(const Options& options, const Model& model);
// The same, and the files that are read.
KeptFiles kept_files(const Options& options, const Model& model);

// Writes lines, each at once. The old content stays until the first line, or until finish() if none came. Replicas'
// threads call it, so a failure is remembered instead of thrown. See base/output_file.h.
class LineWriter {
  public:
    // flag names it in errors. Throws Error.
    LineWriter(const std::string& flag, const std::string& path, const Options& options, const Model& model);
    ~LineWriter();
    LineWriter(const LineWriter&) = delete;
    LineWriter& operator=(const LineWriter&) = delete;

    void write(std::string line);  // adds the newline
    bool failed() const;           // nothing that is written now would arrive
    void check() const;            // throws Error if something has failed
    void finish();                 // throws Error unless all lines have arrived
    int fd() const;

  private:
    std::unique_ptr<OutputFile> file_;
};
