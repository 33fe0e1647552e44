// small_model_test.h: for tests of the whole program: a snapshot of random weights, made once, and a folder for each.
#pragma once
#include <gtest/gtest.h>

#include <memory>

#include "support/random_snapshot.h"
#include "temp_folder.h"

class SmallModelTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        made = std::make_unique<TempFolder>();
        SnapshotSpec spec;
        spec.preset = "demo";
        spec.settings = {"num_hidden_layers=1"};
        write_random_snapshot(made->path("model"), spec);
    }
    static void TearDownTestSuite() { made.reset(); }

    TempFolder folder;
    static inline std::unique_ptr<TempFolder> made;
};
