// job_identity.cpp: the identity as JSON, and one line on how two of them differ.
#include "batch/job_identity.h"

#include <fmt/format.h>

#include <ctime>

#include "base/checksum.h"
#include "error.h"
#include "version.h"

namespace {

using Json = JobFile::Json;

// What of the config answers depend on and the files need not say.
std::string config_text(const Model& model) {
    const std::string stop_ids = fmt::format("{}", fmt::join(model.common().stop_ids, " "));
    if (model.is_gpt2())
        return fmt::format("{} {} {} {}", model.common().max_context, model.common().n_attn_heads,
                           model.gpt2().config.norm_eps, stop_ids);
    const Config& c = model.gpt_oss().config;
    return fmt::format("{} {} {} {} {}", c.max_context, c.rope_factor, c.rope_theta, c.norm_eps, stop_ids);
}

// All of a small model; of a large one sizes, headers and samples, as reading 65 GB takes a minute. In a .bin the
// header holds every tensor's checksum.
std::string model_checksum(const Model& model) {
    constexpr int64_t kWhole = int64_t(256) << 20, kEnd = int64_t(1) << 20, kSample = 4096, kSamples = 1024;
    Checksum checksum;
    for (const Model::Mapping& mapping : model.mappings) {
        checksum.add(&mapping.n_bytes, sizeof mapping.n_bytes);
        const int64_t n = mapping.n_bytes;
        if (n <= kWhole) {
            checksum.add(mapping.data, n);
            continue;
        }
        checksum.add(mapping.data, kEnd);
        checksum.add(mapping.data + n - kEnd, kEnd);
        for (int64_t i = 0; i < kSamples; i++) checksum.add(mapping.data + (n - kSample) / kSamples * i, kSample);
    }
    const std::string config = config_text(model);
    checksum.add(config.data(), int64_t(config.size()));
    return checksum.hex();
}

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
    for (const char* other :
         {"input", "requests", "requests_hash", "bytes", "model", "created", "seed", "finished", "block_size"})
        if (field == other) return false;
    return true;
}

// A hash of the hashes of the first n requests.
std::string requests_hash(const InputScan& scan, int64_t n) {
    Checksum checksum;
    checksum.add(scan.hashes.data(), n * int64_t(sizeof scan.hashes[0]));
    return checksum.hex();
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
            {"chat", options.chat_template},
            {"instructions", options.instructions},
            {"reasoning", efforts[int(options.effort)]},
            {"strict_fields", options.strict_fields},
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
    if (there.value("requests_hash", "") != requests_hash(*reader.scan(), n_then))
        fail("{}: expected the {} requests that {} is about at its beginning, found others; --overwrite starts anew",
             options.input, n_then, path);
}
