// job_identity.cpp: the identity as JSON, and one line on how two of them differ.
#include "batch/job_identity.h"

#include <algorithm>
#include <ctime>

#include "base/checksum.h"
#include "checkpoint.h"
#include "error.h"
#include "version.h"

namespace {

using Json = JobFile::Json;

constexpr size_t kMarkLetters = 3;

std::string tokenizer_checksum(const TextCodec& codec) {
    return codec.has_tokenizer() ? fmt::format("{:016x}", hash_of(codec.tokenizer().serialize())) : "none";
}

std::string precision(const Options& options) {
    if (!options.precision) return "the device's";
    return *options.precision == Precision::kF32 ? "f32" : "bf16";
}

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

// Recorded, and not compared as they stand.
bool is_compared(const std::string& field) {
    for (const char* other : {"input", "requests", "requests_hash", "line_marks", "bytes", "model", "created", "seed",
                              "finished", "block_size"})
        if (field == other) return false;
    return true;
}

// A hash of the hashes of the first n requests.
std::string requests_hash(const InputScan& scan, int64_t n) {
    Checksum checksum;
    checksum.add(scan.hashes.data(), n * int64_t(sizeof scan.hashes[0]));
    return checksum.hex();
}

// Three letters a request, of its line's hash: enough to find the line that has changed.
std::string line_marks(const InputScan& scan) {
    constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string marks;
    marks.reserve(kMarkLetters * scan.hashes.size());
    for (const uint64_t hash : scan.hashes)
        for (size_t i = 0; i < kMarkLetters; i++) marks += kLetters[hash >> (6 * i) & 63];
    return marks;
}

// Throws Error, with the line if the marks tell it, unless the first n_then requests are those that `there` is about.
void check_requests(const std::string& path, const Json& there, int64_t n_then, const Json& here,
                    const std::string& input, const RequestReader& reader) {
    if (there.value("requests_hash", "") == requests_hash(*reader.scan(), n_then)) return;
    const std::string then = there.value("line_marks", ""), now = here.at("line_marks");
    const auto end = then.begin() + long(std::min(then.size(), now.size()));
    const auto different = std::mismatch(then.begin(), end, now.begin());
    if (different.first != end)
        fail("{}:{}: expected the line that {} is about, found another: it has changed since; --overwrite starts anew",
             input, reader.line_of((different.first - then.begin()) / int64_t(kMarkLetters)), path);
    fail("{}: expected the {} requests that {} is about at its beginning, found others; --overwrite starts anew", input,
         n_then, path);
}

}  // namespace

Json job_identity(const Options& options, const Model& model, const TextCodec& codec, const RequestReader& reader) {
    const char* const efforts[] = {"low", "medium", "high"};
    return {{"version", kVersion},
            {"input", options.input},
            {"format", reader.is_text() ? "text" : "JSON lines"},
            {"requests", reader.total()},
            {"bytes", reader.scan()->n_bytes},
            {"requests_hash", requests_hash(*reader.scan(), reader.total())},
            {"line_marks", line_marks(*reader.scan())},
            {"model", model.path},
            {"model_checksum", model_checksum(model)},
            {"tokenizer_checksum", tokenizer_checksum(codec)},
            {"precision", precision(options)},
            {"device", engine_options(options, 1).gpu ? "gpu" : "cpu"},
            {"cpu_isa", options.cpu_isa},
            {"reference", options.reference},
            {"steps", or_null(options.steps)},
            {"temperature", or_null(options.temperature)},
            {"top_p", or_null(options.top_p)},
            {"top_k", or_null(options.top_k)},
            {"repetition_penalty", or_null(options.repetition_penalty)},
            {"num_tokens", or_null(options.max_new)},
            {"chat", options.chat_template},
            {"instructions", options.instructions},
            {"reasoning", efforts[int(options.effort)]},
            {"strict_fields", options.strict_fields},
            {"strict_harmony", options.strict_harmony ? Json(true) : Json()},  // jobs of earlier versions have none
            {"seed", options.seed},
            {"created", int64_t(std::time(nullptr))}};
}

void check_same_job(const std::string& path, const Json& there, const Json& here, const Options& options,
                    const RequestReader& reader) {
    std::string differences;
    const auto compare = [&](const std::string& field) {
        const Json was = there.value(field, Json());
        if (was != here.at(field))
            differences += fmt::format("{}{} is {} there and {} here", differences.empty() ? "" : "; ", field,
                                       was.dump(), here.at(field).dump());
    };
    for (const auto& [field, value] : here.items())
        if (is_compared(field)) compare(field);
    if (options.seed_given) compare("seed");
    if (!differences.empty())
        fail("{}: expected this job, found another: {}; --overwrite starts anew", path, differences);

    const int64_t n_then = there.value("requests", int64_t(0));
    const int64_t n_now = reader.total();
    if (n_then > n_now)
        fail("{}: expected the {} requests that {} is about, found {}; --overwrite starts anew", options.input, n_then,
             path, n_now);
    check_requests(path, there, n_then, here, options.input, reader);
}
