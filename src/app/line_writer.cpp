// line_writer.cpp: one write() a line. Whenever the program is killed, a line that ends in a newline is whole; what
// follows the last newline is part of a line and no answer.
#include "line_writer.h"

#include <unistd.h>

#include "base/output_file.h"

KeptFiles model_files(const Options& options, const Model& model) {
    KeptFiles kept;
    for (const std::string& path : paths_of(model, options.tokenizer)) kept.add(path, "the model's");
    return kept;
}

KeptFiles kept_files(const Options& options, const Model& model) {
    KeptFiles kept = model_files(options, model);
    if (options.input == "-") kept.add_open(STDIN_FILENO, "--input's");
    kept.add(options.input, "--input's");
    kept.add(options.verify, "--verify's");
    return kept;
}

LineWriter::LineWriter(const std::string& flag, const std::string& path, const Options& options, const Model& model)
    : file_(std::make_unique<OutputFile>(flag, path, kept_files(options, model), OutputFile::Use::kAppend)) {}

LineWriter::~LineWriter() = default;

void LineWriter::write(std::string line) {
    line += '\n';
    file_->append(line);
}

bool LineWriter::failed() const {
    return file_->failed();
}

void LineWriter::check() const {
    file_->check();
}

void LineWriter::finish() {
    file_->finish();
}

int LineWriter::fd() const {
    return file_->fd();
}
