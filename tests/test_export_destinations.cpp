// test_export_destinations.cpp: where an export may go, and what is left of one that fails, is interrupted or killed.
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/file.h"
#include "export_checks.h"
#include "subprocess.h"

namespace fs = std::filesystem;

namespace {

TEST_F(Export, TheSourceIsNeverOverwritten) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    const std::string kept = read_file(tiny.path() + "/model.safetensors");
    for (const ExportKind kind : kKinds) {
        for (const std::string& out : {tiny.path(), tiny.path() + "/", tiny.path() + "/model.safetensors"})
            EXPECT_NE(error_of([&] { export_model(tiny.model(), out, to(kind)); }), "") << name_of(kind) << " " << out;
        EXPECT_TRUE(read_file(tiny.path() + "/model.safetensors") == kept);
    }
    const Model container = exported(tiny.model(), ExportKind::kContainer);
    fs::create_hard_link(container.path, directory.path("link"));
    EXPECT_TRUE(has(error_of([&] { export_model(container, directory.path("link"), to(ExportKind::kContainer)); }),
                    {"link", "the source's"}));
}

TEST_F(Export, Destinations) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    const auto error = [&](const std::string& out, ExportKind kind) {
        return error_of([&] { export_model(tiny.model(), out, to(kind)); });
    };
    fs::create_directory(directory.path("empty"));
    EXPECT_EQ(error(directory.path("empty/"), ExportKind::kHuggingFace), "") << "an empty directory is taken";
    EXPECT_TRUE(has(error(directory.path("empty"), ExportKind::kHuggingFace), {"empty", "new or empty"}));
    write_bytes(directory.path("file"), "precious");
    EXPECT_TRUE(has(error(directory.path("file"), ExportKind::kOriginal), {"file", "new or empty"}));
    EXPECT_EQ(read_file(directory.path("file")), "precious");
    EXPECT_TRUE(has(error(directory.path("file"), ExportKind::kContainer), {"file", "new file", "--overwrite"}));
    EXPECT_EQ(read_file(directory.path("file")), "precious");
    ExportOptions overwrite = to(ExportKind::kContainer);
    overwrite.overwrite = true;
    export_model(tiny.model(), directory.path("file"), overwrite);
    EXPECT_EQ(open_error(directory.path("file")), "");
    for (const ExportKind kind : kKinds) EXPECT_TRUE(has(error(directory.path("no/such"), kind), {"no/such"}));
    for (const ExportKind kind : {ExportKind::kContainer, ExportKind::kLegacyF32})
        EXPECT_TRUE(has(error(directory.path("empty"), kind), {"empty", "directory"}));
}

// The process dies when half is written: the final name must be absent, or hold what it held before.
TEST_F(Export, AKilledExportLeavesTheDestinationAsItWas) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    for (const ExportKind kind : kKinds)
        for (const bool existed : {false, true}) {
            const bool is_file = kind != ExportKind::kHuggingFace && kind != ExportKind::kOriginal;
            if (existed && !is_file) continue;
            const std::string out = directory.path(fmt::format("{}-{}", name_of(kind), existed));
            if (existed) write_bytes(out, "what was there before");
            ExportOptions options = to(kind);
            options.overwrite = existed;
            const pid_t child = fork();
            ASSERT_GE(child, 0);
            if (child == 0) {
                omp_set_num_threads(1);  // the parent's threads do not exist here
                ExportOptions deadly = options;
                deadly.progress = [](int64_t done, int64_t total) {
                    if (done > total * 3 / 4) _exit(42);
                };
                export_model(tiny.model(), out, deadly);
                _exit(0);
            }
            int status = 0;
            ASSERT_EQ(waitpid(child, &status, 0), child);
            ASSERT_TRUE(WIFEXITED(status));
            EXPECT_EQ(WEXITSTATUS(status), 42) << "the export was not killed";
            EXPECT_EQ(fs::exists(out), existed) << out;
            if (existed) {
                EXPECT_EQ(read_file(out), "what was there before");
            }
            export_model(tiny.model(), out, options);  // what the dead process left is not in the way
            expect_same_weights(open_model(out), tiny.model());
        }
}

TEST_F(Export, ASignalLeavesNothing) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    for (const ExportKind kind : kKinds)
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            const TempFolder place;
            const pid_t child = fork();
            ASSERT_GE(child, 0);
            if (child == 0) {
                let_signals_end_this_process();
                omp_set_num_threads(1);  // the parent's threads do not exist here
                ExportOptions options = to(kind);
                options.progress = [&](int64_t done, int64_t total) {
                    if (done > total * 3 / 4) raise(signal);
                };
                export_model(tiny.model(), place.path("out"), options);
                _exit(0);
            }
            int status = 0;
            ASSERT_EQ(waitpid(child, &status, 0), child);
            EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << "it still ends the program";
            EXPECT_TRUE(fs::is_empty(place.path())) << name_of(kind);
        }
}

// An export may go where a file or nothing is; all else is refused before the work.
TEST_F(Export, DestinationsThatAreNoFilesAreRefused) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    write_bytes(directory.path("real"), "old");
    fs::create_symlink("real", directory.path("link"));
    fs::create_symlink("nothing", directory.path("dangling"));
    ASSERT_EQ(mkfifo(directory.path("pipe").c_str(), 0600), 0);
    fs::create_directory(directory.path("full"));
    write_bytes(directory.path("full/x"), "");
    for (const ExportKind kind : kKinds)
        for (const bool overwrite : {false, true})
            for (const char* name : {"link", "dangling", "pipe", "full"}) {
                ExportOptions options = to(kind);
                options.overwrite = overwrite;
                options.progress = [](int64_t, int64_t) { ADD_FAILURE() << "the work began"; };
                const fs::file_type type = fs::symlink_status(directory.path(name)).type();
                const std::string error = error_of([&] { export_model(tiny.model(), directory.path(name), options); });
                EXPECT_TRUE(has(error, {name, "expected", "new", "found"})) << error;
                EXPECT_EQ(fs::symlink_status(directory.path(name)).type(), type);
            }
    EXPECT_EQ(read_file(directory.path("real")), "old");
}

TEST_F(Export, AFailedExportRemovesWhatItWrote) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    for (const ExportKind kind : kKinds) {
        TempFolder place;
        ExportOptions options = to(kind);
        options.progress = [](int64_t done, int64_t total) {
            if (done > total / 2) throw Error("stop");
        };
        EXPECT_EQ(error_of([&] { export_model(tiny.model(), place.path("out"), options); }), "stop");
        EXPECT_TRUE(fs::is_empty(place.path())) << name_of(kind);
    }
}

}  // namespace
