// architecture.cpp: which architecture a model has.
#include "gpu/architecture.h"

#include "error.h"

std::unique_ptr<Architecture> architecture_of(const Model& model) {
    if (model.is_gpt2()) return make_gpt2(model.gpt2());
    return make_gpt_oss(model.gpt_oss());
}

void need(bool ok, const char* field, const char* expected, int found) {
    if (!ok) fail("GPU: {}: expected {}, found {}; --device cpu takes it", field, expected, found);
}
